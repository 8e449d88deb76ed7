//! `CancelToken` and `Limit`.

mod common;

use common::watchdog;
use latchwork::sync::{Event, Lock, Semaphore};
use latchwork::{CancelToken, GaveUp, Limit, debug};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn cancelling_is_final_and_idempotent() {
    let token = CancelToken::new();
    assert_eq!(token.check(), Ok(()));
    assert!(token.cancel());
    assert!(!token.cancel());
    assert!(token.clone().is_cancelled());
    assert_eq!(format!("{token:?}"), "CancelToken { is_cancelled: true }");
}

#[test]
fn children_follow_their_parent_and_not_the_reverse() {
    let parent = CancelToken::new();
    let (first, second) = (parent.child(), parent.child());
    let grandchild = first.child();
    second.cancel();
    assert!(!parent.is_cancelled() && !first.is_cancelled());
    drop(second);
    parent.cancel();
    assert!(first.is_cancelled() && grandchild.is_cancelled());
    assert!(parent.child().is_cancelled(), "born cancelled");
}

#[test]
fn a_chain_of_children_outlives_its_links() {
    let root = CancelToken::new();
    let mut last = root.child();
    for _ in 0..1000 {
        last = last.child();
    }
    root.cancel();
    assert!(last.is_cancelled());
}

#[test]
fn one_token_ends_waits_on_different_things() {
    watchdog(LIMIT, "one_token_ends_waits", || {
        let token = CancelToken::new();
        let (lock, event, semaphore) = (Lock::new(()), Event::new(), Semaphore::new(0));
        let held = lock.lock();
        thread::scope(|s| {
            let (lock, event, semaphore, token) = (&lock, &event, &semaphore, &token);
            s.spawn(move || assert!(lock.lock_within(token).is_err()));
            s.spawn(move || assert!(event.wait_within(token).is_err()));
            s.spawn(move || assert!(semaphore.acquire_within(token).is_err()));
            let child = token.child();
            s.spawn(move || assert!(Event::new().wait_within(&child).is_err()));
            let places = |wait: &debug::Wait| wait.place.file().ends_with("tests/cancel.rs");
            while debug::waits().iter().filter(|wait| places(wait)).count() < 4 {
                thread::yield_now();
            }
            token.cancel();
        });
        drop(held);
    });
}

#[test]
fn the_token_itself_can_be_waited_for() {
    watchdog(LIMIT, "the_token_itself", || {
        let token = CancelToken::new();
        assert_eq!(
            token.wait_within(Duration::from_millis(5)),
            Err(GaveUp::TimedOut)
        );
        let other = CancelToken::new();
        other.cancel();
        assert_eq!(token.wait_within(&other), Err(GaveUp::Cancelled));
        thread::scope(|s| {
            let waiters: Vec<_> = (0..3).map(|_| s.spawn(|| token.wait())).collect();
            token.cancel();
            waiters.into_iter().for_each(|w| w.join().unwrap());
        });
        assert_eq!(token.wait_within(Duration::ZERO), Ok(()));
    });
}

#[test]
fn a_token_with_a_deadline() {
    let (token, event) = (CancelToken::new(), Event::new());
    let begin = Instant::now();
    let limit = Duration::from_millis(10);
    assert_eq!(
        event.wait_within(token.within(limit)),
        Err(GaveUp::TimedOut)
    );
    assert!(begin.elapsed() >= limit);
    assert_eq!(event.wait_within(token.until(begin)), Err(GaveUp::TimedOut));
    token.cancel();
    assert_eq!(
        event.wait_within(token.within(Duration::MAX)),
        Err(GaveUp::Cancelled)
    );
    event.set();
    assert_eq!(event.wait_within(Limit::none()), Ok(()));
}

#[test]
fn families_deeper_than_a_stack() {
    const DEEP: usize = 200_000;
    let root = CancelToken::new();
    let mut last = root.clone();
    for _ in 0..DEEP {
        last = last.child();
    }
    assert!(root.cancel());
    assert!(last.is_cancelled());
    // The last reference to each link but the first goes here.
    drop(last);
}
