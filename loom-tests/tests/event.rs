//! Models of `Event`: nobody who waited during a `set` is left behind.

use latchwork::GaveUp;
use latchwork::model::Deadline;
use latchwork::sync::Event;
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

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
        "event: a waiter that came after clear is not released by the set before it",
        || {
            let event = Arc::new(Event::new());
            let deadline = Deadline::new();
            let early = {
                let event = event.clone();
                thread::spawn(move || event.wait())
            };
            let setter = {
                let event = event.clone();
                thread::spawn(move || event.set())
            };
            // Released by the flag alone, perhaps, with the setter still on its way to the line.
            early.join().unwrap();
            event.clear();
            let late = {
                let (event, deadline) = (event.clone(), deadline.clone());
                thread::spawn(move || event.wait_within(&deadline))
            };
            deadline.pass();
            assert_eq!(late.join().unwrap(), Err(GaveUp::TimedOut));
            setter.join().unwrap();
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
