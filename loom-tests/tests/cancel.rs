//! Models of `CancelToken`: a cancellation reaches every wait under it, and touches none after its end.

use latchwork::model::Deadline;
use latchwork::sync::Event;
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

#[test]
fn cancel_against_wait() {
    model(
        "cancel: a waiter goes to sleep while its token fires",
        || {
            let token = CancelToken::new();
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let token = token.clone();
                    thread::spawn(move || Event::new().wait_within(&token))
                })
                .collect();
            token.cancel();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
            }
        },
    );
}

#[test]
fn cancel_against_a_wait_that_ends() {
    model(
        "cancel: a token fires while the wait under it is granted and its frame goes away",
        || {
            let token = CancelToken::new();
            let event = Arc::new(Event::new());
            let waiter = {
                let (token, event) = (token.clone(), event.clone());
                thread::spawn(move || {
                    let _ = event.wait_within(&token);
                    token.check().is_err()
                })
            };
            let setter = {
                let event = event.clone();
                thread::spawn(move || event.set())
            };
            token.cancel();
            waiter.join().unwrap();
            setter.join().unwrap();
        },
    );
}

#[test]
fn waiting_for_the_cancellation_itself() {
    model(
        "cancel: who waits for a token gets it, whatever their own limit does",
        || {
            let token = CancelToken::new();
            let deadline = Deadline::new();
            let waiter = {
                let (token, deadline) = (token.clone(), deadline.clone());
                thread::spawn(move || (token.wait_within(&deadline), token.is_cancelled()))
            };
            let timer = thread::spawn(move || deadline.pass());
            token.cancel();
            let (outcome, _cancelled_by_then) = waiter.join().unwrap();
            assert!(matches!(outcome, Ok(()) | Err(GaveUp::TimedOut)));
            timer.join().unwrap();
        },
    );
}

#[test]
fn parent_against_child() {
    model("cancel: a child is born while its parent fires", || {
        let parent = CancelToken::new();
        let waiter = {
            let parent = parent.clone();
            thread::spawn(move || Event::new().wait_within(&parent.child()))
        };
        parent.cancel();
        assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
    });
}

#[test]
fn a_cancellation_publishes() {
    model(
        "cancel: who sees the cancellation does not see what came before it",
        || {
            let shared = Arc::new((CancelToken::new(), UnsafeCell::new(0)));
            let other = {
                let shared = shared.clone();
                thread::spawn(move || {
                    if shared.0.is_cancelled() {
                        // SAFETY: written before the cancellation, and never again. loom checks.
                        assert_eq!(shared.1.with(|value| unsafe { *value }), 1);
                    }
                })
            };
            // SAFETY: nobody reads before the cancellation. loom checks.
            shared.1.with_mut(|value| unsafe { *value = 1 });
            shared.0.cancel();
            other.join().unwrap();
        },
    );
}
