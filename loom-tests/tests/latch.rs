//! Models of `Latch` and `WaitGroup`: nobody waits for a count that has been zero.

use latchwork::GaveUp;
use latchwork::model::Deadline;
use latchwork::sync::{Latch, WaitGroup};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn counts_against_wait() {
    model(
        "latch: a waiter misses the last count, or what was done before each",
        || {
            let shared = Arc::new((Latch::new(2), [UnsafeCell::new(0), UnsafeCell::new(0)]));
            let counters = [0, 1].map(|n| {
                let shared = shared.clone();
                thread::spawn(move || {
                    // SAFETY: one cell each, before the count. loom checks.
                    shared.1[n].with_mut(|value| unsafe { *value = 1 });
                    shared.0.count_down()
                })
            });
            shared.0.wait();
            for cell in &shared.1 {
                // SAFETY: both have counted. loom checks.
                assert_eq!(cell.with(|value| unsafe { *value }), 1);
            }
            let [a, b] = counters.map(|t| t.join().unwrap());
            assert!(a ^ b, "one of them has opened it");
        },
    );
}

#[test]
fn arrive_and_wait() {
    model("latch: one of those who arrive is left asleep", || {
        let latch = Arc::new(Latch::new(2));
        let mut task = Box::pin(latch.wait_async());
        assert!(poll_once(task.as_mut()).is_pending());
        let other = {
            let latch = latch.clone();
            thread::spawn(move || latch.arrive_and_wait())
        };
        latch.arrive_and_wait();
        other.join().unwrap();
        assert!(poll_once(task.as_mut()).is_ready());
    });
}

#[test]
fn count_against_time_out() {
    model(
        "latch: a time-out after the latch has opened, or that leaves another asleep",
        || {
            let latch = Arc::new(Latch::new(1));
            let deadline = Deadline::new();
            let hasty = {
                let (latch, deadline) = (latch.clone(), deadline.clone());
                thread::spawn(move || latch.wait_within(&deadline))
            };
            let patient = {
                let latch = latch.clone();
                thread::spawn(move || latch.wait())
            };
            latch.count_down();
            deadline.pass();
            assert_eq!(hasty.join().unwrap(), Ok(()), "it was open before");
            patient.join().unwrap();
        },
    );
}

#[test]
fn one_gives_up() {
    model(
        "latch: one of two waiters gives up and takes the mark with it",
        || {
            let latch = Arc::new(Latch::new(1));
            let deadline = Deadline::new();
            let hasty = {
                let (latch, deadline) = (latch.clone(), deadline.clone());
                thread::spawn(move || {
                    let _ = latch.wait_within(&deadline);
                })
            };
            let patient = {
                let latch = latch.clone();
                thread::spawn(move || latch.wait())
            };
            deadline.pass();
            latch.count_down();
            hasty.join().unwrap();
            patient.join().unwrap();
        },
    );
}

#[test]
fn zero_and_begin_again() {
    model(
        "wait group: a waiter misses a zero because something new begins",
        || {
            let group = Arc::new(WaitGroup::new());
            let first = group.add();
            // In the line with the first token out.
            let mut early = Box::pin(group.wait_async());
            assert!(poll_once(early.as_mut()).is_pending());
            let waiter = {
                let group = group.clone();
                thread::spawn(move || {
                    let second = group.add();
                    drop(second);
                    group.wait();
                })
            };
            drop(first);
            let third = group.add();
            // Perhaps the zero came with the second token, after the first.
            drop(third);
            waiter.join().unwrap();
            assert!(poll_once(early.as_mut()).is_ready());
        },
    );
}

#[test]
fn a_late_release() {
    model(
        "wait group: one who began to wait after a zero is released by it",
        || {
            let group = Arc::new(WaitGroup::new());
            let first = Box::new(group.add());
            let mut early = Box::pin(group.wait_async());
            assert!(poll_once(early.as_mut()).is_pending());
            let deadline = Deadline::new();
            let waiter = {
                let (group, deadline) = (group.clone(), deadline.clone());
                thread::spawn(move || {
                    // By the count alone, perhaps, with who brought it there still on its way to the line.
                    group.wait();
                    let _second = group.add();
                    assert_eq!(group.wait_within(&deadline), Err(GaveUp::TimedOut));
                })
            };
            drop(first);
            deadline.pass();
            waiter.join().unwrap();
            assert!(poll_once(early.as_mut()).is_ready());
        },
    );
}
