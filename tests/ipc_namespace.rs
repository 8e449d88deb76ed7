//! Processes of other pid namespaces share, live and die like all others.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::GaveUp;
use latchwork::ipc::{LockError, RawArray, Value};
use std::time::Duration;
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

const PID: usize = 0;
const REFUSED: usize = 1;

/// Becomes the first process of a pid namespace of its own, takes the lock and keeps it.
fn hold_in_another_namespace(value: &Value<u64>, told: &RawArray<i32>) {
    // SAFETY: plain system calls; the process has one thread.
    let pid = unsafe {
        if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID) != 0 {
            told.set(REFUSED, 1).unwrap();
            return;
        }
        libc::fork()
    };
    if pid == 0 {
        // SAFETY: as above.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            assert_eq!(libc::getpid(), 1);
        }
        let mut guard = value.lock().unwrap();
        *guard += 1;
        sleep_for_ever()
    }
    told.set(PID, pid).unwrap();
    sleep_for_ever()
}

/// S22, S32: its pid means nothing here, and the kernel says all the same whether it lives.
#[test]
fn an_owner_in_another_pid_namespace_lives_and_dies() {
    watchdog(LIMIT, "namespace", || {
        let value = Value::new(7_u64).unwrap();
        let told = RawArray::<i32>::zeroed(2).unwrap();
        let outer = Victim::new(|| hold_in_another_namespace(&value, &told));
        wait_until(|| told.get(REFUSED) == Some(1) || value.is_locked());
        if told.get(REFUSED) == Some(1) {
            println!("skipped: no pid namespace can be made here");
            return;
        }
        wait_until(|| told.get(PID) != Some(0));
        // Here, the process of that pid is another.
        let refused = value.lock_within(Duration::from_millis(150)).unwrap_err();
        assert_eq!(refused.gave_up(), Some(GaveUp::TimedOut));
        assert!(value.try_lock().unwrap().is_none());
        assert_eq!(value.holder().expect("it holds the lock").pid(), 1);
        // SAFETY: a plain system call, of a process that its parent has not waited for.
        unsafe { libc::kill(told.get(PID).unwrap(), libc::SIGKILL) };
        let Err(LockError::OwnerDied(mut guard)) = value.lock_within(Duration::from_secs(10))
        else {
            panic!("its death went unnoticed");
        };
        assert_eq!(*guard, 8);
        guard.mark_consistent();
        drop(guard);
        outer.kill();
    });
}
