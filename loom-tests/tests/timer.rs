//! Models of alarms and timers: what rings, is cancelled, reset and waited for at once. Time is a clock that one
//! of the threads advances.

use latchwork::model::Turned;
use latchwork::sync::Event;
use latchwork::time::{Cancel, ManualClock, Scheduler, Timer, TimerError, sleep_async, timeout};
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Lets a second pass on another thread.
fn advance(clock: &ManualClock) -> thread::JoinHandle<()> {
    let clock = clock.clone();
    thread::spawn(move || clock.advance(SECOND))
}

#[test]
fn cancelled_as_it_rings() {
    model(
        "timer: cancelled as it rings, called or prevented, never both",
        || {
            let clock = ManualClock::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let its = calls.clone();
            let timer =
                clock.run(|| Timer::after(SECOND, move || its.fetch_add(1, Ordering::Relaxed)));
            let time = advance(&clock);
            let outcome = timer.cancel();
            time.join().unwrap();
            assert!(timer.is_finished());
            let prevented = outcome == Cancel::Prevented;
            assert_eq!(calls.load(Ordering::Relaxed), usize::from(!prevented));
            assert_eq!(timer.join().is_ok(), !prevented);
            assert_eq!(clock.armed(), 0);
        },
    );
}

#[test]
fn cancelled_twice_as_it_rings() {
    model("timer: cancelled by two as it rings", || {
        let clock = ManualClock::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let its = calls.clone();
        let timer = clock.run(|| Timer::after(SECOND, move || its.fetch_add(1, Ordering::Relaxed)));
        let timer = Arc::new(timer);
        let other = {
            let timer = timer.clone();
            thread::spawn(move || timer.cancel())
        };
        let time = advance(&clock);
        let outcomes = [timer.cancel(), other.join().unwrap()];
        time.join().unwrap();
        match calls.load(Ordering::Relaxed) {
            0 => assert!(timer.cancel().is_prevented()),
            _ => assert!(!outcomes.contains(&Cancel::Prevented)),
        }
    });
}

#[test]
fn reset_as_it_rings() {
    model(
        "timer: reset as it rings, it is called once and at one of both instants",
        || {
            let clock = ManualClock::new();
            let timer = clock.run(|| Timer::after(SECOND, latchwork::time::now));
            let begin = clock.now();
            let time = advance(&clock);
            let is_moved = timer.reset_to(begin + 3 * SECOND);
            time.join().unwrap();
            assert_eq!(timer.is_finished(), !is_moved);
            clock.advance(2 * SECOND);
            let at = timer.join().unwrap() - begin;
            assert_eq!(at, if is_moved { 3 * SECOND } else { SECOND });
        },
    );
}

#[test]
fn set_as_time_passes() {
    model(
        "timer: set for an instant that passes meanwhile, it rings with the next advance",
        || {
            let clock = ManualClock::new();
            let at = clock.now() + SECOND;
            let time = advance(&clock);
            let timer = clock.run(|| Timer::at(at, || 1));
            time.join().unwrap();
            clock.advance(Duration::ZERO);
            assert_eq!(timer.join().unwrap(), 1);
        },
    );
}

#[test]
fn joined_as_it_rings() {
    model(
        "timer: joined as it rings, by a thread that goes to sleep",
        || {
            let clock = ManualClock::new();
            let timer = clock.run(|| Timer::after(SECOND, || 1));
            let time = advance(&clock);
            assert_eq!(timer.join().unwrap(), 1);
            time.join().unwrap();
        },
    );
}

#[test]
fn a_repeated_one_cancelled_as_it_is_set_again() {
    model(
        "timer: one that repeats is cancelled as it is called and set again",
        || {
            let clock = ManualClock::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let its = calls.clone();
            let timer = clock.run(|| {
                Timer::every(SECOND).run(move |_| {
                    its.fetch_add(1, Ordering::Relaxed);
                })
            });
            let time = advance(&clock);
            let outcome = timer.cancel();
            let before = calls.load(Ordering::Relaxed);
            time.join().unwrap();
            let after = calls.load(Ordering::Relaxed);
            // Prevented: not one call more. Running: that one.
            assert!(after == before || (outcome == Cancel::Running && after == before + 1));
            assert_ne!(outcome, Cancel::Finished);
            clock.advance(5 * SECOND);
            assert_eq!(calls.load(Ordering::Relaxed), after);
            assert_eq!(clock.armed(), 0);
            assert!(matches!(timer.join(), Err(TimerError::Cancelled)));
        },
    );
}

#[test]
fn a_scheduler_cancelled_as_its_timers_ring() {
    model(
        "scheduler: all are cancelled as one rings, and who joins goes on",
        || {
            let clock = ManualClock::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let its = calls.clone();
            let scheduler = Scheduler::new();
            let timer =
                clock.run(|| scheduler.after(SECOND, move || its.fetch_add(1, Ordering::Relaxed)));
            let time = advance(&clock);
            let prevented = scheduler.cancel_all();
            scheduler.join();
            assert!(timer.is_finished());
            assert_eq!(calls.load(Ordering::Relaxed) + prevented, 1);
            time.join().unwrap();
            assert_eq!((scheduler.pending(), clock.armed()), (0, 0));
        },
    );
}

#[test]
fn time_passes_in_two_threads() {
    model(
        "clock: advanced by two threads, each timer rings once",
        || {
            let clock = ManualClock::new();
            let timers = clock.run(|| [1, 2].map(|n| Timer::after(n * SECOND, move || n)));
            let time = advance(&clock);
            clock.advance(2 * SECOND);
            time.join().unwrap();
            // Both may have begun at the same moment.
            clock.advance(SECOND);
            assert_eq!(
                timers.map(|timer| timer.try_join().unwrap().unwrap()),
                [1, 2]
            );
        },
    );
}

#[test]
fn a_deadline_passes_as_the_sleep_begins() {
    model(
        "clock: a deadline passes as the wait under it goes to sleep",
        || {
            let clock = ManualClock::new();
            let waiter = {
                let clock = clock.clone();
                let at = clock.now() + SECOND;
                thread::spawn(move || clock.run(|| Event::new().wait_within(at)))
            };
            clock.advance(SECOND);
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::TimedOut));
            assert_eq!(clock.armed(), 0);
        },
    );
}

#[test]
fn a_deadline_against_a_grant() {
    model(
        "clock: a deadline passes as what is waited for comes",
        || {
            let clock = ManualClock::new();
            let event = Arc::new(Event::new());
            let waiter = {
                let (clock, event) = (clock.clone(), event.clone());
                let at = clock.now() + SECOND;
                thread::spawn(move || clock.run(|| event.wait_within(at)))
            };
            let setter = {
                let event = event.clone();
                thread::spawn(move || event.set())
            };
            clock.advance(SECOND);
            let _either = waiter.join().unwrap();
            setter.join().unwrap();
            assert_eq!(clock.armed(), 0);
        },
    );
}

#[test]
fn the_end_of_time_against_a_deadline() {
    model(
        "clock: it goes away as somebody begins to wait under it",
        || {
            let clock = ManualClock::new();
            let at = clock.now() + SECOND;
            let its = clock.clone();
            let waiter = thread::spawn(move || {
                let event = Event::new();
                let sleeping = its.run(|| sleep_async(SECOND));
                let gave_up = its.run(|| event.wait_within(at));
                drop(its);
                loom::future::block_on(sleeping);
                gave_up
            });
            clock.advance(SECOND);
            drop(clock);
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::TimedOut));
        },
    );
}

#[test]
fn waiting_for_a_deadline_to_be_known() {
    model(
        "clock: a test waits for a timer that is just being set",
        || {
            let clock = ManualClock::new();
            let setter = {
                let clock = clock.clone();
                thread::spawn(move || clock.run(|| Timer::after(SECOND, || 1)))
            };
            clock.wait_until_armed(1);
            clock.advance(SECOND);
            assert_eq!(setter.join().unwrap().try_join().unwrap().unwrap(), 1);
        },
    );
}

#[test]
fn a_sleeping_task_is_woken() {
    model("sleep: a task is polled as its instant comes", || {
        let clock = ManualClock::new();
        let sleeping = clock.run(|| sleep_async(SECOND));
        let time = advance(&clock);
        loom::future::block_on(sleeping);
        time.join().unwrap();
        assert_eq!(clock.armed(), 0);
    });
}

#[test]
fn a_time_out_against_a_cancellation() {
    model(
        "timeout: deadline and token at once end it, by either",
        || {
            let clock = ManualClock::new();
            let token = CancelToken::new();
            let limited = clock.run(|| timeout(token.within(SECOND), std::future::pending::<()>()));
            let time = advance(&clock);
            let canceller = {
                let token = token.clone();
                thread::spawn(move || token.cancel())
            };
            assert!(loom::future::block_on(limited).is_err());
            time.join().unwrap();
            canceller.join().unwrap();
            assert_eq!(clock.armed(), 0);
        },
    );
}

#[test]
fn awaiting_a_cancellation() {
    model(
        "cancel: a task awaits a token that fires as it is polled",
        || {
            let token = CancelToken::new();
            let canceller = {
                let token = token.clone();
                thread::spawn(move || token.cancel())
            };
            loom::future::block_on(token.wait_async());
            canceller.join().unwrap();
        },
    );
}

#[test]
fn set_as_the_thread_falls_asleep() {
    model(
        "wheel: an alarm is set as the thread that turns it goes to sleep",
        || {
            let wheel = Turned::new();
            let turning = {
                let wheel = wheel.clone();
                thread::spawn(move || wheel.turn())
            };
            let alarm = wheel.set();
            while alarm.ends() == (0, 0) {
                thread::yield_now();
            }
            wheel.stop();
            turning.join().unwrap();
            assert_eq!(alarm.ends(), (1, 0));
        },
    );
}

#[test]
fn stopped_as_an_alarm_is_set() {
    model(
        "wheel: stopped as alarms are set and taken out, each rings, is lost, or is taken out",
        || {
            let wheel = Turned::new();
            let turning = {
                let wheel = wheel.clone();
                thread::spawn(move || wheel.turn())
            };
            let setter = {
                let wheel = wheel.clone();
                thread::spawn(move || {
                    let alarm = wheel.set();
                    let is_out = wheel.take_out(&alarm);
                    (alarm, is_out)
                })
            };
            wheel.stop();
            // What is set from now on is lost at once.
            assert_eq!(wheel.set().ends(), (0, 1));
            turning.join().unwrap();
            let (alarm, is_out) = setter.join().unwrap();
            let (rung, lost) = alarm.ends();
            assert_eq!(rung + lost + usize::from(is_out), 1);
        },
    );
}

#[test]
fn stopped_as_an_alarm_rings() {
    model(
        "wheel: stopped by two as an alarm rings, which has rung by then or never does",
        || {
            let wheel = Turned::new();
            let turning = {
                let wheel = wheel.clone();
                thread::spawn(move || wheel.turn())
            };
            let alarm = wheel.set();
            let other = {
                let wheel = wheel.clone();
                thread::spawn(move || wheel.stop())
            };
            wheel.stop();
            let ends = alarm.ends();
            assert_eq!(ends.0 + ends.1, 1);
            other.join().unwrap();
            turning.join().unwrap();
            assert_eq!(alarm.ends(), ends);
        },
    );
}
