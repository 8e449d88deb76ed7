//! `sync::BoundedSemaphore`: rows T95 and T96, and capacities that change.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{AcquireError, BoundedSemaphore, TooManyReleases, TryAcquireError};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_release_too_many_changes_nothing() {
    let semaphore = BoundedSemaphore::new(3);
    assert_eq!(semaphore.release(1), Err(TooManyReleases));
    semaphore.acquire_many(2).unwrap().forget();
    assert_eq!(
        semaphore.release(3),
        Err(TooManyReleases),
        "for the whole of it"
    );
    assert_eq!(semaphore.release(usize::MAX), Err(TooManyReleases));
    assert_eq!(semaphore.available(), 1);
    assert_eq!(semaphore.release(0), Ok(()));
    assert_eq!(semaphore.release(2), Ok(()));
    assert_eq!(semaphore.release(1), Err(TooManyReleases));
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn what_is_kept_for_a_waiter_is_not_out() {
    watchdog(LIMIT, "what_is_kept_for_a_waiter", || {
        let semaphore = BoundedSemaphore::fair(2);
        let one = semaphore.acquire().unwrap();
        thread::scope(|s| {
            let both = s.spawn(|| semaphore.acquire_many(2).map(drop));
            until_parked("BoundedSemaphore", &semaphore, 1);
            assert_eq!(semaphore.release(2), Err(TooManyReleases), "one is out");
            drop(one);
            both.join().unwrap().unwrap();
        });
        assert_eq!(semaphore.available(), 2);
    });
}

/// T95 under contention: of two releases of the same permit one is refused, each time.
#[test]
fn a_race_of_releases_has_one_winner() {
    watchdog(LIMIT, "a_race_of_releases", || {
        let semaphore = BoundedSemaphore::new(1);
        let wins = AtomicUsize::new(0);
        for round in 1..=300 {
            semaphore.acquire().unwrap().forget();
            thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        wins.fetch_add(semaphore.release(1).is_ok() as usize, Ordering::SeqCst)
                    });
                }
            });
            assert_eq!(wins.load(Ordering::SeqCst), round);
            assert_eq!(semaphore.available(), 1);
        }
    });
}

#[test]
fn more_than_the_capacity_is_refused_at_once() {
    let semaphore = BoundedSemaphore::new(2);
    assert_eq!(
        semaphore.acquire_many(3).unwrap_err(),
        AcquireError::OverCapacity
    );
    assert_eq!(
        semaphore.try_acquire_many(3).unwrap_err(),
        TryAcquireError::OverCapacity
    );
    assert_eq!(
        semaphore
            .acquire_many_within(usize::MAX, Duration::MAX)
            .unwrap_err(),
        AcquireError::OverCapacity
    );
    assert!(common::block_on(semaphore.acquire_many_async(3)).is_err());
    let nothing = BoundedSemaphore::new(0);
    assert_eq!(nothing.acquire().unwrap_err(), AcquireError::OverCapacity);
    assert_eq!(nothing.acquire_many(0).unwrap().count(), 0);
}

#[test]
fn a_higher_capacity_serves_who_waits() {
    watchdog(LIMIT, "a_higher_capacity", || {
        for semaphore in [BoundedSemaphore::new(2), BoundedSemaphore::fair(2)] {
            let both = semaphore.acquire_many(2).unwrap();
            thread::scope(|s| {
                let waiters: Vec<_> = (1..=3)
                    .map(|n| {
                        let waiter = s.spawn(|| semaphore.acquire().unwrap().forget());
                        until_parked("BoundedSemaphore", &semaphore, n);
                        waiter
                    })
                    .collect();
                semaphore.set_capacity(5);
                waiters.into_iter().for_each(|w| w.join().unwrap());
            });
            assert_eq!((semaphore.capacity(), semaphore.available()), (5, 0));
            drop(both);
            assert_eq!(semaphore.release(4), Err(TooManyReleases));
            assert_eq!(semaphore.release(3), Ok(()));
            assert_eq!(semaphore.available(), 5);
        }
    });
}

#[test]
fn a_lower_capacity_absorbs_what_comes_back() {
    let semaphore = BoundedSemaphore::new(5);
    let mut out = semaphore.acquire_many(4).unwrap();
    semaphore.set_capacity(2);
    assert_eq!((semaphore.capacity(), semaphore.available()), (2, 0));
    assert_eq!(
        semaphore.try_acquire().unwrap_err(),
        TryAcquireError::NoPermits
    );
    assert_eq!(semaphore.try_acquire_many(0).unwrap().count(), 0);
    drop(out.split(2));
    assert_eq!(semaphore.available(), 0, "both absorbed");
    drop(out.split(1));
    assert_eq!(semaphore.available(), 1);
    assert_eq!(semaphore.release(2), Err(TooManyReleases), "one is out");
    drop(out);
    assert_eq!(semaphore.available(), 2);

    let both = semaphore.acquire_many(2).unwrap();
    semaphore.set_capacity(0);
    semaphore.set_capacity(BoundedSemaphore::MAX_CAPACITY);
    assert_eq!(semaphore.available(), BoundedSemaphore::MAX_CAPACITY - 2);
    drop(both);
    let all = semaphore
        .acquire_many(BoundedSemaphore::MAX_CAPACITY)
        .unwrap();
    semaphore.set_capacity(0);
    assert_eq!(semaphore.available(), 0);
    drop(all);
    assert_eq!((semaphore.capacity(), semaphore.available()), (0, 0));
    assert_eq!(semaphore.release(1), Err(TooManyReleases));
}

#[test]
fn who_waits_for_more_than_a_lower_capacity_fails() {
    watchdog(LIMIT, "who_waits_for_more", || {
        for semaphore in [BoundedSemaphore::new(3), BoundedSemaphore::fair(3)] {
            let all = semaphore.acquire_many(2).unwrap();
            let mut task = Box::pin(semaphore.acquire_many_async(3));
            assert!(common::poll(task.as_mut(), Waker::noop()).is_pending());
            thread::scope(|s| {
                let big = s.spawn(|| semaphore.acquire_many(3).map(drop));
                until_parked("BoundedSemaphore", &semaphore, 2);
                let small = s.spawn(|| semaphore.acquire_many(2).map(drop));
                until_parked("BoundedSemaphore", &semaphore, 3);
                semaphore.set_capacity(2);
                assert_eq!(big.join().unwrap(), Err(AcquireError::OverCapacity));
                until_parked("BoundedSemaphore", &semaphore, 1);
                drop(all);
                assert_eq!(small.join().unwrap(), Ok(()));
            });
            let refused = common::block_on(task).map(drop);
            assert_eq!(refused, Err(AcquireError::OverCapacity));
            assert_eq!(semaphore.available(), 2);
        }
    });
}

#[test]
fn owned_permits_and_closing() {
    let semaphore = Arc::new(BoundedSemaphore::new(2));
    let permit = semaphore.acquire_owned().unwrap();
    assert!(semaphore.close() && semaphore.is_closed());
    assert_eq!(semaphore.acquire().unwrap_err(), AcquireError::Closed);
    drop(permit);
    assert_eq!(semaphore.available(), 2);
}

/// T96.
#[test]
fn debug_tells_available_and_capacity() {
    let semaphore = BoundedSemaphore::new(3);
    let _one = semaphore.acquire().unwrap();
    assert_eq!(
        format!("{semaphore:?}"),
        "BoundedSemaphore { available: 2/3, waited_for: false, is_fair: false, is_closed: false }"
    );
}

#[test]
#[should_panic(expected = "too many permits")]
fn a_capacity_beyond_the_largest() {
    BoundedSemaphore::new(BoundedSemaphore::MAX_CAPACITY + 1);
}

#[test]
fn capacities_change_under_load() {
    watchdog(LIMIT, "capacities_change_under_load", || {
        const MOST: usize = 4;
        let semaphore = BoundedSemaphore::new(MOST);
        let inside = AtomicUsize::new(0);
        thread::scope(|s| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    s.spawn(|| {
                        for round in 0..500 {
                            if let Ok(permit) = semaphore.acquire_many(1 + round % 2) {
                                let n = permit.count();
                                assert!(inside.fetch_add(n, Ordering::SeqCst) + n <= MOST);
                                thread::yield_now();
                                inside.fetch_sub(n, Ordering::SeqCst);
                            }
                        }
                    })
                })
                .collect();
            let mut capacity = 0;
            while workers.iter().any(|worker| !worker.is_finished()) {
                capacity = capacity % MOST + 1;
                semaphore.set_capacity(capacity);
                thread::yield_now();
            }
        });
        assert_eq!(semaphore.available(), semaphore.capacity());
    });
}

#[derive(Clone, Debug)]
enum Step {
    TryAcquire(usize),
    DropOldest,
    ForgetOldest,
    Release(usize),
    SetCapacity(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..5).prop_map(Step::TryAcquire),
        2 => Just(Step::DropOldest),
        1 => Just(Step::ForgetOldest),
        2 => (0usize..4).prop_map(Step::Release),
        2 => (0usize..6).prop_map(Step::SetCapacity),
    ]
}

proptest! {
    /// Beside a model of two numbers: the capacity, and what is out.
    #[test]
    fn what_is_out_and_what_is_left_add_up(
        start in 0usize..5,
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let semaphore = BoundedSemaphore::new(start);
        let (mut capacity, mut out, mut forgotten) = (start, 0, 0);
        let mut held = std::collections::VecDeque::new();
        for step in steps {
            match step {
                Step::TryAcquire(n) => {
                    let taken = semaphore.try_acquire_many(n);
                    let expected = if n > capacity {
                        Err(TryAcquireError::OverCapacity)
                    } else if out + n > capacity && n > 0 {
                        Err(TryAcquireError::NoPermits)
                    } else {
                        Ok(n)
                    };
                    prop_assert_eq!(taken.as_ref().map(|p| p.count()).map_err(|e| *e), expected);
                    if let Ok(permit) = taken {
                        out += n;
                        held.push_back(permit);
                    }
                }
                Step::DropOldest => out -= held.pop_front().map_or(0, |permit| permit.count()),
                Step::ForgetOldest => {
                    if let Some(permit) = held.pop_front() {
                        forgotten += permit.count();
                        permit.forget();
                    }
                }
                // Never more than has been forgotten, so that no guard is left without its permits;
                // or more than is out, which is refused.
                Step::Release(n) if n <= forgotten => {
                    prop_assert_eq!(semaphore.release(n), Ok(()));
                    out -= n;
                    forgotten -= n;
                }
                Step::Release(n) => {
                    prop_assert_eq!(semaphore.release(out + n), Err(TooManyReleases));
                }
                Step::SetCapacity(n) => {
                    semaphore.set_capacity(n);
                    capacity = n;
                }
            }
            prop_assert_eq!(semaphore.available(), capacity.saturating_sub(out));
            prop_assert_eq!(semaphore.capacity(), capacity);
        }
    }
}
