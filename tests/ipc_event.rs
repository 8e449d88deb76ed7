//! `ipc::Event` between threads and between processes (rows S12, S13).

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;

use common::watchdog;
use latchwork::ipc::{AccessError, Event};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

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
