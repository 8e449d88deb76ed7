//! `ipc::Event` between threads and between processes (rows S12, S13, S18, S28, S33).

#![cfg(all(feature = "process", target_os = "linux"))]

#[path = "common/asleep.rs"]
mod asleep;
mod common;
#[path = "kill/scratch.rs"]
mod scratch;
#[path = "common/storm.rs"]
mod storm;
#[path = "kill/victim.rs"]
mod victim;

use asleep::{asleep, until_asleep};
use common::{block_on, pending, ready, watchdog};
use latchwork::ipc::{AccessError, Event};
use latchwork::{CancelToken, GaveUp};
use scratch::scratch;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};
use storm::{is_granted_in_a_storm, times_out_in_a_storm};
use victim::{Victim, timed};

const LIMIT: Duration = Duration::from_secs(60);

/// S12.
#[test]
fn set_releases_all_who_wait_and_all_who_come() {
    watchdog(LIMIT, "set", || {
        let event = Event::new().unwrap();
        assert!(!event.is_set().unwrap());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| event.wait().unwrap());
            }
            assert!(event.set().unwrap());
        });
        assert!(!event.set().unwrap());
        event.wait().unwrap();
        assert!(event.clear().unwrap());
        assert!(!event.clear().unwrap());
        let error = event.wait_within(Duration::from_millis(2)).unwrap_err();
        assert!(matches!(error, AccessError::GaveUp(_)));
    });
}

/// S13: the flag is down again before any of the released has run, and all were released. S18: threads and
/// processes alike.
#[test]
fn a_set_that_is_followed_by_a_clear_releases_who_waits() {
    watchdog(LIMIT, "set and clear", || {
        let event = Event::new().unwrap();
        let told = scratch();
        let processes: Vec<_> = (0..3)
            .map(|place| {
                Victim::new(|| {
                    // It has its place in the roster, so that it sleeps for one reason only.
                    event.clear().unwrap();
                    told[place].store(1, SeqCst);
                    event.wait().unwrap();
                })
            })
            .collect();
        thread::scope(|scope| {
            asleep(scope, || event.wait().unwrap());
            for (place, process) in processes.iter().enumerate() {
                victim::wait_until(|| told[place].load(SeqCst) == 1);
                until_asleep(process.pid);
            }
            // No waiter runs between the two, if all are stopped.
            processes.iter().for_each(|it| it.stop());
            event.set().unwrap();
            event.clear().unwrap();
            processes.iter().for_each(|it| it.signal(libc::SIGCONT));
        });
        processes.into_iter().for_each(Victim::join);
        assert!(!event.is_set().unwrap());
    });
}

/// S12: what Python's `set` waits for.
#[test]
fn killed_and_stopped_waiters_cost_nothing() {
    watchdog(LIMIT, "waiters killed", || {
        let event = Event::new().unwrap();
        let told = scratch();
        for round in 0..10 {
            let before = told[0].load(SeqCst);
            let wait = || {
                event.clear().unwrap();
                told[0].fetch_add(1, SeqCst);
                event.wait().unwrap();
            };
            let mut waiters: Vec<_> = (0..3).map(|_| Victim::new(wait)).collect();
            victim::wait_until(|| told[0].load(SeqCst) == before + 3);
            waiters.iter().for_each(|waiter| until_asleep(waiter.pid));
            let stopped = waiters.pop().unwrap();
            stopped.stop();
            let killed = waiters.pop().unwrap();
            if round % 2 == 0 {
                killed.kill();
                assert!(event.set().unwrap());
            } else {
                assert!(event.set().unwrap());
                killed.kill();
            }
            let ((), took) = timed(|| waiters.pop().unwrap().join());
            assert!(took < Duration::from_secs(1), "left waiting for {took:?}");
            stopped.signal(libc::SIGCONT);
            stopped.join();
            assert!(event.clear().unwrap());
        }
    });
}

/// S12: a process that is killed anywhere in `set` and `clear` leaves an event that works.
#[test]
fn killed_setters_leave_the_event_usable() {
    watchdog(LIMIT, "setters killed", || {
        let event = Event::new().unwrap();
        let told = scratch();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..60 {
            let before = told[0].load(SeqCst);
            let setter = Victim::new(|| {
                loop {
                    event.set().unwrap();
                    event.clear().unwrap();
                    told[0].fetch_add(1, SeqCst);
                }
            });
            let waiter = Victim::new(|| event.wait().unwrap());
            victim::wait_until(|| told[0].load(SeqCst) > before);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            thread::sleep(Duration::from_micros(random % 2000));
            setter.kill();
            let (_, took) = timed(|| event.set().unwrap());
            assert!(took < Duration::from_secs(1), "set took {took:?}");
            let ((), took) = timed(|| waiter.join());
            assert!(took < Duration::from_secs(1), "left waiting for {took:?}");
            event.wait().unwrap();
            assert!(event.clear().unwrap());
        }
    });
}

/// S12, S13: 1,000 rounds of set and clear between four processes, none of which misses one.
#[test]
fn a_thousand_rounds_with_four_processes() {
    watchdog(LIMIT, "1,000 rounds", || {
        let events = [0, 1].map(|_| Event::new().unwrap());
        let done = [0, 1].map(|_| Event::new().unwrap());
        let told = scratch();
        let follow = || {
            for round in 0..1000 {
                events[round % 2].wait().unwrap();
                if told[0].fetch_add(1, SeqCst) as usize == 3 * round + 2 {
                    done[round % 2].set().unwrap();
                }
            }
        };
        let followers: Vec<_> = (0..3).map(|_| Victim::new(follow)).collect();
        for round in 0..1000 {
            events[round % 2].set().unwrap();
            done[round % 2].wait().unwrap();
            assert_eq!(told[0].load(SeqCst) as usize, 3 * (round + 1));
            events[round % 2].clear().unwrap();
            done[round % 2].clear().unwrap();
        }
        followers.into_iter().for_each(Victim::join);
    });
}

/// S28: interruptions end no wait. S33: and no deadline moves with them; deadlines and slices are on the
/// monotonic clock.
#[test]
fn a_storm_of_signals_neither_ends_nor_stretches_a_wait() {
    watchdog(LIMIT, "storm", || {
        let event = Event::new().unwrap();
        let error = times_out_in_a_storm(|limit| event.wait_within(limit)).unwrap_err();
        assert_eq!(error.gave_up(), Some(GaveUp::TimedOut));
        is_granted_in_a_storm(|| event.wait().unwrap(), || assert!(event.set().unwrap()));
    });
}

/// S12.
#[test]
fn limits_poll_time_out_and_cancel() {
    watchdog(LIMIT, "limits", || {
        let event = Event::new().unwrap();
        for limit in [0, 1, 7, 120].map(Duration::from_millis) {
            let began = Instant::now();
            let error = event.wait_within(limit).unwrap_err();
            assert_eq!(error.gave_up(), Some(GaveUp::TimedOut));
            assert!(began.elapsed() >= limit);
        }
        let token = CancelToken::new();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| event.wait_within(&token).unwrap_err().gave_up());
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Some(GaveUp::Cancelled));
        });
        event.set().unwrap();
        event.wait_within(&token).unwrap();
    });
}

#[test]
fn who_waits_when_the_maker_drops_it_is_told() {
    watchdog(LIMIT, "gone", || {
        let event = Event::new().unwrap();
        let visitor: Event = postcard::from_bytes(&postcard::to_stdvec(&event).unwrap()).unwrap();
        assert!(visitor.set().unwrap());
        assert!(event.clear().unwrap());
        thread::scope(|scope| {
            let waiter = asleep(scope, || visitor.wait());
            drop(event);
            assert!(matches!(waiter.join().unwrap(), Err(AccessError::Gone)));
        });
        assert!(matches!(visitor.set(), Err(AccessError::Gone)));
        assert!(matches!(visitor.is_set(), Err(AccessError::Gone)));
        assert_eq!(format!("{visitor:?}"), "Event(gone)");
    });
}

/// S12: futures and threads wait for the same event.
#[test]
fn futures_wait_too() {
    watchdog(LIMIT, "futures", || {
        let event = Event::new().unwrap();
        let dropped = pending(event.wait_async());
        let released = pending(event.wait_async());
        drop(dropped);
        let setter = Victim::new(|| assert!(event.set().unwrap()));
        block_on(released).unwrap();
        setter.join();
        ready(event.wait_async()).unwrap();
        // One that was begun before and is polled after set and clear.
        event.clear().unwrap();
        let late = pending(event.wait_async());
        event.set().unwrap();
        event.clear().unwrap();
        block_on(late).unwrap();
    });
}
