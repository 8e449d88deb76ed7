//! Models of the thread pool: submitters, workers and the end, none of which must miss another.

mod beside;

use beside::beside;
use latchwork::Shutdown;
use latchwork::executor::{Executor, SubmitRefusal, TaskError, ThreadPoolExecutor};
use latchwork::model::{Deadline, let_keep_alive_pass, let_threads_run_out};
use latchwork::sync::Event;
use latchwork_loom_tests::{model, quietly};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::mpsc::channel;
use std::time::Duration;

type Pool = Arc<ThreadPoolExecutor>;

fn pool(workers: usize) -> Pool {
    Arc::new(ThreadPoolExecutor::new(workers))
}

/// Workers that wait for anything at all are replaced, by so many more.
fn replacing(workers: usize, spare: usize) -> Pool {
    let builder = ThreadPoolExecutor::builder()
        .max_workers(workers)
        .spare_workers(spare)
        .replace_blocked(true);
    Arc::new(builder.build())
}

/// A worker has started and is at the end of its first task.
fn warm(pool: Pool) -> Pool {
    loom::stop_exploring();
    pool.spawn(loom::explore).unwrap().result().unwrap();
    pool
}

/// A worker has started and sleeps.
fn parked(pool: Pool) -> Pool {
    quietly(|| pool.spawn(|| ()).unwrap().result().unwrap());
    pool
}

/// Two workers have started and sleep.
fn both_parked(pool: Pool) -> Pool {
    quietly(|| {
        let (one, other) = (pool.spawn(|| ()).unwrap(), pool.spawn(|| ()).unwrap());
        one.result().and(other.result()).unwrap();
    });
    pool
}

#[test]
fn push_against_start() {
    model(
        "pool: a task is pushed while the only worker comes and takes the one before",
        || {
            let pool = pool(1);
            let first = pool.spawn(|| 1).unwrap();
            let second = pool.spawn(|| 2).unwrap();
            pool.shutdown(Shutdown::Drain);
            pool.join();
            assert_eq!(first.try_result().unwrap(), Ok(1));
            assert_eq!(second.try_result().unwrap(), Ok(2));
        },
    );
}

#[test]
fn push_against_park() {
    model("pool: a task is pushed while the only worker parks", || {
        let pool = warm(pool(1));
        assert_eq!(pool.spawn(|| 2).unwrap().result(), Ok(2));
        quietly(|| drop(pool));
    });
}

#[test]
fn shutdown_against_park() {
    model("pool: shut down while the only worker parks", || {
        let pool = warm(pool(1));
        pool.shutdown(Shutdown::Drain);
        pool.join();
    });
}

#[test]
fn shutdown_with_a_task() {
    model(
        "pool: shut down with a task pending while the only worker parks",
        || {
            let pool = warm(pool(1));
            let second = pool.spawn(|| 2).unwrap();
            drop(pool);
            assert_eq!(second.try_result().unwrap(), Ok(2));
        },
    );
}

#[test]
fn two_pushes_against_one_worker() {
    model(
        "pool: two push at a time for one worker that sleeps",
        || {
            let pool = parked(pool(1));
            let other = beside(&pool, |pool| pool.spawn(|| 1).unwrap());
            let one = pool.spawn(|| 2).unwrap();
            let other = other.join().unwrap();
            quietly(|| {
                assert_eq!(one.result(), Ok(2));
                assert_eq!(other.result(), Ok(1));
                drop(pool);
            });
        },
    );
}

#[test]
fn push_against_find() {
    model(
        "pool: a task is pushed by who relies on a searcher, which finds another one",
        || {
            let pool = both_parked(pool(2));
            let ((set, is_set), (end, has_ended)) = (channel(), channel());
            // The one keeps its worker until another worker has run the other.
            let keeps = move || {
                is_set.recv().unwrap();
                loom::stop_exploring();
                end.send(()).unwrap();
            };
            let keeping = quietly(|| pool.spawn(keeps).unwrap());
            let setting = pool.spawn(move || set.send(()).unwrap()).unwrap();
            has_ended.recv().unwrap();
            assert_eq!(setting.result(), Ok(()));
            assert_eq!(keeping.result(), Ok(()));
            drop(pool);
        },
    );
}

/// Submits a task and sees that it is run or given back.
fn submit_and_see(pool: &Pool, joined: &Arc<AtomicBool>) {
    let joined = joined.clone();
    let task = move || {
        assert!(
            !joined.load(Ordering::Relaxed),
            "joined before the last task"
        )
    };
    match pool.spawn(task) {
        Ok(future) => assert_eq!(future.result(), Ok(())),
        Err(refused) => assert_eq!(refused.reason, SubmitRefusal::ShutDown),
    }
}

#[test]
fn shutdown_against_submit() {
    model(
        "pool: a task is refused or run, and joined, when shutdown races its submission",
        || {
            let pool = pool(1);
            let joined = Arc::new(AtomicBool::new(false));
            let flag = joined.clone();
            let submitter = beside(&pool, move |pool| submit_and_see(pool, &flag));
            pool.shutdown(Shutdown::Drain);
            pool.join();
            joined.store(true, Ordering::Relaxed);
            submitter.join().unwrap();
        },
    );
}

#[test]
fn shutdown_against_submit_to_a_worker() {
    model(
        "pool: a task is refused or run when shutdown races its submission and a worker",
        || {
            let pool = parked(pool(1));
            let joined = Arc::new(AtomicBool::new(false));
            let flag = joined.clone();
            let submitter = beside(&pool, move |pool| submit_and_see(pool, &flag));
            pool.shutdown(Shutdown::Drain);
            pool.join();
            joined.store(true, Ordering::Relaxed);
            submitter.join().unwrap();
        },
    );
}

#[test]
fn immediate_shutdown_against_submit() {
    model(
        "pool: a task is refused, cancelled or run when shutdown races its submission",
        || {
            let pool = pool(1);
            let submitter = beside(&pool, |pool| match pool.spawn(|| 1) {
                Ok(future) => match future.result() {
                    Ok(value) => assert_eq!(value, 1),
                    Err(why) => assert_eq!(why, TaskError::Cancelled),
                },
                Err(refused) => assert_eq!((refused.value)(), 1),
            });
            pool.shutdown(Shutdown::Immediate);
            submitter.join().unwrap();
            pool.join();
        },
    );
}

#[test]
fn shutdown_against_two_submitters() {
    model(
        "pool: one is refused while another, accepted before, is about to start a worker",
        || {
            let pool = pool(1);
            let one = beside(&pool, |pool| pool.submit(drop, ()));
            let other = beside(&pool, |pool| pool.submit(drop, ()));
            pool.shutdown(Shutdown::Drain);
            let outcomes = [one.join().unwrap(), other.join().unwrap()];
            quietly(|| {
                pool.join();
                for outcome in outcomes {
                    match outcome {
                        Ok(future) => assert_eq!(future.try_result().unwrap(), Ok(())),
                        Err(refused) => assert_eq!(refused.reason, SubmitRefusal::ShutDown),
                    }
                }
            });
        },
    );
}

#[test]
fn shutdown_against_join() {
    model(
        "pool: joined by two while a pool without workers is shut down",
        || {
            let pool = pool(1);
            let joiner = beside(&pool, |pool| pool.join());
            let other = beside(&pool, |pool| pool.join());
            pool.shutdown(Shutdown::Drain);
            joiner.join().unwrap();
            other.join().unwrap();
        },
    );
}

#[test]
fn leaving_against_join() {
    model("pool: joined by two while the last worker leaves", || {
        let pool = parked(pool(1));
        let joiner = beside(&pool, |pool| pool.join());
        let deadline = Deadline::new();
        deadline.pass();
        pool.shutdown(Shutdown::Drain);
        // Whether in time or not, the other one hears.
        let _ = pool.join_within(&deadline);
        pool.join();
        joiner.join().unwrap();
    });
}

#[test]
fn cancel_against_start_against_shutdown() {
    model(
        "pool: cancelled by hand, cancelled by shutdown, or run, never two of them",
        || {
            let pool = parked(pool(1));
            let runs = Arc::new(AtomicUsize::new(0));
            let count = runs.clone();
            let future = quietly(|| {
                pool.spawn(move || count.fetch_add(1, Ordering::Relaxed))
                    .unwrap()
            });
            let closer = beside(&pool, |pool| pool.shutdown(Shutdown::Immediate));
            let cancelled = future.cancel();
            let result = future.result();
            assert_eq!(cancelled, result == Err(TaskError::Cancelled));
            assert_eq!(runs.load(Ordering::Relaxed), usize::from(!cancelled));
            quietly(|| {
                closer.join().unwrap();
                pool.join();
            });
        },
    );
}

#[test]
fn callback_against_finish() {
    model(
        "pool: a callback and a waker are added while a worker ends the task",
        || {
            let pool = parked(pool(1));
            let future = quietly(|| pool.spawn(|| 1).unwrap());
            let calls = Arc::new(AtomicUsize::new(0));
            let count = calls.clone();
            future.on_done(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(loom::future::block_on(future), Ok(1));
            quietly(|| drop(pool));
            assert_eq!(calls.load(Ordering::Relaxed), 1);
        },
    );
}

#[test]
fn drop_by_a_task() {
    model("pool: its last owner is one of its tasks", || {
        let pool = parked(pool(1));
        let inside = pool.clone();
        let future = pool.spawn(move || drop(inside)).unwrap();
        drop(pool);
        assert_eq!(future.result(), Ok(()));
    });
}

#[test]
fn nested() {
    model(
        "pool: a task waits for one that another worker is about to start",
        || {
            let pool = both_parked(pool(2));
            let inside = pool.clone();
            let task = move || {
                let below = inside.spawn(|| 1).unwrap();
                let result = below.result();
                loom::stop_exploring();
                drop(inside);
                result
            };
            let future = quietly(|| pool.spawn(task).unwrap());
            assert_eq!(future.result(), Ok(Ok(1)));
            drop(pool);
        },
    );
}

/// A task that waits for one that waits for one, which is where it gets interesting: a modelled stack has room for
/// one task on top of another.
fn two_below(pool: &Pool) -> Result<u8, TaskError> {
    loom::stop_exploring();
    let (outer, inner) = (pool.clone(), pool.clone());
    let wait = move || {
        let lowest = inner.spawn(|| 1).unwrap();
        loom::explore();
        let result = lowest.result();
        loom::stop_exploring();
        result
    };
    let future = pool.spawn(move || outer.spawn(wait).unwrap().result());
    future.unwrap().result().flatten().flatten()
}

#[test]
fn replaced() {
    model(
        "pool: the only worker falls asleep in a task, and is replaced",
        || assert_eq!(two_below(&replacing(1, 1)), Ok(1)),
    );
}

#[test]
fn would_deadlock() {
    model(
        "pool: the only worker waits for what nobody can start",
        || {
            let pool = parked(replacing(1, 0));
            let (outer, inner) = (pool.clone(), pool.clone());
            let wait = move || inner.spawn(|| 1).unwrap().result();
            let future = pool.spawn(move || outer.spawn(wait).unwrap().result());
            let result = future.unwrap().result().flatten().flatten();
            assert_eq!(result, Err(TaskError::WouldDeadlock));
            quietly(|| drop(pool));
        },
    );
}

#[test]
fn one_too_many() {
    model(
        "pool: one worker of two waits for what nobody can start while the other one falls idle",
        || assert_eq!(two_below(&both_parked(replacing(2, 0))), Ok(1)),
    );
}

/// Two workers that wait, each for a task that nobody can start: one of these is given up, and the other one run.
#[test]
fn both_would_deadlock() {
    model(
        "pool: all workers wait for what nobody can start, and begin to at a time",
        || {
            let pool = replacing(2, 0);
            let ((ready, is_ready), (go, goes)) = (channel(), channel());
            let wait = |pool: &Pool, meet: Box<dyn FnOnce() + Send>| {
                let (outer, inner) = (pool.clone(), pool.clone());
                let wait = move || {
                    let lowest = inner.spawn(|| 1).unwrap();
                    meet();
                    lowest.result()
                };
                pool.spawn(move || outer.spawn(wait).unwrap().result())
            };
            loom::stop_exploring();
            let first = move || {
                is_ready.recv().unwrap();
                loom::explore();
                go.send(()).unwrap();
            };
            let second = move || {
                ready.send(()).unwrap();
                goes.recv().unwrap();
            };
            let futures = [
                wait(&pool, Box::new(first)).unwrap(),
                wait(&pool, Box::new(second)).unwrap(),
            ];
            let results = futures.map(|future| future.result().flatten().flatten());
            assert!(results.contains(&Ok(1)), "{results:?}");
            loom::stop_exploring();
            drop(pool);
        },
    );
}

#[test]
fn push_against_sleep() {
    model(
        "pool: a task is pushed while the only worker falls asleep in another",
        || {
            let pool = parked(replacing(1, 1));
            let event = std::sync::Arc::new(Event::new());
            let waits = event.clone();
            let waiting = quietly(|| pool.spawn(move || waits.wait()).unwrap());
            let setting = pool.spawn(move || event.set()).unwrap();
            assert_eq!(setting.result(), Ok(true));
            quietly(|| {
                assert_eq!(waiting.result(), Ok(()));
                drop(pool);
            });
        },
    );
}

#[test]
fn excess_against_push() {
    model(
        "pool: a task is pushed while one worker of two has to go",
        || {
            let pool = replacing(1, 1);
            let event = std::sync::Arc::new(Event::new());
            loom::stop_exploring();
            let waits = event.clone();
            let waiting = pool
                .spawn(move || {
                    waits.wait();
                    loom::explore();
                })
                .unwrap();
            assert_eq!(pool.spawn(move || event.set()).unwrap().result(), Ok(true));
            waiting.result().unwrap();
            assert_eq!(pool.spawn(|| 3).unwrap().result(), Ok(3));
            quietly(|| drop(pool));
        },
    );
}

#[test]
fn keep_alive_against_push() {
    model(
        "pool: a task is pushed while the only worker has idled for long enough",
        || {
            let builder = ThreadPoolExecutor::builder().max_workers(1);
            let pool = builder.keep_alive(Duration::from_secs(1)).build();
            let pool = parked(Arc::new(pool));
            let time = beside(&pool, |_| let_keep_alive_pass());
            let future = pool.spawn(|| 2).unwrap();
            assert_eq!(future.result(), Ok(2));
            quietly(|| {
                time.join().unwrap();
                drop(pool);
            });
        },
    );
}

#[test]
fn no_thread() {
    model(
        "pool: no worker can be started for one of two submitters while the other relies on it",
        || {
            let_threads_run_out();
            let pool = pool(1);
            let submit = |pool: &Pool| match pool.spawn(|| ()) {
                Ok(future) => assert!(matches!(future.result(), Err(TaskError::Broken(_)))),
                Err(refused) => assert!(matches!(refused.reason, SubmitRefusal::Broken(_))),
            };
            let other = beside(&pool, submit);
            submit(&pool);
            other.join().unwrap();
            quietly(|| drop(pool));
        },
    );
}

#[test]
fn no_spare_thread() {
    model(
        "pool: a worker waits for what nobody can start while one that it relies on cannot be started",
        || {
            let pool = parked(replacing(1, 1));
            let_threads_run_out();
            let (outer, inner) = (pool.clone(), pool.clone());
            let wait = move || {
                let lowest = inner.spawn(|| 1).unwrap();
                loom::explore();
                lowest.result()
            };
            loom::stop_exploring();
            let future = pool
                .spawn(move || outer.spawn(wait).unwrap().result())
                .unwrap();
            let other = beside(&pool, |pool| drop(pool.spawn(|| 2)));
            let result = future.result().flatten().flatten();
            assert_eq!(result, Err(TaskError::WouldDeadlock));
            loom::stop_exploring();
            other.join().unwrap();
            drop(pool);
        },
    );
}
