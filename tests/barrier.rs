//! `sync::Barrier`: rows T105-T116, and the cases X14 (a limit covers the time between two rounds; its
//! other half is at the foot of `src/sync/barrier/raw.rs`) and X15 (resets and aborts at the last moment).

mod common;

use common::{block_on, poll, until_parked, watchdog};
use latchwork::CancelToken;
use latchwork::sync::{Barrier, BarrierError, BarrierWait, BrokenBarrier, Event};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);
/// How often what is rare is tried; less in unoptimised builds, where the whole number takes too long.
const MANY: usize = if cfg!(debug_assertions) {
    10_000
} else {
    100_000
};

/// Who got through, by number.
struct Tally([AtomicUsize; 3]);

impl Tally {
    fn new() -> Tally {
        Tally(Default::default())
    }

    fn count(&self, through: BarrierWait) {
        assert_eq!(through.is_leader(), through.index() == 2);
        self.0[through.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Every round that let one through has let three through, with three numbers.
    fn check(&self) -> usize {
        let [a, b, c] = [0, 1, 2].map(|n| self.0[n].load(Ordering::Relaxed));
        assert_eq!((a, b), (c, c));
        c
    }
}

/// T105: "parties must be > 0".
#[test]
#[should_panic(expected = "a barrier for nobody")]
fn a_barrier_for_nobody() {
    let _ = Barrier::new(0);
}

/// T105, T106: once a round, in the leader, before anybody goes on.
#[test]
fn the_action_runs_once_in_the_last_before_anybody_goes_on() {
    watchdog(LIMIT, "the_action_runs_once", || {
        let (runs, runner) = (AtomicUsize::new(0), Mutex::new(None));
        let barrier = Barrier::with_action(4, || {
            *runner.lock().unwrap() = Some(thread::current().id());
            runs.fetch_add(1, Ordering::Relaxed);
        });
        let looked = Barrier::new(4);
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for round in 1..=500 {
                        let through = barrier.wait().unwrap();
                        assert_eq!(runs.load(Ordering::Relaxed), round);
                        let ran = *runner.lock().unwrap() == Some(thread::current().id());
                        assert_eq!(through.is_leader(), ran);
                        looked.wait().unwrap();
                    }
                });
            }
        });
    });
}

/// T106: in order of arrival.
#[test]
fn numbers_are_those_of_arrival() {
    watchdog(LIMIT, "numbers_are_those_of_arrival", || {
        let barrier = Barrier::new(3);
        thread::scope(|s| {
            let first = s.spawn(|| barrier.wait());
            until_parked("Barrier", &barrier, 1);
            let second = s.spawn(|| barrier.wait());
            until_parked("Barrier", &barrier, 2);
            let last = barrier.wait().unwrap();
            assert_eq!((last.index(), last.is_leader()), (2, true));
            let second = second.join().unwrap().unwrap();
            assert_eq!((second.index(), second.is_leader()), (1, false));
            assert_eq!(first.join().unwrap().unwrap().index(), 0);
        });
    });
}

/// T114: nobody is a round ahead of anybody who has not got through, and numbers are distinct.
#[test]
fn nobody_laps_anybody() {
    watchdog(LIMIT, "nobody_laps_anybody", || {
        let barrier = Barrier::new(3);
        let rounds: [AtomicUsize; 3] = Default::default();
        let tally = Tally::new();
        thread::scope(|s| {
            for me in 0..3 {
                let (barrier, rounds, tally) = (&barrier, &rounds, &tally);
                s.spawn(move || {
                    for round in 1..=MANY {
                        rounds[me].store(round, Ordering::Relaxed);
                        tally.count(barrier.wait().unwrap());
                        for other in rounds {
                            let theirs = other.load(Ordering::Relaxed);
                            assert!(theirs == round || theirs == round + 1);
                        }
                    }
                });
            }
        });
        assert_eq!(tally.check(), MANY);
    });
}

/// T114: with more threads than parties some are lapped, and are through nevertheless.
#[test]
fn more_threads_than_parties() {
    watchdog(LIMIT, "more_threads_than_parties", || {
        let barrier = Barrier::new(3);
        let (begun, tally) = (AtomicUsize::new(0), Tally::new());
        thread::scope(|s| {
            for _ in 0..5 {
                s.spawn(|| {
                    while begun.fetch_add(1, Ordering::Relaxed) < 3 * MANY / 5 {
                        tally.count(barrier.wait().unwrap());
                    }
                });
            }
        });
        assert_eq!(tally.check(), MANY / 5);
    });
}

/// T107: Python's time-out breaks the barrier for everybody; so does a cancellation.
#[test]
fn a_limit_that_breaks() {
    watchdog(LIMIT, "a_limit_that_breaks", || {
        let barrier = Barrier::new(4);
        thread::scope(|s| {
            let patient = s.spawn(|| barrier.wait());
            let hopeful = s.spawn(|| barrier.wait_within(Duration::MAX));
            until_parked("Barrier", &barrier, 2);
            let hasty = barrier.wait_within_or_break(Duration::from_millis(2));
            assert_eq!(hasty, Err(BarrierError::TimedOut));
            assert_eq!(patient.join().unwrap(), Err(BrokenBarrier::TimedOut));
            let theirs = Err(BarrierError::Broken(BrokenBarrier::TimedOut));
            assert_eq!(hopeful.join().unwrap(), theirs);
            assert_eq!(barrier.wait_within(Duration::ZERO), theirs);
        });
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), Err(BrokenBarrier::TimedOut));
        assert_eq!(barrier.try_wait(), Err(BrokenBarrier::TimedOut));
        assert_eq!(block_on(barrier.wait_async()), Err(BrokenBarrier::TimedOut));
        barrier.reset();
        let token = CancelToken::new();
        token.cancel();
        let cancelled = barrier.wait_within_or_break(&token);
        assert_eq!(cancelled, Err(BarrierError::Cancelled));
        assert_eq!(barrier.wait(), Err(BrokenBarrier::Cancelled));
    });
}

/// A call that gives up has changed nothing.
#[test]
fn a_limit_that_leaves() {
    watchdog(LIMIT, "a_limit_that_leaves", || {
        let barrier = Barrier::new(3);
        let token = CancelToken::new();
        thread::scope(|s| {
            let patient = s.spawn(|| barrier.wait());
            until_parked("Barrier", &barrier, 1);
            let begin = Instant::now();
            let limit = Duration::from_millis(20);
            assert_eq!(barrier.wait_within(limit), Err(BarrierError::TimedOut));
            assert!(begin.elapsed() >= limit);
            let cancelled = s.spawn(|| barrier.wait_within(&token));
            until_parked("Barrier", &barrier, 2);
            token.cancel();
            assert_eq!(cancelled.join().unwrap(), Err(BarrierError::Cancelled));
            assert_eq!((barrier.waiting(), barrier.is_broken()), (1, false));
            let second = s.spawn(|| barrier.wait());
            until_parked("Barrier", &barrier, 2);
            assert!(barrier.wait().unwrap().is_leader());
            assert_eq!(patient.join().unwrap().unwrap().index(), 0);
            assert_eq!(second.join().unwrap().unwrap().index(), 1);
        });
    });
}

/// T106, when the first of three leaves and another comes: the numbers are still distinct.
#[test]
fn numbers_are_distinct_after_somebody_has_left() {
    watchdog(LIMIT, "numbers_are_distinct_after_leaving", || {
        let barrier = Barrier::new(3);
        let token = CancelToken::new();
        thread::scope(|s| {
            let leaver = s.spawn(|| barrier.wait_within(&token));
            until_parked("Barrier", &barrier, 1);
            let mut others = vec![s.spawn(|| barrier.wait())];
            until_parked("Barrier", &barrier, 2);
            token.cancel();
            assert!(leaver.join().unwrap().unwrap_err().is_cancelled());
            others.push(s.spawn(|| barrier.wait()));
            until_parked("Barrier", &barrier, 2);
            others.push(s.spawn(|| barrier.wait()));
            let mut numbers: Vec<_> = others
                .into_iter()
                .map(|t| t.join().unwrap().unwrap().index())
                .collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2]);
        });
        assert_eq!(barrier.waiting(), 0);
    });
}

/// T108: the panic goes on in the leader, the others are told.
#[test]
fn a_panic_in_the_action() {
    watchdog(LIMIT, "a_panic_in_the_action", || {
        let panics = AtomicBool::new(true);
        let barrier = Barrier::with_action(2, || {
            if panics.load(Ordering::Relaxed) {
                resume_unwind(Box::new("on purpose"));
            }
        });
        thread::scope(|s| {
            let waiter = s.spawn(|| barrier.wait());
            until_parked("Barrier", &barrier, 1);
            let leader = catch_unwind(AssertUnwindSafe(|| barrier.wait()));
            let payload = leader.unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&"on purpose"));
            assert_eq!(waiter.join().unwrap(), Err(BrokenBarrier::ActionPanicked));
        });
        assert_eq!(barrier.wait(), Err(BrokenBarrier::ActionPanicked));
        panics.store(false, Ordering::Relaxed);
        barrier.reset();
        thread::scope(|s| {
            s.spawn(|| barrier.wait().unwrap());
            barrier.wait().unwrap();
        });
    });
}

type HeldBarrier<'a> = Barrier<&'a (dyn Fn() + Sync)>;

/// Runs `body` while the action of a barrier for two runs, which ends when `body` does or says so.
fn held(body: impl FnOnce(&HeldBarrier<'_>, &Event)) {
    let (runs, may_end) = (Event::new(), Event::new());
    let action = || {
        runs.set();
        may_end.wait();
    };
    let barrier = HeldBarrier::with_action(2, &action);
    thread::scope(|s| {
        let waiter = s.spawn(|| barrier.wait());
        let leader = s.spawn(|| barrier.wait());
        runs.wait();
        body(&barrier, &may_end);
        may_end.set();
        let (waiter, leader) = (waiter.join().unwrap(), leader.join().unwrap());
        assert_eq!(waiter.map(drop), leader.map(drop), "both are told the same");
    });
}

/// T109, X14: who comes while the action runs waits outside, within its limit, and breaks nothing.
#[test]
fn a_limit_covers_the_time_before_a_round_begins() {
    watchdog(LIMIT, "a_limit_covers_the_time_before", || {
        held(|barrier, _| {
            assert_eq!(barrier.waiting(), 0);
            assert_eq!(barrier.try_wait(), Ok(None));
            for breaks in [false, true] {
                let limit = Duration::from_millis(5);
                let begin = Instant::now();
                assert_eq!(
                    (match breaks {
                        true => barrier.wait_within_or_break(limit),
                        false => barrier.wait_within(limit),
                    }),
                    Err(BarrierError::TimedOut)
                );
                assert!(begin.elapsed() >= limit);
            }
            assert!(!barrier.is_broken());
        });
    });
}

/// T109: and then joins the next.
#[test]
fn who_waits_outside_joins_the_next_round() {
    watchdog(LIMIT, "who_waits_outside", || {
        held(|barrier, may_end| {
            thread::scope(|s| {
                let outside = s.spawn(|| barrier.wait());
                until_parked("Barrier", barrier, 2);
                may_end.set();
                while barrier.waiting() == 0 {
                    thread::yield_now();
                }
                assert!(barrier.wait().unwrap().is_leader());
                assert_eq!(outside.join().unwrap().unwrap().index(), 0);
            });
        });
    });
}

/// T110, T111: a reset or an abort while the action runs is for that round.
#[test]
fn breaking_while_the_action_runs() {
    watchdog(LIMIT, "breaking_while_the_action_runs", || {
        held(|barrier, _| {
            barrier.abort();
            assert!(barrier.is_broken());
            assert_eq!(barrier.try_wait(), Err(BrokenBarrier::Aborted));
        });
        held(|barrier, _| {
            barrier.reset();
            assert!(!barrier.is_broken());
            // The leader has not heard yet, so that two actions never run at the same time.
            let early = barrier.wait_within(Duration::from_millis(2));
            assert_eq!(early, Err(BarrierError::TimedOut));
        });
    });
}

/// T108, T110, T111: the action breaks its own round. It may wait for its barrier within a limit, though it
/// waits for itself.
#[test]
fn an_action_that_uses_its_own_barrier() {
    watchdog(LIMIT, "an_action_that_uses_its_own", || {
        type Does = fn(&Barrier<Box<dyn Fn() + Send + Sync>>);
        let cases: [(Does, Result<(), BrokenBarrier>, bool); 5] = [
            (Barrier::abort, Err(BrokenBarrier::Aborted), true),
            (Barrier::reset, Err(BrokenBarrier::Reset), false),
            (
                |barrier| {
                    barrier.abort();
                    assert_eq!(barrier.wait(), Err(BrokenBarrier::Aborted));
                    barrier.reset();
                },
                Err(BrokenBarrier::Aborted),
                false,
            ),
            (
                |barrier| {
                    let limit = Duration::from_millis(1);
                    let waited = barrier.wait_within_or_break(limit);
                    assert_eq!(waited, Err(BarrierError::TimedOut));
                    assert_eq!(barrier.try_wait(), Ok(None));
                },
                Ok(()),
                false,
            ),
            (
                |barrier| {
                    let mut again = pin!(barrier.wait_async());
                    assert!(poll(again.as_mut(), Waker::noop()).is_pending());
                    barrier.reset();
                    assert!(poll(again.as_mut(), Waker::noop()).is_pending());
                },
                Err(BrokenBarrier::Reset),
                false,
            ),
        ];
        for (does, told, is_broken) in cases {
            let own: &OnceLock<Barrier<Box<dyn Fn() + Send + Sync>>> = Box::leak(Box::default());
            let action: Box<dyn Fn() + Send + Sync> = Box::new(move || does(own.get().unwrap()));
            let barrier = own.get_or_init(|| Barrier::with_action(2, action));
            thread::scope(|s| {
                let waiter = s.spawn(|| barrier.wait());
                until_parked("Barrier", barrier, 1);
                assert_eq!(barrier.wait().map(drop), told);
                assert_eq!(waiter.join().unwrap().map(drop), told);
            });
            assert_eq!(barrier.is_broken(), is_broken);
            barrier.reset();
            assert_eq!((barrier.waiting(), barrier.try_wait()), (0, Ok(None)));
            assert!(
                barrier
                    .wait_within(Duration::ZERO)
                    .unwrap_err()
                    .is_timed_out()
            );
        }
    });
}

/// T108: a panic after the action has broken the round itself, and what comes after a reset in between.
#[test]
fn an_action_that_resets_and_panics() {
    watchdog(LIMIT, "an_action_that_resets_and_panics", || {
        let own: &OnceLock<Barrier<Box<dyn Fn() + Send + Sync>>> = Box::leak(Box::default());
        let action: Box<dyn Fn() + Send + Sync> = Box::new(move || {
            own.get().unwrap().reset();
            resume_unwind(Box::new("on purpose"));
        });
        let barrier = own.get_or_init(|| Barrier::with_action(3, action));
        thread::scope(|s| {
            let waiter = s.spawn(|| barrier.wait());
            let mut task = pin!(barrier.wait_async());
            assert!(poll(task.as_mut(), Waker::noop()).is_pending());
            until_parked("Barrier", barrier, 2);
            assert!(catch_unwind(AssertUnwindSafe(|| barrier.wait())).is_err());
            assert_eq!(waiter.join().unwrap(), Err(BrokenBarrier::Reset));
            let told = poll(task.as_mut(), Waker::noop());
            assert_eq!(told, Poll::Ready(Err(BrokenBarrier::Reset)));
        });
        assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
        let limit = Duration::ZERO;
        assert!(barrier.wait_within(limit).unwrap_err().is_timed_out());
    });
}

/// Time-outs that break race the last arrival: both are through, or both are told of the one time-out.
#[test]
fn a_limit_that_breaks_races_the_last_arrival() {
    watchdog(LIMIT, "a_limit_that_breaks_races", || {
        let barrier = Barrier::new(2);
        let met = Barrier::new(2);
        let (mut through, mut broken) = (0, 0);
        thread::scope(|s| {
            let other = s.spawn(|| {
                let mut told = Vec::new();
                for round in 0..MANY / 10 {
                    let limit = Duration::from_micros(round as u64 % 64);
                    told.push(barrier.wait_within_or_break(limit).map(drop));
                    met.wait().unwrap();
                    met.wait().unwrap();
                }
                told
            });
            let mut mine = Vec::new();
            for _ in 0..MANY / 10 {
                mine.push(barrier.wait().map(drop));
                met.wait().unwrap();
                barrier.reset();
                met.wait().unwrap();
            }
            for both in mine.into_iter().zip(other.join().unwrap()) {
                match both {
                    (Ok(()), Ok(())) => through += 1,
                    (Err(BrokenBarrier::TimedOut), Err(BarrierError::TimedOut)) => broken += 1,
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(through + broken, MANY / 10);
    });
}

/// Too late to leave: the time-out waits for the action's end, and is through.
#[test]
fn a_time_out_while_the_action_runs() {
    watchdog(LIMIT, "a_time_out_while_the_action_runs", || {
        for breaks in [false, true] {
            let (runs, may_end) = (Event::new(), Event::new());
            let barrier = Barrier::with_action(2, || {
                runs.set();
                may_end.wait();
            });
            let token = CancelToken::new();
            thread::scope(|s| {
                let waiter = s.spawn(|| match breaks {
                    true => barrier.wait_within_or_break(&token),
                    false => barrier.wait_within(&token),
                });
                until_parked("Barrier", &barrier, 1);
                let leader = s.spawn(|| barrier.wait());
                runs.wait();
                token.cancel();
                // In the line, on its way out of it, or back in it: it has to wait.
                until_parked("Barrier", &barrier, 1);
                may_end.set();
                assert_eq!(waiter.join().unwrap().unwrap().index(), 0);
                assert!(leader.join().unwrap().unwrap().is_leader());
            });
        }
    });
}

/// A task that is dropped while the action runs has come; nobody waits for it to hear anything.
#[test]
fn a_future_dropped_while_the_action_runs() {
    watchdog(LIMIT, "a_future_dropped_while", || {
        for breaks in [false, true] {
            let (runs, may_end) = (Event::new(), Event::new());
            let barrier = Barrier::with_action(3, || {
                runs.set();
                may_end.wait();
            });
            let mut future = Box::pin(barrier.wait_async());
            assert!(poll(future.as_mut(), Waker::noop()).is_pending());
            thread::scope(|s| {
                let waiters = [s.spawn(|| barrier.wait()), s.spawn(|| barrier.wait())];
                runs.wait();
                drop(future);
                if breaks {
                    barrier.reset();
                }
                may_end.set();
                for waiter in waiters {
                    assert_eq!(waiter.join().unwrap().is_ok(), !breaks);
                }
            });
            let mut next = pin!(barrier.wait_async());
            assert!(poll(next.as_mut(), Waker::noop()).is_pending());
            assert_eq!(barrier.waiting(), 1, "the next round has begun");
        }
    });
}

/// T110: those who wait are sent away, the barrier is whole.
#[test]
fn reset() {
    watchdog(LIMIT, "reset", || {
        let barrier = Barrier::new(3);
        barrier.reset();
        thread::scope(|s| {
            let waiters = [s.spawn(|| barrier.wait()), s.spawn(|| barrier.wait())];
            until_parked("Barrier", &barrier, 2);
            barrier.reset();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(BrokenBarrier::Reset));
            }
        });
        assert_eq!((barrier.is_broken(), barrier.waiting()), (false, 0));
        assert_eq!(barrier.try_wait(), Ok(None));
    });
}

/// T111, T112: broken until a reset.
#[test]
fn abort() {
    watchdog(LIMIT, "abort", || {
        let barrier = Barrier::new(3);
        thread::scope(|s| {
            let waiters = [s.spawn(|| barrier.wait()), s.spawn(|| barrier.wait())];
            until_parked("Barrier", &barrier, 2);
            assert_eq!((barrier.waiting(), barrier.parties()), (2, 3));
            barrier.abort();
            assert_eq!((barrier.waiting(), barrier.is_broken()), (0, true));
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(BrokenBarrier::Aborted));
            }
        });
        assert_eq!(barrier.wait(), Err(BrokenBarrier::Aborted));
        barrier.reset();
        assert!(!barrier.is_broken());
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| barrier.wait().unwrap());
            }
        });
    });
}

/// X15: everybody returns, and every round lets all through or nobody.
#[test]
fn resets_and_aborts_race_the_last_arrival() {
    watchdog(LIMIT, "resets_and_aborts_race", || {
        let barrier = Barrier::new(3);
        let (tally, sent_away) = (Tally::new(), AtomicUsize::new(0));
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    loop {
                        match barrier.wait() {
                            Ok(through) => tally.count(through),
                            Err(BrokenBarrier::Reset) => {
                                sent_away.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(BrokenBarrier::Aborted) if barrier.is_broken() => return,
                            Err(BrokenBarrier::Aborted) => {}
                            Err(why) => panic!("{why}"),
                        }
                    }
                });
            }
            let mut seen = 0;
            for _ in 0..MANY {
                barrier.reset();
                // Not before they have begun again.
                let deadline = Instant::now() + Duration::from_millis(1);
                let now = || tally.0[2].load(Ordering::Relaxed);
                while now() == seen && Instant::now() < deadline {
                    thread::yield_now();
                }
                seen = now();
            }
            barrier.abort();
        });
        assert!(tally.check() > 0);
        barrier.reset();
        assert_eq!(barrier.waiting(), 0);
    });
}

/// X15, with those who leave besides, and an action: who comes and goes is counted right.
#[test]
fn everything_races_the_last_arrival() {
    watchdog(LIMIT, "everything_races_the_last_arrival", || {
        let (tally, runs) = (Tally::new(), AtomicUsize::new(0));
        let is_running = AtomicBool::new(false);
        let barrier = Barrier::with_action(3, || {
            assert!(!is_running.swap(true, Ordering::Relaxed));
            runs.fetch_add(1, Ordering::Relaxed);
            is_running.store(false, Ordering::Relaxed);
        });
        let stop = AtomicBool::new(false);
        thread::scope(|s| {
            for hasty in [false, false, true, true] {
                let (barrier, tally, stop) = (&barrier, &tally, &stop);
                s.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let through = match hasty {
                            true => barrier.wait_within(Duration::from_micros(30)),
                            false => barrier.wait().map_err(BarrierError::from),
                        };
                        if let Ok(through) = through {
                            tally.count(through);
                        }
                    }
                });
            }
            // As often as it takes on a busy machine for somebody to get through.
            let has_passed = || tally.0[2].load(Ordering::Relaxed) > 0;
            for n in (0..).take_while(|n| *n < MANY / 5 || !has_passed()) {
                match n % 16 {
                    0 => barrier.reset(),
                    1 => barrier.abort(),
                    2 => barrier.reset(),
                    _ => thread::yield_now(),
                }
            }
            stop.store(true, Ordering::Relaxed);
            barrier.abort();
        });
        let rounds = tally.check();
        let runs = runs.load(Ordering::Relaxed);
        assert!(rounds > 0 && rounds <= runs, "{rounds} of {runs}");
        barrier.reset();
        assert_eq!(barrier.waiting(), 0);
        assert_eq!(barrier.try_wait(), Ok(None));
    });
}

/// T115: never blocks.
#[test]
fn a_barrier_for_one() {
    let runs = AtomicUsize::new(0);
    let barrier = Barrier::with_action(1, || {
        runs.fetch_add(1, Ordering::Relaxed);
    });
    for _ in 0..3 {
        let through = barrier.wait().unwrap();
        assert_eq!((through.index(), through.is_leader()), (0, true));
        assert!(barrier.try_wait().unwrap().is_some());
        assert!(barrier.wait_within(Duration::ZERO).is_ok());
        assert!(block_on(barrier.wait_async()).is_ok());
    }
    assert_eq!(runs.load(Ordering::Relaxed), 12);
}

/// T112, T116.
#[test]
fn debug_tells_the_state() {
    static BARRIER: Barrier = Barrier::new(2);
    assert_eq!(
        format!("{BARRIER:?}"),
        "Barrier { waiting: 0, parties: 2, broken: false }"
    );
    {
        let mut future = pin!(BARRIER.wait_async());
        assert!(poll(future.as_mut(), Waker::noop()).is_pending());
        assert!(format!("{BARRIER:?}").starts_with("Barrier { waiting: 1,"));
        BARRIER.abort();
        assert_eq!(
            format!("{BARRIER:?}"),
            "Barrier { waiting: 0, parties: 2, broken: Aborted }"
        );
    }
}

#[test]
fn tasks() {
    watchdog(LIMIT, "tasks", || {
        let barrier = Barrier::new(3);
        thread::scope(|s| {
            let task = s.spawn(|| block_on(barrier.wait_async()));
            until_parked("Barrier", &barrier, 1);
            {
                let mut dropped = pin!(barrier.wait_async());
                assert_eq!(barrier.waiting(), 1, "arrives when it is polled");
                assert!(poll(dropped.as_mut(), Waker::noop()).is_pending());
                assert_eq!(barrier.waiting(), 2);
            }
            assert_eq!(barrier.waiting(), 1);
            s.spawn(|| barrier.wait());
            until_parked("Barrier", &barrier, 2);
            assert!(block_on(barrier.wait_async()).unwrap().is_leader());
            assert_eq!(task.join().unwrap().unwrap().index(), 0);
        });
    });
}

/// One step of a single thread, whose arrivals are futures.
#[derive(Clone, Debug)]
enum Step {
    Arrive,
    Drop(usize),
    Look(usize),
    Poll,
    TryWait,
    WaitZero,
    BreakZero,
    Abort,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Arrive),
        2 => (0usize..4).prop_map(Step::Drop),
        4 => (0usize..4).prop_map(Step::Look),
        1 => Just(Step::Poll),
        2 => Just(Step::TryWait),
        2 => Just(Step::WaitZero),
        1 => Just(Step::BreakZero),
        1 => Just(Step::Abort),
        2 => Just(Step::Reset),
    ]
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<BarrierWait, BrokenBarrier>> + 'a>>;

/// What the plain barrier says: who waits now, who has been told what, and why it is broken.
struct Plain {
    parties: usize,
    waiting: Vec<usize>,
    told: Vec<Option<Result<(), BrokenBarrier>>>,
    broken: Option<BrokenBarrier>,
}

impl Plain {
    fn tell(&mut self, what: Result<(), BrokenBarrier>) {
        for id in self.waiting.drain(..) {
            self.told[id] = Some(what);
        }
    }

    fn arrive(&mut self) -> usize {
        let id = self.told.len();
        self.told.push(self.broken.map(Err));
        if self.broken.is_none() {
            self.waiting.push(id);
            if self.waiting.len() == self.parties {
                self.tell(Ok(()));
            }
        }
        id
    }
}

proptest! {
    #[test]
    fn behaves_like_a_plain_list(
        parties in 1usize..4,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let barrier = Barrier::new(parties);
        let mut plain = Plain { parties, waiting: vec![], told: vec![], broken: None };
        let mut futures: VecDeque<(usize, Waiting<'_>)> = VecDeque::new();
        for step in steps {
            match step {
                Step::Arrive => {
                    let mut future: Waiting<'_> = Box::pin(barrier.wait_async());
                    let id = plain.arrive();
                    match poll(Pin::new(&mut future), Waker::noop()) {
                        Poll::Ready(through) => {
                            prop_assert_eq!(Some(through.map(|t| prop_assert_leader(t, parties))), plain.told[id]);
                        }
                        Poll::Pending => {
                            prop_assert_eq!(plain.told[id], None);
                            futures.push_back((id, future));
                        }
                    }
                }
                Step::Drop(n) => {
                    if n < futures.len() {
                        let (id, _) = futures.remove(n).unwrap();
                        plain.waiting.retain(|waiting| *waiting != id);
                    }
                }
                Step::Look(n) => {
                    if let Some((id, future)) = futures.get_mut(n) {
                        match poll(Pin::new(future), Waker::noop()) {
                            Poll::Ready(through) => {
                                prop_assert_eq!(Some(through.map(|_| ())), plain.told[*id]);
                                futures.remove(n);
                            }
                            Poll::Pending => prop_assert_eq!(plain.told[*id], None),
                        }
                    }
                }
                // Never polled: it is not there.
                Step::Poll => drop(barrier.wait_async()),
                Step::TryWait => {
                    let would_fill = plain.waiting.len() + 1 == parties;
                    let expected = match plain.broken {
                        Some(why) => Err(why),
                        None => Ok(would_fill),
                    };
                    prop_assert_eq!(barrier.try_wait().map(|t| t.is_some()), expected);
                    if expected == Ok(true) {
                        plain.tell(Ok(()));
                    }
                }
                Step::WaitZero | Step::BreakZero => {
                    let breaks = matches!(step, Step::BreakZero);
                    let said = match breaks {
                        true => barrier.wait_within_or_break(Duration::ZERO),
                        false => barrier.wait_within(Duration::ZERO),
                    };
                    let expected = match plain.broken {
                        Some(why) => Err(BarrierError::Broken(why)),
                        None if plain.waiting.len() + 1 == parties => Ok(()),
                        None => Err(BarrierError::TimedOut),
                    };
                    prop_assert_eq!(said.map(|_| ()), expected);
                    if expected == Ok(()) {
                        plain.tell(Ok(()));
                    } else if breaks && plain.broken.is_none() {
                        plain.broken = Some(BrokenBarrier::TimedOut);
                        plain.tell(Err(BrokenBarrier::TimedOut));
                    }
                }
                Step::Abort => {
                    barrier.abort();
                    plain.broken = plain.broken.or(Some(BrokenBarrier::Aborted));
                    plain.tell(Err(BrokenBarrier::Aborted));
                }
                Step::Reset => {
                    barrier.reset();
                    plain.broken = None;
                    plain.tell(Err(BrokenBarrier::Reset));
                }
            }
            prop_assert_eq!(barrier.waiting(), plain.waiting.len());
            prop_assert_eq!(barrier.is_broken(), plain.broken.is_some());
        }
    }
}

/// Whoever is through in the step in which it came was the last.
fn prop_assert_leader(through: BarrierWait, parties: usize) {
    assert!(through.is_leader() && through.index() + 1 == parties);
}
