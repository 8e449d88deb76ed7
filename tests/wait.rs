//! `wait`: rows F1, F87-F90, F96, A10, case X4.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::executor::{
    Executor, Failure, Promise, ReturnWhen, TaskError, TaskFuture, ThreadPoolExecutor, Waitable,
    promise, wait, wait_async,
};
use latchwork::{CancelToken, GaveUp, Limit, Shutdown};
use proptest::prelude::*;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const WHENS: [ReturnWhen; 3] = [
    ReturnWhen::FirstCompleted,
    ReturnWhen::FirstException,
    ReturnWhen::AllCompleted,
];

fn promises(n: usize) -> (Vec<Option<Promise<usize>>>, Vec<TaskFuture<usize>>) {
    (0..n)
        .map(|_| promise())
        .map(|(promise, future)| (Some(promise), future))
        .unzip()
}

/// F87: none at all are done; a limit that is reached is no error and cancels nothing.
#[test]
fn nothing_to_wait_for_and_no_time() {
    for when in WHENS {
        let none = wait::<&TaskFuture<u8>>([], when, Limit::none());
        assert!(none.done.is_empty() && none.not_done.is_empty() && none.gave_up.is_none());
        let (_promises, futures) = promises(2);
        let late = wait(&futures, when, Duration::ZERO);
        assert_eq!((late.done, late.not_done), (vec![], vec![0, 1]));
        assert_eq!(late.gave_up, Some(GaveUp::TimedOut));
        let token = CancelToken::new();
        token.cancel();
        assert_eq!(
            wait(&futures, when, &token).gave_up,
            Some(GaveUp::Cancelled)
        );
        assert!(futures.iter().all(|future| !future.is_done()));
    }
}

/// F87: a task counts once, whichever of its futures is given; and the types may differ, and the executors.
#[test]
fn duplicates_and_mixed_types() {
    watchdog(LIMIT, "duplicates_and_mixed_types", || {
        let pool = ThreadPoolExecutor::new(1);
        let other = ThreadPoolExecutor::new(1);
        let shared = pool.spawn(|| 1).unwrap().share();
        let (clone, text) = (shared.clone(), other.spawn(|| "text").unwrap());
        let (_promise, never) = promise::<Vec<u8>>();
        let mixed: [&dyn Waitable; 5] = [&shared, &text, &clone, &never, &shared];
        let waited = wait(mixed, ReturnWhen::FirstCompleted, Limit::none());
        assert!(!waited.done.is_empty() && waited.not_done.contains(&3));
        let both: [&dyn Waitable; 3] = [&clone, &text, &shared];
        let waited = wait(both, ReturnWhen::AllCompleted, Limit::none());
        assert_eq!((waited.done, waited.not_done), (vec![0, 1], vec![]));
    });
}

/// F88, F90: an end and a cancellation are the same to it, and it says of all that have ended.
#[test]
fn the_first_of_several() {
    watchdog(LIMIT, "the_first_of_several", || {
        let (mut promises, futures) = promises(4);
        thread::scope(|s| {
            let waiter = parked(s, || {
                wait(&futures, ReturnWhen::FirstCompleted, Limit::none())
            });
            assert!(futures[2].cancel());
            let waited = waiter.join().unwrap();
            assert_eq!((waited.done, waited.not_done), (vec![2], vec![0, 1, 3]));
        });
        promises[0].take().unwrap().complete(1).unwrap();
        let waited = wait(&futures, ReturnWhen::FirstCompleted, Limit::none());
        assert_eq!(waited.done, [0, 2]);
    });
}

/// F89: an error ends it, a cancellation does not; without errors it waits for all.
#[test]
fn the_first_error() {
    watchdog(LIMIT, "the_first_error", || {
        let (mut promises, futures) = promises(3);
        thread::scope(|s| {
            let waiter = parked(s, || {
                wait(&futures, ReturnWhen::FirstException, Limit::none())
            });
            assert!(futures[0].cancel());
            promises[1].take().unwrap().complete(1).unwrap();
            assert!(!waiter.is_finished());
            let late = wait(&futures, ReturnWhen::FirstException, Duration::ZERO);
            assert_eq!(late.done, [0, 1]);
            assert_eq!(late.gave_up, Some(GaveUp::TimedOut));
            promises[2].take().unwrap().complete(1).unwrap();
            assert_eq!(waiter.join().unwrap().done, [0, 1, 2]);
        });
        let (mut promises, futures) = self::promises(3);
        thread::scope(|s| {
            let waiter = parked(s, || {
                wait(&futures, ReturnWhen::FirstException, Limit::none())
            });
            promises[1].take();
            let waited = waiter.join().unwrap();
            assert_eq!((waited.done, waited.not_done), (vec![1], vec![0, 2]));
        });
        let at_once = wait(&futures, ReturnWhen::FirstException, Limit::none());
        assert_eq!(at_once.done, [1], "it had failed already");
    });
}

/// A10: the same for tasks, which may be dropped in the middle.
#[test]
fn awaited() {
    let (mut promises, futures) = promises(2);
    drop(pending(wait_async(&futures, ReturnWhen::AllCompleted)));
    let mut all = pending(wait_async(&futures, ReturnWhen::AllCompleted));
    let first = pending(wait_async(&futures, ReturnWhen::FirstCompleted));
    promises[1].take().unwrap().complete(1).unwrap();
    assert_eq!(ready(first).done, [1]);
    assert!(common::poll(all.as_mut(), std::task::Waker::noop()).is_pending());
    promises[0].take().unwrap().complete(1).unwrap();
    assert_eq!(ready(all).done, [0, 1]);
}

/// F39: a pool of one whose task waits for others of it, in whichever way.
#[test]
fn a_pool_of_one_waits_for_its_own_tasks() {
    watchdog(LIMIT, "a_pool_of_one_waits", || {
        for spare in [256, 0] {
            for when in WHENS {
                let pool = ThreadPoolExecutor::builder()
                    .max_workers(1)
                    .spare_workers(spare)
                    .build();
                let pool = Arc::new(pool);
                let inside = Arc::clone(&pool);
                let task = pool.spawn(move || {
                    let futures: Vec<_> =
                        (0..3).map(|n| inside.spawn(move || n).unwrap()).collect();
                    let waited = wait(&futures, when, Limit::none());
                    if when == ReturnWhen::AllCompleted {
                        assert_eq!(waited.done, [0, 1, 2]);
                        return;
                    }
                    assert!(!waited.done.is_empty());
                    if spare == 0 {
                        // Nobody could run any of them meanwhile, so the first was given up.
                        assert_eq!(futures[0].error(), Some(&TaskError::WouldDeadlock));
                    }
                });
                assert_eq!(task.unwrap().result(), Ok(()));
            }
        }
    });
}

/// A worker that waits for the first of several is replaced, and runs none of them: the first may take longer.
#[test]
fn a_worker_that_waits_for_the_first_does_not_begin_a_long_one() {
    watchdog(LIMIT, "a_worker_that_waits_for_the_first", || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let inside = Arc::clone(&pool);
        let (release, until) = promise::<()>();
        let until = until.share();
        let task = pool.spawn(move || {
            let held = until.clone();
            let long = inside.spawn(move || held.get().is_ok()).unwrap();
            let short = inside.spawn(|| true).unwrap();
            let waited = wait([&long, &short], ReturnWhen::FirstCompleted, Limit::none());
            assert_eq!(waited.done, [1]);
            release.complete(()).unwrap();
            assert_eq!(long.result(), Ok(true));
        });
        assert_eq!(task.unwrap().result(), Ok(()));
    });
}

fn busy(path: String) {
    while !std::path::Path::new(&path).exists() {
        thread::yield_now();
    }
}

/// X4: what is cancelled, one by one or by the shutdown, has ended for whoever waits; on any executor.
fn cancelled_tasks_have_ended(pool: &impl Executor) {
    let folder = tempfile::tempdir().unwrap();
    let released = folder.path().join("released").to_str().unwrap().to_owned();
    let running = pool.submit(busy, released.clone()).unwrap();
    while !running.is_running() {
        thread::yield_now();
    }
    let futures: Vec<_> = (0..3u8)
        .map(|n| pool.submit(|n: u8| n, n).unwrap())
        .collect();
    thread::scope(|s| {
        let waiter = parked(s, || {
            wait(&futures, ReturnWhen::AllCompleted, Limit::none())
        });
        assert!(futures[1].cancel());
        pool.shutdown(Shutdown::Immediate);
        assert_eq!(waiter.join().unwrap().done, [0, 1, 2]);
    });
    let ended = latchwork::executor::as_completed(futures, Limit::none());
    let ends: Vec<_> = ended.map(|future| future.unwrap().result()).collect();
    assert_eq!(ends, vec![Err(TaskError::Cancelled); 3]);
    std::fs::write(released, "").unwrap();
    assert_eq!(running.result(), Ok(()));
    pool.join();
}

#[test]
fn cancelled_tasks_have_ended_on_threads() {
    watchdog(LIMIT, "cancelled_tasks_have_ended_on_threads", || {
        cancelled_tasks_have_ended(&ThreadPoolExecutor::new(1));
    });
}

#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn cancelled_tasks_have_ended_on_processes() {
    watchdog(LIMIT, "cancelled_tasks_have_ended_on_processes", || {
        let pool = latchwork::executor::ProcessPoolExecutor::new(1).unwrap();
        cancelled_tasks_have_ended(&pool);
    });
}

/// What may become of a task.
#[derive(Clone, Copy, Debug)]
enum End {
    Value,
    Failed,
    Lost,
    Cancelled,
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Value),
        1 => Just(End::Failed),
        1 => Just(End::Lost),
        1 => Just(End::Cancelled),
    ]
}

fn bring_about(end: End, promise: Promise<usize>, future: &TaskFuture<usize>) {
    match end {
        End::Value => promise.complete(1).unwrap(),
        End::Failed => promise.fail(Failure::new("failed")).unwrap(),
        End::Lost => drop(promise),
        End::Cancelled => assert!(future.cancel()),
    }
}

/// Is that enough, by the definition?
fn is_enough(when: ReturnWhen, ends: &[End], done: &[usize]) -> bool {
    let is_error = |n: &usize| matches!(ends[*n], End::Failed | End::Lost);
    match when {
        _ if done.len() == ends.len() => true,
        ReturnWhen::FirstCompleted => !done.is_empty(),
        ReturnWhen::FirstException => done.iter().any(is_error),
        ReturnWhen::AllCompleted => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// F87-F90 against their definition, with the ends in any order, some of them before the call.
    #[test]
    fn agrees_with_its_definition(
        ends in prop::collection::vec(any_end(), 1..6),
        order in any::<prop::sample::Index>(),
        before in 0..6usize,
        when in prop::sample::select(WHENS.to_vec()),
    ) {
        let n = ends.len();
        let (mut promises, futures) = promises(n);
        let rotated: Vec<_> = (0..n).map(|k| (k * (n - 1).max(1) + order.index(n)) % n).collect();
        let mut sequence = rotated;
        sequence.dedup();
        sequence.extend((0..n).filter(|k| !sequence.contains(k)).collect::<Vec<_>>());
        let mut done = Vec::new();
        for k in sequence.iter().take(before).copied() {
            if let Some(promise) = promises[k].take() {
                bring_about(ends[k], promise, &futures[k]);
                done.push(k);
            }
        }
        done.sort();
        let polled = wait(&futures, when, Duration::ZERO);
        prop_assert_eq!(&polled.done, &done);
        prop_assert_eq!(polled.gave_up.is_none(), is_enough(when, &ends, &done));
        let waited = thread::scope(|s| {
            let waiter = s.spawn(|| wait(&futures, when, LIMIT));
            for k in sequence.iter().copied() {
                if let Some(promise) = promises[k].take() {
                    bring_about(ends[k], promise, &futures[k]);
                }
            }
            waiter.join().unwrap()
        });
        prop_assert_eq!(waited.gave_up, None);
        prop_assert!(is_enough(when, &ends, &waited.done));
        prop_assert!(done.iter().all(|k| waited.done.contains(k)));
        prop_assert_eq!(waited.done.len() + waited.not_done.len(), n);
    }
}
