//! Models of `Condition`: a notification reaches exactly as many as it says. Case X1 is `one_of_two`,
//! `exactly_one_is_told` and `notify_against_time_out`.

use latchwork::CancelToken;
use latchwork::model::Deadline;
use latchwork::sync::{Condition, Lock, RLock, RLockGuard};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::thread;
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

struct Shared {
    count: Lock<usize>,
    changed: Condition,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared {
        count: Lock::new(0),
        changed: Condition::new(),
    })
}

#[test]
fn notify_against_wait() {
    model(
        "condition: a notification between looking and sleeping",
        || {
            let shared = shared();
            let waiter = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let mut count = shared.count.lock();
                    shared.changed.wait_while(&mut count, |count| *count == 0);
                    assert_eq!(*count, 1);
                })
            };
            *shared.count.lock() += 1;
            shared.changed.notify_one();
            waiter.join().unwrap();
        },
    );
}

#[test]
fn notify_against_time_out() {
    model(
        "condition: a notification is not spent on a waiter that has timed out",
        || {
            let shared = shared();
            let deadline = Deadline::new();
            let hasty = {
                let (shared, deadline) = (shared.clone(), deadline.clone());
                thread::spawn(move || {
                    let mut count = shared.count.lock();
                    *count += 1;
                    shared.changed.wait_within(&mut count, &deadline).is_ok()
                })
            };
            let timer = thread::spawn(move || deadline.pass());
            let notified = {
                let mut count = shared.count.lock();
                *count += 1;
                shared.changed.notify_one()
            };
            assert_eq!(
                notified,
                hasty.join().unwrap(),
                "told exactly if somebody was told"
            );
            timer.join().unwrap();
        },
    );
}

#[test]
fn one_of_two() {
    model(
        "condition: notify_one with one waiter timing out wakes the other",
        || {
            let shared = shared();
            let deadline = Deadline::new();
            let hasty = {
                let (shared, deadline) = (shared.clone(), deadline.clone());
                thread::spawn(move || {
                    let mut count = shared.count.lock();
                    // Told or not, it takes nothing; told, it owes the word to the other.
                    if shared.changed.wait_within(&mut count, &deadline).is_ok() {
                        shared.changed.notify_one();
                    }
                })
            };
            let patient = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let mut count = shared.count.lock();
                    shared.changed.wait_while(&mut count, |count| *count == 0);
                })
            };
            deadline.pass();
            *shared.count.lock() += 1;
            shared.changed.notify_one();
            hasty.join().unwrap();
            patient.join().unwrap();
        },
    );
}

#[test]
fn everybody() {
    model(
        "condition: notify_all with two waiters on their way to sleep",
        || {
            let shared = shared();
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        let mut count = shared.count.lock();
                        shared.changed.wait_while(&mut count, |count| *count == 0);
                    })
                })
                .collect();
            *shared.count.lock() = 1;
            shared.changed.notify_all();
            waiters.into_iter().for_each(|t| t.join().unwrap());
        },
    );
}

#[test]
fn dropped_future() {
    model(
        "condition: a future dropped after it was notified passes the word on",
        || {
            let shared = shared();
            let dropper = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let count = loom::future::block_on(shared.count.lock_async());
                    let mut future = pin!(shared.changed.wait_async(count));
                    drop(
                        future
                            .as_mut()
                            .poll(&mut Context::from_waker(Waker::noop())),
                    );
                })
            };
            let patient = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let mut count = shared.count.lock();
                    shared.changed.wait_while(&mut count, |count| *count == 0);
                })
            };
            *shared.count.lock() += 1;
            shared.changed.notify_one();
            dropper.join().unwrap();
            patient.join().unwrap();
            assert!(shared.count.try_lock().is_some());
        },
    );
}

#[test]
fn exactly_one_is_told() {
    model(
        "condition: one notification, a waiter that has just timed out, another behind it",
        || {
            let shared = shared();
            let (soon, late) = (Deadline::new(), Deadline::new());
            let waiters = [&soon, &late].map(|deadline| {
                let (shared, deadline) = (shared.clone(), deadline.clone());
                thread::spawn(move || {
                    let mut count = shared.count.lock();
                    shared.changed.wait_within(&mut count, &deadline).is_ok()
                })
            });
            // From here on the first has timed out, and may be in the line yet.
            soon.pass();
            let notified = shared.changed.notify_one();
            late.pass();
            let told = waiters.map(|waiter| usize::from(waiter.join().unwrap()));
            assert_eq!(told[0] + told[1], usize::from(notified));
            assert_eq!(shared.changed.waiters(), 0);
        },
    );
}

#[test]
fn notify_against_cancellation() {
    model(
        "condition: a notification is not spent on a waiter that is cancelled",
        || {
            let shared = shared();
            let token = CancelToken::new();
            let hasty = {
                let (shared, token) = (shared.clone(), token.clone());
                thread::spawn(move || {
                    let mut count = shared.count.lock();
                    let told = shared.changed.wait_within(&mut count, &token).is_ok();
                    assert!(
                        shared.count.try_lock().is_none(),
                        "held again in every case"
                    );
                    *count += 1;
                    told
                })
            };
            let canceller = thread::spawn(move || {
                token.cancel();
            });
            let notified = shared.changed.notify_one();
            assert_eq!(notified, hasty.join().unwrap());
            canceller.join().unwrap();
            assert_eq!(*shared.count.lock(), 1);
        },
    );
}

#[test]
fn all_levels() {
    model(
        "condition: a wait with two levels of an RLock keeps the notifier out, or comes back with one",
        || {
            let shared = Arc::new((RLock::new(()), Condition::new()));
            let waiter = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let _outer = shared.0.lock();
                    shared.1.wait(&mut shared.0.lock());
                    assert_eq!(shared.0.depth(), 1, "the guard of the wait is gone by now");
                })
            };
            let passer = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let _outer = shared.0.lock();
                    assert_eq!(shared.0.depth(), 1, "its own, whoever was here before");
                })
            };
            // Until the waiter is in the line, the lock is its or the passer's.
            while !shared.1.notify_one() {
                thread::yield_now();
            }
            waiter.join().unwrap();
            passer.join().unwrap();
            assert!(!shared.0.is_locked());
        },
    );
}

#[test]
fn all_levels_against_time_out() {
    model(
        "condition: an RLock's levels after a notification that races a time-out",
        || {
            let shared = Arc::new((RLock::new(Cell::new(0)), Condition::new()));
            let deadline = Deadline::new();
            let hasty = {
                let (shared, deadline) = (shared.clone(), deadline.clone());
                thread::spawn(move || {
                    let mut guard = shared.0.lock();
                    guard.set(guard.get() + 1);
                    let mut only = RLockGuard::only_level(&mut guard);
                    let told = shared.1.wait_within(&mut only, &deadline).is_ok();
                    assert_eq!(shared.0.depth(), 1);
                    guard.set(guard.get() + 1);
                    told
                })
            };
            let timer = thread::spawn(move || deadline.pass());
            let notified = {
                let guard = shared.0.lock();
                guard.set(guard.get() + 1);
                shared.1.notify_one()
            };
            assert_eq!(notified, hasty.join().unwrap());
            timer.join().unwrap();
            assert_eq!(shared.0.lock().get(), 3);
        },
    );
}

#[test]
fn two_locks() {
    model(
        "condition: waiters of two locks, each notified under its own",
        || {
            let shared = Arc::new((Lock::new(0), Lock::new(0), Condition::new()));
            let wait = |lock: &Lock<i32>, changed: &Condition| {
                changed.wait_while(&mut lock.lock(), |value| *value == 0);
            };
            let waiters = [
                {
                    let shared = shared.clone();
                    thread::spawn(move || wait(&shared.0, &shared.2))
                },
                {
                    let shared = shared.clone();
                    thread::spawn(move || wait(&shared.1, &shared.2))
                },
            ];
            *shared.0.lock() = 1;
            *shared.1.lock() = 1;
            shared.2.notify_all();
            waiters.into_iter().for_each(|t| t.join().unwrap());
        },
    );
}

#[test]
fn broadcast_against_dropped_future() {
    model(
        "condition: a share of a broadcast passed on to one who came after it",
        || {
            let shared = shared();
            let broadcaster = {
                let shared = shared.clone();
                thread::spawn(move || shared.changed.notify_all())
            };
            let wait = || {
                let count = loom::future::block_on(shared.count.lock_async());
                let mut future = Box::pin(shared.changed.wait_async(count));
                let polled = future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
                future
            };
            let (early, late) = (wait(), wait());
            let notified = broadcaster.join().unwrap();
            drop(early);
            let left = shared.changed.waiters();
            assert_eq!(left == 0, notified == 2, "{left} left, {notified} notified");
            drop(late);
        },
    );
}
