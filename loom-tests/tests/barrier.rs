//! Models of `Barrier`: a round lets all through or nobody, whoever gives up, breaks it or comes again.

use latchwork::CancelToken;
use latchwork::model::Deadline;
use latchwork::sync::{Barrier, BarrierAction, BarrierError, BarrierWait, BrokenBarrier};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{self, JoinHandle};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A thread that does something with the barrier.
fn with<A: BarrierAction + 'static, R: 'static>(
    barrier: &Arc<Barrier<A>>,
    f: impl FnOnce(&Barrier<A>) -> R + 'static,
) -> JoinHandle<R> {
    let barrier = barrier.clone();
    thread::spawn(move || f(&barrier))
}

/// Nobody is there and the next round can begin.
fn is_empty_and_whole<A: BarrierAction>(barrier: &Barrier<A>) -> bool {
    let was_empty = barrier.waiting() == 0 && !barrier.is_broken();
    let mut next = Box::pin(barrier.wait_async());
    was_empty && (barrier.parties() == 1 || poll_once(next.as_mut()).is_pending()) && {
        let has_begun = barrier.waiting() == 1;
        drop(next);
        has_begun && barrier.try_wait() == Ok(None)
    }
}

fn numbers<const N: usize>(through: [BarrierWait; N]) {
    let mut numbers = through.map(|through| through.index());
    numbers.sort_unstable();
    assert_eq!(numbers, std::array::from_fn(|n| n));
}

#[test]
fn three_arrive() {
    model(
        "barrier: one of three goes on before another has come, or is left asleep",
        || {
            let shared = Arc::new((Barrier::new(3), [(); 2].map(|()| UnsafeCell::new(0))));
            let mut task = Box::pin(shared.0.wait_async());
            assert!(poll_once(task.as_mut()).is_pending());
            let others = [0, 1].map(|me| {
                let shared = shared.clone();
                thread::spawn(move || {
                    // SAFETY: each its own, before arriving. loom checks.
                    shared.1[me].with_mut(|value| unsafe { *value = 1 });
                    let through = shared.0.wait().unwrap();
                    // SAFETY: both have written. loom checks.
                    assert_eq!(shared.1[1 - me].with(|value| unsafe { *value }), 1);
                    through
                })
            });
            let [a, b] = others.map(|t| t.join().unwrap());
            let Poll::Ready(Ok(task)) = poll_once(task.as_mut()) else {
                panic!("the round is over");
            };
            numbers([task, a, b]);
        },
    );
}

#[test]
fn two_rounds() {
    model("barrier: a quick one laps a slow one", || {
        let shared = Arc::new((Barrier::new(2), UnsafeCell::new(1)));
        let writer = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.0.wait().unwrap();
                shared.0.wait().unwrap();
                // SAFETY: nobody reads after the second round. loom checks.
                shared.1.with_mut(|value| unsafe { *value = 2 });
            })
        };
        shared.0.wait().unwrap();
        // SAFETY: nobody writes before the end of the second round. loom checks.
        assert_eq!(shared.1.with(|value| unsafe { *value }), 1);
        shared.0.wait().unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn next_round() {
    model(
        "barrier: a release takes the mark of one of the next round with it, or lets it through too",
        || {
            let shared = Arc::new((Barrier::new(2), AtomicUsize::new(0)));
            let mut task = Box::pin(shared.0.wait_async());
            assert!(poll_once(task.as_mut()).is_pending());
            let arrive = |(barrier, arrived): &(Barrier, AtomicUsize)| {
                arrived.fetch_add(1, Ordering::Relaxed);
                let through = barrier.wait().unwrap();
                // The first of the first round is the task; so this is the first of the second.
                if !through.is_leader() {
                    assert_eq!(arrived.load(Ordering::Relaxed), 3);
                }
            };
            let others = [(), ()].map(|()| {
                let shared = shared.clone();
                thread::spawn(move || arrive(&shared))
            });
            arrive(&shared);
            let [(), ()] = others.map(|t| t.join().unwrap());
            assert!(poll_once(task.as_mut()).is_ready());
        },
    );
}

#[test]
fn time_out_against_reset() {
    model(
        "barrier: one that has given up is counted as told of a reset, and counts itself again",
        || {
            let barrier = Arc::new(Barrier::new(2));
            let deadline = Deadline::new();
            let hasty = {
                let deadline = deadline.clone();
                with(&barrier, move |barrier| barrier.wait_within(&deadline))
            };
            let passer = thread::spawn(move || deadline.pass());
            barrier.reset();
            match hasty.join().unwrap().unwrap_err() {
                BarrierError::TimedOut => {}
                other => assert_eq!(other, BarrierError::Broken(BrokenBarrier::Reset)),
            }
            passer.join().unwrap();
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn lapped() {
    model(
        "barrier: one of a round that others have left behind is told of theirs",
        || {
            let barrier = Arc::new(Barrier::new(2));
            let first = with(&barrier, |barrier| barrier.wait());
            // With whoever comes; then a round that is aborted, for all that the first cares.
            assert!(barrier.wait().is_ok());
            barrier.abort();
            assert!(first.join().unwrap().is_ok());
            assert_eq!(barrier.wait(), Err(BrokenBarrier::Aborted));
        },
    );
}

#[test]
fn arrival_against_time_out() {
    model(
        "barrier: one leaves and the other is let through without it",
        || {
            let barrier = Arc::new(Barrier::new(2));
            let deadline = Deadline::new();
            let others = [(), ()].map(|()| {
                let deadline = deadline.clone();
                with(&barrier, move |barrier| barrier.wait_within(&deadline))
            });
            deadline.pass();
            let [a, b] = others.map(|t| t.join().unwrap());
            match (a, b) {
                (Ok(a), Ok(b)) => numbers([a, b]),
                both => assert_eq!(
                    both,
                    (Err(BarrierError::TimedOut), Err(BarrierError::TimedOut))
                ),
            }
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn somebody_has_left() {
    model(
        "barrier: two of a round with a gap have the same number",
        || {
            let barrier = Arc::new(Barrier::new(3));
            let mut leaver = Box::pin(barrier.wait_async());
            let mut task = Box::pin(barrier.wait_async());
            assert!(poll_once(leaver.as_mut()).is_pending());
            assert!(poll_once(task.as_mut()).is_pending());
            drop(leaver);
            let others = [(), ()].map(|()| with(&barrier, |barrier| barrier.wait().unwrap()));
            let [a, b] = others.map(|t| t.join().unwrap());
            let Poll::Ready(Ok(task)) = poll_once(task.as_mut()) else {
                panic!("the round is over");
            };
            numbers([a, b, task]);
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn abort_after_somebody_has_left() {
    model(
        "barrier: aborted while those of a round with a gap are on their way out",
        || {
            let barrier = Arc::new(Barrier::new(2));
            let mut leaver = Box::pin(barrier.wait_async());
            assert!(poll_once(leaver.as_mut()).is_pending());
            let other = with(&barrier, |barrier| barrier.wait());
            let aborter = with(&barrier, |barrier| barrier.abort());
            if poll_once(leaver.as_mut()).is_pending() {
                drop(leaver);
                let mine = barrier.wait();
                let other = other.join().unwrap();
                assert!(mine.is_err() || other.is_ok() || barrier.is_broken());
            } else {
                let _ = other.join().unwrap();
            }
            aborter.join().unwrap();
            assert_eq!(barrier.try_wait(), Err(BrokenBarrier::Aborted));
        },
    );
}

#[test]
fn time_out_against_the_action() {
    model(
        "barrier: one leaves when it is too late to, or is not told how the action went",
        || {
            let barrier = Arc::new(Barrier::with_action(2, || ()));
            let deadline = Deadline::new();
            let hasty = {
                let deadline = deadline.clone();
                with(&barrier, move |barrier| barrier.wait_within(&deadline))
            };
            let patient = with(&barrier, |barrier| barrier.wait().unwrap());
            deadline.pass();
            let second = match hasty.join().unwrap() {
                Ok(through) => through,
                Err(_) => barrier.wait().unwrap(),
            };
            numbers([second, patient.join().unwrap()]);
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn cancel_that_breaks() {
    model(
        "barrier: broken by a cancellation for one and whole for another",
        || {
            let barrier = Arc::new(Barrier::new(2));
            let token = CancelToken::new();
            let breaker = {
                let token = token.clone();
                with(&barrier, move |barrier| {
                    barrier.wait_within_or_break(&token)
                })
            };
            let patient = with(&barrier, |barrier| barrier.wait());
            token.cancel();
            match (breaker.join().unwrap(), patient.join().unwrap()) {
                (Ok(a), Ok(b)) => numbers([a, b]),
                (a, b) => {
                    assert_eq!(a, Err(BarrierError::Cancelled));
                    assert_eq!(b, Err(BrokenBarrier::Cancelled));
                }
            }
        },
    );
}

#[test]
fn cancel_that_leaves() {
    model("barrier: cancelled while the last one arrives", || {
        let barrier = Arc::new(Barrier::new(2));
        let token = CancelToken::new();
        let others = [(), ()].map(|()| {
            let token = token.clone();
            with(&barrier, move |barrier| barrier.wait_within(&token))
        });
        token.cancel();
        let [a, b] = others.map(|t| t.join().unwrap());
        assert_eq!(a.map(drop), b.map(drop));
        assert!(is_empty_and_whole(&barrier));
    });
}

#[test]
fn dropped_future() {
    model(
        "barrier: a future dropped while the last one arrives",
        || {
            let barrier = Arc::new(Barrier::new(2));
            let deadline = Deadline::new();
            let dropper = with(&barrier, |barrier| {
                poll_once(Box::pin(barrier.wait_async()).as_mut()).is_ready()
            });
            let other = {
                let deadline = deadline.clone();
                with(&barrier, move |barrier| barrier.wait_within(&deadline))
            };
            deadline.pass();
            let was_ready = dropper.join().unwrap();
            let through = other.join().unwrap().is_ok();
            assert!(!was_ready || through);
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn dropped_future_against_the_action() {
    model(
        "barrier: a future dropped while the action runs, and a reset waits for it",
        || {
            let barrier = Arc::new(Barrier::with_action(2, || ()));
            let mut task = Box::pin(barrier.wait_async());
            assert!(poll_once(task.as_mut()).is_pending());
            let leader = with(&barrier, |barrier| barrier.wait());
            let resetter = with(&barrier, |barrier| barrier.reset());
            let is_through = match poll_once(task.as_mut()) {
                Poll::Ready(through) => through.is_ok(),
                Poll::Pending => false,
            };
            drop(task);
            resetter.join().unwrap();
            if !is_through {
                // Perhaps alone, with the reset behind it.
                barrier.abort();
            }
            let _ = leader.join().unwrap();
            barrier.reset();
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn abort_against_the_last_arrival() {
    model("barrier: aborted for one and through for another", || {
        let barrier = Arc::new(Barrier::new(2));
        let others = [(), ()].map(|()| with(&barrier, |barrier| barrier.wait()));
        barrier.abort();
        let [a, b] = others.map(|t| t.join().unwrap());
        assert_eq!(a.map(drop), b.map(drop));
        barrier.reset();
        assert!(is_empty_and_whole(&barrier));
    });
}

#[test]
fn abort_against_the_action() {
    model(
        "barrier: aborted for one and through for another, around an action",
        || {
            let barrier = Arc::new(Barrier::with_action(2, || ()));
            let others = [(), ()].map(|()| with(&barrier, |barrier| barrier.wait()));
            barrier.abort();
            let [a, b] = others.map(|t| t.join().unwrap());
            assert_eq!(a.map(drop), b.map(drop));
            assert!(barrier.is_broken());
        },
    );
}

/// Waits until it is through, however often it is sent away.
fn insist<A: BarrierAction>(barrier: &Barrier<A>) -> BarrierWait {
    loop {
        match barrier.wait() {
            Ok(through) => return through,
            Err(why) => assert_eq!(why, BrokenBarrier::Reset),
        }
    }
}

#[test]
fn reset_against_the_last_arrival() {
    model(
        "barrier: reset for one, and another waits for ever for it",
        || {
            let barrier = Arc::new(Barrier::new(2));
            let others = [(), ()].map(|()| with(&barrier, insist));
            barrier.reset();
            numbers(others.map(|t| t.join().unwrap()));
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn reset_against_the_action() {
    model(
        "barrier: reset while the action runs, and the next round begins too soon or never",
        || {
            let cell = UnsafeCell::new(0);
            let barrier = Arc::new(Barrier::with_action(2, move || {
                // SAFETY: one action at a time, one after the other. loom checks.
                cell.with_mut(|value| unsafe { *value += 1 });
            }));
            let others = [(), ()].map(|()| with(&barrier, insist));
            barrier.reset();
            numbers(others.map(|t| t.join().unwrap()));
            assert!(is_empty_and_whole(&barrier));
        },
    );
}

#[test]
fn action_publishes() {
    model(
        "barrier: somebody goes on without what the action did",
        || {
            let cell = Arc::new(UnsafeCell::new(0));
            let barrier = {
                let cell = cell.clone();
                // SAFETY: nobody reads before they are through. loom checks.
                Arc::new(Barrier::with_action(2, move || {
                    cell.with_mut(|value| unsafe { *value = 1 })
                }))
            };
            let arrive = move |barrier: &Barrier<_>| {
                barrier.wait().unwrap();
                // SAFETY: written by the action, which is over. loom checks.
                assert_eq!(cell.with(|value| unsafe { *value }), 1);
            };
            let other = with(&barrier, arrive.clone());
            arrive(&barrier);
            other.join().unwrap();
        },
    );
}

#[test]
fn action_panics() {
    model("barrier: one waits for an action that has panicked", || {
        let barrier = Arc::new(Barrier::with_action(2, || resume_unwind(Box::new(()))));
        let arrive = |barrier: &Barrier<_>| catch_unwind(AssertUnwindSafe(|| barrier.wait()));
        let other = with(&barrier, arrive);
        let both = [arrive(&barrier), other.join().unwrap()];
        let panicked = both.iter().filter(|result| result.is_err()).count();
        assert_eq!(panicked, 1, "in the leader");
        for told in both.into_iter().flatten() {
            assert_eq!(told, Err(BrokenBarrier::ActionPanicked));
        }
        barrier.reset();
        assert!(is_empty_and_whole(&barrier));
    });
}

#[test]
fn outside() {
    model(
        "barrier: one who came while the action ran is not called when it ends",
        || {
            let barrier = Arc::new(Barrier::with_action(1, || ()));
            let other = with(&barrier, |barrier| barrier.wait().unwrap());
            barrier.wait().unwrap();
            assert!(other.join().unwrap().is_leader());
        },
    );
}

#[test]
fn outside_and_hasty() {
    model(
        "barrier: one who came while the action ran gives up, and breaks what it was not part of",
        || {
            let barrier = Arc::new(Barrier::with_action(1, || ()));
            let deadline = Deadline::new();
            let hasty = {
                let deadline = deadline.clone();
                with(&barrier, move |barrier| {
                    barrier.wait_within_or_break(&deadline)
                })
            };
            let passer = thread::spawn(move || deadline.pass());
            barrier.wait().unwrap();
            passer.join().unwrap();
            if let Err(why) = hasty.join().unwrap() {
                assert_eq!(why, BarrierError::TimedOut);
            }
            assert!(!barrier.is_broken(), "it was never there");
        },
    );
}
