//! `sync::Condition`: rows T77-T87 for `Lock`.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{Condition, Lock};
use latchwork::{CancelToken, GaveUp};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn notify_wakes_exactly_as_many_as_it_says() {
    watchdog(LIMIT, "notify_wakes_exactly", || {
        let (woken, changed) = (Lock::new(0), Condition::new());
        assert!(!changed.notify_one(), "nobody there");
        thread::scope(|s| {
            for _ in 0..5 {
                s.spawn(|| {
                    let mut woken = woken.lock();
                    changed.wait(&mut woken);
                    *woken += 1;
                });
            }
            until_parked("Condition", &changed, 5);
            assert_eq!(changed.notify(2), 2);
            until_parked("Condition", &changed, 3);
            assert_eq!(changed.notify_all(), 3);
        });
        assert_eq!(*woken.lock(), 5);
        assert_eq!(changed.notify_all(), 0);
    });
}

#[test]
fn waiting_releases_the_lock_and_takes_it_again() {
    watchdog(LIMIT, "waiting_releases_the_lock", || {
        let (lock, changed) = (Lock::new(0), Condition::new());
        thread::scope(|s| {
            s.spawn(|| {
                let mut guard = lock.lock();
                changed.wait(&mut guard);
                assert!(lock.try_lock().is_none(), "it is held again");
                assert_eq!(*guard, 1);
            });
            until_parked("Condition", &changed, 1);
            *lock.lock() = 1;
            changed.notify_one();
        });
    });
}

#[test]
fn the_lock_is_held_again_after_a_time_out_and_a_cancellation() {
    watchdog(LIMIT, "the_lock_is_held_again", || {
        let (lock, changed) = (Lock::new(0), Condition::new());
        let mut guard = lock.lock();
        let begin = Instant::now();
        let limit = Duration::from_millis(10);
        assert_eq!(
            changed.wait_within(&mut guard, limit),
            Err(GaveUp::TimedOut)
        );
        assert!(begin.elapsed() >= limit);
        assert!(lock.try_lock().is_none());
        assert_eq!(
            changed.wait_within(&mut guard, Duration::ZERO),
            Err(GaveUp::TimedOut)
        );
        let token = CancelToken::new();
        thread::scope(|s| {
            s.spawn(|| {
                until_parked("Condition", &changed, 1);
                token.cancel();
            });
            assert_eq!(
                changed.wait_within(&mut guard, &token),
                Err(GaveUp::Cancelled)
            );
        });
        assert!(lock.try_lock().is_none());
    });
}

#[test]
fn one_deadline_over_all_wake_ups() {
    watchdog(LIMIT, "one_deadline_over_all_wake_ups", || {
        let (lock, changed) = (Lock::new(false), Condition::new());
        let done = latchwork::sync::Event::new();
        thread::scope(|s| {
            s.spawn(|| {
                // Wakes it again and again with nothing changed; a deadline that began anew at each
                // wake-up would never be reached.
                while !done.is_set() {
                    changed.notify_all();
                }
            });
            let mut guard = lock.lock();
            let limit = Duration::from_millis(30);
            let outcome = changed.wait_while_within(&mut guard, |ready| !*ready, limit);
            done.set();
            assert_eq!(outcome, Err(GaveUp::TimedOut));
        });
    });
}

#[test]
fn a_predicate_that_becomes_true_at_the_deadline_counts() {
    let (lock, changed) = (Lock::new(0), Condition::new());
    let mut guard = lock.lock();
    // Asked before waiting, and once more after the time-out.
    let outcome = changed.wait_while_within(
        &mut guard,
        |asked| {
            *asked += 1;
            *asked < 2
        },
        Duration::from_millis(1),
    );
    assert_eq!(outcome, Ok(()));
}

#[test]
fn a_panicking_predicate_leaves_the_guard_as_it_is() {
    let (lock, changed) = (Lock::new(0), Condition::new());
    let mut guard = lock.lock();
    let caught = panic::catch_unwind(AssertUnwindSafe(|| {
        changed.wait_while(&mut guard, |_| panic!("on purpose"));
    }));
    assert!(caught.is_err());
    assert!(lock.try_lock().is_none());
    drop(guard);
    assert!(lock.try_lock().is_some());
}

#[test]
fn several_conditions_on_one_lock() {
    watchdog(LIMIT, "several_conditions_on_one_lock", || {
        let slot = Lock::new(None);
        let (filled, emptied) = (Condition::new(), Condition::new());
        thread::scope(|s| {
            s.spawn(|| {
                for n in 0..1000 {
                    let mut guard = slot.lock();
                    emptied.wait_while(&mut guard, |slot| slot.is_some());
                    *guard = Some(n);
                    filled.notify_one();
                }
            });
            for n in 0..1000 {
                let mut guard = slot.lock();
                filled.wait_while(&mut guard, |slot| slot.is_none());
                assert_eq!(guard.take(), Some(n));
                emptied.notify_one();
            }
        });
    });
}

#[test]
fn a_task_waits_too() {
    watchdog(LIMIT, "a_task_waits_too", || {
        let shared = Arc::new((Lock::new(0), Condition::new()));
        let task = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                common::block_on(async {
                    let (lock, changed) = &*shared;
                    let mut guard = lock.lock_async().await;
                    while *guard == 0 {
                        guard = changed.wait_async(guard).await;
                    }
                    assert_eq!(*guard, 1);
                });
            })
        };
        until_parked("Condition", &shared.1, 1);
        *shared.0.lock() = 1;
        shared.1.notify_one();
        task.join().unwrap();
    });
}

#[test]
fn a_notified_task_that_is_dropped_on_its_way_back_to_the_lock_passes_it_on() {
    watchdog(LIMIT, "a_notified_task_that_is_dropped", || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        thread::scope(|s| {
            let guard = common::block_on(lock.lock_async());
            let mut future = Box::pin(changed.wait_async(guard));
            assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
            s.spawn(|| changed.wait(&mut lock.lock()));
            until_parked("Condition", &changed, 2);
            let held = lock.lock();
            assert!(changed.notify_one(), "the task, which came first");
            assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
            drop(future);
            drop(held);
        });
    });
}

#[test]
fn the_mark_goes_with_the_last_waiter() {
    let (lock, changed) = (Lock::new(()), Condition::new());
    let limit = Duration::from_millis(2);
    assert!(changed.wait_within(&mut lock.lock(), limit).is_err());
    assert!(format!("{changed:?}").contains("waited_for: false"));
}
