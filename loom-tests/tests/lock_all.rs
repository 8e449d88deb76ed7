//! Models of `lock_all`: opposite orders, and what is freed when a call ends halfway.

use latchwork::model::Deadline;
use latchwork::sync::{Lock, lock_all, lock_all_async, lock_all_within, try_lock_all};
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// In one allocation, so that their order is the same in every interleaving.
type Pair = (Lock<i32>, Lock<i32>);

fn pair() -> Arc<Pair> {
    Arc::new((Lock::new(0), Lock::new(0)))
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn opposite_orders() {
    model(
        "lock_all: (a, b) against (b, a), each waiting for the other",
        || {
            let pair = pair();
            let other = {
                let pair = pair.clone();
                thread::spawn(move || {
                    let (mut b, mut a) = lock_all((&pair.1, &pair.0));
                    *a += 1;
                    *b += 1;
                })
            };
            {
                let (mut a, mut b) = lock_all((&pair.0, &pair.1));
                *a += 1;
                *b += 1;
            }
            other.join().unwrap();
            let (a, b) = try_lock_all((&pair.0, &pair.1)).expect("free");
            assert_eq!((*a, *b), (2, 2));
        },
    );
}

#[test]
fn time_out_halfway() {
    model(
        "lock_all: a time-out with the first lock taken, and another caller behind it",
        || {
            let pair = pair();
            let deadline = Deadline::new();
            let hasty = {
                let (pair, deadline) = (pair.clone(), deadline.clone());
                thread::spawn(move || {
                    let Ok((mut b, mut a)) = lock_all_within((&pair.1, &pair.0), &deadline) else {
                        return 0;
                    };
                    *a += 1;
                    *b += 1;
                    1
                })
            };
            let timer = thread::spawn(move || deadline.pass());
            {
                let (mut a, mut b) = lock_all((&pair.0, &pair.1));
                *a += 1;
                *b += 1;
            }
            let served = hasty.join().unwrap();
            timer.join().unwrap();
            let (a, b) = try_lock_all((&pair.0, &pair.1)).expect("free, whoever gave up");
            assert_eq!((*a, *b), (1 + served, 1 + served));
        },
    );
}

#[test]
fn cancelled_halfway() {
    model(
        "lock_all: cancelled while a single locker frees what it waits for and waits for what it has",
        || {
            let pair = pair();
            let token = CancelToken::new();
            let held = pair.1.lock();
            let waiter = {
                let (pair, token) = (pair.clone(), token.clone());
                thread::spawn(move || {
                    lock_all_within([&pair.0, &pair.1], &token).map(drop) != Err(GaveUp::TimedOut)
                })
            };
            let single = {
                let pair = pair.clone();
                thread::spawn(move || *pair.0.lock() += 1)
            };
            token.cancel();
            drop(held);
            assert!(waiter.join().unwrap());
            single.join().unwrap();
            let [a, _b] = try_lock_all([&pair.0, &pair.1]).expect("free");
            assert_eq!(*a, 1);
        },
    );
}

#[test]
fn dropped_halfway() {
    model(
        "lock_all: a future dropped with one lock taken while it is granted the other, with a thread behind it",
        || {
            let pair = pair();
            let held = pair.1.lock();
            let dropper = {
                let pair = pair.clone();
                thread::spawn(move || {
                    let mut future = pin!(lock_all_async((&pair.0, &pair.1)));
                    drop(poll_once(future.as_mut()));
                })
            };
            let single = {
                let pair = pair.clone();
                thread::spawn(move || *pair.1.lock() += 1)
            };
            drop(held);
            dropper.join().unwrap();
            single.join().unwrap();
            let (_a, b) = try_lock_all((&pair.0, &pair.1)).expect("free");
            assert_eq!(*b, 1);
        },
    );
}

#[test]
fn task_and_thread() {
    model(
        "lock_all: a task that waits for both in turn, against a thread in the other order",
        || {
            let pair = pair();
            let task = {
                let pair = pair.clone();
                thread::spawn(move || {
                    loom::future::block_on(async {
                        let (mut a, mut b) = lock_all_async((&pair.0, &pair.1)).await;
                        *a += 1;
                        *b += 1;
                    })
                })
            };
            {
                let (mut b, mut a) = lock_all((&pair.1, &pair.0));
                *a += 1;
                *b += 1;
            }
            task.join().unwrap();
            let (a, b) = try_lock_all((&pair.0, &pair.1)).expect("free");
            assert_eq!((*a, *b), (2, 2));
        },
    );
}

#[test]
fn tries_in_opposite_orders() {
    model("lock_all: a try that fails halfway keeps nothing", || {
        let pair = pair();
        let other = {
            let pair = pair.clone();
            thread::spawn(move || try_lock_all((&pair.1, &pair.0)).is_some())
        };
        let single = {
            let pair = pair.clone();
            thread::spawn(move || *pair.1.lock() += 1)
        };
        let _ = try_lock_all((&pair.0, &pair.1)).is_some();
        let _ = other.join().unwrap();
        single.join().unwrap();
        let (_a, b) = try_lock_all((&pair.0, &pair.1)).expect("free");
        assert_eq!(*b, 1);
    });
}
