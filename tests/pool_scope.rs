//! Tasks that borrow: rows F22, F39 in a scope, and what becomes of a scope whose pool ends.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, TaskError, ThreadPoolExecutor};
use latchwork::sync::{Event, Lock};
use latchwork::{CancelToken, GaveUp, Shutdown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn message(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// F22: what is around the scope is borrowed, mutably too, and is whole afterwards.
#[test]
fn tasks_borrow_and_have_ended_when_the_scope_returns() {
    watchdog(LIMIT, "tasks_borrow", || {
        let pool = ThreadPoolExecutor::new(3);
        for _ in 0..200 {
            let mut numbers: Vec<usize> = (0..100).collect();
            let sum = AtomicUsize::new(0);
            let returned = pool.scope(|s| {
                for number in &mut numbers {
                    let sum = &sum;
                    s.spawn(move || {
                        sum.fetch_add(*number, Ordering::Relaxed);
                        *number *= 2;
                    });
                }
                7
            });
            assert_eq!((returned, sum.into_inner()), (7, 4950));
            assert!(
                numbers
                    .iter()
                    .enumerate()
                    .all(|(n, number)| *number == 2 * n)
            );
        }
    });
}

/// F22: an empty scope returns.
#[test]
fn a_scope_without_tasks_returns() {
    watchdog(LIMIT, "a_scope_without_tasks", || {
        assert_eq!(ThreadPoolExecutor::new(1).scope(|_| 3), 3);
    });
}

/// F22: results that borrow, in all faces.
#[test]
fn futures_of_a_scope_have_results_that_borrow() {
    watchdog(LIMIT, "futures_of_a_scope", || {
        let pool = ThreadPoolExecutor::new(1);
        let words = ["a".to_owned(), "scope".to_owned()];
        let gate = Event::new();
        let longest: &str = pool.scope(|s| {
            let longest = s.submit(|| words.iter().max_by_key(|word| word.len()).unwrap());
            let held = s.submit(|| gate.wait());
            let (held, why) = held.result_within(Duration::from_millis(1)).unwrap_err();
            assert_eq!(why, GaveUp::TimedOut);
            let held = held.try_result().unwrap_err();
            let awaited = s.submit(|| &words[0]);
            gate.set();
            assert_eq!(common::block_on(awaited).unwrap(), "a");
            assert_eq!(held.result(), Ok(()));
            assert!(longest.is_done());
            longest.result().unwrap()
        });
        assert_eq!(longest, "scope");
    });
}

/// F22: a task that was cancelled has not run, and what it had captured is gone when the scope returns.
#[test]
fn a_task_of_a_scope_can_be_cancelled() {
    watchdog(LIMIT, "a_task_of_a_scope", || {
        let pool = ThreadPoolExecutor::new(1);
        let (started, gate, captured) = (Event::new(), Event::new(), Arc::new(()));
        pool.scope(|s| {
            s.spawn(|| {
                started.set();
                gate.wait();
            });
            started.wait();
            let its = Arc::clone(&captured);
            let cancelled = s.submit(move || drop(its));
            assert!(cancelled.cancel() && cancelled.cancel());
            assert_eq!(cancelled.result(), Err(TaskError::Cancelled));
            gate.set();
        });
        assert_eq!(Arc::strong_count(&captured), 1);
    });
}

/// F22: tasks spawn tasks, and the scope waits for those, too.
#[test]
fn tasks_of_a_scope_spawn_more() {
    watchdog(LIMIT, "tasks_of_a_scope_spawn", || {
        let pool = ThreadPoolExecutor::new(2);
        let count = AtomicUsize::new(0);
        pool.scope(|s| {
            for _ in 0..10 {
                s.spawn(|| {
                    for _ in 0..10 {
                        s.spawn(|| {
                            s.spawn(|| {
                                count.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 100);
    });
}

/// F22: a panic of the body waits for the tasks and goes on; a panic of a task goes on in the caller.
#[test]
fn panics_go_on_after_all_have_ended() {
    watchdog(LIMIT, "panics_go_on", || {
        let pool = ThreadPoolExecutor::new(2);
        let (gate, ended) = (Event::new(), AtomicBool::new(false));
        let body = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| -> () {
                s.spawn(|| {
                    gate.wait();
                    // Late enough to be missed by who does not wait.
                    thread::sleep(Duration::from_millis(20));
                    ended.store(true, Ordering::Relaxed);
                });
                gate.set();
                panic!("of the body");
            })
        }));
        assert_eq!(message(body.unwrap_err()), "of the body");
        assert!(ended.load(Ordering::Relaxed));

        let count = AtomicUsize::new(0);
        let task = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| {
                s.spawn(|| panic!("of a {}", "task"));
                s.spawn(|| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
            })
        }));
        assert_eq!(message(task.unwrap_err()), "of a task");
        assert_eq!(count.into_inner(), 1);

        // In a future it is data; if nobody looks, it is none.
        pool.scope(|s| {
            let panics = s.submit(|| panic!("seen"));
            assert!(matches!(panics.result(), Err(TaskError::Panicked(_))));
        });
        let unseen = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| drop(s.submit(|| panic!("unseen"))));
        }));
        assert_eq!(message(unseen.unwrap_err()), "a scoped task panicked");
        assert_eq!(pool.spawn(|| 1).unwrap().result(), Ok(1));
    });
}

/// A result, and a captured value, whose drop panics end the scope all the same.
#[test]
fn a_drop_that_panics_does_not_hold_the_scope() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped, on purpose");
        }
    }
    watchdog(LIMIT, "a_drop_that_panics", || {
        let pool = ThreadPoolExecutor::new(1);
        let gate = Event::new();
        pool.scope(|s| {
            drop(s.submit(|| {
                gate.wait();
                Bomb
            }));
            // Only the task has the result, and drops it.
            gate.set();
        });
        let captured = Bomb;
        let task = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| s.spawn(move || drop(captured)))
        }));
        assert_eq!(message(task.unwrap_err()), "dropped, on purpose");
        assert_eq!(pool.spawn(|| 1).unwrap().result(), Ok(1));
    });
}

fn tree(pool: &ThreadPoolExecutor, depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    let (mut left, mut right) = (0, 0);
    pool.scope(|s| {
        s.spawn(|| left = tree(pool, depth - 1));
        s.spawn(|| right = tree(pool, depth - 1));
    });
    left + right
}

/// F22, F39: a worker that opens a scope runs its tasks, at any depth, in a pool of one and of more.
#[test]
fn a_worker_helps_its_own_scope() {
    watchdog(LIMIT, "a_worker_helps", || {
        for workers in [1, 2, 3] {
            let pool = Arc::new(ThreadPoolExecutor::new(workers));
            let inner = Arc::clone(&pool);
            let leaves = pool.spawn(move || tree(&inner, 9)).unwrap();
            assert_eq!(leaves.result(), Ok(512));
            assert_eq!(pool.scope(|s| s.submit(|| tree(&pool, 5)).result()), Ok(32));
        }
    });
}

/// F39: scopes one inside the other, deeper than a stack: workers are replaced; when there can be no more, it is said.
#[test]
fn scopes_go_deep_and_say_when_it_is_too_deep() {
    fn down(pool: &ThreadPoolExecutor, depth: u32) -> u32 {
        let mut deepest = depth;
        if depth < 3000 {
            pool.scope(|s| {
                let below = s.submit(|| down(pool, depth + 1));
                deepest = match below.result() {
                    Ok(deepest) => deepest,
                    Err(TaskError::WouldDeadlock) => depth,
                    Err(other) => panic!("{other}"),
                };
            });
        }
        deepest
    }
    fn down_without_futures(pool: &ThreadPoolExecutor, depth: u32, deepest: &AtomicUsize) {
        deepest.fetch_max(depth as usize, Ordering::Relaxed);
        if depth < 3000 {
            pool.scope(|s| s.spawn(|| down_without_futures(pool, depth + 1, deepest)));
        }
    }
    watchdog(LIMIT, "scopes_go_deep", || {
        let roomy = ThreadPoolExecutor::new(1);
        assert_eq!(
            roomy.scope(|s| s.submit(|| down(&roomy, 0)).result()),
            Ok(3000)
        );
        let narrow = ThreadPoolExecutor::builder()
            .max_workers(1)
            .spare_workers(1)
            .stack_size(128 << 10)
            .unwrap()
            .build();
        let deepest = narrow
            .scope(|s| s.submit(|| down(&narrow, 0)).result())
            .unwrap();
        assert!(deepest > 1 && deepest < 3000, "{deepest}");

        let deepest = AtomicUsize::new(0);
        let all = narrow.scope(|s| {
            s.submit(|| down_without_futures(&narrow, 0, &deepest))
                .result()
        });
        let Err(TaskError::Panicked(panic)) = all else {
            panic!("{all:?}")
        };
        assert!(
            panic
                .message
                .starts_with("a scoped task was not run: all workers wait"),
            "{panic}"
        );
        assert!(deepest.into_inner() > 1);
        assert_eq!(narrow.spawn(|| 7).unwrap().result(), Ok(7));
    });
}

/// A scope in a pool that has been shut down runs its tasks in its own thread.
#[test]
fn a_scope_of_a_pool_that_has_ended_runs_here() {
    watchdog(LIMIT, "a_scope_of_a_pool_that_has_ended", || {
        let pool = ThreadPoolExecutor::new(1);
        pool.shutdown(Shutdown::Drain);
        pool.join();
        let (here, mut there) = (thread::current().id(), None);
        pool.scope(|s| s.spawn(|| there = Some(thread::current().id())));
        assert_eq!(there, Some(here));
    });
}

/// F20 in a scope: tasks that an immediate shutdown has kept from starting are not silently missing.
#[test]
fn a_shutdown_in_the_middle_of_a_scope_is_told() {
    watchdog(LIMIT, "a_shutdown_in_the_middle", || {
        let pool = ThreadPoolExecutor::new(1);
        let (started, gate, ran) = (Event::new(), Event::new(), AtomicBool::new(false));
        let told = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| {
                s.spawn(|| {
                    started.set();
                    gate.wait();
                });
                started.wait();
                s.spawn(|| ran.store(true, Ordering::Relaxed));
                let future = s.submit(|| ());
                pool.shutdown(Shutdown::Immediate);
                gate.set();
                assert_eq!(future.result(), Err(TaskError::Cancelled));
            });
        }));
        let told = message(told.unwrap_err());
        assert_eq!(
            told,
            "a scoped task was not run: the task was cancelled before it started"
        );
        assert!(!ran.into_inner());
    });
}

/// F22: many at a time, from many threads, each with its own scope over the same pool.
#[test]
fn scopes_beside_each_other_keep_apart() {
    watchdog(LIMIT, "scopes_beside_each_other", || {
        let pool = ThreadPoolExecutor::new(2);
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for round in 0..200 {
                        let done = Lock::new(Vec::new());
                        pool.scope(|s| {
                            for n in 0..round % 10 {
                                let done = &done;
                                s.spawn(move || done.lock().push(n));
                            }
                        });
                        assert_eq!(done.into_inner().len(), round % 10);
                    }
                });
            }
        });
    });
}

/// What a task waits for under the token of its own group ends with it.
#[test]
fn a_scope_is_seen_in_the_wait_graph() {
    watchdog(LIMIT, "a_scope_is_seen", || {
        let pool = ThreadPoolExecutor::new(1);
        let token = CancelToken::new();
        thread::scope(|threads| {
            let caller = common::parked(threads, || pool.scope(|s| s.spawn(|| token.wait())));
            let waits = latchwork::debug::waits();
            assert!(waits.iter().any(|wait| wait.kind == "Scope"));
            token.cancel();
            caller.join().unwrap();
        });
    });
}

/// F22: what a task spawns while the worker whose scope it is runs it, is waited for, too.
#[test]
fn a_task_that_the_waiting_worker_runs_spawns_into_the_scope() {
    watchdog(LIMIT, "a_task_that_the_waiting_worker_runs", || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inner = Arc::clone(&pool);
        let ran = pool.spawn(move || {
            let ran = AtomicUsize::new(0);
            inner.scope(|s| {
                s.spawn(|| {
                    s.spawn(|| {
                        ran.fetch_add(1, Ordering::Relaxed);
                    });
                });
            });
            ran.into_inner()
        });
        assert_eq!(ran.unwrap().result(), Ok(1));
    });
}
