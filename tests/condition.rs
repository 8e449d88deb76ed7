//! `sync::Condition`: rows T77-T87 with `Lock` and `RLock`, and case X1.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{Condition, Event, Lock, RLock, RLockGuard};
use latchwork::{CancelToken, GaveUp};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
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
    assert_eq!(format!("{changed:?}"), "Condition { waiters: 0 }");
}

/// T82, T84, X1: the older waiter has timed out and is on its way back to the lock, which the
/// notifier holds. CPython counts that one, and the notification is lost.
#[test]
fn a_waiter_that_has_timed_out_and_comes_for_the_lock_is_not_notified() {
    watchdog(LIMIT, "a_waiter_that_has_timed_out", || {
        let mut times = 0;
        while times < 3 {
            let (lock, changed) = (Lock::new(()), Condition::new());
            thread::scope(|s| {
                let hasty =
                    s.spawn(|| changed.wait_within(&mut lock.lock(), Duration::from_millis(20)));
                while changed.waiters() == 0 && !hasty.is_finished() {
                    thread::yield_now();
                }
                let patient = s.spawn(|| changed.wait(&mut lock.lock()));
                until_waiting(&changed, || hasty.is_finished());
                let held = lock.lock();
                // Unless it was quicker than we were, it gives up now and finds the lock taken.
                while !hasty.is_finished() && !has_lock_waiter(&lock) {
                    thread::yield_now();
                }
                times += usize::from(!hasty.is_finished());
                assert!(changed.notify_one(), "the one who still waits");
                drop(held);
                assert_eq!(hasty.join().unwrap(), Err(GaveUp::TimedOut));
                patient.join().unwrap();
            });
        }
    });
}

/// Until two wait, or one does and the other has come and gone.
fn until_waiting(changed: &Condition, is_gone: impl Fn() -> bool) {
    while changed.waiters() + usize::from(is_gone()) < 2 {
        thread::yield_now();
    }
}

fn has_lock_waiter<T>(lock: &Lock<T>) -> bool {
    let address = std::ptr::from_ref(lock).addr();
    let waits = latchwork::debug::waits();
    waits.iter().any(|wait| wait.address == address)
}

/// X1, T84: many times, with the notification aimed at the very moment of the time-out. Exactly one
/// is told each time: the older waiter, who then reports it, or the younger.
#[test]
fn a_notification_is_never_spent_on_a_time_out() {
    const ROUNDS: usize = 3_000;
    watchdog(LIMIT, "a_notification_is_never_spent", || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        let begin = Barrier::new(3);
        let (outcome, told) = mpsc::channel();
        let patience = Duration::from_micros(60);
        let mut in_time = 0;
        thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..ROUNDS {
                    begin.wait();
                    let result = changed.wait_within(&mut lock.lock(), patience);
                    outcome.send(result).unwrap();
                }
            });
            s.spawn(|| {
                for _ in 0..ROUNDS {
                    begin.wait();
                    changed.wait(&mut lock.lock());
                }
            });
            // Aims later when it was too early, and earlier when it was too late.
            let mut delay = patience;
            for _ in 0..ROUNDS {
                begin.wait();
                let start = Instant::now();
                while start.elapsed() < delay {
                    std::hint::spin_loop();
                }
                while !changed.notify_one() {
                    thread::yield_now();
                }
                match told.recv().unwrap() {
                    Ok(()) => {
                        in_time += 1;
                        delay += Duration::from_micros(3);
                        // The hasty one has it, so the patient one is still there or yet to come.
                        while !changed.notify_one() {
                            thread::yield_now();
                        }
                    }
                    Err(why) => {
                        assert_eq!(why, GaveUp::TimedOut);
                        delay = delay.saturating_sub(Duration::from_micros(3));
                        // The patient one has it: nothing more is said, and yet the round ends.
                    }
                }
            }
        });
        assert!(in_time > 0 && in_time < ROUNDS, "{in_time} of {ROUNDS}");
        assert_eq!(changed.waiters(), 0);
    });
}

/// T75, T79: all levels go and as many come back, however the wait ends.
#[test]
fn all_levels_of_an_rlock_are_released_and_restored() {
    watchdog(LIMIT, "all_levels_of_an_rlock", || {
        let (turns, changed) = (RLock::new(AtomicUsize::new(0)), Condition::new());
        let token = CancelToken::new();
        let turn = |by: usize| {
            let _outer = turns.lock();
            turns.lock().fetch_add(by, Ordering::Relaxed);
        };
        let _outer = turns.lock();
        let _middle = turns.lock();
        let mut guard = turns.lock();
        thread::scope(|s| {
            let other = s.spawn(|| {
                until_parked("Condition", &changed, 1);
                turn(1);
                assert!(
                    !turns.is_locked(),
                    "the waiter comes back only when it is told"
                );
                changed.notify_one();
            });
            changed.wait(&mut guard);
            assert_eq!((turns.depth(), guard.load(Ordering::Relaxed)), (3, 1));
            other.join().unwrap();

            s.spawn(|| {
                until_parked("Condition", &changed, 1);
                turn(1);
                token.cancel();
            });
            let outcome = changed.wait_within(&mut guard, &token);
            assert_eq!((outcome, turns.depth()), (Err(GaveUp::Cancelled), 3));

            let late = changed.wait_within(&mut guard, Duration::from_millis(2));
            assert_eq!((late, turns.depth()), (Err(GaveUp::TimedOut), 3));
            let polled = changed.wait_within(&mut guard, Duration::ZERO);
            assert_eq!((polled, turns.depth()), (Err(GaveUp::TimedOut), 3));
        });
        thread::scope(|s| {
            s.spawn(|| assert!(turns.try_lock().is_none()));
        });
    });
}

/// T79, T81, with the guards of an `RLock` and every form of waiting.
#[test]
fn rlock_guards_have_every_form_of_waiting() {
    watchdog(LIMIT, "rlock_guards_have_every_form", || {
        let (count, changed) = (Arc::new(RLock::new(AtomicUsize::new(0))), Condition::new());
        let at_least = |n: usize| {
            move |count: &AtomicUsize| {
                let count = count.load(Ordering::Relaxed);
                (count >= n).then_some(count)
            }
        };
        thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..5 {
                    until_parked("Condition", &changed, 1);
                    count.lock().fetch_add(1, Ordering::Relaxed);
                    changed.notify_all();
                }
            });
            let _outer = count.lock();
            let (mut guard, mut owned) = (count.lock(), count.lock_owned());
            let pending = |n: usize| move |c: &AtomicUsize| at_least(n)(c).is_none();
            let limit = Duration::from_secs(20);
            changed.wait_while(&mut guard, pending(1));
            assert_eq!(
                changed.wait_while_within(&mut owned, pending(2), limit),
                Ok(())
            );
            assert_eq!(changed.wait_until(&mut owned, at_least(3)), 3);
            assert_eq!(
                changed.wait_until_within(&mut guard, at_least(4), limit),
                Ok(4)
            );
            changed.wait(&mut owned);
            assert_eq!(guard.load(Ordering::Relaxed), 5);
            assert_eq!(count.depth(), 3);
        });
    });
}

/// T75: a value that is not `Sync` may have been borrowed by another guard of the thread.
#[test]
fn an_only_level_waits_with_any_value_and_refuses_a_second_level() {
    watchdog(LIMIT, "an_only_level_waits_with_any_value", || {
        let (words, changed) = (
            Arc::new(RLock::new(RefCell::new(Vec::new()))),
            Condition::new(),
        );
        thread::scope(|s| {
            s.spawn(|| {
                for word in ["first", "second"] {
                    until_parked("Condition", &changed, 1);
                    words.lock().borrow_mut().push(word);
                    changed.notify_one();
                }
            });
            let pop = |words: &RefCell<Vec<_>>| words.borrow_mut().pop();
            let mut guard = words.lock();
            let mut only = RLockGuard::only_level(&mut guard);
            assert_eq!(changed.wait_until(&mut only, pop), "first");
            assert_eq!(words.depth(), 1);
            drop(guard);
            let mut owned = words.lock_owned();
            let mut only = latchwork::sync::OwnedRLockGuard::only_level(&mut owned);
            assert_eq!(changed.wait_until(&mut only, pop), "second");
        });
        let mut guard = words.lock();
        let mut only = RLockGuard::only_level(&mut guard);
        let outer = words.lock();
        let _borrowed = outer.borrow();
        let refused = panic::catch_unwind(AssertUnwindSafe(|| {
            changed.wait_within(&mut only, Duration::from_millis(1))
        }));
        let message = refused.unwrap_err();
        let message = message.downcast_ref::<&str>().unwrap();
        assert!(message.contains("locked it again"), "{message}");
        assert_eq!((words.depth(), changed.waiters()), (2, 0));
    });
}

/// T81: the value the predicate made, and one more test after the limit.
#[test]
fn wait_until_returns_what_the_predicate_made() {
    watchdog(LIMIT, "wait_until_returns", || {
        let (basket, filled) = (Lock::new(Vec::new()), Condition::new());
        thread::scope(|s| {
            let taker = s.spawn(|| filled.wait_until(&mut basket.lock(), Vec::pop));
            until_parked("Condition", &filled, 1);
            filled.notify_one(); // for nothing
            until_parked("Condition", &filled, 1);
            basket.lock().push("apple");
            filled.notify_one();
            assert_eq!(taker.join().unwrap(), "apple");
        });
        let asked = Cell::new(0);
        let second_time = |_: &mut Vec<&str>| {
            asked.set(asked.get() + 1);
            (asked.get() == 2).then_some(asked.get())
        };
        let mut guard = basket.lock();
        let limit = Duration::from_millis(1);
        let outcome = filled.wait_until_within(&mut guard, second_time, limit);
        assert_eq!(outcome, Ok(2), "asked again after the time-out");
        asked.set(0);
        let outcome = filled.wait_until_within(&mut guard, second_time, Duration::ZERO);
        assert_eq!(outcome, Ok(2), "and if it was over before it began");
        let outcome = filled.wait_until_within(&mut guard, |basket| basket.pop(), limit);
        assert_eq!(outcome, Err(GaveUp::TimedOut));
    });
}

/// T77, T78: one condition, two locks at the same time; each waiter takes its own again.
#[test]
fn one_condition_serves_two_locks_at_once() {
    watchdog(LIMIT, "one_condition_serves_two_locks", || {
        let (a, b, c) = (Lock::new(0), Lock::new(0), RLock::new(AtomicUsize::new(0)));
        let changed = Condition::new();
        thread::scope(|s| {
            for lock in [&a, &b] {
                let changed = &changed;
                s.spawn(move || {
                    let mut guard = lock.lock();
                    changed.wait(&mut guard);
                    assert!(lock.is_locked());
                    *guard += 1;
                });
            }
            s.spawn(|| {
                let mut guard = c.lock();
                changed.wait(&mut guard);
                assert!(c.is_owned());
                guard.fetch_add(1, Ordering::Relaxed);
            });
            until_parked("Condition", &changed, 3);
            let held = a.lock();
            assert_eq!(changed.notify_all(), 3);
            // Whoever waits with another lock is not kept by this one.
            while *b.lock() == 0 || c.lock().load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            assert_eq!(*held, 0);
        });
        assert_eq!(*a.lock(), 1);
    });
}

/// T82, T83: oldest first, and nobody who comes later.
#[test]
fn notifications_go_by_age() {
    watchdog(LIMIT, "notifications_go_by_age", || {
        let (order, changed) = (Lock::new(Vec::new()), Condition::new());
        thread::scope(|s| {
            for n in 0..4 {
                let (order, changed) = (&order, &changed);
                s.spawn(move || {
                    let mut order = order.lock();
                    changed.wait(&mut order);
                    order.push(n);
                });
                until_parked("Condition", changed, n + 1);
            }
            for n in 0..4 {
                assert!(changed.notify_one());
                while order.lock().len() <= n {
                    thread::yield_now();
                }
            }
            assert!(!changed.notify_one(), "not kept for later");
            let late = changed.wait_within(&mut order.lock(), Duration::from_millis(2));
            assert_eq!(late, Err(GaveUp::TimedOut));
        });
        assert_eq!(*order.lock(), [0, 1, 2, 3]);
    });
}

/// T85: each return is a notification that somebody sent.
#[test]
fn there_are_no_spurious_wake_ups() {
    watchdog(LIMIT, "there_are_no_spurious_wake_ups", || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        let (sent, received) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let end = Event::new();
        thread::scope(|s| {
            let mut patient = Vec::new();
            for _ in 0..3 {
                patient.push(s.spawn(|| {
                    while !end.is_set() {
                        changed.wait(&mut lock.lock());
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                }));
                // Others who give up, and whose places in the line come and go.
                s.spawn(|| {
                    while !end.is_set() {
                        let limit = Duration::from_micros(30);
                        if changed.wait_within(&mut lock.lock(), limit).is_ok() {
                            received.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            for n in 0..3_000 {
                sent.fetch_add(changed.notify(n % 3), Ordering::Relaxed);
                if n % 16 == 0 {
                    thread::yield_now();
                }
            }
            end.set();
            // A patient one that is still on its way to sleep comes late.
            while patient.iter().any(|thread| !thread.is_finished()) {
                sent.fetch_add(changed.notify_all(), Ordering::Relaxed);
                thread::yield_now();
            }
        });
        assert_eq!(sent.into_inner(), received.into_inner());
    });
}

/// T83: a task that is dropped with a share of `notify_all` owes it to nobody; with one of a number
/// it does.
#[test]
fn a_dropped_task_passes_on_what_was_counted_and_nothing_else() {
    watchdog(LIMIT, "a_dropped_task_passes_on", || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        let wait = || {
            let guard = common::block_on(lock.lock_async());
            let mut future = Box::pin(changed.wait_async(guard));
            assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
            future
        };
        for polled_again in [false, true] {
            let mut task = wait();
            assert_eq!(changed.notify_all(), 1);
            let late = wait();
            if polled_again {
                let _held = lock.lock();
                assert!(common::poll(task.as_mut(), Waker::noop()).is_pending());
                drop(task);
            } else {
                drop(task);
            }
            assert_eq!(changed.waiters(), 1, "it came after the call");
            let mut counted = late;
            assert_eq!(changed.notify(1), 1);
            let next = wait();
            if polled_again {
                let _held = lock.lock();
                assert!(common::poll(counted.as_mut(), Waker::noop()).is_pending());
                drop(counted);
            } else {
                drop(counted);
            }
            assert_eq!(changed.waiters(), 0, "it was passed on");
            drop(next);
        }
    });
}

/// T86: nothing of the user's runs in the line, and a panic beside it leaves it whole.
#[test]
fn a_panicking_waker_harms_nobody_else() {
    watchdog(LIMIT, "a_panicking_waker_harms_nobody", || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        let guard = common::block_on(lock.lock_async());
        let mut future = Box::pin(changed.wait_async(guard));
        assert!(common::poll(future.as_mut(), &common::bad_waker()).is_pending());
        thread::scope(|s| {
            let others: Vec<_> = (0..3)
                .map(|_| s.spawn(|| changed.wait(&mut lock.lock())))
                .collect();
            until_parked("Condition", &changed, 4);
            assert_eq!(changed.notify_all(), 4);
            others.into_iter().for_each(|t| t.join().unwrap());
        });
        drop(future);
        assert_eq!(changed.waiters(), 0);
        assert!(!changed.notify_one());
    });
}

/// T87.
#[test]
fn debug_counts_the_waiters() {
    watchdog(LIMIT, "debug_counts_the_waiters", || {
        let (lock, changed) = (RLock::new(()), Condition::default());
        assert_eq!(changed.waiters(), 0);
        thread::scope(|s| {
            for n in 1..=3 {
                s.spawn(|| changed.wait(&mut lock.lock()));
                until_parked("Condition", &changed, n);
                assert_eq!(changed.waiters(), n);
                assert_eq!(
                    format!("{changed:?}"),
                    format!("Condition {{ waiters: {n} }}")
                );
            }
            assert_eq!(changed.notify(2), 2);
            assert_eq!(changed.waiters(), 1);
            changed.notify_all();
        });
    });
}

/// T83: a task gives the lock up when it is first polled, and a drop at any point of its wait leaves
/// neither the lock held nor a place in the line.
#[test]
fn a_task_that_is_dropped_at_any_point_leaves_nothing_behind() {
    watchdog(LIMIT, "a_task_that_is_dropped_at_any_point", || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        let is_left = || lock.try_lock().is_some() && changed.waiters() == 0;
        for point in 0..5 {
            let guard = common::block_on(lock.lock_async());
            let mut future = Box::pin(changed.wait_async(guard));
            assert!(lock.try_lock().is_none(), "not before the first poll");
            if point > 0 {
                assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
                assert!(lock.try_lock().is_some());
            }
            if point > 1 {
                assert!(changed.notify_one());
            }
            if point == 3 {
                // In the lock's line when it is dropped.
                let _held = lock.lock();
                assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
                drop(future);
                continue;
            }
            if point == 4 {
                let std::task::Poll::Ready(guard) = common::poll(future.as_mut(), Waker::noop())
                else {
                    panic!("notified, and the lock is free");
                };
                assert!(lock.try_lock().is_none());
                drop((future, guard));
            } else {
                drop(future);
            }
            assert!(is_left(), "dropped at {point}");
        }
        assert!(is_left());
    });
}

/// Wakers run with nothing locked: one may notify, wait for the lock, or drop what waits.
#[test]
fn a_waker_may_notify_and_lock() {
    struct Busy(Arc<(Lock<u32>, Condition)>);
    impl std::task::Wake for Busy {
        fn wake(self: Arc<Self>) {
            *self.0.0.lock() += 1;
            self.0.1.notify_one();
        }
    }
    watchdog(LIMIT, "a_waker_may_notify_and_lock", || {
        let shared = Arc::new((Lock::new(0), Condition::new()));
        let (lock, changed) = &*shared;
        let waker = Waker::from(Arc::new(Busy(Arc::clone(&shared))));
        let mut futures: Vec<_> = (0..5)
            .map(|_| {
                let guard = common::block_on(lock.lock_async());
                let mut future = Box::pin(changed.wait_async(guard));
                assert!(common::poll(future.as_mut(), &waker).is_pending());
                future
            })
            .collect();
        // Each one's waker notifies the next.
        assert!(changed.notify_one());
        assert_eq!((*lock.lock(), changed.waiters()), (5, 0));
        for future in &mut futures {
            assert!(common::poll(future.as_mut(), Waker::noop()).is_ready());
        }
    });
}

/// T84: what was notified before the limit is no give-up, however late the lock comes back.
#[test]
fn a_notification_wins_over_a_limit_reached_after_it() {
    watchdog(LIMIT, "a_notification_wins_over_a_limit", || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        let token = CancelToken::new();
        thread::scope(|s| {
            let waiter = s.spawn(|| {
                let outcome = changed.wait_within(&mut lock.lock(), &token);
                assert!(token.is_cancelled());
                outcome
            });
            until_parked("Condition", &changed, 1);
            let held = lock.lock();
            assert!(changed.notify_one());
            token.cancel();
            drop(held);
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
        let cancelled = changed.wait_within(&mut lock.lock(), &token);
        assert_eq!(cancelled, Err(GaveUp::Cancelled));
    });
}
