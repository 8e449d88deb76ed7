//! `thread`: starting and joining, in all four faces. Rows T30, T37-T40, T42, T53 of the behaviour list.

mod common;

use common::{block_on, watchdog};
use latchwork::thread::{Builder, JoinError, SpawnError, WaitError};
use latchwork::{CancelToken, debug, thread};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn join_returns_what_the_thread_returned_or_its_panic() {
    watchdog(LIMIT, "join_returns", || {
        assert_eq!(thread::spawn(|| 6 * 7).join().unwrap(), 42);
        let unlucky = Builder::new()
            .name("unlucky")
            .spawn(|| -> () { panic!("on purpose") })
            .unwrap();
        assert_eq!(&*unlucky.name(), "unlucky");
        let JoinError::Panicked(panic) = unlucky.join().unwrap_err() else {
            panic!("it has panicked");
        };
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
        assert_eq!(gave_up.why, WaitError::TimedOut);
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
        assert_eq!(gave_up.why, WaitError::Cancelled);
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
    let captured = Arc::new(());
    let its = Arc::clone(&captured);
    let unstarted = Builder::new().name("a\0b").build(move || drop(its));
    let refused = unstarted.start().unwrap_err();
    assert!(matches!(refused.why, SpawnError::InvalidName(_)));
    assert_eq!(Arc::strong_count(&captured), 2, "given back");
    let error = thread::Builder::new()
        .name("a\0b")
        .spawn(|| ())
        .unwrap_err();
    assert!(error.to_string().contains("zero byte"));
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

fn message(thread: thread::JoinHandle<()>) -> String {
    let error = thread.join().unwrap_err();
    error.panic().expect("it has panicked").message.clone()
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
        assert_eq!(message(said), "number 7");
        let other = thread::spawn(|| -> () { std::panic::panic_any(7) });
        assert_eq!(message(other), "a payload that is not a string");
        // A payload, and something captured, whose own drop panics.
        let payload = thread::spawn(|| -> () { std::panic::panic_any(Bomb) });
        assert!(payload.join().is_err());
        let captured = Bomb;
        let dropped = thread::spawn(move || {
            let _captured = captured;
        });
        assert_eq!(message(dropped), "a bomb, on purpose");
    });
}

/// T40: every way to wait for oneself is an error, and `join_within` gives the handle back.
#[test]
fn a_thread_that_joins_itself_is_told() {
    watchdog(LIMIT, "a_thread_that_joins_itself", || {
        let (send, receive) = mpsc::channel::<thread::JoinHandle<()>>();
        let (told, tell) = mpsc::channel();
        let handle = thread::spawn(move || {
            let itself = receive.recv().unwrap();
            assert_eq!(itself.thread().wait(), Err(WaitError::WouldDeadlock));
            let waited = itself.thread().wait_within(Duration::MAX);
            assert_eq!(waited, Err(WaitError::WouldDeadlock));
            assert_eq!(thread::current().wait(), Err(WaitError::WouldDeadlock));
            let gave_up = itself.join_within(Duration::MAX).unwrap_err();
            told.send((gave_up.why, gave_up.handle)).unwrap();
            let other = receive.recv().unwrap();
            assert_eq!(other.join(), Ok(()), "another thread's");
        });
        send.send(handle).unwrap();
        let (why, handle) = tell.recv().unwrap();
        assert_eq!(why, WaitError::WouldDeadlock);
        send.send(thread::spawn(|| ())).unwrap();
        handle.join().unwrap();
        // A join takes the handle away.
        let (send, receive) = mpsc::channel::<thread::JoinHandle<()>>();
        let (told, tell) = mpsc::channel();
        let handle = thread::spawn(move || told.send(receive.recv().unwrap().join()).unwrap());
        let info = handle.thread().clone();
        send.send(handle).unwrap();
        assert_eq!(tell.recv().unwrap(), Err(JoinError::WouldDeadlock));
        info.wait().unwrap();
    });
}

/// T37: without memory for a stack there is no thread; nothing is left of the attempt, and what it would have
/// used is given back.
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
    let ends = Arc::new(AtomicUsize::new(0));
    let its_ends = Arc::clone(&ends);
    let _hook = thread::on_exit(move |_| {
        its_ends.fetch_add(1, Ordering::Relaxed);
    });
    let listed = thread::active_count();
    let unstarted = Builder::new().name("none").build(move || drop(its));
    let refused = unstarted.start().unwrap_err();
    assert_eq!(thread::active_count(), listed);
    let unnamed = std::panic::catch_unwind(|| drop(thread::spawn(|| ())));
    let scoped = std::panic::catch_unwind(|| thread::scope(|s| drop(s.spawn(|| ()))));
    setrlimit(Resource::As, before).unwrap();
    let SpawnError::Os(error) = refused.why else {
        panic!("{:?}", refused.why);
    };
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    assert!(unnamed.is_err() && scoped.is_err());
    assert_eq!(thread::active_count(), listed);
    assert_eq!(ends.load(Ordering::Relaxed), 0, "no hook has run");
    // It is as it was, and can be tried again.
    assert_eq!(refused.thread.name(), "none");
    assert_eq!(Arc::strong_count(&captured), 2);
    refused.thread.start().unwrap().join().unwrap();
    assert_eq!(Arc::strong_count(&captured), 1);
    assert_eq!(ends.load(Ordering::Relaxed), 1);
}
