//! `thread::Builder`: names, daemons, stacks, runnables. Rows T8, T31, T32, T34-T36, T48.

mod common;

use common::watchdog;
use latchwork::thread::{self, Builder, Runnable, SpawnError, StackSizeError};
use std::sync::Mutex;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn work() -> String {
    thread::current().name().to_string()
}

/// T31: a name of its own making tells the function; the empty name is none; names need not differ.
#[test]
fn default_names() {
    watchdog(LIMIT, "default_names", || {
        for builder in [Builder::new(), Builder::new().name("")] {
            let name = builder.spawn(work).unwrap().join().unwrap();
            let number = name
                .strip_prefix("Thread-")
                .unwrap()
                .strip_suffix(" (work)");
            assert!(number.unwrap().parse::<u32>().is_ok(), "{name}");
        }
        let closure = thread::spawn(|| ());
        assert!(
            closure.name().ends_with(" (default_names)"),
            "{}",
            closure.name()
        );
        closure.join().unwrap();
        let twins = [0; 2].map(|_| Builder::new().name("twin").spawn(work).unwrap());
        let [a, b] = twins.map(|twin| twin.join().unwrap());
        assert_eq!((&*a, &*b), ("twin", "twin"));
        let long = "x".repeat(1000);
        let builder = Builder::new().name(long.clone());
        assert_eq!(builder.spawn(work).unwrap().join().unwrap(), long);
    });
}

/// T32, T48: the flag is the creator's, unless said otherwise, and fixed before the start.
#[test]
fn daemons_beget_daemons() {
    watchdog(LIMIT, "daemons_beget_daemons", || {
        let child_is_daemon = || {
            thread::spawn(|| thread::current().is_daemon())
                .join()
                .unwrap()
        };
        assert!(!child_is_daemon(), "of a foreign thread");
        for flag in [false, true] {
            let parent = Builder::new().daemon(flag).spawn(move || {
                let grandchild = thread::spawn(child_is_daemon).join().unwrap();
                let other = Builder::new().daemon(!flag);
                let other = other.spawn(|| thread::current().is_daemon()).unwrap();
                (
                    thread::current().is_daemon(),
                    grandchild,
                    other.join().unwrap(),
                )
            });
            assert_eq!(parent.unwrap().join().unwrap(), (flag, flag, !flag));
        }
        // Created by a daemon, started by a thread that is none.
        let created = Builder::new().daemon(true).spawn(|| {
            let unstarted = Builder::new().build(|| thread::current().is_daemon());
            assert!(unstarted.is_daemon());
            unstarted
        });
        let unstarted = created.unwrap().join().unwrap();
        assert!(unstarted.start().unwrap().join().unwrap());
    });
}

/// T34: a type that says what to do; its fields are its arguments.
#[test]
fn runnables() {
    struct Sum(Vec<u32>);
    impl Runnable for Sum {
        type Output = u32;
        fn run(self) -> u32 {
            assert!(thread::current().name().ends_with(" (Sum)"));
            self.0.iter().sum()
        }
    }
    watchdog(LIMIT, "runnables", || {
        let sum = Builder::new().spawn_runnable(Sum(vec![1, 2, 3])).unwrap();
        assert_eq!(sum.join().unwrap(), 6);
    });
}

/// T36: an unstarted thread has a name and no more; it starts once.
#[test]
fn an_unstarted_thread() {
    watchdog(LIMIT, "an_unstarted_thread", || {
        let unstarted = Builder::new().name("later").build(work);
        assert_eq!(unstarted.name(), "later");
        assert!(
            thread::enumerate()
                .iter()
                .all(|thread| &*thread.name() != "later")
        );
        assert!(format!("{unstarted:?}").contains("later"));
        assert_eq!(unstarted.start().unwrap().join().unwrap(), "later");
    });
}

/// The default is the whole process's.
static DEFAULT_SIZE: Mutex<()> = Mutex::new(());

/// T8: the size before comes back; bad sizes change nothing.
#[test]
fn the_default_stack_size() {
    watchdog(LIMIT, "the_default_stack_size", || {
        let _alone = DEFAULT_SIZE.lock().unwrap();
        assert_eq!(thread::set_default_stack_size(0), Ok(0));
        assert_eq!(thread::set_default_stack_size(8 << 20), Ok(0));
        for (bad, why) in [
            (1, StackSizeError::TooSmall),
            (32_767, StackSizeError::TooSmall),
            (usize::MAX, StackSizeError::TooBig),
        ] {
            assert_eq!(thread::set_default_stack_size(bad), Err(why));
            let refused = Builder::new().stack_size(bad).spawn(|| ()).unwrap_err();
            assert!(matches!(refused, SpawnError::InvalidStackSize(other) if other == why));
        }
        // More than the platform's own 2 MiB, and less.
        assert_eq!(thread::spawn(|| deep(2300)).join(), Ok(2300));
        assert_eq!(thread::set_default_stack_size(32_768), Ok(8 << 20));
        assert_eq!(thread::spawn(|| deep(2)).join(), Ok(2));
        assert_eq!(thread::set_default_stack_size(0), Ok(32_768));
        let big = Builder::new().stack_size(8 << 20);
        assert_eq!(big.spawn(|| deep(2300)).unwrap().join(), Ok(2300));
    });
}

/// Uses more than a KiB of stack a level.
fn deep(levels: usize) -> usize {
    let frame = std::hint::black_box([0_u8; 1024]);
    match levels {
        0 => usize::from(frame[0]),
        _ => 1 + deep(levels - 1),
    }
}

/// A stack that no memory serves is the system's refusal, and no panic.
#[test]
fn a_stack_that_nobody_has() {
    let refused = Builder::new().stack_size(1 << 60).spawn(|| ());
    assert!(matches!(refused, Err(SpawnError::Os(_))));
}
