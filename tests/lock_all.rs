//! `sync::lock_all`: several locks in one order, all or none.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{
    Lock, LockGuard, TaskLockGuard, lock_all, lock_all_async, lock_all_within, try_lock_all,
};
use latchwork::{CancelToken, GaveUp, debug};
use proptest::prelude::*;
use std::panic::{self, AssertUnwindSafe};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Two locks, the one at the lower address first.
fn pair() -> Box<[Lock<i32>; 2]> {
    Box::new([Lock::new(1), Lock::new(2)])
}

#[test]
fn guards_come_back_in_the_order_of_the_arguments() {
    watchdog(
        LIMIT,
        "guards_come_back_in_the_order_of_the_arguments",
        || {
            let [low, high] = &*pair();
            {
                let (b, a): (LockGuard<'_, i32>, LockGuard<'_, i32>) = lock_all((high, low));
                assert_eq!((*b, *a), (2, 1));
                assert!(low.is_locked() && high.is_locked());
                drop(b);
                assert!(low.is_locked() && !high.is_locked(), "each frees its own");
            }
            let [b, a] = lock_all([high, low]);
            assert_eq!((*b, *a), (2, 1));
            drop((a, b));
            let guards: Vec<LockGuard<'_, i32>> = lock_all(&[high, low][..]);
            assert_eq!((*guards[0], *guards[1]), (2, 1));
            drop(guards);
            let [b, a] = try_lock_all([high, low]).expect("free");
            assert_eq!((*b, *a), (2, 1));
            drop((a, b));
            let [b, a] = lock_all_within([high, low], Duration::ZERO).expect("free");
            assert_eq!((*b, *a), (2, 1));
            drop((a, b));
            let [b, a]: [TaskLockGuard<'_, i32>; 2] = common::block_on(lock_all_async([high, low]));
            assert_eq!((*b, *a), (2, 1));
            drop((a, b));
            assert!(!low.is_locked() && !high.is_locked());
        },
    );
}

#[test]
fn tuples_protect_values_of_different_types() {
    watchdog(LIMIT, "tuples_protect_values_of_different_types", || {
        let locks = (
            Lock::new(1),
            Lock::new("two"),
            Lock::new([3; 3]),
            Lock::new('4'),
            Lock::new(5.0),
            Lock::new(vec![6]),
        );
        let (a, b, c, d, e, f) = (&locks.0, &locks.1, &locks.2, &locks.3, &locks.4, &locks.5);
        let slice: &Lock<[i32]> = c;
        {
            let (f, e, d, c, b, a) = lock_all((f, e, d, slice, b, a));
            assert_eq!(
                (*a, *b, c.len(), *d, *e, f.len()),
                (1, "two", 3, '4', 5.0, 1)
            );
        }
        {
            let (e, a, d, c, b) = lock_all((e, a, d, c, b));
            assert_eq!((*a, *b, c.len(), *d, *e), (1, "two", 3, '4', 5.0));
        }
        {
            let (d, a, c, b) = lock_all((d, a, c, b));
            assert_eq!((*a, *b, c.len(), *d), (1, "two", 3, '4'));
        }
        let (c, a, b) = lock_all((c, a, b));
        assert_eq!((*a, *b, c.len()), (1, "two", 3));
        assert!(!locks.3.is_locked() && locks.2.is_locked());
    });
}

#[test]
fn none_and_one_and_many() {
    watchdog(LIMIT, "none_and_one_and_many", || {
        let none: [&Lock<i32>; 0] = [];
        let [] = lock_all(none);
        let [] = common::block_on(lock_all_async(none));
        assert!(lock_all(&none[..]).is_empty());
        assert!(try_lock_all(none).is_some());

        let locks: Vec<Lock<usize>> = (0..100).map(Lock::new).collect();
        let [first] = lock_all([&locks[0]]);
        assert_eq!(*first, 0);
        drop(first);
        let backwards: Vec<&Lock<usize>> = locks.iter().rev().collect();
        let guards = lock_all(&backwards[..]);
        assert!(guards.iter().map(|guard| **guard).eq((0..100).rev()));
        assert!(try_lock_all([&locks[50]]).is_none());
        drop(guards);
        let guards = common::block_on(lock_all_async(&backwards[..]));
        assert!(guards.iter().map(|guard| **guard).eq((0..100).rev()));
    });
}

#[test]
fn the_same_lock_twice_panics_before_anything_is_taken() {
    watchdog(
        LIMIT,
        "the_same_lock_twice_panics_before_anything_is_taken",
        || {
            let [a, b] = &*pair();
            let attempts: [(&str, &dyn Fn()); 5] = [
                ("lock_all", &|| drop(lock_all((a, b, a)))),
                ("try_lock_all", &|| drop(try_lock_all([b, a, b]))),
                ("within", &|| drop(lock_all_within([a, a], Duration::ZERO))),
                ("slice", &|| drop(lock_all(&[a, b, b][..]))),
                // At the call: this future is never polled.
                ("async", &|| drop(lock_all_async((a, a)))),
            ];
            for (name, attempt) in attempts {
                // Held by us, so an attempt that takes anything would wait for ever.
                let held = a.lock();
                let caught = panic::catch_unwind(AssertUnwindSafe(attempt)).expect_err(name);
                let message = caught.downcast_ref::<&str>().expect("a message");
                assert!(message.contains("the same lock twice"), "{name}: {message}");
                drop(held);
                assert!(!a.is_locked() && !b.is_locked(), "{name}");
            }
            // The same word under another type is the same lock.
            let lock = Lock::new([1, 2]);
            let slice: &Lock<[i32]> = &lock;
            assert!(
                panic::catch_unwind(AssertUnwindSafe(|| drop(try_lock_all((&lock, slice)))))
                    .is_err()
            );
            assert!(!lock.is_locked());
        },
    );
}

#[test]
fn a_taken_lock_refuses_all_and_nothing_stays_taken() {
    watchdog(LIMIT, "a_taken_lock_refuses_all", || {
        let locks = pair();
        for taken in 0..2 {
            let [a, b] = &*locks;
            let held = locks[taken].lock();
            let other = &locks[1 - taken];
            assert!(try_lock_all((a, b)).is_none());
            assert!(!other.is_locked());
            let begin = Instant::now();
            let limit = Duration::from_millis(20);
            assert_eq!(
                lock_all_within((b, a), limit).unwrap_err(),
                GaveUp::TimedOut
            );
            assert!(begin.elapsed() >= limit && begin.elapsed() < LIMIT);
            assert!(!other.is_locked());
            drop(held);
        }
    });
}

#[test]
fn it_waits_in_the_order_of_addresses_and_a_cancellation_frees_what_it_has() {
    watchdog(LIMIT, "it_waits_in_the_order_of_addresses", || {
        let locks = pair();
        let [low, high] = &*locks;
        let token = CancelToken::new();
        let held = high.lock();
        thread::scope(|s| {
            let (file, line) = (file!(), line!() + 1);
            let waiter = s.spawn(|| lock_all_within((high, low), &token).map(drop));
            until_parked("Lock", high, 1);
            assert!(
                low.is_locked(),
                "the lower one first, whatever the arguments"
            );
            let here = std::ptr::from_ref(high).addr();
            let wait = debug::waits().into_iter().find(|wait| wait.address == here);
            let place = wait.expect("it waits").place;
            assert_eq!((place.file(), place.line()), (file, line));
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
            assert!(!low.is_locked());
        });
        until_parked("Lock", high, 0);
        drop(held);
        // And the other way round: it has nothing while it waits for its first.
        let held = low.lock();
        thread::scope(|s| {
            let waiter = s.spawn(|| {
                let (b, a) = lock_all((high, low));
                (*b, *a)
            });
            until_parked("Lock", low, 1);
            assert!(!high.is_locked());
            drop(held);
            assert_eq!(waiter.join().unwrap(), (2, 1));
        });
    });
}

#[test]
fn one_limit_is_over_all_of_them() {
    watchdog(LIMIT, "one_limit_is_over_all_of_them", || {
        let locks = pair();
        let [low, high] = &*locks;
        let (held, _high) = lock_all((low, high));
        thread::scope(|s| {
            let begin = Instant::now();
            let waiter = s.spawn(move || {
                let limit = Duration::from_millis(400);
                (
                    lock_all_within([low, high], limit).map(drop),
                    begin.elapsed(),
                )
            });
            until_parked("Lock", low, 1);
            while begin.elapsed() < Duration::from_millis(250) {
                thread::yield_now();
            }
            drop(held);
            let (outcome, took) = waiter.join().unwrap();
            assert_eq!(outcome, Err(GaveUp::TimedOut));
            assert!(
                took < Duration::from_millis(600),
                "not a limit each: {took:?}"
            );
        });
    });
}

#[test]
fn a_task_takes_them_one_by_one_and_its_drop_frees_them() {
    watchdog(LIMIT, "a_task_takes_them_one_by_one", || {
        let locks = pair();
        let [low, high] = &*locks;
        for granted in [false, true] {
            let held = high.lock();
            let (file, line) = (file!(), line!() + 1);
            let mut future = Box::pin(lock_all_async((high, low)));
            assert!(!low.is_locked(), "nothing before the first poll");
            assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
            assert!(low.is_locked());
            let here = std::ptr::from_ref(high).addr();
            let wait = debug::waits().into_iter().find(|wait| wait.address == here);
            let place = wait.expect("it waits").place;
            assert_eq!((place.file(), place.line()), (file, line));
            if granted {
                // Long enough to be overdue; time is what a handoff depends on.
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(2) {}
                drop(held);
                assert!(high.is_locked(), "handed over");
                drop(future);
            } else {
                drop(future);
                drop(held);
            }
            assert!(!low.is_locked() && !high.is_locked());
            until_parked("Lock", &*locks, 0);
        }
        // It waits for both, one after the other, and moves between threads.
        let (a, b) = lock_all((low, high));
        let mut future = Box::pin(lock_all_async([high, low]));
        assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
        until_parked("Lock", low, 1);
        drop(a);
        let mut future = thread::scope(|s| {
            let next = s.spawn(|| {
                assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
                until_parked("Lock", high, 1);
                future
            });
            next.join().unwrap()
        });
        drop(b);
        let Poll::Ready([b, a]) = common::poll(future.as_mut(), Waker::noop()) else {
            panic!("both are free");
        };
        drop(future);
        assert_eq!((*b, *a), (2, 1));
        assert!(
            low.is_locked() && high.is_locked(),
            "the guards have them now"
        );
        thread::scope(|s| s.spawn(|| drop((a, b))).join().unwrap());
        assert!(!low.is_locked() && !high.is_locked());
    });
}

#[test]
fn opposite_orders_do_not_deadlock() {
    watchdog(LIMIT, "opposite_orders_do_not_deadlock", || {
        let locks = pair();
        let [a, b] = &*locks;
        thread::scope(|s| {
            for turn in 0..4 {
                s.spawn(move || {
                    for _ in 0..5_000 {
                        let (mut x, mut y) = match turn {
                            0 => lock_all((a, b)),
                            1 => lock_all((b, a)),
                            2 => lock_all_within((b, a), LIMIT).expect("within a minute"),
                            _ => {
                                let (mut x, mut y) = common::block_on(lock_all_async((a, b)));
                                (*x, *y) = (*x + 1, *y - 1);
                                continue;
                            }
                        };
                        (*x, *y) = (*x + 1, *y - 1);
                    }
                });
            }
        });
        let (a, b) = lock_all((a, b));
        assert_eq!(*a + *b, 3);
    });
}

/// Eight threads move amounts within random subsets, by every face; nothing is lost, made, or stuck.
#[test]
fn random_subsets_conserve_the_sum() {
    const ACCOUNTS: usize = 12;
    watchdog(LIMIT, "random_subsets_conserve_the_sum", || {
        let accounts: Vec<Lock<i64>> = (0..ACCOUNTS).map(|_| Lock::new(1_000)).collect();
        let accounts = &accounts;
        thread::scope(|s| {
            for seed in 0..8 {
                s.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let mut served = 0;
                    for round in 0..2_000 {
                        let count = random.usize(1..6);
                        let chosen = random.choose_multiple(accounts.iter(), count);
                        let set = &chosen[..];
                        let amount = random.i64(1..50);
                        let limit = Duration::from_micros(random.u64(0..300));
                        match round % 4 {
                            0 => {
                                served += shift(lock_all(set).iter_mut().map(|g| &mut **g), amount)
                            }
                            1 => {
                                if let Some(mut guards) = try_lock_all(set) {
                                    served += shift(guards.iter_mut().map(|g| &mut **g), amount);
                                }
                            }
                            2 => {
                                if let Ok(mut guards) = lock_all_within(set, limit) {
                                    served += shift(guards.iter_mut().map(|g| &mut **g), amount);
                                }
                            }
                            _ => {
                                let mut guards = common::block_on(lock_all_async(set));
                                served += shift(guards.iter_mut().map(|g| &mut **g), amount);
                            }
                        }
                        if round % 100 == 0 {
                            let all: Vec<_> = accounts.iter().collect();
                            let sum: i64 = lock_all(&all[..]).iter().map(|guard| **guard).sum();
                            assert_eq!(sum, 1_000 * ACCOUNTS as i64);
                        }
                    }
                    assert!(served >= 1_000, "the faces that wait always serve");
                });
            }
        });
        assert!(accounts.iter().all(|account| !account.is_locked()));
        let sum: i64 = accounts.iter().map(|account| *account.lock()).sum();
        assert_eq!(sum, 1_000 * ACCOUNTS as i64);
    });

    /// From the first to the others, with a moment in between in which the sum is wrong.
    fn shift<'a>(accounts: impl Iterator<Item = &'a mut i64>, amount: i64) -> u32 {
        let mut accounts: Vec<&mut i64> = accounts.collect();
        let others = accounts.len() as i64 - 1;
        *accounts[0] -= amount * others;
        thread::yield_now();
        accounts[1..]
            .iter_mut()
            .for_each(|account| **account += amount);
        1
    }
}

proptest! {
    /// Against a plain model: a set is served exactly if none of its locks is taken; on refusal
    /// nothing has changed.
    #[test]
    fn a_set_is_served_exactly_if_all_of_it_is_free(
        taken in proptest::collection::btree_set(0..6_usize, 0..4),
        wanted in proptest::sample::subsequence((0..6_usize).collect::<Vec<_>>(), 0..=6).prop_shuffle(),
    ) {
        let locks: [Lock<usize>; 6] = std::array::from_fn(Lock::new);
        let _held: Vec<_> = taken.iter().map(|i| locks[*i].lock()).collect();
        let set: Vec<&Lock<usize>> = wanted.iter().map(|i| &locks[*i]).collect();
        let free = wanted.iter().all(|i| !taken.contains(i));
        {
            let guards = try_lock_all(&set[..]);
            prop_assert_eq!(guards.is_some(), free);
            if let Some(guards) = &guards {
                prop_assert!(guards.iter().map(|guard| **guard).eq(wanted.iter().copied()));
            }
            for (i, lock) in locks.iter().enumerate() {
                let ours = free && wanted.contains(&i);
                prop_assert_eq!(lock.is_locked(), ours || taken.contains(&i));
            }
        }
        prop_assert_eq!(lock_all_within(&set[..], Duration::ZERO).is_ok(), free);
        let mut future = Box::pin(lock_all_async(&set[..]));
        prop_assert_eq!(common::poll(future.as_mut(), Waker::noop()).is_ready(), free);
        drop(future);
        for (i, lock) in locks.iter().enumerate() {
            prop_assert_eq!(lock.is_locked(), taken.contains(&i));
        }
    }
}
