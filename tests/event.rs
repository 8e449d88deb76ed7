//! `sync::Event`: rows T98-T104, and X2.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::Event;
use latchwork::{CancelToken, GaveUp};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn set_and_clear_say_whether_they_changed_it() {
    let event = Event::new();
    assert!(!event.is_set());
    assert!(event.set());
    assert!(!event.set());
    assert!(event.is_set());
    assert!(event.clear());
    assert!(!event.clear());
    assert_eq!(
        format!("{event:?}"),
        "Event { is_set: false, waited_for: false }"
    );
}

#[test]
fn set_releases_everybody_who_waits() {
    watchdog(LIMIT, "set_releases_everybody", || {
        let event = Event::new();
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| event.wait());
            }
            until_parked("Event", &event, 8);
            event.set();
        });
        event.wait();
    });
}

#[test]
fn set_followed_by_clear_releases_those_who_waited_and_no_others() {
    watchdog(LIMIT, "set_followed_by_clear", || {
        let event = Event::new();
        for _ in 0..200 {
            thread::scope(|s| {
                s.spawn(|| event.wait());
                s.spawn(|| event.wait());
                until_parked("Event", &event, 2);
                event.set();
                event.clear();
            });
            assert_eq!(event.wait_within(Duration::ZERO), Err(GaveUp::TimedOut));
        }
    });
}

#[test]
fn limits() {
    watchdog(LIMIT, "limits", || {
        let event = Event::new();
        let begin = Instant::now();
        let limit = Duration::from_millis(20);
        assert_eq!(event.wait_within(limit), Err(GaveUp::TimedOut));
        assert!(begin.elapsed() >= limit);
        let token = CancelToken::new();
        thread::scope(|s| {
            let waiter = s.spawn(|| event.wait_within(&token));
            until_parked("Event", &event, 1);
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
        });
        event.set();
        assert_eq!(
            event.wait_within(&token),
            Ok(()),
            "what can be done at once is"
        );
    });
}

/// X2, T103: what was set before the deadline is no time-out, and a set that comes too late is one.
#[test]
fn a_time_out_that_coincides_with_set() {
    watchdog(LIMIT, "a_time_out_that_coincides_with_set", || {
        let event = Event::new();
        for round in 0..400 {
            let deadline = Instant::now() + Duration::from_micros(300);
            let pause = Duration::from_micros(250 + round % 100);
            let (set_at, outcome) = thread::scope(|s| {
                let waiter = s.spawn(|| event.wait_within(deadline));
                let begin = Instant::now();
                while begin.elapsed() < pause {
                    std::hint::spin_loop();
                }
                event.set();
                (Instant::now(), waiter.join().unwrap())
            });
            if set_at < deadline {
                assert_eq!(outcome, Ok(()));
            }
            assert!(event.clear());
        }
    });
}

/// T101, T102: cleared again before the thread that waited has run.
#[test]
fn a_task_remembers_the_set_that_was_cleared() {
    let event = Event::new();
    let mut before = pin!(event.wait_async());
    let mut polled = pin!(event.wait_async());
    assert!(common::poll(polled.as_mut(), Waker::noop()).is_pending());
    event.set();
    event.clear();
    let mut after = pin!(event.wait_async());
    assert!(common::poll(before.as_mut(), Waker::noop()).is_ready());
    assert!(common::poll(polled.as_mut(), Waker::noop()).is_ready());
    assert!(common::poll(after.as_mut(), Waker::noop()).is_pending());
}

#[test]
fn debug_says_that_somebody_waits() {
    let event = Event::new();
    let mut waiting = Box::pin(event.wait_async());
    assert!(common::poll(waiting.as_mut(), Waker::noop()).is_pending());
    assert_eq!(
        format!("{event:?}"),
        "Event { is_set: false, waited_for: true }"
    );
    drop(waiting);
    event.set();
    assert_eq!(
        format!("{event:?}"),
        "Event { is_set: true, waited_for: false }"
    );
}

#[test]
fn a_task_is_released_too() {
    watchdog(LIMIT, "a_task_is_released_too", || {
        let event = Arc::new(Event::new());
        let task = {
            let event = Arc::clone(&event);
            thread::spawn(move || common::block_on(event.wait_async()))
        };
        until_parked("Event", &*event, 1);
        event.set();
        task.join().unwrap();
    });
}

#[test]
fn a_panicking_waker_does_not_keep_the_others_asleep() {
    let event = Event::new();
    let (mut first, mut second) = (Box::pin(event.wait_async()), Box::pin(event.wait_async()));
    let (waker, count) = common::counting_waker();
    assert!(common::poll(first.as_mut(), &common::bad_waker()).is_pending());
    assert!(common::poll(second.as_mut(), &waker).is_pending());
    assert!(event.set());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let event = Event::new();
    let mut future = pin!(event.wait_async());
    let (waker, count) = common::counting_waker();
    assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
    assert!(common::poll(future.as_mut(), &waker).is_pending());
    event.set();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_waker_that_looks_around_when_it_is_dropped() {
    watchdog(LIMIT, "a_waker_that_looks_around", || {
        struct Curious;
        impl Wake for Curious {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for Curious {
            fn drop(&mut self) {
                // Takes every bucket's lock in turn.
                latchwork::debug::waits();
            }
        }
        let event = Event::new();
        let mut future = pin!(event.wait_async());
        let waker = Arc::new(Curious).into();
        assert!(common::poll(future.as_mut(), &waker).is_pending());
        drop(waker);
        assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
    });
}

#[test]
fn the_mark_goes_with_the_last_waiter() {
    let event = Event::new();
    assert!(event.wait_within(Duration::from_millis(2)).is_err());
    assert!(format!("{event:?}").contains("waited_for: false"));
}
