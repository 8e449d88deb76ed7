//! `sync::Semaphore`: rows T88-T94, fairness, closing, and permits that are never lost.

mod common;

use common::{until_parked, watchdog};
use latchwork::CancelToken;
use latchwork::sync::{AcquireError, Semaphore, TooManyPermits, TryAcquireError};
use proptest::prelude::*;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn never_more_holders_than_permits() {
    watchdog(LIMIT, "never_more_holders_than_permits", || {
        let semaphore = Semaphore::new(3);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    for _ in 0..500 {
                        let _permit = semaphore.acquire().unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(semaphore.available(), 3);
    });
}

#[test]
fn a_big_request_is_not_starved_by_small_ones() {
    watchdog(LIMIT, "a_big_request_is_not_starved", || {
        let semaphore = Semaphore::new(0);
        thread::scope(|s| {
            let big = s.spawn(|| semaphore.acquire_many(3).map(|permit| permit.forget()));
            until_parked("Semaphore", &semaphore, 1);
            let small = s.spawn(|| semaphore.acquire().map(|permit| permit.forget()));
            until_parked("Semaphore", &semaphore, 2);
            semaphore.release(2).unwrap();
            assert_eq!(
                semaphore.try_acquire().unwrap_err(),
                TryAcquireError::NoPermits,
                "what was given is the oldest waiter's"
            );
            semaphore.release(1).unwrap();
            big.join().unwrap().unwrap();
            until_parked("Semaphore", &semaphore, 1);
            semaphore.release(1).unwrap();
            small.join().unwrap().unwrap();
        });
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn what_a_waiter_had_gathered_goes_on_when_it_gives_up() {
    watchdog(LIMIT, "what_a_waiter_had_gathered", || {
        let semaphore = Semaphore::new(0);
        let token = CancelToken::new();
        thread::scope(|s| {
            let big = s.spawn(|| semaphore.acquire_many_within(3, &token).map(drop));
            until_parked("Semaphore", &semaphore, 1);
            let small = s.spawn(|| semaphore.acquire_many(2).map(drop));
            until_parked("Semaphore", &semaphore, 2);
            semaphore.release(2).unwrap();
            token.cancel();
            assert_eq!(big.join().unwrap(), Err(AcquireError::Cancelled));
            assert_eq!(small.join().unwrap(), Ok(()));
        });
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn time_outs() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.acquire_within(Duration::ZERO).unwrap();
    let late = semaphore.acquire_within(Duration::from_millis(5));
    assert!(late.unwrap_err().is_timed_out());
    drop(permit);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn closing_wakes_and_refuses_and_keeps_the_count() {
    watchdog(LIMIT, "closing_wakes_and_refuses", || {
        let semaphore = Semaphore::new(1);
        let permit = semaphore.acquire().unwrap();
        thread::scope(|s| {
            let waiters: Vec<_> = (0..3)
                .map(|_| s.spawn(|| semaphore.acquire_many(2).map(drop)))
                .collect();
            until_parked("Semaphore", &semaphore, 3);
            semaphore.release(1).unwrap();
            assert!(semaphore.close());
            assert!(!semaphore.close());
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(AcquireError::Closed));
            }
        });
        assert_eq!(
            semaphore.try_acquire().unwrap_err(),
            TryAcquireError::Closed
        );
        drop(permit);
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn over_release_is_an_error_and_changes_nothing() {
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    assert_eq!(semaphore.release(1), Err(TooManyPermits));
    assert_eq!(semaphore.release(usize::MAX), Err(TooManyPermits));
    assert_eq!(semaphore.available(), Semaphore::MAX_PERMITS);
}

#[test]
fn forgotten_permits_do_not_come_back() {
    let semaphore = Semaphore::new(2);
    semaphore.acquire().unwrap().forget();
    assert_eq!(semaphore.available(), 1);
    assert_eq!(semaphore.acquire_many(0).unwrap().count(), 0);
}

#[test]
fn a_granted_future_that_is_dropped_gives_back() {
    watchdog(LIMIT, "a_granted_future_that_is_dropped", || {
        let semaphore = Semaphore::new(0);
        {
            let mut future = pin!(semaphore.acquire_many_async(2));
            let polled = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            semaphore.release(2).unwrap();
        }
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn debug_tells_the_state() {
    let semaphore = Semaphore::new(2);
    assert_eq!(
        format!("{semaphore:?}"),
        "Semaphore { available: 2, waited_for: false, is_closed: false }"
    );
}

/// One step of a single thread: what it does to the semaphore and to a plain counter.
#[derive(Clone, Debug)]
enum Step {
    TryAcquire(usize),
    AcquireWithinZero(usize),
    Release(usize),
    DropOldest,
    ForgetOldest,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..4).prop_map(Step::TryAcquire),
        2 => (0usize..4).prop_map(Step::AcquireWithinZero),
        3 => (0usize..3).prop_map(Step::Release),
        3 => Just(Step::DropOldest),
        1 => Just(Step::ForgetOldest),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_counter(
        start in 0usize..5,
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let semaphore = Semaphore::new(start);
        let (mut count, mut is_closed) = (start, false);
        let mut held = std::collections::VecDeque::new();
        for step in steps {
            match step {
                Step::TryAcquire(n) | Step::AcquireWithinZero(n) => {
                    let taken = match step {
                        Step::TryAcquire(_) => semaphore.try_acquire_many(n).ok(),
                        _ => semaphore.acquire_many_within(n, Duration::ZERO).ok(),
                    };
                    prop_assert_eq!(taken.is_some(), !is_closed && count >= n);
                    if let Some(permit) = taken {
                        count -= n;
                        held.push_back(permit);
                    }
                }
                Step::Release(n) => {
                    prop_assert!(semaphore.release(n).is_ok());
                    count += n;
                }
                Step::DropOldest => count += held.pop_front().map_or(0, |permit| permit.count()),
                Step::ForgetOldest => {
                    if let Some(permit) = held.pop_front() {
                        permit.forget();
                    }
                }
                Step::Close => {
                    prop_assert_eq!(semaphore.close(), !is_closed);
                    is_closed = true;
                }
            }
            prop_assert_eq!(semaphore.available(), count);
        }
    }
}

#[test]
fn a_refused_release_serves_nobody() {
    let semaphore = Semaphore::new(0);
    let mut future = Box::pin(semaphore.acquire_async());
    assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
    assert_eq!(semaphore.release(usize::MAX), Err(TooManyPermits));
    assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
}
