//! `sync::Lock`: rows T56-T68 of the behaviour list, and what a guard promises.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{Condition, Lock, LockGuard, TaskLockGuard};
use latchwork::{CancelToken, GaveUp, debug};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn increments_are_not_lost() {
    watchdog(LIMIT, "increments_are_not_lost", || {
        let lock = Lock::new(0u64);
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| (0..20_000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(lock.into_inner(), 160_000);
    });
}

#[test]
fn a_taken_lock_refuses_and_times_out() {
    watchdog(LIMIT, "a_taken_lock_refuses_and_times_out", || {
        let lock = Lock::new(());
        let held = lock.lock();
        thread::scope(|s| {
            s.spawn(|| {
                assert!(lock.try_lock().is_none());
                assert_eq!(
                    lock.lock_within(Duration::ZERO).unwrap_err(),
                    GaveUp::TimedOut
                );
                let begin = Instant::now();
                let limit = Duration::from_millis(20);
                assert_eq!(lock.lock_within(limit).unwrap_err(), GaveUp::TimedOut);
                assert!(begin.elapsed() >= limit, "a deadline is never early");
                assert_eq!(lock.lock_within(begin).unwrap_err(), GaveUp::TimedOut);
            });
        });
        drop(held);
        assert!(lock.lock_within(Duration::ZERO).is_ok(), "zero polls");
        assert!(lock.lock_within(Duration::MAX).is_ok());
    });
}

#[test]
fn cancellation_reaches_a_parked_waiter_and_leaves_the_lock_alone() {
    watchdog(LIMIT, "cancellation_reaches_a_parked_waiter", || {
        let lock = Lock::new(());
        let token = CancelToken::new();
        let held = lock.lock();
        thread::scope(|s| {
            let waiter = s.spawn(|| lock.lock_within(&token).map(drop));
            until_parked("Lock", &lock, 1);
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
        });
        until_parked("Lock", &lock, 0);
        drop(held);
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn a_waiter_is_handed_the_lock_although_others_barge() {
    watchdog(LIMIT, "a_waiter_is_handed_the_lock", || {
        let lock = Lock::new(());
        let stop = AtomicBool::new(false);
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        drop(lock.lock());
                    }
                });
            }
            // Each of these must get through the crowd; the watchdog is the bound.
            for _ in 0..200 {
                drop(lock.lock());
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_fair_lock_serves_in_order() {
    watchdog(LIMIT, "a_fair_lock_serves_in_order", || {
        let lock = Lock::fair(Vec::new());
        thread::scope(|s| {
            let held = lock.lock();
            for n in 0..6 {
                let lock = &lock;
                s.spawn(move || {
                    if n % 2 == 0 {
                        lock.lock().push(n);
                    } else {
                        common::block_on(async { lock.lock_async().await.push(n) });
                    }
                });
                until_parked("Lock", lock, n + 1);
            }
            drop(held);
            // Behind all of them, although it is awake and they are not.
            lock.lock().push(6);
        });
        assert_eq!(*lock.lock(), [0, 1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn a_fair_lock_is_not_free_while_somebody_waits() {
    let lock = Lock::fair(());
    let held = lock.lock();
    let mut first = Box::pin(lock.lock_async());
    let mut second = Box::pin(lock.lock_async());
    assert!(common::poll(first.as_mut(), Waker::noop()).is_pending());
    assert!(common::poll(second.as_mut(), Waker::noop()).is_pending());
    drop(held);
    assert!(lock.is_locked() && lock.try_lock().is_none());
    drop(first);
    assert!(
        lock.is_locked() && lock.try_lock().is_none(),
        "the next one's"
    );
    assert!(common::poll(second.as_mut(), Waker::noop()).is_ready());
    drop(second);
    assert!(lock.try_lock().is_some());
}

#[test]
fn a_fair_lock_that_nobody_waits_for_any_more_is_free() {
    let lock = Lock::fair(());
    let held = lock.lock();
    let mut waiting = Box::pin(lock.lock_async());
    assert!(common::poll(waiting.as_mut(), Waker::noop()).is_pending());
    assert!(lock.lock_within(Duration::from_millis(1)).is_err());
    drop(waiting);
    drop(held);
    assert!(lock.try_lock().is_some());
}

#[test]
fn a_panic_frees_the_lock_without_poison() {
    let lock = Lock::new(1);
    let caught = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut guard = lock.lock();
        *guard = 2;
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    assert_eq!(*lock.try_lock().expect("free again"), 2);
}

#[test]
fn debug_tells_the_state_and_the_owner() {
    let lock = Lock::new(5);
    assert_eq!(format!("{lock:?}"), "Lock { value: 5 }");
    let guard = lock.lock();
    let expected = format!("Lock {{ owner: {} }}", debug::current_thread());
    assert_eq!(format!("{lock:?}"), expected);
    assert_eq!(format!("{guard:?}"), "5");
    assert!(lock.is_locked());
}

#[test]
fn who_waits_can_be_read_with_the_owner_and_the_place() {
    watchdog(LIMIT, "who_waits_can_be_read", || {
        let lock = Lock::new(());
        let held = lock.lock();
        thread::scope(|s| {
            let (file, line) = (file!(), line!() + 1);
            s.spawn(|| drop(lock.lock()));
            until_parked("Lock", &lock, 1);
            let here = std::ptr::from_ref(&lock).addr();
            let waits = debug::waits();
            let wait = waits.iter().find(|wait| wait.address == here).unwrap();
            assert_eq!(wait.owner, Some(debug::current_thread()));
            assert_ne!(wait.thread, wait.owner);
            assert_eq!((wait.place.file(), wait.place.line()), (file, line));
            drop(held);
        });
    });
}

#[test]
fn a_task_guard_moves_between_threads() {
    let lock = Lock::new(0);
    let mut future = pin!(lock.lock_async());
    let Poll::Ready(guard) = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("the lock is free");
    };
    assert!(lock.try_lock().is_none());
    thread::scope(|s| s.spawn(move || drop(guard)).join().unwrap());
    assert!(lock.try_lock().is_some());
}

#[test]
fn a_task_and_a_thread_take_turns() {
    watchdog(LIMIT, "a_task_and_a_thread_take_turns", || {
        let lock = Arc::new(Lock::new(0));
        let held = lock.lock();
        let task = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || common::block_on(async { *lock.lock_async().await += 1 }))
        };
        until_parked("Lock", &*lock, 1);
        drop(held);
        task.join().unwrap();
        assert_eq!(*lock.lock(), 1);
    });
}

#[test]
fn a_dropped_future_leaves_the_line() {
    watchdog(LIMIT, "a_dropped_future_leaves_the_line", || {
        let lock = Lock::new(());
        let held = lock.lock();
        {
            let mut future = pin!(lock.lock_async());
            let polled = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            until_parked("Lock", &lock, 1);
        }
        until_parked("Lock", &lock, 0);
        drop(held);
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn a_granted_future_that_is_dropped_frees_the_lock() {
    watchdog(LIMIT, "a_granted_future_that_is_dropped", || {
        let lock = Lock::new(());
        let held = lock.lock();
        {
            let mut future = pin!(lock.lock_async());
            let polled = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            drop(held);
            until_parked("Lock", &lock, 0);
        }
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn unsized_values_and_statics() {
    static LOCK: Lock<[u8; 3]> = Lock::new([1, 2, 3]);
    let slice: &Lock<[u8]> = &LOCK;
    assert_eq!(slice.lock().len(), 3);
    let mut owned = Lock::from(4);
    *owned.get_mut() += 1;
    assert_eq!(owned.into_inner(), 5);
}

#[test]
fn sizes_and_marker_traits() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_sync::<Lock<std::cell::Cell<u8>>>();
    is_sync::<LockGuard<'_, u8>>();
    is_send::<TaskLockGuard<'_, u8>>();
    assert_eq!(size_of::<Lock<()>>(), 4);
    assert!(!std::mem::needs_drop::<Lock<()>>());
}

#[test]
fn a_future_that_is_dropped_after_the_lock_was_handed_to_it_frees_it() {
    let lock = Lock::new(());
    let held = lock.lock();
    let mut future = Box::pin(lock.lock_async());
    assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
    // Long enough to be overdue; time is what a handoff depends on.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2) {}
    drop(held);
    assert!(lock.is_locked(), "handed over");
    drop(future);
    assert!(lock.try_lock().is_some());
}

#[test]
fn a_panicking_waker_harms_nobody_else() {
    watchdog(LIMIT, "a_panicking_waker", || {
        let (lock, changed) = (Lock::new(0), Condition::new());
        thread::scope(|s| {
            let mut guard = lock.lock();
            let mut task = Box::pin(lock.lock_async());
            assert!(common::poll(task.as_mut(), &common::bad_waker()).is_pending());
            s.spawn(|| {
                // In the line, and behind it the unlock that has woken the task, whose waker panicked.
                until_parked("Condition", &changed, 1);
                drop(task);
                let _lock = lock.lock();
                assert!(changed.notify_one());
            });
            changed.wait(&mut guard);
            assert!(lock.try_lock().is_none(), "ours, and nobody else's");
        });
    });
}

#[test]
fn a_forgotten_future_can_be_listed_after_its_lock_is_gone() {
    let lock = Box::new((Lock::new(()), [0_u8; 1 << 19]));
    let held = lock.0.lock();
    let mut future = Box::pin(lock.0.lock_async());
    assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
    std::mem::forget(future);
    std::mem::forget(held);
    let address = std::ptr::from_ref(&lock.0).addr();
    drop(lock);
    let waits = debug::waits();
    let ghost = waits.iter().find(|wait| wait.address == address).unwrap();
    assert_eq!((&ghost.thread, &ghost.owner), (&None, &None));
}
