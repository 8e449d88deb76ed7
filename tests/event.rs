//! `sync::Event`: rows T98-T104.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::Event;
use latchwork::{CancelToken, GaveUp};
use std::sync::Arc;
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
