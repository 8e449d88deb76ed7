//! `thread`: starting and joining, in all four faces. Rows T39, T42, T53 of the behaviour list.

mod common;

use common::{block_on, watchdog};
use latchwork::{CancelToken, GaveUp, debug, thread};
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn join_returns_what_the_thread_returned_or_its_panic() {
    watchdog(LIMIT, "join_returns", || {
        assert_eq!(thread::spawn(|| 6 * 7).join().unwrap(), 42);
        let unlucky = thread::spawn_named("unlucky", || -> () { panic!("on purpose") }).unwrap();
        assert_eq!(unlucky.name(), "unlucky");
        let panic = unlucky.join().unwrap_err();
        assert_eq!(panic.message, "on purpose");
        assert_eq!(panic.thread.as_deref(), Some("unlucky"));
    });
}

#[test]
fn every_way_to_join_gives_up_without_losing_the_thread() {
    watchdog(LIMIT, "every_way_to_join", || {
        let (release, wait) = mpsc::channel::<()>();
        let handle = thread::spawn(move || wait.recv().is_err());
        let handle = handle.try_join().unwrap_err();
        assert!(!handle.is_finished());
        let gave_up = handle.join_within(Duration::from_millis(5)).unwrap_err();
        assert_eq!(gave_up.why, GaveUp::TimedOut);
        let token = CancelToken::new();
        let handle = gave_up.handle;
        let gave_up = std::thread::scope(|s| {
            let joiner = s.spawn(|| handle.join_within(&token).unwrap_err());
            while debug::waits().iter().all(|wait| wait.kind != "Thread") {
                std::thread::yield_now();
            }
            token.cancel();
            joiner.join().unwrap()
        });
        assert_eq!(gave_up.why, GaveUp::Cancelled);
        drop(release);
        assert!(block_on(gave_up.handle.join_async()).unwrap());
    });
}

#[test]
fn what_was_captured_is_gone_before_join_returns() {
    watchdog(LIMIT, "what_was_captured", || {
        for panics in [false, true] {
            let captured = Arc::new(());
            let weak: Weak<()> = Arc::downgrade(&captured);
            let outcome = thread::spawn(move || {
                let _captured = &captured;
                assert!(!panics, "on purpose");
            });
            assert_eq!(outcome.join().is_err(), panics);
            assert_eq!(weak.strong_count(), 0);
        }
    });
}

#[test]
fn a_zero_byte_in_a_name_is_an_error_and_starts_nothing() {
    let error = thread::spawn_named("a\0b", || ()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_joiner_is_woken_by_the_end() {
    watchdog(LIMIT, "a_joiner_is_woken", || {
        let (release, wait) = mpsc::channel::<()>();
        let handle = thread::spawn(move || wait.recv().is_err());
        std::thread::scope(|s| {
            let joiner = s.spawn(|| handle.join());
            while debug::waits().iter().all(|wait| wait.kind != "Thread") {
                std::thread::yield_now();
            }
            drop(release);
            assert!(joiner.join().unwrap().unwrap());
        });
    });
}
