//! What survivors and forked children are told, or must not be able to do, about locks that the dead left.

#![cfg(all(feature = "process", target_os = "linux"))]

#[path = "common/asleep.rs"]
mod asleep;
mod common;
#[allow(dead_code, reason = "only part of it is needed here")]
#[path = "common/storm.rs"]
mod storm;
#[path = "kill/victim.rs"]
mod victim;

use asleep::asleep;
use common::{block_on, poll, watchdog};
use latchwork::ipc::{Lock, LockError, Semaphore};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread;
use std::time::Duration;
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// By then the slices of a wait are longer than what ends its sleeps is apart.
const LATER: Duration = Duration::from_millis(700);

fn holder(lock: &Lock) -> Victim {
    let victim = Victim::new(|| {
        let _held = lock.lock();
        sleep_for_ever()
    });
    let pid = victim.pid.unsigned_abs();
    wait_until(|| lock.holder().is_some_and(|holder| holder.pid() == pid));
    victim
}

#[test]
fn a_death_is_noticed_though_signals_end_each_sleep() {
    watchdog(LIMIT, "death in a storm", || {
        let lock = Lock::new().unwrap();
        let owner = holder(&lock);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                storm::in_a_storm(|| matches!(lock.lock(), Err(LockError::OwnerDied(_))))
            });
            thread::sleep(LATER);
            owner.kill();
            assert!(waiter.join().unwrap());
        });
    });
}

/// Who wants two is woken for each that others give back and take again.
#[test]
fn a_death_is_noticed_though_others_end_each_sleep() {
    watchdog(LIMIT, "traffic", || {
        let semaphore = Semaphore::new(2).unwrap();
        let dead = Victim::new(|| {
            let _permit = semaphore.acquire().unwrap();
            sleep_for_ever()
        });
        wait_until(|| semaphore.available().unwrap() == 1);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let permit = semaphore.acquire().unwrap();
                    thread::sleep(Duration::from_millis(8));
                    drop(permit);
                    thread::sleep(Duration::from_millis(2));
                }
            });
            let waiter = scope.spawn(|| drop(semaphore.acquire_many(2).unwrap()));
            thread::sleep(LATER);
            dead.kill();
            waiter.join().unwrap();
            is_over.store(true, Ordering::Relaxed);
        });
    });
}

/// Its block may be another's at once, who keeps the lock for as long as it likes.
#[test]
fn who_waits_for_what_is_dropped_is_told_while_it_is_still_locked() {
    watchdog(LIMIT, "gone", || {
        let made = Lock::new().unwrap();
        let bytes = postcard::to_stdvec(&made).unwrap();
        let [holds, waits]: [Lock; 2] =
            std::array::from_fn(|_| postcard::from_bytes(&bytes).unwrap());
        let held = holds.lock().unwrap();
        thread::scope(|scope| {
            let waiter = asleep(scope, || matches!(waits.lock(), Err(LockError::Gone)));
            let mut future = pin!(waits.lock_async());
            assert!(poll(future.as_mut(), Waker::noop()).is_pending());
            drop(made);
            assert!(waiter.join().unwrap());
            assert!(matches!(block_on(future), Err(LockError::Gone)));
        });
        assert!(!holds.is_locked() && holds.holder().is_none());
        drop(held);
    });
}

#[test]
fn a_forked_child_cannot_vouch_for_what_its_parent_holds() {
    watchdog(LIMIT, "vouching child", || {
        let lock = Lock::new().unwrap();
        holder(&lock).kill();
        let Err(LockError::OwnerDied(mut guard)) = lock.lock() else {
            panic!("the death went unnoticed");
        };
        let go = Semaphore::new(0).unwrap();
        let child = Victim::new(|| {
            std::mem::forget(go.acquire().unwrap());
            guard.mark_consistent();
        });
        assert!(!guard.is_consistent());
        drop(guard);
        go.release(1).unwrap();
        child.join();
        assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
    });
}

/// Who takes a lock from the dead without waiting has not waited since the machine was started.
#[test]
fn a_lock_taken_from_the_dead_is_held_since_then() {
    watchdog(LIMIT, "held for", || {
        let lock = Lock::new().unwrap();
        holder(&lock).kill();
        let began = std::time::Instant::now();
        let Err(LockError::OwnerDied(_guard)) = lock.try_lock() else {
            panic!("the death went unnoticed");
        };
        let held_for = lock.holder().unwrap().held_for();
        assert!(
            held_for.is_none_or(|time| time <= began.elapsed()),
            "{held_for:?}"
        );
    });
}
