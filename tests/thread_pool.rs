//! `executor` on threads: the rows of F7-F35 and F68-F78 that the trait, futures and the pool have.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, SubmitRefusal, TaskError, ThreadPoolExecutor, as_completed};
use latchwork::sync::{Event, Lock};
use latchwork::{CancelToken, GaveUp, Limit, Shutdown};
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// A pool of one whose worker is busy until the event is set.
fn busy_pool() -> (ThreadPoolExecutor, Arc<Event>) {
    let pool = ThreadPoolExecutor::new(1);
    let (started, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (s, r) = (Arc::clone(&started), Arc::clone(&release));
    drop(pool.spawn(move || {
        s.set();
        r.wait();
    }));
    started.wait();
    (pool, release)
}

#[test]
fn results_come_back_in_all_four_ways() {
    watchdog(LIMIT, "results_come_back", || {
        let (pool, release) = busy_pool();
        let (started, finish) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (s, f) = (Arc::clone(&started), Arc::clone(&finish));
        let future = pool
            .spawn(move || {
                s.set();
                f.wait();
                7
            })
            .unwrap();
        assert!(!future.is_running() && !future.is_done());
        let future = future.try_result().unwrap_err();
        let late = future.result_within(Duration::from_millis(1)).unwrap_err();
        assert_eq!(late.why, GaveUp::TimedOut);
        release.set();
        started.wait();
        assert!(late.future.is_running());
        assert!(!late.future.cancel(), "it has started");
        assert_eq!(
            late.future.wait_within(Duration::ZERO),
            Err(GaveUp::TimedOut)
        );
        finish.set();
        late.future.wait();
        assert!(late.future.is_done() && late.future.error().is_none());
        assert_eq!(late.future.result(), Ok(7));

        let awaited = pool.spawn(|| "awaited").unwrap();
        assert_eq!(common::block_on(awaited), Ok("awaited"));
    });
}

#[test]
fn submit_takes_functions_and_closures_that_capture_nothing() {
    fn double(n: u32) -> u32 {
        2 * n
    }
    let pool = ThreadPoolExecutor::new(2);
    assert_eq!(pool.submit(double, 4).unwrap().result(), Ok(8));
    assert_eq!(pool.submit(|n| n + 1, 4).unwrap().result(), Ok(5));
    assert_eq!(Executor::submit(&pool, double, 5).unwrap().result(), Ok(10));
}

/// F27, F29: and their names.
#[test]
fn threads_start_on_demand_idle_ones_are_reused_and_all_are_named() {
    watchdog(LIMIT, "threads_start_on_demand", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(4)
            .thread_name_prefix("unit")
            .build();
        let name = || thread::current().name().unwrap().to_owned();
        for _ in 0..20 {
            assert_eq!(pool.spawn(name).unwrap().result().unwrap(), "unit_0");
            // Idle again before the next task comes, so that there is somebody to reuse.
            while !format!("{pool:?}").contains("idle: 1") {
                thread::yield_now();
            }
        }
        let barrier = Arc::new(std::sync::Barrier::new(4));
        let futures: Vec<_> = (0..4)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                pool.spawn(move || {
                    barrier.wait();
                    name()
                })
                .unwrap()
            })
            .collect();
        let names: HashSet<_> = futures.into_iter().map(|f| f.result().unwrap()).collect();
        let expected = (0..4).map(|n| format!("unit_{n}")).collect();
        assert_eq!(names, expected);
    });
}

#[test]
fn tasks_start_in_order() {
    watchdog(LIMIT, "tasks_start_in_order", || {
        let (pool, release) = busy_pool();
        let order = Arc::new(Lock::new(Vec::new()));
        for n in 0..100 {
            let order = Arc::clone(&order);
            drop(pool.spawn(move || order.lock().push(n)));
        }
        release.set();
        drop(pool);
        assert_eq!(*order.lock(), (0..100).collect::<Vec<_>>());
    });
}

/// F33: a panic ends its task, not its worker.
#[test]
fn a_panic_is_data_and_the_worker_goes_on() {
    let pool = ThreadPoolExecutor::new(1);
    let before = pool.spawn(|| thread::current().id()).unwrap().result();
    let line = line!() + 1;
    let error = pool.spawn(|| -> u8 { panic!("number {}", 13) }).unwrap();
    let Err(TaskError::Panicked(panic)) = error.result() else {
        panic!("it did not panic");
    };
    assert_eq!(panic.message, "number 13");
    let location = panic.location.unwrap();
    assert!(
        location.starts_with(&format!("{}:{line}:", file!())),
        "{location}"
    );
    assert!(panic.thread.unwrap().ends_with("_0"));
    assert_eq!(
        pool.spawn(|| thread::current().id()).unwrap().result(),
        before
    );
}

/// F34: nothing that a task had is kept until the next one.
#[test]
fn what_a_task_captured_is_gone_when_its_result_is_there() {
    let pool = ThreadPoolExecutor::new(1);
    let captured = Arc::new(());
    let inside = Arc::clone(&captured);
    pool.spawn(move || drop(Arc::clone(&inside)))
        .unwrap()
        .wait();
    assert_eq!(Arc::strong_count(&captured), 1);
}

#[test]
fn cancelling_what_has_not_started() {
    watchdog(LIMIT, "cancelling", || {
        let (pool, release) = busy_pool();
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        let future = pool
            .spawn(move || count.fetch_add(1, Ordering::SeqCst))
            .unwrap();
        let (tell, told) = mpsc::channel();
        future.on_done(move |done| tell.send(done.error().cloned()).unwrap());
        assert!(future.cancel());
        assert!(future.cancel(), "it is cancelled");
        assert!(future.is_cancelled() && future.is_done());
        assert_eq!(told.recv().unwrap(), Some(TaskError::Cancelled));
        assert_eq!(future.result(), Err(TaskError::Cancelled));
        release.set();
        drop(pool);
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    });
}

/// F74, F75: also one that is added afterwards.
#[test]
fn callbacks_run_once_in_order_also_after_one_that_panics() {
    watchdog(LIMIT, "callbacks_run_once", || {
        let (pool, release) = busy_pool();
        let future = pool.spawn(|| 1).unwrap();
        let calls = Arc::new(Lock::new(Vec::new()));
        for n in 0..4 {
            let calls = Arc::clone(&calls);
            future.on_done(move |done| {
                assert!(done.error().is_none());
                calls.lock().push(n);
                assert!(n != 1, "on purpose");
            });
        }
        let last = Arc::new(Event::new());
        let end = Arc::clone(&last);
        future.on_done(move |_| {
            end.set();
        });
        release.set();
        last.wait();
        assert_eq!(*calls.lock(), [0, 1, 2, 3]);
        let late = Arc::clone(&calls);
        future.on_done(move |_| late.lock().push(4));
        assert_eq!(*calls.lock(), [0, 1, 2, 3, 4], "at once, in this thread");
        assert_eq!(future.result(), Ok(1));
    });
}

#[test]
fn a_callback_that_panics_in_a_worker_does_not_end_it() {
    watchdog(LIMIT, "a_callback_that_panics", || {
        let (pool, release) = busy_pool();
        let future = pool.spawn(|| 1).unwrap();
        future.on_done(|_| panic!("on purpose"));
        release.set();
        assert_eq!(future.result(), Ok(1));
        assert_eq!(pool.spawn(|| 2).unwrap().result(), Ok(2));
    });
}

#[test]
fn map_is_eager_ordered_and_has_a_result_for_each_item() {
    watchdog(LIMIT, "map_is_eager", || {
        let pool = ThreadPoolExecutor::new(3);
        let results: Vec<_> = pool
            .map(
                |n: u32| {
                    assert!(n != 3, "not three");
                    n * n
                },
                0..6,
            )
            .unwrap()
            .collect();
        assert_eq!(results.len(), 6);
        for (n, result) in (0..).zip(&results) {
            match result {
                Ok(square) => assert_eq!(*square, n * n),
                Err(TaskError::Panicked(panic)) => {
                    assert_eq!((n, panic.message.as_str()), (3, "not three"));
                }
                Err(other) => panic!("{other}"),
            }
        }
    });
}

#[test]
fn a_map_that_is_dropped_or_late_cancels_the_rest() {
    watchdog(LIMIT, "a_map_that_is_dropped", || {
        static RAN: AtomicUsize = AtomicUsize::new(0);
        fn count(_: u8) {
            RAN.fetch_add(1, Ordering::SeqCst);
        }
        let (pool, release) = busy_pool();
        drop(pool.map(count, 0..10).unwrap());
        let mut late = pool
            .map(count, 0..10)
            .unwrap()
            .within(Duration::from_millis(5));
        assert_eq!(late.next(), Some(Err(TaskError::GaveUp(GaveUp::TimedOut))));
        assert_eq!(late.next(), None);
        release.set();
        drop(pool);
        assert_eq!(RAN.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn as_completed_gives_them_as_they_end() {
    watchdog(LIMIT, "as_completed_gives_them", || {
        let pool = ThreadPoolExecutor::new(3);
        let events: Vec<_> = (0..3).map(|_| Arc::new(Event::new())).collect();
        let futures: Vec<_> = events
            .iter()
            .enumerate()
            .map(|(n, event)| {
                let event = Arc::clone(event);
                pool.spawn(move || {
                    event.wait();
                    n
                })
                .unwrap()
            })
            .collect();
        let mut ended = as_completed(futures, Limit::none());
        for n in [2, 0, 1] {
            events[n].set();
            assert_eq!(ended.next().unwrap().unwrap().result(), Ok(n));
        }
        assert!(ended.next().is_none());
    });
}

#[test]
fn as_completed_gives_up_and_keeps_the_rest() {
    watchdog(LIMIT, "as_completed_gives_up", || {
        let (pool, release) = busy_pool();
        let futures = [pool.spawn(|| 1).unwrap(), pool.spawn(|| 2).unwrap()];
        let token = CancelToken::new();
        let begin = Instant::now();
        let limit = Duration::from_millis(10);
        let mut ended = as_completed(futures, token.within(limit));
        assert_eq!(ended.next().unwrap().unwrap_err().why, GaveUp::TimedOut);
        assert!(begin.elapsed() >= limit);
        assert!(ended.next().is_none());
        let left = ended.remaining();
        assert_eq!(left.len(), 2);
        token.cancel();
        let mut again = as_completed(left, &token);
        assert_eq!(again.next().unwrap().unwrap_err().why, GaveUp::Cancelled);
        release.set();
        for (n, future) in (1..).zip(again.remaining()) {
            assert_eq!(future.result(), Ok(n));
        }
    });
}

#[test]
fn shutdown_refuses_and_drains() {
    watchdog(LIMIT, "shutdown_refuses_and_drains", || {
        let (pool, release) = busy_pool();
        let accepted = pool.spawn(|| 1).unwrap();
        pool.shutdown(Shutdown::Drain);
        let refused = pool.spawn(|| 2).unwrap_err();
        assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        assert_eq!((refused.value)(), 2, "the closure came back");
        assert_eq!(pool.submit(|n: u8| n, 3).unwrap_err().value, 3);
        let limit = Duration::from_millis(5);
        assert_eq!(pool.join_within(limit), Err(GaveUp::TimedOut));
        release.set();
        pool.join();
        assert_eq!(accepted.try_result().unwrap(), Ok(1));
    });
}

#[test]
fn immediate_shutdown_cancels_what_has_not_started_also_after_a_draining_one() {
    watchdog(LIMIT, "immediate_shutdown", || {
        let (pool, release) = busy_pool();
        let futures: Vec<_> = (0..5).map(|n| pool.spawn(move || n).unwrap()).collect();
        pool.shutdown(Shutdown::Drain);
        pool.shutdown(Shutdown::Immediate);
        for future in futures {
            assert_eq!(future.result(), Err(TaskError::Cancelled));
        }
        release.set();
        pool.join();
    });
}

#[test]
fn dropping_the_pool_runs_what_it_accepted() {
    watchdog(LIMIT, "dropping_the_pool", || {
        let ran = Arc::new(AtomicUsize::new(0));
        let pool = ThreadPoolExecutor::new(3);
        for _ in 0..200 {
            let ran = Arc::clone(&ran);
            drop(pool.spawn(move || ran.fetch_add(1, Ordering::SeqCst)));
        }
        drop(pool);
        assert_eq!(ran.load(Ordering::SeqCst), 200);
    });
}

#[test]
fn a_pool_dropped_by_its_own_task_does_not_wait_for_itself() {
    watchdog(LIMIT, "a_pool_dropped_by_its_own_task", || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (go, own) = (Arc::new(Event::new()), Arc::clone(&pool));
        let gone = Arc::clone(&go);
        let future = pool
            .spawn(move || {
                gone.wait();
                drop(own);
            })
            .unwrap();
        drop(pool);
        go.set();
        assert_eq!(future.result(), Ok(()));
    });
}

#[test]
fn many_submitters_and_tiny_tasks() {
    watchdog(LIMIT, "many_submitters", || {
        let pool = ThreadPoolExecutor::new(2);
        let total: u64 = thread::scope(|s| {
            let submitters: Vec<_> = (0..4)
                .map(|_| {
                    s.spawn(|| {
                        let futures: Vec<_> = (0..2000u64)
                            .map(|n| pool.spawn(move || n).unwrap())
                            .collect();
                        futures
                            .into_iter()
                            .map(|f| f.result().unwrap())
                            .sum::<u64>()
                    })
                })
                .collect();
            submitters.into_iter().map(|s| s.join().unwrap()).sum()
        });
        assert_eq!(total, 4 * 1999 * 1000);
    });
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped, on purpose");
    }
}

#[test]
fn a_result_whose_drop_panics_costs_no_worker() {
    watchdog(LIMIT, "a_result_whose_drop_panics", || {
        let (pool, release) = busy_pool();
        drop(pool.spawn(|| Bomb));
        let next = pool.spawn(|| 1).unwrap();
        release.set();
        assert_eq!(next.result(), Ok(1));
    });
}

#[test]
fn a_cancelled_task_whose_captures_panic_costs_no_worker() {
    watchdog(LIMIT, "a_cancelled_task_whose_captures_panic", || {
        let (pool, release) = busy_pool();
        let bomb = Bomb;
        let future = pool.spawn(move || drop(bomb)).unwrap();
        assert!(future.cancel());
        let next = pool.spawn(|| 1).unwrap();
        release.set();
        assert_eq!(next.result(), Ok(1));
    });
}

#[test]
fn immediate_shutdown_cancels_also_behind_a_task_whose_captures_panic() {
    watchdog(LIMIT, "immediate_shutdown_behind_a_bomb", || {
        let (pool, release) = busy_pool();
        let bomb = Bomb;
        let first = pool.spawn(move || drop(bomb)).unwrap();
        let second = pool.spawn(|| 1).unwrap();
        pool.shutdown(Shutdown::Immediate);
        assert_eq!(first.result(), Err(TaskError::Cancelled));
        assert_eq!(second.result(), Err(TaskError::Cancelled));
        release.set();
    });
}

#[test]
fn a_panicking_waker_costs_no_worker_and_no_callback() {
    watchdog(LIMIT, "a_panicking_waker", || {
        let (pool, release) = busy_pool();
        let mut future = pool.spawn(|| 1).unwrap();
        let called = Arc::new(Event::new());
        let tell = Arc::clone(&called);
        future.on_done(move |_| {
            tell.set();
        });
        assert!(common::poll(Pin::new(&mut future), &common::bad_waker()).is_pending());
        release.set();
        called.wait();
        assert_eq!(pool.spawn(|| 2).unwrap().result(), Ok(2));
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    watchdog(LIMIT, "the_waker_of_the_last_poll", || {
        let (pool, release) = busy_pool();
        let mut future = pool.spawn(|| 1).unwrap();
        let (waker, count) = common::counting_waker();
        assert!(common::poll(Pin::new(&mut future), Waker::noop()).is_pending());
        assert!(common::poll(Pin::new(&mut future), &waker).is_pending());
        release.set();
        drop(pool);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    });
}

/// F78: on a worker.
#[test]
fn those_who_wait_are_woken_before_callbacks_run() {
    watchdog(LIMIT, "those_who_wait_are_woken", || {
        let (pool, release) = busy_pool();
        let future = pool.spawn(|| 1).unwrap();
        let returned = Arc::new(Event::new());
        let after = Arc::clone(&returned);
        // Would wait for ever if the waiter were woken after it.
        future.on_done(move |_| after.wait());
        release.set();
        future.wait();
        returned.set();
        drop(pool);
    });
}
