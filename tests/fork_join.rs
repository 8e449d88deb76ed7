//! Fork and join in a thread pool: what is stolen, what waits for what, and what a panic does.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, ThreadPoolExecutor};
use latchwork::sync::{Barrier, Event, Lock};
use latchwork::{Shutdown, parallel};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn message(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => payload
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_default(),
    }
}

fn fibonacci(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = parallel::join(|| fibonacci(n - 1), || fibonacci(n - 2));
    a + b
}

/// J15: a recursion without a limit, in pools of any size, from inside and outside.
#[test]
fn a_recursion_gives_what_it_would_give_alone() {
    watchdog(LIMIT, "a_recursion_gives", || {
        for workers in [1, 2, 3, 8] {
            let pool = ThreadPoolExecutor::new(workers);
            assert_eq!(pool.install(|| fibonacci(18)), 2584);
            let (a, b) = pool.fork_join(|| fibonacci(15), || fibonacci(16));
            assert_eq!((a, b), (610, 987));
        }
        assert_eq!(fibonacci(18), 2584);
    });
}

/// Both run at the same time if there are workers: neither could go on alone.
#[test]
fn both_run_at_once() {
    watchdog(LIMIT, "both_run_at_once", || {
        let pool = ThreadPoolExecutor::new(2);
        let meet = Barrier::new(2);
        for _ in 0..200 {
            let here = || {
                meet.wait().unwrap();
                thread::current().id()
            };
            let (a, b) = pool.fork_join(here, here);
            assert_ne!(a, b);
        }
    });
}

/// All of a tree's leaves, as many as there are workers, meet.
#[test]
fn every_worker_comes() {
    watchdog(LIMIT, "every_worker_comes", || {
        fn leaves(n: usize, meet: &Barrier) {
            if n == 1 {
                meet.wait().unwrap();
            } else {
                parallel::join(|| leaves(n / 2, meet), || leaves(n - n / 2, meet));
            }
        }
        let pool = ThreadPoolExecutor::new(8);
        let meet = Barrier::new(8);
        for _ in 0..50 {
            pool.install(|| leaves(8, &meet));
        }
    });
}

/// More branches than are shown at once: who looks for one in vain is heard when its owner forks next, or sleeps.
#[test]
fn what_is_kept_back_is_shown_to_who_asks() {
    watchdog(LIMIT, "what_is_kept_back", || {
        fn chain(depth: usize, meet: &Barrier) {
            match depth {
                0 => {
                    meet.wait().unwrap();
                }
                _ => drop(parallel::join(
                    || chain(depth - 1, meet),
                    || {
                        meet.wait().unwrap();
                    },
                )),
            }
        }
        let pool = ThreadPoolExecutor::new(12);
        let meet = Barrier::new(12);
        for _ in 0..20 {
            pool.install(|| chain(11, &meet));
        }
    });
}

/// What was borrowed is whole again, and the results come in their places.
#[test]
fn it_borrows() {
    watchdog(LIMIT, "it_borrows", || {
        fn double(numbers: &mut [u32]) {
            match numbers {
                [] => {}
                [one] => *one *= 2,
                more => {
                    let (left, right) = more.split_at_mut(more.len() / 2);
                    parallel::join(|| double(left), || double(right));
                }
            }
        }
        let pool = ThreadPoolExecutor::new(3);
        let mut numbers: Vec<u32> = (0..5000).collect();
        pool.install(|| double(&mut numbers));
        assert!(
            numbers
                .iter()
                .enumerate()
                .all(|(at, &n)| n as usize == 2 * at)
        );
    });
}

/// The panic of `a` goes on when `b`, that another worker runs, has ended.
#[test]
fn a_panics_while_b_runs_elsewhere() {
    watchdog(LIMIT, "a_panics_while_b_runs", || {
        let pool = ThreadPoolExecutor::new(2);
        let (begun, gone_on, ended) = (Event::new(), Event::new(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                begun.wait();
                // By now `a` has been told to panic; `b` still stands.
                thread::yield_now();
                gone_on.set();
            });
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                pool.fork_join(
                    || {
                        begun.wait();
                        panic!("of a");
                    },
                    || {
                        begun.set();
                        gone_on.wait();
                        ended.store(true, Ordering::SeqCst);
                    },
                )
            }));
            assert_eq!(message(panicked.unwrap_err()), "of a");
            assert!(ended.load(Ordering::SeqCst), "it is over when it unwinds");
        });
        assert_eq!(pool.fork_join(|| 1, || 2), (1, 2), "the workers go on");
    });
}

/// A `b` that nobody has begun when `a` panics is dropped, and does not run.
#[test]
fn a_panics_before_b_has_begun() {
    watchdog(LIMIT, "a_panics_before_b", || {
        let pool = ThreadPoolExecutor::new(1);
        let captured = Arc::new(());
        let inside = Arc::clone(&captured);
        let ran = AtomicBool::new(false);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            pool.fork_join(
                || panic!("of a"),
                || {
                    ran.store(true, Ordering::SeqCst);
                    drop(inside);
                },
            )
        }));
        assert_eq!(message(panicked.map(|((), ())| ()).unwrap_err()), "of a");
        assert!(!ran.load(Ordering::SeqCst));
        assert_eq!(
            Arc::strong_count(&captured),
            1,
            "and what it had captured is gone"
        );
    });
}

/// The panic of `b` comes back, whoever has run it, and the result of `a` is dropped.
#[test]
fn b_panics() {
    watchdog(LIMIT, "b_panics", || {
        for workers in [1, 2] {
            let pool = ThreadPoolExecutor::new(workers);
            let begun = Event::new();
            let result = Arc::new(());
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                pool.fork_join(
                    || {
                        if workers == 2 {
                            begun.wait();
                        }
                        Arc::clone(&result)
                    },
                    || {
                        begun.set();
                        panic!("of b")
                    },
                )
            }));
            assert_eq!(message(panicked.map(|(_, ())| ()).unwrap_err()), "of b");
            assert_eq!(Arc::strong_count(&result), 1);
        }
    });
}

/// If both panic it is `a`'s that is seen.
#[test]
fn both_panic() {
    watchdog(LIMIT, "both_panic", || {
        let pool = ThreadPoolExecutor::new(2);
        let meet = Barrier::new(2);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            pool.fork_join(
                || {
                    meet.wait().unwrap();
                    panic!("of a")
                },
                || {
                    meet.wait().unwrap();
                    panic!("of b")
                },
            )
        }));
        assert_eq!(message(panicked.map(|((), ())| ()).unwrap_err()), "of a");
    });
}

/// A panic that crosses threads keeps its place when the task's future tells of it.
#[test]
fn a_panic_keeps_its_place() {
    watchdog(LIMIT, "a_panic_keeps_its_place", || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let inside = Arc::clone(&pool);
        let future = pool
            .spawn(move || {
                let begun = Event::new();
                inside.fork_join(
                    || begun.wait(),
                    || {
                        begun.set();
                        panic!("elsewhere")
                    },
                )
            })
            .unwrap();
        let error = future.result().map(|((), ())| ()).unwrap_err();
        assert!(error.to_string().contains("fork_join.rs:"), "{error}");
    });
}

thread_local! {
    /// Joins of this thread that are in the middle of a locked section.
    static LOCKED: Cell<usize> = const { Cell::new(0) };
}

/// Whoever waits in a join runs nothing foreign. Many tasks hold a lock around a fork: the worker that holds it and
/// waits must not run another task that wants it, or it would wait for itself.
#[test]
fn a_lock_may_be_held_around_a_join() {
    watchdog(LIMIT, "a_lock_may_be_held", || {
        fn work(depth: u32, sum: &AtomicUsize) {
            if depth == 0 {
                sum.fetch_add(1, Ordering::Relaxed);
                return;
            }
            parallel::join(|| work(depth - 1, sum), || work(depth - 1, sum));
        }
        fn locked(lock: &Lock<()>, sum: &AtomicUsize) {
            assert_eq!(LOCKED.get(), 0, "something foreign runs on top of a join");
            let held = lock.lock();
            LOCKED.set(1);
            work(6, sum);
            LOCKED.set(0);
            drop(held);
        }
        fn all(n: usize, lock: &Lock<()>, sum: &AtomicUsize) {
            match n {
                1 => locked(lock, sum),
                _ => drop(parallel::join(
                    || all(n / 2, lock, sum),
                    || all(n - n / 2, lock, sum),
                )),
            }
        }
        let pool = ThreadPoolExecutor::new(4);
        let (lock, sum) = (Lock::new(()), AtomicUsize::new(0));
        for _ in 0..20 {
            pool.install(|| all(32, &lock, &sum));
        }
        assert_eq!(sum.load(Ordering::Relaxed), 20 * 32 * 64);
    });
}

/// As above, with everything in its place: while one worker waits in a join, with a lock, another one shows a branch that
/// wants that lock, and nobody else is free. Whoever waits leaves it alone.
#[test]
fn who_waits_leaves_foreign_branches_alone() {
    watchdog(LIMIT, "who_waits_leaves_foreign", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(3)
            .spare_workers(0)
            .build();
        let lock = Lock::new(());
        let (begun, shown, released) = (Event::new(), Event::new(), Event::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                pool.install(|| {
                    let held = lock.lock();
                    LOCKED.set(1);
                    parallel::join(
                        || shown.wait(),
                        || {
                            begun.set();
                            released.wait();
                        },
                    );
                    LOCKED.set(0);
                    drop(held);
                });
            });
            begun.wait();
            let foreign = scope.spawn(|| {
                pool.fork_join(
                    || {
                        shown.set();
                        released.wait();
                    },
                    || {
                        assert_eq!(LOCKED.get(), 0, "it runs on top of the join");
                        drop(lock.lock());
                    },
                );
            });
            while latchwork::debug::waits()
                .iter()
                .all(|wait| wait.kind != "join")
            {
                thread::yield_now();
            }
            released.set();
            foreign.join().unwrap();
        });
    });
}

/// Who waits for a branch runs what that branch has forked. A pool of two without a spare: the thief sleeps in its own
/// branch, so the other half of it is left to who waits.
#[test]
fn who_waits_runs_descendants() {
    watchdog(LIMIT, "who_waits_runs_descendants", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .spare_workers(0)
            .build();
        for _ in 0..100 {
            let (begun, meet) = (Event::new(), Barrier::new(2));
            let (waiter, (thief, helper)) = pool.fork_join(
                || {
                    begun.wait();
                    thread::current().id()
                },
                || {
                    let here = || {
                        meet.wait().unwrap();
                        thread::current().id()
                    };
                    // Not before there is something to be run: who waits would sleep.
                    let first = || {
                        begun.set();
                        here()
                    };
                    parallel::join(first, here)
                },
            );
            assert_eq!(waiter, helper);
            assert_ne!(thief, helper);
        }
    });
}

/// A worker that sleeps in a join is replaced: others' tasks go on.
#[test]
fn who_sleeps_in_a_join_is_replaced() {
    watchdog(LIMIT, "who_sleeps_in_a_join", || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let (begun, released) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let fork = {
            let (pool, begun, released) =
                (Arc::clone(&pool), Arc::clone(&begun), Arc::clone(&released));
            move || {
                let inner = Arc::clone(&begun);
                pool.fork_join(
                    || inner.wait(),
                    || {
                        begun.set();
                        released.wait();
                    },
                );
            }
        };
        let forked = pool.spawn(fork).unwrap();
        begun.wait();
        // Both workers are taken: one waits for the event, the other one in its join.
        assert_eq!(pool.spawn(|| 7).unwrap().result(), Ok(7));
        released.set();
        forked.result().unwrap();
    });
}

/// A task may wait for another one between a fork and its join.
#[test]
fn tasks_and_forks_mix() {
    watchdog(LIMIT, "tasks_and_forks_mix", || {
        fn down(pool: &Arc<ThreadPoolExecutor>, depth: u64) -> u64 {
            if depth == 0 {
                return 1;
            }
            let below = Arc::clone(pool);
            let (a, b) = parallel::join(
                || {
                    let task = pool.spawn(move || down(&below, depth - 1)).unwrap();
                    task.result().unwrap()
                },
                || down(pool, depth - 1),
            );
            a + b
        }
        for workers in [1, 2, 4] {
            let pool = Arc::new(ThreadPoolExecutor::new(workers));
            assert_eq!(pool.install(|| down(&pool, 9)), 512);
        }
    });
}

/// From one pool into another and back.
#[test]
fn pools_may_call_each_other() {
    watchdog(LIMIT, "pools_may_call", || {
        let (here, there) = (ThreadPoolExecutor::new(1), ThreadPoolExecutor::new(1));
        let sum = here.install(|| {
            let (a, b) = parallel::join(
                || there.install(|| here.install(|| fibonacci(10))),
                || there.fork_join(|| fibonacci(9), || fibonacci(8)),
            );
            a + b.0 + b.1
        });
        assert_eq!(sum, 55 + 34 + 21);
    });
}

/// An unbalanced recursion, 100,000 deep: about 300 bytes a level, ten times that without optimisation.
#[test]
fn a_deep_recursion_needs_stack_and_nothing_else() {
    watchdog(LIMIT, "a_deep_recursion", || {
        fn down(depth: usize) -> usize {
            if depth == 0 {
                return 0;
            }
            let (below, one) = parallel::join(|| down(depth - 1), || 1);
            below + one
        }
        let bytes = if cfg!(debug_assertions) { 3000 } else { 500 };
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .stack_size(100_000 * bytes)
            .unwrap()
            .build();
        assert_eq!(pool.install(|| down(100_000)), 100_000);
    });
}

/// After shutdown the caller does it alone, and loses nothing.
#[test]
fn after_shutdown_the_caller_does_it() {
    watchdog(LIMIT, "after_shutdown", || {
        let pool = ThreadPoolExecutor::new(2);
        pool.shutdown(Shutdown::Drain);
        let here = thread::current().id();
        let (a, b) = pool.fork_join(|| thread::current().id(), || fibonacci(10));
        assert_eq!((a, b), (here, 55));
        assert_eq!(pool.install(|| thread::current().id()), here);
    });
}

/// What waits in the queue when everything pending is cancelled is done by who waits for it.
#[test]
fn a_cancelled_fork_is_done_by_its_caller() {
    watchdog(LIMIT, "a_cancelled_fork", || {
        let pool = ThreadPoolExecutor::new(1);
        let (begun, released) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (tell, wait) = (Arc::clone(&begun), Arc::clone(&released));
        let busy = pool
            .spawn(move || {
                tell.set();
                wait.wait();
            })
            .unwrap();
        begun.wait();
        thread::scope(|scope| {
            let waits = common::parked(scope, || pool.fork_join(|| 1, || 2));
            pool.shutdown(Shutdown::Immediate);
            assert_eq!(waits.join().unwrap(), (1, 2));
        });
        released.set();
        busy.result().unwrap();
    });
}

/// Trees of random shape, with leaves of all lengths and some panics, in several pools at a time.
#[test]
fn stress() {
    watchdog(LIMIT, "stress", || {
        fn tree(seed: u64, depth: u32, leaves: &AtomicUsize) -> usize {
            let mut next = seed;
            let mut random = || {
                next ^= next << 13;
                next ^= next >> 7;
                next ^= next << 17;
                next
            };
            let (a, b, kind) = (random(), random(), random() % 16);
            if depth == 0 || kind == 0 {
                for _ in 0..random() % 400 {
                    std::hint::spin_loop();
                }
                leaves.fetch_add(1, Ordering::Relaxed);
                return 1;
            }
            if kind == 1 {
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    parallel::join(
                        || tree(a, depth - 1, &AtomicUsize::new(0)),
                        || -> usize { std::panic::resume_unwind(Box::new(())) },
                    )
                }));
                assert!(caught.is_err());
            }
            let (a, b) =
                parallel::join(|| tree(a, depth - 1, leaves), || tree(b, depth - 1, leaves));
            a + b
        }
        thread::scope(|scope| {
            for thread in 1..=2_u64 {
                scope.spawn(move || {
                    let pool = ThreadPoolExecutor::new(3);
                    for round in 1..=40 {
                        let leaves = AtomicUsize::new(0);
                        let counted = pool.install(|| tree(thread * 7919 + round, 11, &leaves));
                        assert_eq!(counted, leaves.into_inner());
                    }
                });
            }
        });
    });
}
