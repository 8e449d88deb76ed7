//! Deaths with a story: who inherits, who is told, and for how long.

use crate::alone;
use crate::common::watchdog;
use crate::scratch::scratch;
use crate::victim::{Victim, sleep_for_ever, timed, wait_until};
use latchwork::GaveUp;
use latchwork::ipc::{Lock, LockError, Value};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// How long a thread of this process has been ready to run without running.
fn time_in_queue(thread: libc::pid_t) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    Duration::from_nanos(text.split(' ').nth(1).unwrap().parse().unwrap())
}

#[test]
fn a_survivor_inherits_from_an_owner_killed_with_the_lock() {
    let _alone = alone();
    watchdog(LIMIT, "owner killed", || {
        let lock = Lock::new().unwrap();
        let mut slowest = Duration::ZERO;
        for round in 0..20 {
            let owner = Victim::new(|| {
                let _held = lock.lock().unwrap();
                sleep_for_ever()
            });
            wait_until(|| lock.is_locked());
            let pid = owner.pid.to_string();
            assert!(format!("{lock:?}").contains(&pid), "{lock:?}");
            let (waiting, waiter_began) = std::sync::mpsc::channel();
            let noticed = std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    // SAFETY: a plain system call.
                    waiting.send(unsafe { libc::gettid() }).unwrap();
                    let Err(LockError::OwnerDied(mut guard)) = lock.lock() else {
                        panic!("the owner's death went unnoticed");
                    };
                    guard.mark_consistent();
                    // SAFETY: as above.
                    (Instant::now(), time_in_queue(unsafe { libc::gettid() }))
                });
                let waiter_thread = waiter_began.recv().unwrap();
                // Some die while the waiter still spins, some when it has slept for long.
                std::thread::sleep(Duration::from_millis(round * 3));
                let queued_before = time_in_queue(waiter_thread);
                owner.kill();
                let dead = Instant::now();
                let (noticed, queued) = waiter.join().unwrap();
                // What the lock is answerable for: not the time that a busy machine takes to let
                // the victim die, nor the time that the waiter was ready to run and did not.
                noticed
                    .saturating_duration_since(dead)
                    .saturating_sub(queued - queued_before)
            });
            slowest = slowest.max(noticed);
            drop(lock.lock().unwrap());
        }
        assert!(
            slowest < Duration::from_millis(100),
            "noticed after {slowest:?}"
        );
    });
}

#[test]
fn the_death_is_told_until_somebody_vouches() {
    let _alone = alone();
    watchdog(LIMIT, "told until vouched", || {
        let value = Value::new([1_u64; 16]).unwrap();
        let owner = Victim::new(|| {
            let mut guard = value.lock().unwrap();
            guard[0] = 2;
            sleep_for_ever()
        });
        wait_until(|| value.is_locked());
        owner.kill();
        for _ in 0..3 {
            assert!(matches!(value.get(), Err(LockError::OwnerDied(_))));
            assert!(matches!(value.update(|_| ()), Err(LockError::OwnerDied(_))));
            assert!(matches!(value.try_lock(), Err(LockError::OwnerDied(_))));
        }
        value.set([3; 16]).unwrap();
        assert_eq!(value.get().unwrap(), [3; 16]);
    });
}

#[test]
fn a_killed_waiter_is_not_missed() {
    let _alone = alone();
    watchdog(LIMIT, "waiter killed", || {
        let lock = Lock::new().unwrap();
        let told = scratch();
        for round in 1..=20 {
            let guard = lock.lock().unwrap();
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    Victim::new(|| {
                        told[0].fetch_add(1, Ordering::SeqCst);
                        let _held = lock.lock().unwrap();
                        told[1].fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            wait_until(|| told[0].load(Ordering::SeqCst) == 3 * round);
            std::thread::sleep(Duration::from_millis(5));
            let mut waiters = waiters.into_iter();
            // One goes before the unlock, one around it.
            waiters.next().unwrap().kill();
            let second = waiters.next().unwrap();
            drop(guard);
            second.kill();
            let ((), took) = timed(|| waiters.next().unwrap().join());
            assert!(took < Duration::from_secs(1), "left waiting for {took:?}");
            match lock.lock() {
                Ok(_) => {}
                // The second waiter may have been killed with the lock in its hands.
                Err(LockError::OwnerDied(mut guard)) => guard.mark_consistent(),
                Err(other) => panic!("{other}"),
            };
        }
    });
}

#[test]
fn a_stopped_owner_is_not_dead() {
    let _alone = alone();
    watchdog(LIMIT, "owner stopped", || {
        let lock = Lock::new().unwrap();
        let told = scratch();
        let owner = Victim::new(|| {
            let held = lock.lock().unwrap();
            wait_until(|| told[0].load(Ordering::SeqCst) == 1);
            drop(held);
        });
        wait_until(|| lock.is_locked());
        owner.signal(libc::SIGSTOP);
        let (outcome, took) = timed(|| lock.lock_within(Duration::from_millis(300)));
        assert_eq!(outcome.unwrap_err().gave_up(), Some(GaveUp::TimedOut));
        assert!(took >= Duration::from_millis(300));
        assert!(lock.try_lock().unwrap().is_none());
        told[0].store(1, Ordering::SeqCst);
        owner.signal(libc::SIGCONT);
        drop(lock.lock().unwrap());
        owner.join();
    });
}

#[test]
fn an_owner_that_replaces_itself_is_dead() {
    let _alone = alone();
    watchdog(LIMIT, "owner execs", || {
        let lock = Lock::new().unwrap();
        let owner = Victim::new(|| {
            std::mem::forget(lock.lock().unwrap());
            // SAFETY: plain strings; on success it does not return.
            unsafe {
                libc::execl(
                    c"/bin/sleep".as_ptr(),
                    c"sleep".as_ptr(),
                    c"60".as_ptr(),
                    std::ptr::null::<libc::c_char>(),
                )
            };
        });
        wait_until(|| lock.is_locked());
        let (outcome, took) = timed(|| lock.lock_within(Duration::from_secs(10)));
        assert!(
            matches!(outcome, Err(LockError::OwnerDied(_))),
            "{outcome:?}"
        );
        assert!(took < Duration::from_secs(1), "{took:?}");
        drop(outcome);
        owner.kill();
    });
}

#[test]
fn the_child_of_a_fork_holds_nothing() {
    let _alone = alone();
    watchdog(LIMIT, "fork", || {
        let value = Value::new(7_u64).unwrap();
        let guard = value.lock().unwrap();
        let child = Victim::new(|| {
            assert!(value.try_lock().unwrap().is_none());
            // SAFETY: the guard is the parent's; the child's copy is dropped once.
            drop(unsafe { std::ptr::read(&raw const guard) });
            assert!(value.is_locked());
            // SAFETY: as above, and the parent's value is not used through this copy again.
            drop(unsafe { std::ptr::read(&raw const value) });
        });
        child.join();
        assert!(value.is_locked());
        drop(guard);
        assert_eq!(value.get().unwrap(), 7);
    });
}
