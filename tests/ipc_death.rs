//! What survivors and forked children are told, or must not be able to do, about locks that the dead left.

#![cfg(all(feature = "process", target_os = "linux"))]

#[path = "common/asleep.rs"]
mod asleep;
mod common;
#[path = "kill/victim.rs"]
mod victim;

use asleep::asleep;
use common::{block_on, poll, watchdog};
use latchwork::ipc::{Lock, LockError, Semaphore, Shared};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::Waker;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// Within this a death has to be noticed on a busy machine.
const SOON: Duration = Duration::from_secs(1);

/// By then the slices of a wait are much longer than what ends its sleeps is apart.
const LATER: Duration = Duration::from_millis(900);

fn holder(lock: &Lock) -> Victim {
    let victim = Victim::new(|| {
        let _held = lock.lock();
        sleep_for_ever()
    });
    let pid = victim.pid.unsigned_abs();
    wait_until(|| lock.holder().is_some_and(|holder| holder.pid() == pid));
    victim
}

extern "C" fn ignore(_signal: libc::c_int) {}

/// A handler without `SA_RESTART`, so that a signal ends a sleep.
fn handle_signal() {
    // SAFETY: all zeros is an empty mask and no flags; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        let installed = libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut());
        assert_eq!(installed, 0);
    }
}

/// Kills `dead` while `disturb` is called all the time, and says how long `waiter` takes from then on.
fn noticed_after(
    waiter: ScopedJoinHandle<'_, ()>,
    dead: Victim,
    disturb: impl Fn() + Sync,
) -> Duration {
    // First nothing ends a sleep, and the slices grow.
    thread::sleep(LATER);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                disturb();
                thread::sleep(Duration::from_millis(1));
            }
        });
        thread::sleep(Duration::from_millis(100));
        dead.kill();
        let killed = Instant::now();
        waiter.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        killed.elapsed()
    })
}

#[test]
fn a_death_is_noticed_though_signals_end_each_sleep() {
    watchdog(LIMIT, "death in a storm", || {
        handle_signal();
        let lock = Lock::new().unwrap();
        let owner = holder(&lock);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let ((tell_thread, thread), (tell, noticed)) = (mpsc::channel(), mpsc::channel());
            let is_over = &is_over;
            let lock = &lock;
            asleep(scope, move || {
                // SAFETY: it only says who we are.
                tell_thread.send(unsafe { libc::pthread_self() }).unwrap();
                assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
                tell.send(()).unwrap();
                // To be sent signals until the end.
                wait_until(|| is_over.load(Ordering::Relaxed));
            });
            let target = thread.recv().unwrap();
            let witness = scope.spawn(move || noticed.recv().unwrap());
            let took = noticed_after(witness, owner, || {
                // SAFETY: the thread is there until it is told.
                assert_eq!(unsafe { libc::pthread_kill(target, libc::SIGUSR2) }, 0);
            });
            is_over.store(true, Ordering::Relaxed);
            assert!(took < SOON, "{took:?}");
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
        thread::scope(|scope| {
            let waiter = asleep(scope, || drop(semaphore.acquire_many(2).unwrap()));
            let took = noticed_after(waiter, dead, || {
                let permit = semaphore.acquire().unwrap();
                thread::sleep(Duration::from_millis(4));
                drop(permit);
            });
            assert!(took < SOON, "{took:?}");
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
        let began = Instant::now();
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

#[test]
fn a_forked_child_does_not_take_its_parents_pin_away() {
    watchdog(LIMIT, "pin of the parent", || {
        let made = Shared::<AtomicU64>::new(7).unwrap();
        let bytes = postcard::to_stdvec(&made).unwrap();
        let taken: Shared<AtomicU64> = postcard::from_bytes(&bytes).unwrap();
        Victim::new(|| {
            // SAFETY: the child's copy, which it does not use again.
            drop(unsafe { std::ptr::read(&raw const taken) });
        })
        .join();
        drop(made);
        let others: Vec<_> = (0..8)
            .map(|_| Shared::<AtomicU64>::new(1).unwrap())
            .collect();
        assert_eq!(taken.load(Ordering::Relaxed), 7);
        drop(others);
    });
}
