//! `ipc::RLock` between threads and between processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::GaveUp;
use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc::{LockError, RLock, Value};
use latchwork::sync::NotOwner;
use std::thread;
use std::time::Duration;
use victim::{Victim, sleep_for_ever, timed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// Within this a death has to be noticed on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// S3, S7, S17.
#[test]
fn the_owner_goes_deeper_and_others_wait() {
    watchdog(LIMIT, "deeper", || {
        let lock = RLock::new().unwrap();
        assert!(!lock.is_locked() && !lock.is_owned() && lock.holder().is_none());
        let first = lock.lock().unwrap();
        let second = lock.try_lock().unwrap().unwrap();
        // The owner does not look at its limit.
        let third = lock.lock_within(Duration::ZERO).unwrap();
        assert_eq!(lock.depth(), 3);
        assert_eq!(lock.holder().unwrap().pid(), std::process::id());
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(lock.is_locked() && !lock.is_owned());
                assert_eq!(lock.depth(), 0);
                assert!(lock.try_lock().unwrap().is_none());
                let wait = Duration::from_millis(60);
                let (outcome, took) = timed(|| lock.lock_within(wait));
                assert_eq!(outcome.unwrap_err().gave_up(), Some(GaveUp::TimedOut));
                assert!(took >= wait);
            });
        });
        drop(first); // in any order
        drop(third);
        assert_eq!(lock.depth(), 1);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| lock.lock().map(drop).is_ok());
            thread::sleep(Duration::from_millis(2));
            drop(second);
            assert!(waiter.join().unwrap());
        });
        assert!(!lock.is_locked());
    });
}

/// S3: a release by who does not hold the lock is an error and changes nothing.
#[test]
fn a_foreign_release_is_refused() {
    watchdog(LIMIT, "foreign release", || {
        let lock = RLock::new().unwrap();
        assert_eq!(lock.release(), Err(NotOwner));
        lock.acquire().unwrap();
        lock.acquire_within(Duration::ZERO).unwrap();
        assert!(lock.try_acquire().unwrap());
        let others = || {
            assert_eq!(lock.release(), Err(NotOwner));
            assert_eq!(lock.mark_consistent(), Err(NotOwner));
            assert!(!lock.try_acquire().unwrap());
            let error = lock.acquire_within(Duration::from_millis(1)).unwrap_err();
            assert_eq!(error.gave_up(), Some(GaveUp::TimedOut));
        };
        thread::scope(|scope| {
            scope.spawn(others);
        });
        Victim::new(others).join();
        for depth in (0..3).rev() {
            assert_eq!(lock.release(), Ok(()));
            assert_eq!(lock.depth(), depth);
        }
        assert_eq!(lock.release(), Err(NotOwner));
        // By hand, under a guard: it has nothing left to leave.
        let guard = lock.lock().unwrap();
        assert_eq!(lock.release(), Ok(()));
        let held = Victim::new(|| {
            std::mem::forget(lock.lock().unwrap());
            sleep_for_ever()
        });
        wait_until(|| lock.is_locked());
        drop(guard);
        assert!(lock.is_locked());
        held.kill();
    });
}

/// S23.
#[test]
fn debug_says_who_holds_it() {
    watchdog(LIMIT, "debug", || {
        let lock = RLock::new().unwrap();
        assert_eq!(format!("{lock:?}"), "RLock { state: free }");
        let guard = lock.lock().unwrap();
        let _deeper = lock.lock().unwrap();
        let process = format!("held by process {}", std::process::id());
        let here = format!("RLock {{ state: {process}, thread: \"debug\", depth: 2 }}");
        assert_eq!(format!("{lock:?}"), here);
        assert_eq!(
            format!("{guard:?}"),
            "RLockGuard { consistent: true, depth: 2 }"
        );
        let there = format!("RLock {{ state: {process}, thread: \"debug\" }}");
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(format!("{lock:?}"), there));
        });
        let other = Victim::new(|| {
            assert_eq!(format!("{lock:?}"), format!("RLock {{ state: {process} }}"));
        });
        other.join();
    });
}

/// S18.
#[test]
fn threads_and_processes_exclude_each_other() {
    watchdog(LIMIT, "mixed", || {
        let lock = RLock::new().unwrap();
        let count = Value::new([0_u64; 2]).unwrap();
        let work = || {
            for _ in 0..300 {
                let _outer = lock.lock().unwrap();
                let [first, _] = count.get().unwrap();
                let _inner = lock.lock().unwrap();
                count.set([first + 1; 2]).unwrap();
            }
        };
        let others = [Victim::new(work), Victim::new(work)];
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        others.into_iter().for_each(Victim::join);
        assert_eq!(count.get().unwrap(), [1200; 2]);
        assert!(!lock.is_locked());
    });
}

fn nested((lock, count): (RLock, Value<u64>)) -> usize {
    let _outer = lock.lock().unwrap();
    let inner = lock.lock().unwrap();
    count.update(|count| *count += 1).unwrap();
    let depth = lock.depth();
    drop(inner);
    depth
}

/// S18: workers that were started from scratch.
#[test]
fn it_is_the_same_lock_in_a_worker() {
    watchdog(LIMIT, "workers", || {
        let (lock, count) = (RLock::new().unwrap(), Value::new(0_u64).unwrap());
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let guard = lock.lock().unwrap();
        let work = || pool.submit(nested, (lock.clone(), count.clone())).unwrap();
        let tasks = [work(), work()];
        assert_eq!(nested((lock.clone(), count.clone())), 3);
        assert_eq!(count.get().unwrap(), 1, "while this process holds the lock");
        drop(guard);
        for task in tasks {
            assert_eq!(task.result().unwrap(), 2);
        }
        assert_eq!(count.get().unwrap(), 3);
    });
}

/// S22: the next has it at its first level, and is told on every level until somebody vouches.
#[test]
fn the_death_of_a_deep_owner_is_told() {
    watchdog(LIMIT, "deep owner", || {
        let lock = RLock::new().unwrap();
        let owner = Victim::new(|| {
            for _ in 0..3 {
                lock.acquire().unwrap();
            }
            sleep_for_ever()
        });
        wait_until(|| lock.is_locked());
        owner.kill();
        let Err(LockError::OwnerDied(guard)) = lock.lock_within(SOON) else {
            panic!("the owner's death went unnoticed");
        };
        assert_eq!(lock.depth(), 1);
        let Err(LockError::OwnerDied(deeper)) = lock.lock() else {
            panic!("nobody has vouched");
        };
        assert!(matches!(lock.try_acquire(), Err(LockError::OwnerDied(()))));
        assert_eq!(lock.release(), Ok(()));
        drop((deeper, guard));
        assert!(!lock.is_locked());
        let Err(LockError::OwnerDied(mut guard)) = lock.lock() else {
            panic!("nobody has vouched");
        };
        assert!(!guard.is_consistent());
        guard.mark_consistent();
        assert!(guard.is_consistent() && lock.lock().is_ok());
        drop(guard);
        drop(lock.lock().unwrap());
        // Without a guard.
        Victim::new(|| lock.acquire().unwrap()).join();
        assert!(matches!(lock.acquire(), Err(LockError::OwnerDied(()))));
        assert_eq!(lock.mark_consistent(), Ok(()));
        assert_eq!(lock.release(), Ok(()));
        lock.acquire().unwrap();
        assert_eq!(lock.release(), Ok(()));
    });
}

/// S32.
#[test]
fn the_child_of_a_fork_holds_nothing() {
    watchdog(LIMIT, "fork", || {
        let lock = RLock::new().unwrap();
        let outer = lock.lock().unwrap();
        let _inner = lock.lock().unwrap();
        let child = Victim::new(|| {
            assert!(lock.is_locked() && !lock.is_owned());
            assert_eq!(lock.depth(), 0);
            assert!(lock.try_lock().unwrap().is_none());
            assert_eq!(lock.release(), Err(NotOwner));
            // SAFETY: the guard is the parent's; the child's copy is dropped once.
            drop(unsafe { std::ptr::read(&raw const outer) });
            assert!(lock.is_locked());
        });
        child.join();
        assert_eq!(lock.depth(), 2);
    });
}

/// A stopped owner keeps the lock.
#[test]
fn a_stopped_owner_is_not_dead() {
    watchdog(LIMIT, "stopped", || {
        let lock = RLock::new().unwrap();
        let owner = Victim::new(|| {
            lock.acquire().unwrap();
            sleep_for_ever()
        });
        wait_until(|| lock.is_locked());
        owner.signal(libc::SIGSTOP);
        let outcome = lock.lock_within(Duration::from_millis(150));
        assert_eq!(outcome.unwrap_err().gave_up(), Some(GaveUp::TimedOut));
        owner.kill();
        assert!(matches!(
            lock.lock_within(SOON),
            Err(LockError::OwnerDied(_))
        ));
    });
}

/// A handle that outlives its lock does not take the next one in the same block for it.
#[test]
fn a_lock_that_was_dropped_is_gone() {
    watchdog(LIMIT, "gone", || {
        let lock = RLock::new().unwrap();
        let sent = serde_json::to_string(&lock).unwrap();
        assert!(serde_json::from_str::<Value<u64>>(&sent).is_err());
        let received: RLock = serde_json::from_str(&sent).unwrap();
        let guard = received.lock().unwrap();
        assert_eq!(lock.depth(), 2 - 1);
        drop(lock);
        drop(guard);
        assert!(matches!(received.lock(), Err(LockError::Gone)));
        // One of these is in its block.
        let next: Vec<_> = (0..64).map(|_| RLock::new().unwrap()).collect();
        let guards: Vec<_> = next.iter().map(|lock| lock.lock().unwrap()).collect();
        assert!(!received.is_owned());
        assert_eq!(received.release(), Err(NotOwner));
        assert!(matches!(received.lock(), Err(LockError::Gone)));
        assert!(next.iter().all(RLock::is_owned));
        drop(guards);
    });
}

/// Processes that go two levels deep are killed at random: what the lock protects stays whole.
#[test]
fn random_kills_leave_it_usable() {
    watchdog(LIMIT, "random kills", || {
        let lock = RLock::new().unwrap();
        let pair = Value::new([0_u64; 2]).unwrap();
        let worker = || {
            Victim::new(|| {
                loop {
                    match lock.acquire() {
                        Ok(()) => {}
                        Err(LockError::OwnerDied(())) => {
                            let [first, _] = pair.get().unwrap_or_else(|error| match error {
                                LockError::OwnerDied(mut guard) => {
                                    guard.mark_consistent();
                                    *guard
                                }
                                other => panic!("{other}"),
                            });
                            pair.set([first; 2]).unwrap();
                            lock.mark_consistent().unwrap();
                        }
                        Err(other) => panic!("{other}"),
                    }
                    let _deeper = lock.lock().unwrap();
                    let [first, second] = pair.get().unwrap();
                    assert_eq!(first, second);
                    pair.set([first + 1, second]).unwrap();
                    pair.set([first + 1; 2]).unwrap();
                    lock.release().unwrap();
                }
            })
        };
        let count = || match pair.get() {
            Ok([first, _]) => first,
            Err(LockError::OwnerDied(guard)) => guard[0],
            Err(other) => panic!("{other}"),
        };
        let mut workers = [worker(), worker(), worker()];
        for round in 0..24_u32 {
            let before = count();
            thread::sleep(Duration::from_micros(u64::from(round * 7919 % 3000)));
            std::mem::replace(&mut workers[round as usize % 3], worker()).kill();
            let ((), took) = timed(|| wait_until(|| count() > before + 1));
            assert!(took < SOON, "no progress for {took:?}");
        }
    });
}
