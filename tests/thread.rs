//! `thread`: starting and joining, in all four faces. Rows T39, T42, T53 of the behaviour list.

mod common;

use common::{block_on, watchdog};
use latchwork::{CancelToken, GaveUp, debug, thread};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
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

/// T53: a handle that is dropped lets the thread run on, and what it returns is dropped by its end.
#[test]
fn nothing_is_left_of_a_thread_whose_handle_was_dropped() {
    watchdog(LIMIT, "nothing_is_left", || {
        let (release, wait) = mpsc::channel::<()>();
        let returned = Arc::new(());
        let its = Arc::clone(&returned);
        drop(thread::spawn(move || {
            let _ = wait.recv();
            its
        }));
        assert_eq!(Arc::strong_count(&returned), 2);
        drop(release);
        while Arc::strong_count(&returned) > 1 {
            std::thread::yield_now();
        }
    });
}

/// A result is dropped once, in whatever way it is not used.
#[test]
fn a_result_that_nobody_takes_is_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    watchdog(LIMIT, "a_result_that_nobody_takes", || {
        let drops = Arc::new(AtomicUsize::new(0));
        let start = || {
            let drops = Arc::clone(&drops);
            let handle = thread::spawn(move || Counted(drops));
            while !handle.is_finished() {
                std::thread::yield_now();
            }
            handle
        };
        drop(start());
        while drops.load(Ordering::Relaxed) < 1 {
            std::thread::yield_now();
        }
        let result = start().join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        drop(result);
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        drop(start().join_async());
        while drops.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        assert_eq!(Arc::strong_count(&drops), 1);
    });
}

#[test]
fn panics_of_every_kind() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb, on purpose");
        }
    }
    watchdog(LIMIT, "panics_of_every_kind", || {
        let number = 7;
        let said = thread::spawn(move || -> () { panic!("number {number}") });
        assert_eq!(said.join().unwrap_err().message, "number 7");
        let other = thread::spawn(|| -> () { std::panic::panic_any(7) });
        let message = other.join().unwrap_err().message;
        assert_eq!(message, "a payload that is not a string");
        // A payload, and something captured, whose own drop panics.
        let payload = thread::spawn(|| -> () { std::panic::panic_any(Bomb) });
        assert!(payload.join().is_err());
        let captured = Bomb;
        let dropped = thread::spawn(move || {
            let _captured = captured;
        });
        assert_eq!(dropped.join().unwrap_err().message, "a bomb, on purpose");
    });
}

/// T40: reported, and with `OnDeadlock::Panic` an end; here the thread waits with a limit.
#[test]
fn a_thread_that_joins_itself_within_a_limit_gives_up() {
    watchdog(LIMIT, "a_thread_that_joins_itself", || {
        let (send, receive) = mpsc::channel::<thread::JoinHandle<()>>();
        let (told, tell) = mpsc::channel();
        let handle = thread::spawn(move || {
            let itself = receive.recv().unwrap();
            let gave_up = itself.join_within(Duration::from_millis(1)).unwrap_err();
            told.send((gave_up.why, gave_up.handle)).unwrap();
        });
        send.send(handle).unwrap();
        let (why, handle) = tell.recv().unwrap();
        assert_eq!(why, GaveUp::TimedOut);
        handle.join().unwrap();
    });
}

/// Without memory for a stack there is no thread, and what it would have used is dropped.
#[cfg(target_os = "linux")]
#[test]
fn a_system_that_gives_no_thread() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const CHILD: &str = "LATCHWORK_TEST_NO_THREAD";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_system_that_gives_no_thread", "--nocapture"])
            .env(CHILD, "")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let page = 4096;
    let before = getrlimit(Resource::As);
    let current = Some(pages * page + (1 << 20));
    setrlimit(Resource::As, Rlimit { current, ..before }).unwrap();
    let captured = Arc::new(());
    let its = Arc::clone(&captured);
    let error = thread::spawn_named("none", move || drop(its))
        .map(drop)
        .unwrap_err();
    let unnamed = std::panic::catch_unwind(|| drop(thread::spawn(|| ())));
    setrlimit(Resource::As, before).unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    assert!(unnamed.is_err());
    assert_eq!(Arc::strong_count(&captured), 1);
    assert!(thread::spawn_named("one", || ()).unwrap().join().is_ok());
}
