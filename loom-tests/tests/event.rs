//! Models of `Event`: nobody who waited during a `set` is left behind.

use latchwork::GaveUp;
use latchwork::model::Deadline;
use latchwork::sync::Event;
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn set_against_wait() {
    model(
        "event: a waiter goes to sleep while the flag goes up",
        || {
            let shared = Arc::new((Event::new(), UnsafeCell::new(0)));
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        shared.0.wait();
                        // SAFETY: written before `set`, and never again. loom checks that this is so.
                        assert_eq!(shared.1.with(|value| unsafe { *value }), 7);
                    })
                })
                .collect();
            // SAFETY: nobody reads before `set`. loom checks that this is so.
            shared.1.with_mut(|value| unsafe { *value = 7 });
            shared.0.set();
            waiters.into_iter().for_each(|t| t.join().unwrap());
        },
    );
}

#[test]
fn set_then_clear() {
    model(
        "event: set followed at once by clear releases whoever waited",
        || {
            let event = Arc::new(Event::new());
            let began = Arc::new(Event::new());
            let waiter = {
                let (event, began) = (event.clone(), began.clone());
                thread::spawn(move || {
                    // The wait begins before the set: its future exists, and has seen the flag down.
                    let wait = event.wait_async();
                    began.set();
                    loom::future::block_on(wait);
                })
            };
            began.wait();
            event.set();
            event.clear();
            waiter.join().unwrap();
        },
    );
}

#[test]
fn clear_between_set_and_release() {
    model(
        "event: a wait begun after clear is ended by the set before it",
        || {
            let event = Arc::new(Event::new());
            let deadline = Deadline::new();
            // Somebody in the line, so that the setter has somebody to release.
            let mut early = Box::pin(event.wait_async());
            assert!(poll_once(early.as_mut()).is_pending());
            let setter = {
                let (event, deadline) = (event.clone(), deadline.clone());
                thread::spawn(move || {
                    event.set();
                    deadline.pass();
                })
            };
            // By the flag alone, perhaps, with the setter still on its way to the line.
            event.wait();
            event.clear();
            assert_eq!(event.wait_within(&deadline), Err(GaveUp::TimedOut));
            setter.join().unwrap();
            assert!(poll_once(early.as_mut()).is_ready());
        },
    );
}

#[test]
fn clear_then_look() {
    model(
        "event: who clears the flag misses what a set before it announced",
        || {
            let shared = Arc::new((Event::new(), AtomicUsize::new(0)));
            let consumer = {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.0.wait();
                    shared.0.clear();
                    if shared.1.load(Ordering::Relaxed) == 0 {
                        shared.0.wait();
                        assert_eq!(shared.1.load(Ordering::Relaxed), 1);
                    }
                })
            };
            shared.0.set();
            shared.1.store(1, Ordering::Relaxed);
            shared.0.set();
            consumer.join().unwrap();
        },
    );
}

#[test]
fn another_waker() {
    model(
        "event: a task polled again with another waker while the flag goes up",
        || {
            let shared = Arc::new((Event::new(), UnsafeCell::new(0)));
            let task = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let mut future = Box::pin(shared.0.wait_async());
                    if poll_once(future.as_mut()).is_pending() {
                        loom::future::block_on(future);
                    }
                    // SAFETY: written before `set`, and never again. loom checks that this is so.
                    assert_eq!(shared.1.with(|value| unsafe { *value }), 7);
                })
            };
            // SAFETY: nobody reads before `set`. loom checks that this is so.
            shared.1.with_mut(|value| unsafe { *value = 7 });
            shared.0.set();
            task.join().unwrap();
        },
    );
}

#[test]
fn one_gives_up() {
    model(
        "event: one of two waiters gives up and takes the mark with it",
        || {
            let event = Arc::new(Event::new());
            let deadline = Deadline::new();
            let hasty = {
                let (event, deadline) = (event.clone(), deadline.clone());
                thread::spawn(move || {
                    let _ = event.wait_within(&deadline);
                })
            };
            let patient = {
                let event = event.clone();
                thread::spawn(move || event.wait())
            };
            deadline.pass();
            event.set();
            hasty.join().unwrap();
            patient.join().unwrap();
        },
    );
}

#[test]
fn set_against_time_out() {
    model(
        "event: a time-out that coincides with set returns true",
        || {
            let event = Arc::new(Event::new());
            let deadline = Deadline::new();
            let waiter = {
                let (event, deadline) = (event.clone(), deadline.clone());
                thread::spawn(move || event.wait_within(&deadline))
            };
            event.set();
            deadline.pass();
            assert_eq!(
                waiter.join().unwrap(),
                Ok(()),
                "it was set before the deadline passed"
            );
        },
    );
}

#[test]
fn set_and_clear_against_time_out() {
    model(
        "event: a time-out that coincides with a set, which is cleared at once, returns true",
        || {
            let event = Arc::new(Event::new());
            let deadline = Deadline::new();
            let waiter = {
                let (event, deadline) = (event.clone(), deadline.clone());
                thread::spawn(move || event.wait_within(&deadline))
            };
            let was_waited_for = format!("{event:?}").contains("waited_for: true");
            event.set();
            event.clear();
            deadline.pass();
            let outcome = waiter.join().unwrap();
            if was_waited_for {
                assert_eq!(outcome, Ok(()), "it waited when the flag went up");
            }
        },
    );
}

#[test]
fn two_setters() {
    model(
        "event: two setters, exactly one of which put the flag up",
        || {
            let event = Arc::new(Event::new());
            let waiter = {
                let event = event.clone();
                thread::spawn(move || event.wait())
            };
            let other = {
                let event = event.clone();
                thread::spawn(move || event.set())
            };
            let mine = event.set();
            waiter.join().unwrap();
            assert!(mine ^ other.join().unwrap());
        },
    );
}
