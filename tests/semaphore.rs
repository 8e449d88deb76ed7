//! `sync::Semaphore`: rows T88-T94, fairness, closing, permits that are never lost, and their guards.
//! `BoundedSemaphore` (T95, T96) is in `bounded_semaphore.rs`.

mod common;

use common::{until_parked, watchdog};
use latchwork::CancelToken;
use latchwork::sync::{AcquireError, Semaphore, TooManyPermits, TryAcquireError};
use proptest::prelude::*;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

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

/// How long a waiter can be overtaken, and some.
fn until_overdue() {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2) {
        thread::yield_now();
    }
}

/// T90: what comes back goes to the oldest waiter, however much it wants, and to nobody else.
fn serves_the_oldest(semaphore: Semaphore) {
    thread::scope(|s| {
        let big = s.spawn(|| semaphore.acquire_many(3).map(|permit| permit.forget()));
        until_parked("Semaphore", &semaphore, 1);
        let small = s.spawn(|| semaphore.acquire().map(|permit| permit.forget()));
        until_parked("Semaphore", &semaphore, 2);
        until_overdue();
        semaphore.release(2).unwrap();
        assert_eq!(
            semaphore.try_acquire().unwrap_err(),
            TryAcquireError::NoPermits,
            "what was given is the oldest waiter's"
        );
        assert_eq!(semaphore.available(), 0);
        assert_eq!(semaphore.forget_permits(1), 0);
        semaphore.release(1).unwrap();
        big.join().unwrap().unwrap();
        until_parked("Semaphore", &semaphore, 1);
        semaphore.release(1).unwrap();
        small.join().unwrap().unwrap();
    });
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_big_request_is_not_starved_by_small_ones() {
    watchdog(LIMIT, "a_big_request_is_not_starved", || {
        serves_the_oldest(Semaphore::new(0));
    });
}

#[test]
fn a_fair_semaphore_keeps_permits_at_once() {
    watchdog(LIMIT, "a_fair_semaphore", || {
        let semaphore = Semaphore::fair(1);
        assert!(semaphore.is_fair() && !Semaphore::new(1).is_fair());
        thread::scope(|s| {
            let big = s.spawn(|| semaphore.acquire_many(2).map(|permit| permit.forget()));
            until_parked("Semaphore", &semaphore, 1);
            assert!(semaphore.try_acquire().is_err(), "it is kept");
            assert_eq!(semaphore.available(), 0);
            semaphore.release(1).unwrap();
            big.join().unwrap().unwrap();
        });
        serves_the_oldest(semaphore);
    });
}

/// Whatever is released while others wait: with a fair semaphore they have it in the order of
/// their arrival.
#[test]
fn a_fair_semaphore_serves_in_order() {
    watchdog(LIMIT, "a_fair_semaphore_serves_in_order", || {
        let semaphore = Semaphore::fair(0);
        let order = std::sync::Mutex::new(Vec::new());
        thread::scope(|s| {
            for (n, amount) in [3, 1, 2, 1].into_iter().enumerate() {
                let (semaphore, order) = (&semaphore, &order);
                s.spawn(move || {
                    semaphore.acquire_many(amount).unwrap().forget();
                    order.lock().unwrap().push(n);
                });
                until_parked("Semaphore", semaphore, n + 1);
            }
            for served in [0, 0, 1, 2, 2, 3, 4] {
                semaphore.release(1).unwrap();
                while order.lock().unwrap().len() < served {
                    thread::yield_now();
                }
            }
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3]);
    });
}

/// What the docs call the bound: two threads that never let the count reach what a third wants
/// cannot keep it waiting.
#[test]
fn overtaking_ends() {
    watchdog(LIMIT, "overtaking_ends", || {
        let semaphore = Semaphore::new(2);
        let is_over = AtomicBool::new(false);
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let mut held = semaphore.acquire().unwrap();
                    while !is_over.load(Ordering::Relaxed) {
                        // Never both back at once, as long as there are permits to be had.
                        match semaphore.try_acquire() {
                            Ok(next) => held = next,
                            Err(_) => {
                                drop(held);
                                held = semaphore.acquire().unwrap();
                            }
                        }
                    }
                    drop(held);
                });
            }
            for _ in 0..50 {
                drop(semaphore.acquire_many(2).unwrap());
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(semaphore.available(), 2);
    });
}

/// A newcomer may be quicker than who waits, for half a millisecond: that is what makes it fast.
#[test]
fn newcomers_may_overtake_a_bigger_request() {
    watchdog(LIMIT, "newcomers_may_overtake", || {
        let semaphore = Semaphore::new(1);
        thread::scope(|s| {
            let big = s.spawn(|| semaphore.acquire_many(2).map(drop));
            until_parked("Semaphore", &semaphore, 1);
            drop(
                semaphore
                    .try_acquire()
                    .expect("nothing is kept before a release"),
            );
            semaphore.release(1).unwrap();
            big.join().unwrap().unwrap();
        });
        assert_eq!(semaphore.available(), 2);
    });
}

/// T93: each of those whom a release can serve is woken, and nobody else.
#[test]
fn a_release_wakes_as_many_as_it_can_serve() {
    watchdog(LIMIT, "a_release_wakes_as_many", || {
        for semaphore in [Semaphore::new(0), Semaphore::fair(0)] {
            thread::scope(|s| {
                for n in 1..=5 {
                    s.spawn(|| semaphore.acquire().unwrap().forget());
                    until_parked("Semaphore", &semaphore, n);
                }
                semaphore.release(3).unwrap();
                until_parked("Semaphore", &semaphore, 2);
                semaphore.release(2).unwrap();
            });
            assert_eq!(semaphore.available(), 0);
        }
    });
}

#[test]
fn what_was_kept_for_a_waiter_goes_on_when_it_gives_up() {
    watchdog(LIMIT, "what_was_kept_for_a_waiter", || {
        for semaphore in [Semaphore::new(0), Semaphore::fair(0)] {
            let token = CancelToken::new();
            thread::scope(|s| {
                let big = s.spawn(|| semaphore.acquire_many_within(3, &token).map(drop));
                until_parked("Semaphore", &semaphore, 1);
                let small = s.spawn(|| semaphore.acquire_many(2).map(drop));
                until_parked("Semaphore", &semaphore, 2);
                until_overdue();
                semaphore.release(2).unwrap();
                token.cancel();
                assert_eq!(big.join().unwrap(), Err(AcquireError::Cancelled));
                assert_eq!(small.join().unwrap(), Ok(()));
            });
            assert_eq!(semaphore.available(), 2);
        }
    });
}

/// A task that is not polled has the permits it was given, and keeps nobody from the others.
#[test]
fn a_task_that_is_not_polled_is_in_nobodys_way() {
    watchdog(LIMIT, "a_task_that_is_not_polled", || {
        let semaphore = Semaphore::new(0);
        let mut idle = Box::pin(semaphore.acquire_async());
        assert!(common::poll(idle.as_mut(), Waker::noop()).is_pending());
        thread::scope(|s| {
            s.spawn(|| semaphore.acquire().unwrap().forget());
            until_parked("Semaphore", &semaphore, 2);
            semaphore.release(1).unwrap();
            assert_eq!(semaphore.available(), 0, "the task has it");
            semaphore.release(1).unwrap();
        });
        drop(idle);
        assert_eq!(semaphore.available(), 1);
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

/// T91: Python refuses `release(0)`; here it is no different from any other number.
#[test]
fn releasing_none_does_nothing() {
    let semaphore = Semaphore::new(1);
    assert_eq!(semaphore.release(0), Ok(()));
    assert_eq!(semaphore.available(), 1);
    let mut waiting = Box::pin(semaphore.acquire_many_async(2));
    assert!(common::poll(waiting.as_mut(), Waker::noop()).is_pending());
    assert_eq!(semaphore.release(0), Ok(()));
    assert!(common::poll(waiting.as_mut(), Waker::noop()).is_pending());
}

#[test]
fn more_than_there_can_be_is_refused_at_once() {
    let semaphore = Semaphore::new(1);
    let too_many = Semaphore::MAX_PERMITS + 1;
    assert!(
        semaphore
            .acquire_many(too_many)
            .unwrap_err()
            .is_over_capacity()
    );
    assert_eq!(
        semaphore.try_acquire_many(usize::MAX).unwrap_err(),
        TryAcquireError::OverCapacity
    );
}

/// T91: more than it began with.
#[test]
fn a_semaphore_grows_and_shrinks() {
    let semaphore = Semaphore::new(1);
    semaphore.release(4).unwrap();
    assert_eq!(semaphore.available(), 5);
    assert_eq!(semaphore.forget_permits(2), 2);
    assert_eq!(semaphore.forget_permits(9), 3);
    assert_eq!(semaphore.available(), 0);
}

/// T92: the guard gives its permits back, also when the stack unwinds.
#[test]
fn a_panic_gives_back() {
    let semaphore = Semaphore::new(1);
    let result = std::panic::catch_unwind(|| {
        let _permit = semaphore.acquire().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(result.is_err());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn permits_split_and_merge() {
    let (semaphore, other) = (Semaphore::new(5), Semaphore::new(1));
    let mut all = semaphore.acquire_many(5).unwrap();
    let two = all.split(2).unwrap();
    assert_eq!((all.count(), two.count()), (3, 2));
    assert!(all.split(4).is_none());
    assert_eq!(all.split(0).unwrap().count(), 0);
    assert_eq!(all.count(), 3);
    all.merge(two).unwrap();
    assert_eq!((all.count(), semaphore.available()), (5, 0));

    let foreign = other.acquire().unwrap();
    let foreign = all.merge(foreign).unwrap_err();
    assert_eq!((all.count(), foreign.count()), (5, 1));
    assert_eq!(other.available(), 0);
    drop(foreign);
    assert_eq!(other.available(), 1);

    let rest = all.split(4).unwrap();
    all.forget();
    drop(rest);
    assert_eq!(semaphore.available(), 4);
    assert_eq!(
        format!("{:?}", semaphore.acquire_many(2).unwrap()),
        "Permit { count: 2, .. }"
    );
}

#[test]
fn owned_permits_keep_the_semaphore_alive() {
    watchdog(LIMIT, "owned_permits", || {
        let semaphore = Arc::new(Semaphore::new(4));
        let mut one = semaphore.acquire_owned().unwrap();
        let two = semaphore.try_acquire_owned().unwrap();
        let three = semaphore.acquire_owned_within(Duration::ZERO).unwrap();
        let four = common::block_on(semaphore.acquire_owned_async()).unwrap();
        assert!(semaphore.try_acquire_owned().is_err());
        assert!(semaphore.acquire_owned_within(Duration::ZERO).is_err());
        one.merge(two).unwrap();
        one.merge(three).unwrap();
        let half = one.split(1).unwrap();
        assert_eq!((one.count(), half.count()), (2, 1));
        drop((half, four));
        assert_eq!(semaphore.available(), 2);

        let waiting = semaphore.acquire_many_owned_async(4);
        let weak = Arc::downgrade(&semaphore);
        drop(semaphore);
        let waiter = thread::spawn(move || common::block_on(waiting).unwrap());
        until_parked("Semaphore", one.semaphore(), 1);
        drop(one);
        let all = waiter.join().unwrap();
        assert_eq!(all.semaphore().available(), 0);
        drop(all);
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn owned_permits_of_many() {
    let semaphore = Arc::new(Semaphore::new(3));
    drop(semaphore.acquire_many_owned(3).unwrap());
    drop(semaphore.try_acquire_many_owned(3).unwrap());
    let all = semaphore
        .acquire_many_owned_within(3, Duration::MAX)
        .unwrap();
    assert_eq!(format!("{all:?}"), "OwnedPermit { count: 3, .. }");
    assert!(semaphore.try_acquire_many_owned(1).is_err());
    assert_eq!(semaphore.try_acquire_many_owned(0).unwrap().count(), 0);
}

/// Under contention of all kinds of requests, some of which give up, nothing is lost or made.
#[test]
fn permits_add_up_whatever_happens() {
    watchdog(LIMIT, "permits_add_up", || {
        for semaphore in [Semaphore::new(3), Semaphore::fair(3)] {
            let held = AtomicUsize::new(0);
            let hold = |n| {
                assert!(held.fetch_add(n, Ordering::SeqCst) + n <= 3);
                thread::yield_now();
                held.fetch_sub(n, Ordering::SeqCst);
            };
            thread::scope(|s| {
                for thread in 0..6_usize {
                    let (semaphore, hold) = (&semaphore, &hold);
                    s.spawn(move || {
                        for round in 0..300 {
                            let n = 1 + (thread + round) % 3;
                            let permit = match thread % 3 {
                                0 => semaphore.acquire_many(n).ok(),
                                1 => {
                                    let limit = Duration::from_micros(20 * (round as u64 % 7));
                                    semaphore.acquire_many_within(n, limit).ok()
                                }
                                _ => {
                                    let mut waiting = Box::pin(semaphore.acquire_many_async(n));
                                    match common::poll(waiting.as_mut(), Waker::noop()) {
                                        std::task::Poll::Ready(permit) => permit.ok(),
                                        std::task::Poll::Pending if round % 2 == 0 => None,
                                        std::task::Poll::Pending => common::block_on(waiting).ok(),
                                    }
                                }
                            };
                            if let Some(permit) = permit {
                                hold(n);
                                drop(permit);
                            }
                        }
                    });
                }
            });
            assert_eq!(semaphore.available(), 3);
        }
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
        "Semaphore { available: 2, waited_for: false, is_fair: false, is_closed: false }"
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
    SplitOldest(usize),
    MergeOldest,
    Reduce(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..4).prop_map(Step::TryAcquire),
        2 => (0usize..4).prop_map(Step::AcquireWithinZero),
        3 => (0usize..3).prop_map(Step::Release),
        3 => Just(Step::DropOldest),
        1 => Just(Step::ForgetOldest),
        1 => (0usize..4).prop_map(Step::SplitOldest),
        1 => Just(Step::MergeOldest),
        1 => (0usize..3).prop_map(Step::Reduce),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_counter(
        start in 0usize..5,
        is_fair: bool,
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let semaphore = if is_fair { Semaphore::fair(start) } else { Semaphore::new(start) };
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
                Step::SplitOldest(n) => {
                    if let Some(oldest) = held.front_mut() {
                        let before = oldest.count();
                        let part = oldest.split(n);
                        prop_assert_eq!(part.is_some(), n <= before);
                        held.extend(part);
                    }
                }
                Step::MergeOldest => {
                    if held.len() >= 2 {
                        let (one, other) = (held.pop_front().unwrap(), held.front_mut().unwrap());
                        let n = one.count() + other.count();
                        prop_assert!(other.merge(one).is_ok());
                        prop_assert_eq!(other.count(), n);
                    }
                }
                Step::Reduce(n) => {
                    prop_assert_eq!(semaphore.forget_permits(n), n.min(count));
                    count -= n.min(count);
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
