//! A bounded number of tasks that wait: row F31.

mod common;

use common::{block_on, pending, watchdog};
use latchwork::executor::{
    Executor, Rejection, SubmitRefusal, TaskError, TaskFuture, ThreadPoolExecutor,
};
use latchwork::sync::Event;
use latchwork::{CancelToken, Shutdown};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// A pool of one whose worker is busy until the event is set, and which has this many places left.
struct Busy {
    pool: Arc<ThreadPoolExecutor>,
    gate: Arc<Event>,
    _task: TaskFuture<()>,
}

fn busy(capacity: usize, rejection: Rejection) -> Busy {
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .queue_capacity(capacity, rejection)
        .build();
    let (started, gate) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (s, g) = (Arc::clone(&started), Arc::clone(&gate));
    let task = pool
        .spawn(move || {
            s.set();
            g.wait();
        })
        .unwrap();
    started.wait();
    Busy {
        pool: Arc::new(pool),
        gate,
        _task: task,
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.gate.set();
    }
}

/// F31: a full queue refuses, and gives the closure back; a place is free when a task has started.
#[test]
fn a_full_queue_refuses_and_gives_the_closure_back() {
    watchdog(LIMIT, "a_full_queue_refuses", || {
        let busy = busy(2, Rejection::Reject);
        let (one, two) = (
            busy.pool.spawn(|| 1).unwrap(),
            busy.pool.spawn(|| 2).unwrap(),
        );
        let captured = Arc::new(());
        let its = Arc::clone(&captured);
        let refused = busy
            .pool
            .spawn(move || Arc::strong_count(&its))
            .unwrap_err();
        assert_eq!(refused.reason, SubmitRefusal::Full);
        assert_eq!((refused.value)(), 2, "it comes back whole");
        assert_eq!(busy.pool.submit(|n: u8| n, 9).unwrap_err().value, 9);
        busy.gate.set();
        assert_eq!((one.result(), two.result()), (Ok(1), Ok(2)));
        assert_eq!(busy.pool.spawn(|| 3).unwrap().result(), Ok(3));
    });
}

/// F31: cancelling what waits makes a place at once, though the worker is busy.
#[test]
fn a_cancelled_task_gives_its_place_back_at_once() {
    watchdog(LIMIT, "a_cancelled_task_gives", || {
        let busy = busy(1, Rejection::Reject);
        for _ in 0..100 {
            let waits = busy.pool.spawn(|| ()).unwrap();
            assert_eq!(
                busy.pool.try_spawn(|| ()).unwrap_err().reason,
                SubmitRefusal::Full
            );
            assert!(waits.cancel());
        }
    });
}

/// F31: the four faces of waiting for a place.
#[test]
fn a_submitter_waits_for_a_place() {
    watchdog(LIMIT, "a_submitter_waits", || {
        let busy = busy(1, Rejection::Block);
        let first = busy.pool.spawn(|| 1).unwrap();
        assert_eq!(
            busy.pool.try_spawn(|| 0).unwrap_err().reason,
            SubmitRefusal::Full
        );
        let short = Duration::from_millis(5);
        let begin = Instant::now();
        let late = busy.pool.spawn_within(|| 0, short).unwrap_err();
        assert_eq!(late.reason, SubmitRefusal::TimedOut);
        assert!(begin.elapsed() >= short);
        let token = CancelToken::new();
        token.cancel();
        let late = busy.pool.spawn_within(|| 0, &token).unwrap_err();
        assert_eq!(late.reason, SubmitRefusal::Cancelled);

        drop(pending(busy.pool.spawn_async(|| 0)));
        let mut third = pending(busy.pool.spawn_async(|| 3));
        thread::scope(|s| {
            let second = common::parked(s, || busy.pool.spawn(|| 2).unwrap().result());
            busy.gate.set();
            // It stands before the other one.
            assert_eq!(block_on(third.as_mut()).unwrap().result(), Ok(3));
            assert_eq!(second.join().unwrap(), Ok(2));
        });
        assert_eq!(first.result(), Ok(1));
    });
}

/// F31: with a time limit as the policy.
#[test]
fn a_submitter_waits_for_so_long_and_no_longer() {
    watchdog(LIMIT, "a_submitter_waits_so_long", || {
        let busy = busy(1, Rejection::Within(Duration::from_millis(5)));
        let _first = busy.pool.spawn(|| ()).unwrap();
        assert_eq!(
            busy.pool.spawn(|| ()).unwrap_err().reason,
            SubmitRefusal::TimedOut
        );
    });
}

/// F31: a shutdown, and a pool that breaks, end the wait of submitters.
#[test]
fn a_shutdown_ends_the_wait_for_a_place() {
    watchdog(LIMIT, "a_shutdown_ends_the_wait", || {
        let busy = busy(1, Rejection::Block);
        let first = busy.pool.spawn(|| 1).unwrap();
        let submission = pending(busy.pool.spawn_async(|| 3));
        thread::scope(|s| {
            let second = common::parked(s, || busy.pool.spawn(|| 2).map(drop));
            busy.pool.shutdown(Shutdown::Drain);
            assert_eq!(
                second.join().unwrap().unwrap_err().reason,
                SubmitRefusal::ShutDown
            );
        });
        assert_eq!(
            block_on(submission).unwrap_err().reason,
            SubmitRefusal::ShutDown
        );
        busy.gate.set();
        assert_eq!(first.result(), Ok(1), "what was accepted is run");
    });
}

/// F31: who submits too much runs it itself.
#[test]
fn the_caller_runs_what_there_is_no_place_for() {
    watchdog(LIMIT, "the_caller_runs", || {
        let busy = busy(1, Rejection::CallerRuns);
        let here = thread::current().id();
        let waits = busy.pool.spawn(move || thread::current().id()).unwrap();
        let ran = busy.pool.spawn(move || thread::current().id()).unwrap();
        assert!(ran.is_done());
        assert_eq!(ran.result(), Ok(here));
        let failed = busy.pool.spawn(|| panic!("on purpose")).unwrap();
        assert!(matches!(failed.result(), Err(TaskError::Panicked(_))));
        let stats = busy.pool.stats();
        assert_eq!((stats.done, stats.failed), (2, 1));
        busy.gate.set();
        assert_ne!(waits.result(), Ok(here));
    });
}

/// F31: the oldest makes room for the newest, or the newest is given up; both futures say so.
#[test]
fn what_is_given_up_says_so() {
    watchdog(LIMIT, "what_is_given_up", || {
        let oldest = busy(2, Rejection::DiscardOldest);
        let futures: Vec<_> = (0..5)
            .map(|n| oldest.pool.spawn(move || n).unwrap())
            .collect();
        let stubs = oldest.pool.queue_len();
        assert_eq!(stubs, 2, "those that were given up are out of the queue");
        oldest.gate.set();
        let results: Vec<_> = futures.into_iter().map(TaskFuture::result).collect();
        let discarded = || Err(TaskError::Discarded);
        assert_eq!(
            results,
            [discarded(), discarded(), discarded(), Ok(3), Ok(4)]
        );
        assert_eq!(oldest.pool.stats().cancelled, 3);

        let newest = busy(2, Rejection::DiscardNewest);
        let futures: Vec<_> = (0..4)
            .map(|n| newest.pool.spawn(move || n).unwrap())
            .collect();
        newest.gate.set();
        let results: Vec<_> = futures.into_iter().map(TaskFuture::result).collect();
        assert_eq!(results, [Ok(0), Ok(1), discarded(), discarded()]);
    });
}

/// F31: a worker that submits to its own full pool does not wait for itself, in any way of submitting.
#[test]
fn a_worker_does_not_wait_for_a_place_in_its_own_pool() {
    watchdog(LIMIT, "a_worker_does_not_wait", || {
        for rejection in [
            Rejection::Block,
            Rejection::Within(Duration::from_secs(3600)),
        ] {
            let pool = ThreadPoolExecutor::builder()
                .max_workers(1)
                .queue_capacity(1, rejection)
                .build();
            let pool = Arc::new(pool);
            let inner = Arc::clone(&pool);
            let sum = pool.spawn(move || {
                let mut futures: Vec<_> =
                    (0..10).map(|n| inner.spawn(move || n).unwrap()).collect();
                futures.push(inner.spawn_within(|| 100, Duration::MAX).unwrap());
                futures.push(block_on(inner.spawn_async(|| 1000)).unwrap());
                futures
                    .into_iter()
                    .map(|f| f.result().unwrap())
                    .sum::<i32>()
            });
            assert_eq!(sum.unwrap().result(), Ok(1145));
        }
    });
}

/// F31: never do more tasks wait than may, and none is lost, whoever submits.
#[test]
fn the_bound_holds_under_load() {
    watchdog(LIMIT, "the_bound_holds", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .queue_capacity(4, Rejection::Block)
            .build();
        let ran = Arc::new(AtomicUsize::new(0));
        let most = AtomicUsize::new(0);
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for n in 0..500 {
                        let its = Arc::clone(&ran);
                        let future = pool.spawn(move || its.fetch_add(1, Ordering::Relaxed));
                        let future = future.unwrap();
                        most.fetch_max(pool.queue_len(), Ordering::Relaxed);
                        if n % 7 == 0 {
                            future.result().unwrap();
                        }
                    }
                });
            }
        });
        drop(pool);
        assert_eq!(ran.load(Ordering::Relaxed), 2000);
        assert!(most.load(Ordering::Relaxed) <= 4, "{most:?}");
    });
}

/// Calls this when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// F31: a pool that is shut down while a task is given up for another one runs the rest, and refuses that one.
#[test]
fn a_shutdown_while_the_oldest_is_given_up_loses_nothing() {
    watchdog(LIMIT, "a_shutdown_while_the_oldest", || {
        let busy = busy(3, Rejection::DiscardOldest);
        let pool = Arc::clone(&busy.pool);
        let shuts = OnDrop(move || pool.shutdown(Shutdown::Drain));
        let oldest = busy.pool.spawn(move || drop(shuts)).unwrap();
        let others = [1, 2].map(|n| busy.pool.spawn(move || n).unwrap());
        let refused = busy.pool.spawn(|| 3).unwrap_err();
        assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        busy.gate.set();
        assert_eq!(oldest.result(), Err(TaskError::Discarded));
        assert_eq!(others.map(TaskFuture::result), [Ok(1), Ok(2)]);
    });
}

/// F31: a task of a scope that stands before the oldest one of all others stays where it is run, whatever comes of those.
#[test]
fn a_task_of_a_scope_is_not_lost_when_the_oldest_is_given_up() {
    watchdog(LIMIT, "a_task_of_a_scope_is_not_lost", || {
        for shuts in [false, true] {
            let busy = busy(1, Rejection::DiscardOldest);
            let has_run = AtomicUsize::new(0);
            busy.pool.scope(|s| {
                s.spawn(|| has_run.store(1, Ordering::Relaxed));
                let (pool, gate) = (Arc::clone(&busy.pool), Arc::clone(&busy.gate));
                // While the scope's task is in nobody's hands all workers come to find nothing.
                let waits = OnDrop(move || {
                    if shuts {
                        pool.shutdown(Shutdown::Drain);
                    }
                    gate.set();
                    while pool.stats().idle < pool.stats().workers {
                        thread::yield_now();
                    }
                    // Long enough for whoever has no task to fall asleep, or to go.
                    thread::sleep(Duration::from_millis(20));
                });
                let oldest = busy.pool.spawn(move || drop(waits)).unwrap();
                let _newer = busy.pool.spawn(|| ());
                assert_eq!(oldest.result(), Err(TaskError::Discarded));
            });
            assert_eq!(has_run.load(Ordering::Relaxed), 1);
        }
    });
}
