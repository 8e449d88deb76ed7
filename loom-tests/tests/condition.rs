//! Models of `Condition`: a notification reaches exactly as many as it says.

use latchwork::model::Deadline;
use latchwork::sync::{Condition, Lock};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::thread;
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
