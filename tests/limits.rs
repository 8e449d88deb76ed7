//! Limits at the ends of their range, on everything that waits: row X17. No overflow, no early return.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{BoundedSemaphore, Condition, Event, Lock, Semaphore};
use latchwork::{CancelToken, Limit};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// About the last instant that the clock can name.
fn end_of_time() -> Instant {
    (0..64).rev().fold(Instant::now(), |at, bit| {
        at.checked_add(Duration::from_secs(1 << bit)).unwrap_or(at)
    })
}

/// As good as no limit.
fn endless(token: &CancelToken) -> [Limit<'_>; 6] {
    [
        Limit::none(),
        Duration::MAX.into(),
        Duration::from_secs(u64::MAX / 4).into(),
        end_of_time().into(),
        token.within(Duration::MAX),
        token.until(end_of_time()),
    ]
}

/// Over before they begin.
fn over(token: &CancelToken) -> [Limit<'_>; 5] {
    [
        Duration::ZERO.into(),
        Instant::now().into(),
        Instant::now()
            .checked_sub(Duration::from_secs(1))
            .unwrap_or_else(Instant::now)
            .into(),
        token.within(Duration::ZERO),
        token.until(Instant::now()),
    ]
}

/// What `new` makes cannot be had until `give` gives it: `within` waits for it, endlessly or not at
/// all, and then has it whatever the limit is.
fn waits_as_long<T: Sync>(
    kind: &str,
    new: impl Fn() -> T,
    within: impl Fn(&T, Limit<'_>) -> bool + Sync,
    give: impl Fn(&T),
) {
    let token = CancelToken::new();
    for limit in endless(&token) {
        let thing = new();
        thread::scope(|s| {
            let waiter = s.spawn(|| within(&thing, limit));
            until_parked(kind, &thing, 1);
            give(&thing);
            assert!(waiter.join().unwrap(), "{kind} gave up");
        });
    }
    for limit in over(&token) {
        let thing = new();
        assert!(!within(&thing, limit), "{kind} did what it could not");
        give(&thing);
        assert!(within(&thing, limit), "{kind} did not do what it could");
    }
}

#[test]
fn semaphores() {
    watchdog(LIMIT, "semaphores", || {
        let give = |semaphore: &Semaphore| semaphore.release(1).unwrap();
        let within =
            |semaphore: &Semaphore, limit: Limit<'_>| semaphore.acquire_within(limit).is_ok();
        waits_as_long("Semaphore", || Semaphore::new(0), within, give);
        waits_as_long("Semaphore", || Semaphore::fair(0), within, give);
        waits_as_long(
            "BoundedSemaphore",
            || {
                let semaphore = BoundedSemaphore::new(1);
                semaphore.acquire().unwrap().forget();
                semaphore
            },
            |semaphore, limit| semaphore.acquire_within(limit).is_ok(),
            |semaphore| semaphore.release(1).unwrap(),
        );
    });
}

#[test]
fn events() {
    watchdog(LIMIT, "events", || {
        waits_as_long(
            "Event",
            Event::new,
            |event, limit| event.wait_within(limit).is_ok(),
            |event| assert!(event.set()),
        );
    });
}

#[test]
fn locks() {
    watchdog(LIMIT, "locks", || {
        let token = CancelToken::new();
        for limit in endless(&token) {
            let lock = Lock::new(());
            thread::scope(|s| {
                let held = lock.lock();
                let waiter = s.spawn(|| lock.lock_within(limit).is_ok());
                until_parked("Lock", &lock, 1);
                drop(held);
                assert!(waiter.join().unwrap());
            });
        }
        for limit in over(&token) {
            let lock = Lock::new(());
            let held = lock.lock();
            thread::scope(|s| {
                let refused = s.spawn(|| lock.lock_within(limit).is_err());
                assert!(refused.join().unwrap());
            });
            drop(held);
            assert!(lock.lock_within(limit).is_ok());
        }
    });
}

#[test]
fn conditions() {
    watchdog(LIMIT, "conditions", || {
        let token = CancelToken::new();
        for limit in endless(&token) {
            let (lock, condition) = (Lock::new(()), Condition::new());
            thread::scope(|s| {
                let waiter = s.spawn(|| condition.wait_within(&mut lock.lock(), limit).is_ok());
                until_parked("Condition", &condition, 1);
                condition.notify_one();
                assert!(waiter.join().unwrap());
            });
        }
        for limit in over(&token) {
            let (lock, condition) = (Lock::new(()), Condition::new());
            assert!(condition.wait_within(&mut lock.lock(), limit).is_err());
            assert!(
                condition
                    .wait_while_within(&mut lock.lock(), |_| false, limit)
                    .is_ok()
            );
        }
    });
}

#[test]
fn tokens() {
    watchdog(LIMIT, "tokens", || {
        let token = CancelToken::new();
        let other = CancelToken::new();
        for limit in endless(&other) {
            let token = CancelToken::new();
            thread::scope(|s| {
                let waiter = s.spawn(|| token.wait_within(limit).is_ok());
                thread::yield_now();
                token.cancel();
                assert!(waiter.join().unwrap());
            });
        }
        for limit in over(&other) {
            assert!(token.wait_within(limit).is_err());
        }
    });
}
