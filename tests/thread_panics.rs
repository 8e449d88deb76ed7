//! `thread`: what is called and printed when a thread ends in a panic, and the way to end without one. Rows
//! T9-T13, T42, T43.

mod common;

use common::watchdog;
use latchwork::debug::{self, OnDeadlock};
use latchwork::thread::{self, Builder, JoinError};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// The hook is the whole process's.
static HOOK: Mutex<()> = Mutex::new(());

fn unlucky(name: &str) -> thread::JoinHandle<()> {
    let body = || panic!("no luck");
    Builder::new().name(name).spawn(body).unwrap()
}

/// T9, T10, T42: the hook is told what, where and who, in that thread and before the joiner, who is told too.
#[test]
fn the_hook_is_told_everything_first() {
    watchdog(LIMIT, "the_hook_is_told", || {
        let _alone = HOOK.lock().unwrap();
        let (send, told) = mpsc::channel();
        thread::set_panic_hook(move |end| {
            assert_eq!(*end.thread, thread::current());
            assert!(end.thread.is_alive(), "nobody has been told of the end");
            let payload = *end.payload.downcast_ref::<&str>().unwrap();
            let said = (payload, end.thread.clone(), end.panic.clone());
            send.send(said).unwrap();
        });
        let thread = unlucky("unlucky");
        let info = thread.thread().clone();
        let error = thread.join().unwrap_err();
        let (payload, who, panic) = told.try_recv().expect("before the join returns");
        assert_eq!((payload, &*panic.message), ("no luck", "no luck"));
        assert_eq!(who, info);
        assert!(
            panic
                .location
                .as_ref()
                .unwrap()
                .contains("thread_panics.rs:")
        );
        assert_eq!(panic.thread.as_deref(), Some("unlucky"));
        assert_eq!(error, JoinError::Panicked(panic));
        // Caught, it ends no thread.
        let caught = || std::panic::catch_unwind(|| panic!("caught")).is_err();
        assert_eq!(thread::spawn(caught).join(), Ok(true));
        assert!(told.try_recv().is_err());
        thread::take_panic_hook();
        assert!(told.recv().is_err(), "the hook is gone");
    });
}

/// T11, T13: what was there comes back, and without one it is the default.
#[test]
fn a_hook_is_taken_and_put_back() {
    watchdog(LIMIT, "taken_and_put_back", || {
        let _alone = HOOK.lock().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let its_calls = Arc::clone(&calls);
        thread::set_panic_hook(move |_| {
            its_calls.fetch_add(1, Ordering::Relaxed);
        });
        let taken = thread::take_panic_hook();
        assert!(unlucky("default").join().is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        thread::set_panic_hook(move |end| {
            taken(end);
            thread::default_panic_hook(end);
        });
        assert!(unlucky("restored").join().is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        thread::take_panic_hook();
    });
}

/// T43: an exit unwinds, prints nothing, is no panic, and leaves its joiner no result.
#[test]
fn a_thread_exits_from_within() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    fn inner(_held: &Dropped) -> u8 {
        thread::exit_current()
    }
    watchdog(LIMIT, "exits_from_within", || {
        let _alone = HOOK.lock().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let its_calls = Arc::clone(&calls);
        thread::set_panic_hook(move |_| {
            its_calls.fetch_add(1, Ordering::Relaxed);
        });
        let drops = Arc::new(AtomicUsize::new(0));
        let held = Dropped(Arc::clone(&drops));
        let exits = thread::spawn(move || inner(&held));
        assert_eq!(exits.join(), Err(JoinError::Exited));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        // Nor is it one for a scope.
        thread::scope(|s| drop(s.spawn(|| -> u8 { thread::exit_current() })));
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        thread::take_panic_hook();
        // Others would take it for a panic without a message.
        let foreign = std::thread::spawn(|| -> u8 { thread::exit_current() });
        let payload = foreign.join().unwrap_err();
        assert!(
            payload
                .downcast_ref::<&str>()
                .unwrap()
                .contains("latchwork")
        );
    });
}

/// A wait that would be a deadlock panics, and this panic is the thread's like any other.
#[test]
fn threads_that_join_each_other_are_told_by_a_panic() {
    watchdog(LIMIT, "join_each_other", || {
        let _alone = HOOK.lock().unwrap();
        debug::on_deadlock(OnDeadlock::Panic);
        let (send, receive) = mpsc::channel::<thread::JoinHandle<bool>>();
        let (other_send, other_receive) = mpsc::channel::<thread::JoinHandle<bool>>();
        let [a, b] = [receive, other_receive]
            .map(|receive| thread::spawn(move || receive.recv().unwrap().join() == Ok(true)));
        let infos = [a.thread().clone(), b.thread().clone()];
        other_send.send(a).unwrap();
        send.send(b).unwrap();
        // One of them panics, the other one is told of that, and nobody is left waiting.
        infos.iter().for_each(|info| info.wait().unwrap());
        debug::on_deadlock(OnDeadlock::Print);
    });
}

const CHILD: &str = "LATCHWORK_TEST_PANICS";

/// Runs one test of this file, as a child that knows it, in a process of its own.
fn child(test: &str, backtrace: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(CHILD, "").env("RUST_BACKTRACE", backtrace);
    command.env_remove("RUST_LIB_BACKTRACE").output().unwrap()
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn stderr(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// T9: the default prints the name, the message and the place, once; an exit prints nothing (T43).
#[test]
fn what_the_default_prints() {
    if is_child() {
        assert!(unlucky("talkative").join().is_err());
        let quiet = Builder::new()
            .name("quiet")
            .spawn(|| thread::exit_current());
        assert_eq!(quiet.unwrap().join(), Err::<(), _>(JoinError::Exited));
        return;
    }
    let printed = stderr(&child("what_the_default_prints", "0"));
    let ours = printed
        .lines()
        .filter(|line| line.starts_with("latchwork: "));
    let [line] = ours.collect::<Vec<_>>()[..] else {
        panic!("{printed}");
    };
    for part in ["`talkative`", "thread_panics.rs:", ": no luck"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!printed.contains("quiet"), "{printed}");
}

/// T12: a hook that panics is reported once, is called again for the next thread, and every thread ends.
#[test]
fn a_hook_that_panics() {
    if is_child() {
        thread::set_panic_hook(|_| panic!("a bad hook"));
        for name in ["one", "two"] {
            let error = unlucky(name).join().unwrap_err();
            assert_eq!(error.panic().unwrap().message, "no luck");
        }
        return;
    }
    let printed = stderr(&child("a_hook_that_panics", "0"));
    let reports = printed.matches("latchwork: a thread's panic hook panicked: a bad hook");
    assert_eq!(reports.count(), 2, "{printed}");
}

/// T10: the stack comes with the panic if the environment asks for it, and only then.
#[test]
fn the_stack_of_a_panic() {
    if is_child() {
        let hooked = Arc::new(Mutex::new(None));
        let its_hooked = Arc::clone(&hooked);
        thread::set_panic_hook(move |end| {
            *its_hooked.lock().unwrap() = end.panic.backtrace.clone();
        });
        let error = unlucky("deep").join().unwrap_err();
        let trace = error.panic().unwrap().backtrace.clone();
        assert_eq!(*hooked.lock().unwrap(), trace);
        println!(
            "the trace: {:?}",
            trace.map(|trace| trace.contains("unlucky"))
        );
        return;
    }
    for (backtrace, expected) in [("1", "the trace: Some(true)"), ("0", "the trace: None")] {
        let output = child("the_stack_of_a_panic", backtrace);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && printed.contains(expected),
            "{output:?}"
        );
    }
}
