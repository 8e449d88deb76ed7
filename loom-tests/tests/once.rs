//! Models of `Once`: one value, made by one, and nobody waits for one who has given up making it.

use latchwork::model::Deadline;
use latchwork::sync::Once;
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn two_initialisers() {
    model(
        "once: made twice, or seen before it was made, or missed by who waits for it",
        || {
            let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
            let mut waiter = Box::pin(shared.0.wait_async());
            assert!(poll_once(waiter.as_mut()).is_pending());
            let make = |shared: &(Once<i32>, AtomicUsize), value| {
                *shared.0.get_or_init(|| {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    value
                })
            };
            let maker = {
                let shared = shared.clone();
                thread::spawn(move || make(&shared, 1))
            };
            let value = make(&shared, 2);
            assert_eq!(maker.join().unwrap(), value);
            assert_eq!(poll_once(waiter.as_mut()), Poll::Ready(&value));
            assert_eq!(shared.1.load(Ordering::Relaxed), 1);
        },
    );
}

#[test]
fn set_against_init() {
    model(
        "once: set while it is made, or not set and not made",
        || {
            let once = Arc::new(Once::new());
            let maker = {
                let once = once.clone();
                thread::spawn(move || *once.get_or_init(|| 1))
            };
            let was_set = once.set(2).is_ok();
            let made = maker.join().unwrap();
            assert_eq!(made, if was_set { 2 } else { 1 });
            assert_eq!(once.get(), Some(&made));
        },
    );
}

#[test]
fn one_fails() {
    model(
        "once: an initialiser fails and those who would make it are not told",
        || {
            let once = Arc::new(Once::new());
            // In front of those who would make it, one who would not.
            let mut waiter = Box::pin(once.wait_async());
            assert!(poll_once(waiter.as_mut()).is_pending());
            let maker = {
                let once = once.clone();
                thread::spawn(move || *once.get_or_init(|| 1))
            };
            // If it fails here, the other one makes it, without help.
            if let Ok(value) = once.get_or_try_init(|| Err(())) {
                assert_eq!(*value, 1);
            }
            assert_eq!(maker.join().unwrap(), 1);
            assert_eq!(loom::future::block_on(waiter), &1);
        },
    );
}

#[test]
fn a_failure_publishes() {
    model(
        "once: an initialiser does not see what one that failed has done",
        || {
            let shared = Arc::new((Once::new(), UnsafeCell::new(0)));
            let try_it = |(once, cell): &(Once<i32>, UnsafeCell<i32>)| {
                // SAFETY: one initialiser at a time. loom checks.
                let tries = || {
                    cell.with_mut(|tries| unsafe {
                        *tries += 1;
                        *tries
                    })
                };
                once.get_or_try_init(|| if tries() == 1 { Err(()) } else { Ok(2) })
                    .is_ok()
            };
            let other = {
                let shared = shared.clone();
                thread::spawn(move || try_it(&shared))
            };
            let mine = try_it(&shared);
            assert!(mine ^ other.join().unwrap(), "the first has failed");
        },
    );
}

#[test]
fn the_told_one_times_out() {
    model(
        "once: told that nobody makes it, one gives up, and another waits for ever",
        || {
            let once = Arc::new(Once::new());
            let mut patient = Box::pin(once.wait_async());
            assert!(poll_once(patient.as_mut()).is_pending());
            let deadline = Deadline::new();
            let hasty = {
                let (once, deadline) = (once.clone(), deadline.clone());
                thread::spawn(move || match once.get_or_init_within(&deadline, || 1) {
                    Ok(value) => assert_eq!(*value, 1),
                    Err(why) => assert_eq!(why, GaveUp::TimedOut),
                })
            };
            let _ = once.get_or_try_init(|| {
                deadline.pass();
                Err(())
            });
            assert_eq!(*once.get_or_init(|| 1), 1);
            hasty.join().unwrap();
            assert_eq!(loom::future::block_on(patient), &1);
        },
    );
}

#[test]
fn told_before_it_is_free() {
    model(
        "once: told before the place is empty, one finds it taken and gives up, and the next is not told",
        || {
            let once = Arc::new(Once::new());
            let deadline = Deadline::new();
            let hasty = {
                let (once, deadline) = (once.clone(), deadline.clone());
                thread::spawn(move || {
                    let _ = once.get_or_init_within(&deadline, || 1);
                })
            };
            let passer = thread::spawn(move || deadline.pass());
            let mut next = Box::pin(once.get_or_init_async(|| async { 1 }));
            let _ = once.get_or_try_init(|| {
                // Perhaps behind the hasty one.
                assert!(poll_once(next.as_mut()).is_pending());
                Err(())
            });
            hasty.join().unwrap();
            passer.join().unwrap();
            if once.get().is_none() {
                assert!(poll_once(next.as_mut()).is_ready());
            }
        },
    );
}

#[test]
fn the_front_one_is_cancelled() {
    model(
        "once: the front one is cancelled when it is told, and the next is not told instead",
        || {
            let once = Arc::new(Once::new());
            let token = CancelToken::new();
            let hasty = {
                let (once, token) = (once.clone(), token.clone());
                thread::spawn(move || {
                    let _ = once.get_or_init_within(&token, || 1);
                })
            };
            let canceller = thread::spawn(move || token.cancel());
            let mut next = Box::pin(once.get_or_init_async(|| async { 1 }));
            let _ = once.get_or_try_init(|| {
                // Perhaps behind the hasty one.
                assert!(poll_once(next.as_mut()).is_pending());
                Err(())
            });
            hasty.join().unwrap();
            canceller.join().unwrap();
            if once.get().is_none() {
                assert!(poll_once(next.as_mut()).is_ready());
            }
        },
    );
}

#[test]
fn a_waiter_gives_up() {
    model(
        "once: a waiter gives up while the value comes, and takes the mark with it",
        || {
            let once = Arc::new(Once::new());
            let token = CancelToken::new();
            let hasty = {
                let (once, token) = (once.clone(), token.clone());
                thread::spawn(move || match once.wait_within(&token) {
                    Ok(value) => assert_eq!(*value, 1),
                    Err(why) => assert_eq!(why, GaveUp::Cancelled),
                })
            };
            let patient = {
                let once = once.clone();
                thread::spawn(move || *once.wait())
            };
            token.cancel();
            assert!(once.set(1).is_ok());
            hasty.join().unwrap();
            assert_eq!(patient.join().unwrap(), 1);
        },
    );
}

#[test]
fn dropped_in_its_initialiser() {
    model(
        "once: a future dropped while it makes the value, and the next is not told",
        || {
            let once = Arc::new(Once::new());
            let dropper = {
                let once = once.clone();
                thread::spawn(move || {
                    let mut maker = Box::pin(once.get_or_init_async(pending));
                    if let Poll::Ready(value) = poll_once(maker.as_mut()) {
                        assert_eq!(*value, 1);
                    }
                })
            };
            let other = {
                let once = once.clone();
                thread::spawn(move || *once.get_or_init(|| 1))
            };
            dropper.join().unwrap();
            assert_eq!(other.join().unwrap(), 1);
        },
    );
}

#[test]
fn dropped_when_told() {
    model(
        "once: a future dropped when it was told to look, and the next is not told",
        || {
            let once = Arc::new(Once::new());
            let mut first = Box::pin(once.get_or_init_async(pending::<i32>));
            assert!(poll_once(first.as_mut()).is_pending());
            let mut told = Box::pin(once.get_or_init_async(pending::<i32>));
            assert!(poll_once(told.as_mut()).is_pending());
            let other = {
                let once = once.clone();
                thread::spawn(move || *once.get_or_init(|| 1))
            };
            drop(first);
            drop(told);
            assert_eq!(other.join().unwrap(), 1);
        },
    );
}
