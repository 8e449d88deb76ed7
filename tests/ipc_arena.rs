//! The memory behind the objects of `ipc`: it grows, it is given back, and limits are errors.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::ipc::{Lock, LockError, Value};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;
use victim::{Victim, open_descriptors, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// The tests of this file measure one arena, so they take turns.
fn in_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `body` where arrays of some megabytes fit on the stack.
fn with_room(name: &'static str, body: fn()) {
    watchdog(LIMIT, name, move || {
        let _turn = in_turn();
        let thread = thread::Builder::new().stack_size(128 << 20).spawn(body);
        if let Err(panic) = thread.unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// How many bytes of memory this process's arena takes.
fn real() -> u64 {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            std::fs::read_link(path)
                .is_ok_and(|to| to.to_string_lossy().contains("latchwork-arena"))
        })
        .map_or(0, |path| std::fs::metadata(path).unwrap().blocks() * 512)
}

type Megabyte = [u64; 1 << 17];

/// M21, M22: an arena of megabytes where one has been asked for, and without one more descriptor.
#[test]
fn memory_comes_with_objects_and_goes_with_them() {
    with_room("comes and goes", || {
        drop(Lock::new().unwrap());
        let (before, descriptors) = (real(), open_descriptors());
        assert!(before > 0 && before < 4 << 20, "{before}");
        let many: Vec<_> = (0..20_u64)
            .map(|n| Value::new([n; 1 << 17]).unwrap())
            .collect();
        assert!(real() >= 20 << 20);
        assert_eq!(open_descriptors(), descriptors);
        for (n, value) in (0..).zip(&many) {
            assert_eq!(*value.lock().unwrap(), [n; 1 << 17]);
        }
        drop(many);
        assert!(real() < before + (1 << 20), "{} of {before}", real());
    });
}

/// M20: memory that served before is zero where it is served again.
#[test]
fn what_was_dropped_is_not_seen_again() {
    with_room("zeroed", || {
        for _ in 0..3 {
            drop(Value::new([u64::MAX; 1 << 17]).unwrap());
            let small = Value::new([0_u64; 9000]).unwrap();
            assert_eq!(*small.lock().unwrap(), [0; 9000]);
        }
    });
}

/// S1, M22: as many objects as one likes.
#[test]
fn there_is_room_for_a_hundred_thousand_locks() {
    with_room("many locks", || {
        let locks: Vec<_> = (0..100_000).map(|_| Lock::new().unwrap()).collect();
        let guards: Vec<_> = locks.iter().map(|lock| lock.lock().unwrap()).collect();
        assert!(locks.iter().all(Lock::is_locked));
        assert!(real() < 10 << 20);
        drop(guards);
        drop(locks);
        let before = real();
        let again: Vec<_> = (0..100_000).map(|_| Lock::new().unwrap()).collect();
        assert!(again.iter().all(|lock| !lock.is_locked()));
        assert_eq!(real(), before);
    });
}

/// M19: what is dropped while somebody else has it locked stays whole until they are done.
#[test]
fn a_big_value_that_is_dropped_under_a_guard_stays_for_the_guard() {
    with_room("guard", || {
        let value = Value::new([7_u64; 1 << 17]).unwrap();
        let bytes = postcard::to_stdvec(&value).unwrap();
        let visitor: Value<Megabyte> = postcard::from_bytes(&bytes).unwrap();
        let mut guard = visitor.lock().unwrap();
        drop(value);
        let other = Value::new([8_u64; 1 << 17]).unwrap();
        assert_eq!(*guard, [7; 1 << 17]);
        guard.fill(9);
        assert_eq!(*other.lock().unwrap(), [8; 1 << 17]);
        let before = real();
        drop(guard);
        assert!(real() <= before - (1 << 20), "{} of {before}", real());
        assert!(matches!(visitor.get(), Err(LockError::Gone)));
        // So is a handle that comes late.
        let late: Value<Megabyte> = postcard::from_bytes(&bytes).unwrap();
        assert!(matches!(late.get(), Err(LockError::Gone)));
    });
}

/// M19, M25: a forked child sees what its parent made before and after the fork, and frees none of it.
#[test]
fn a_child_sees_big_values_and_frees_none() {
    with_room("child", || {
        let value = Value::new([1_u64; 1 << 17]).unwrap();
        let before = real();
        Victim::new(|| {
            value.update(|all| all.fill(2)).unwrap();
            // SAFETY: the child's copy is dropped once; the parent's is not used through it.
            drop(unsafe { std::ptr::read(&raw const value) });
            assert_eq!(real(), before);
        })
        .join();
        assert_eq!(*value.lock().unwrap(), [2; 1 << 17]);
    });
}

/// The other half of the next test, with an arena of its own.
#[test]
#[ignore = "run by the_killed_do_not_pile_up"]
fn a_hundred_are_killed() {
    with_room("killed", || {
        let kept = Value::new([3_u64; 1 << 17]).unwrap();
        let before = real();
        let mut most = 0;
        for round in 0..100_u64 {
            let told = Value::new(0_u64).unwrap();
            let victim = Victim::new(|| {
                let mine = Value::new([4_u64; 1 << 17]).unwrap();
                let _held = mine.lock().unwrap();
                told.set(1).unwrap();
                loop {
                    if drop_and_make() {
                        sleep_for_ever();
                    }
                }
            });
            wait_until(|| told.get().unwrap() == 1);
            thread::sleep(Duration::from_micros(round * 37 % 900));
            victim.kill();
            most = most.max(real());
        }
        println!("{most} at most, {before} before");
        // What the dead have left is 100 MiB at least.
        assert!(most < before + (40 << 20), "{most} after {before}");
        assert_eq!(*kept.lock().unwrap(), [3; 1 << 17]);
    });
}

/// Processes that are killed with their objects, and while they make some, do not fill the memory.
#[test]
fn the_killed_do_not_pile_up() {
    watchdog(LIMIT, "killed", || {
        let _turn = in_turn();
        run_alone(&mut alone("a_hundred_are_killed"));
    });
}

/// Makes a big value and drops it; never says that it is enough.
fn drop_and_make() -> bool {
    let value = Value::new([5_u64; 1 << 16]).unwrap();
    value.update(|all| all[0] += 1).unwrap();
    value.lock().unwrap()[0] == 0
}

/// M24: nothing is a size; tests/ipc.rs has what is refused.
#[test]
fn a_value_may_have_no_size() {
    with_room("no size", || {
        let nothing = Value::new([0_u64; 0]).unwrap();
        assert_eq!(nothing.get().unwrap(), [0; 0]);
    });
}

/// The other half of the next test, in a process with limits.
#[test]
#[ignore = "run by limits_of_the_process_make_the_arena_smaller"]
fn a_process_with_limits() {
    with_room("limited", || {
        let value = Value::new([7_u64; 1 << 17]);
        assert_eq!(*value.unwrap().lock().unwrap(), [7; 1 << 17]);
        let many: Vec<_> = (0..64).map(|_| Value::new([1_u64; 1 << 17])).collect();
        let refused: Vec<_> = many.iter().filter_map(|made| made.as_ref().err()).collect();
        for error in &refused {
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        assert!(!refused.is_empty() && refused.len() < 64, "{refused:?}");
        // Full for megabytes, not for what is small; and no longer full when something is dropped.
        drop(Value::new([1_u64; 100]).unwrap());
        drop(many);
        drop(Value::new([1_u64; 1 << 17]).unwrap());
    });
}

/// M24: RLIMIT_AS and RLIMIT_FSIZE make the arena smaller, not the process dead.
#[test]
fn limits_of_the_process_make_the_arena_smaller() {
    watchdog(LIMIT, "limits", || {
        let _turn = in_turn();
        let space: libc::rlimit = limit(1 << 29);
        let size: libc::rlimit = limit((32 << 20) + 12_345);
        for (what, resource, limit) in [
            ("RLIMIT_AS", libc::RLIMIT_AS, space),
            ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE, size),
        ] {
            let mut child = alone("a_process_with_limits");
            // SAFETY: one system call between fork and exec.
            unsafe {
                child.pre_exec(move || match libc::setrlimit(resource, &raw const limit) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                });
            }
            println!("{what}");
            run_alone(&mut child);
        }
    });
}

/// An ignored test of this file, as a process of its own.
fn alone(test: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--ignored", "--nocapture"]);
    child
}

fn run_alone(child: &mut Command) {
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said} {} {}",
        String::from_utf8_lossy(&output.stderr),
        output.status
    );
}

fn limit(bytes: u64) -> libc::rlimit {
    libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    }
}
