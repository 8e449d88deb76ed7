//! Tasks that succeed or fail together: the policies, the limit and the time limit of a group.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, GroupError, TaskError, ThreadPoolExecutor};
use latchwork::sync::{Event, Lock};
use latchwork::{CancelToken, GaveUp, Shutdown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// All must succeed: values in the order of the submissions, whatever the order of the ends.
#[test]
fn all_gives_the_values_in_order() {
    watchdog(LIMIT, "all_gives_the_values", || {
        let pool = ThreadPoolExecutor::new(3);
        let (words, gate) = (["a", "bc", "def"], Event::new());
        let lens = pool.group().all(|group| {
            for (n, word) in words.iter().enumerate() {
                let gate = &gate;
                group.spawn(move || {
                    if n == 0 {
                        gate.wait();
                    }
                    gate.set();
                    Ok::<_, ()>(word.len())
                });
            }
        });
        assert_eq!(lens, Ok(vec![1, 2, 3]));
        assert_eq!(pool.group().all::<(), (), _>(|_| ()), Ok(vec![]));
    });
}

/// The first error is returned, what has not started does not start, and what runs is told by the token.
#[test]
fn the_first_error_ends_a_group_in_which_all_must_succeed() {
    watchdog(LIMIT, "the_first_error_ends", || {
        let pool = ThreadPoolExecutor::new(2);
        let (ran, waits, dropped) = (AtomicUsize::new(0), Event::new(), Arc::new(()));
        let result = pool.group().all(|group| {
            let token = group.token().clone();
            let waits = &waits;
            group.spawn(move || {
                waits.set();
                // Ends because of the other one's error alone.
                token.wait();
                Err("second")
            });
            group.spawn(move || {
                waits.wait();
                Err("first")
            });
            group.token().wait();
            for _ in 0..10 {
                let (ran, its) = (&ran, Arc::clone(&dropped));
                group.spawn(move || {
                    drop(its);
                    ran.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
            }
        });
        assert_eq!(result, Err(GroupError::Failed("first")));
        assert_eq!(ran.into_inner(), 0);
        assert_eq!(Arc::strong_count(&dropped), 1);

        let panics = pool
            .group()
            .all(|group| group.spawn(|| -> Result<(), ()> { panic!("oh") }));
        let Err(GroupError::Panicked(panic)) = panics else {
            panic!("{panics:?}")
        };
        assert_eq!(panic.message, "oh");
    });
}

/// What lies in the list when a task fails is dropped, not run.
#[test]
fn what_has_not_started_does_not_start_after_an_error() {
    watchdog(LIMIT, "what_has_not_started", || {
        let pool = ThreadPoolExecutor::new(4);
        let (order, gate) = (Lock::new(Vec::new()), Event::new());
        let result = pool.group().limit(1).all(|group| {
            for n in 0..5 {
                let (order, gate) = (&order, &gate);
                group.spawn(move || {
                    gate.wait();
                    order.lock().push(n);
                    if n == 2 { Err(n) } else { Ok(n) }
                });
            }
            gate.set();
        });
        assert_eq!(result, Err(GroupError::Failed(2)));
        assert_eq!(order.into_inner(), [0, 1, 2]);
    });
}

/// One success is enough; without one, all errors come back.
#[test]
fn the_first_success_wins() {
    watchdog(LIMIT, "the_first_success_wins", || {
        let pool = ThreadPoolExecutor::new(2);
        let winner = pool.group().first(|group| {
            group.spawn(|| Err("slow mirror"));
            let token = group.token().clone();
            group.spawn(move || {
                token.wait();
                Ok("too late")
            });
            group.spawn(|| Ok("mirror"));
        });
        assert_eq!(winner, Ok("mirror"));
        let none = pool.group().first::<(), _, _>(|group| {
            group.spawn(|| Err(1));
            group.spawn(|| panic!("oh"));
            group.spawn(|| Err(3));
        });
        let errors = none.unwrap_err();
        assert!(matches!(
            &errors[..],
            [
                GroupError::Failed(1),
                GroupError::Panicked(_),
                GroupError::Failed(3)
            ]
        ));
        assert_eq!(pool.group().first::<(), (), _>(|_| ()), Err(vec![]));
    });
}

/// Each has its own result.
#[test]
fn collect_gives_every_result() {
    watchdog(LIMIT, "collect_gives_every_result", || {
        let pool = ThreadPoolExecutor::new(2);
        let results = pool.group().limit(3).collect(|group| {
            for n in 0..20 {
                group.spawn(move || if n % 2 == 0 { Ok(n) } else { Err(n) });
            }
        });
        let expected: Vec<_> = (0..20)
            .map(|n| {
                if n % 2 == 0 {
                    Ok(n)
                } else {
                    Err(GroupError::Failed(n))
                }
            })
            .collect();
        assert_eq!(results, expected);
    });
}

/// Never more run at a time than may, though the pool has room, and nobody waits to spawn.
#[test]
fn no_more_run_at_a_time_than_may() {
    watchdog(LIMIT, "no_more_run_at_a_time", || {
        let pool = ThreadPoolExecutor::new(6);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results = pool.group().limit(2).collect(|group| {
            for _ in 0..40 {
                group.spawn(|| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok::<_, ()>(())
                });
            }
        });
        assert_eq!(results.len(), 40);
        assert!(most.into_inner() <= 2);
        assert_eq!(pool.stats().workers, 2, "a third had nothing to do");
    });
}

/// A task spawns into its own group.
#[test]
fn tasks_spawn_into_their_group() {
    watchdog(LIMIT, "tasks_spawn_into", || {
        let pool = ThreadPoolExecutor::new(2);
        let values = pool.group().limit(1).all(|group| {
            let more = group.clone();
            group.spawn(move || {
                more.spawn(|| Ok(2));
                Ok::<_, ()>(1)
            });
        });
        assert_eq!(values, Ok(vec![1, 2]));
    });
}

/// A time limit: what has not started does not, what runs is told, and the group says that it gave up.
#[test]
fn a_limit_ends_a_group() {
    watchdog(LIMIT, "a_limit_ends_a_group", || {
        let pool = ThreadPoolExecutor::new(1);
        let short = Duration::from_millis(10);
        let body = |group: &latchwork::executor::Group<'_, '_, u8, ()>| {
            let token = group.token().clone();
            group.spawn(move || {
                token.wait();
                Ok(1)
            });
            group.spawn(|| Ok(2));
        };
        let gave_up = GroupError::GaveUp(GaveUp::TimedOut);
        assert_eq!(pool.group().within(short).all(body), Err(gave_up.clone()));
        let results = pool.group().within(short).collect(body);
        assert_eq!(results, [Ok(1), Err(gave_up)]);
        let token = CancelToken::new();
        token.cancel();
        let results = pool.group().within(&token).collect::<u8, (), _>(|group| {
            group.spawn(|| Ok(1));
        });
        assert_eq!(results, [Err(GroupError::GaveUp(GaveUp::Cancelled))]);
    });
}

/// A worker that opens a group runs its tasks; under a limit it is replaced.
#[test]
fn a_worker_may_open_a_group() {
    watchdog(LIMIT, "a_worker_may_open", || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        for limit in [None, Some(Duration::from_secs(3600))] {
            let inner = Arc::clone(&pool);
            let sum = pool.spawn(move || {
                let group = match limit {
                    Some(limit) => inner.group().within(limit),
                    None => inner.group(),
                };
                let values = group.limit(2).all(|group| {
                    for n in 0..10 {
                        group.spawn(move || Ok::<_, ()>(n));
                    }
                });
                values.unwrap().into_iter().sum::<i32>()
            });
            assert_eq!(sum.unwrap().result(), Ok(45));
        }
    });
}

/// A panic of the body cancels what has not started, waits for the rest, and goes on.
#[test]
fn a_panic_of_the_body_ends_the_group() {
    watchdog(LIMIT, "a_panic_of_the_body", || {
        let pool = ThreadPoolExecutor::new(1);
        let (started, ended) = (Event::new(), AtomicUsize::new(0));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            pool.group().all(|group| {
                let token = group.token().clone();
                let (started, ended) = (&started, &ended);
                group.spawn(move || {
                    started.set();
                    token.wait();
                    ended.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, ()>(())
                });
                group.spawn(move || {
                    ended.fetch_add(10, Ordering::Relaxed);
                    Ok(())
                });
                started.wait();
                panic!("of the body");
            })
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"of the body"));
        assert_eq!(ended.into_inner(), 1);
    });
}

/// A pool that is shut down in the middle says so for each task it did not run.
#[test]
fn a_shutdown_in_the_middle_of_a_group_is_told() {
    watchdog(LIMIT, "a_shutdown_in_the_middle", || {
        let pool = ThreadPoolExecutor::new(1);
        let (started, gate) = (Event::new(), Event::new());
        let results = pool.group().collect(|group| {
            let (started, gate) = (&started, &gate);
            group.spawn(move || {
                started.set();
                gate.wait();
                Ok::<_, ()>(1)
            });
            started.wait();
            group.spawn(|| Ok(2));
            pool.shutdown(Shutdown::Immediate);
            gate.set();
        });
        assert_eq!(
            results,
            [Ok(1), Err(GroupError::NotRun(TaskError::Cancelled))]
        );
    });
}
