//! The watchdog of the other tests, tested: here, so that it is not run again in each of them.

mod common;

use common::watchdog;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_body_that_ends_gives_its_value() {
    assert_eq!(watchdog(LONG, "ends", || 7), 7);
}

#[test]
#[should_panic(expected = "from the body")]
fn a_panic_of_the_body_goes_on_in_the_caller() {
    watchdog(LONG, "panics", || panic!("from the body"));
}

/// Tells the test below that it is the child, and is to hang.
const HANG: &str = "LATCHWORK_TEST_HANG";

#[test]
fn a_hang_is_reported_by_name_and_aborts() {
    if std::env::var_os(HANG).is_some() {
        watchdog(Duration::from_millis(50), "the_hanging_one", || {
            loop {
                std::thread::park();
            }
        });
    }
    watchdog(LONG, "outer", || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_hang_is_reported_by_name_and_aborts"])
            .env(HANG, "1")
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "SIGABRT: {report}");
        assert!(
            report.contains("`the_hanging_one`") && report.contains("watchdog.rs:"),
            "{report}"
        );
        assert!(
            report.contains("`the_hanging_one`: S"),
            "its threads are listed: {report}"
        );
    });
}
