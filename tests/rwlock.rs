//! `sync::RwLock`: who may be inside with whom, who waits for whom by each policy, upgrades and
//! downgrades, guards of parts and guards that own, and every way to give up. Row 3 of what Python lacks.

mod common;

use common::{block_on, counting_waker, poll, until_parked, watchdog};
use latchwork::sync::{
    MappedTaskWriteGuard, OwnedReadGuard, OwnedWriteGuard, Policy, ReadGuard, RwLock,
    TaskWriteGuard, UpgradableGuard, WriteGuard,
};
use latchwork::{CancelToken, GaveUp, debug};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);
/// After this time a waiter must not be overtaken any more.
const HANDOFF: Duration = Duration::from_millis(1);
const POLICIES: [Policy; 3] = [
    Policy::Balanced,
    Policy::PreferReaders,
    Policy::PreferWriters,
];

fn parked<T>(lock: &RwLock<T>, n: usize) {
    until_parked("RwLock", lock, n);
}

#[test]
fn readers_never_see_half_a_write() {
    watchdog(LIMIT, "readers_never_see_half_a_write", || {
        for policy in POLICIES {
            let lock = RwLock::with_policy((0u64, 0u64), policy);
            thread::scope(|s| {
                for n in 0..6 {
                    let lock = &lock;
                    s.spawn(move || {
                        for i in 0..3_000 {
                            match (n + i) % 6 {
                                0 => {
                                    let mut pair = lock.write();
                                    pair.0 += 1;
                                    pair.1 += 1;
                                }
                                1 => {
                                    let pair = lock.upgradable_read();
                                    let before = pair.0;
                                    let mut pair = UpgradableGuard::upgrade(pair);
                                    assert_eq!(pair.0, before, "nobody writes in between");
                                    pair.0 += 1;
                                    pair.1 += 1;
                                    let now = *pair;
                                    assert_eq!(*WriteGuard::downgrade(pair), now);
                                }
                                _ => {
                                    let pair = lock.read();
                                    assert_eq!(pair.0, pair.1);
                                }
                            }
                        }
                    });
                }
            });
            assert_eq!(*lock.read(), (6_000, 6_000));
            assert!(!lock.is_locked());
        }
    });
}

#[test]
fn who_may_be_inside_with_whom() {
    let lock = RwLock::new(0);
    let (first, second) = (lock.read(), lock.read());
    let upgradable = lock.upgradable_read();
    let third = lock.try_read().expect("readers beside the upgradable one");
    assert!(lock.try_upgradable_read().is_none());
    assert!(lock.try_write().is_none());
    assert_eq!(lock.reader_count(), 4);
    assert!(lock.is_locked() && !lock.is_write_locked());
    drop((first, second, third));
    assert!(lock.try_write().is_none());
    drop(upgradable);
    let writer = lock.try_write().expect("free");
    assert!(lock.try_read().is_none());
    assert!(lock.try_read_recursive().is_none());
    assert!(lock.try_upgradable_read().is_none());
    assert!(lock.try_write().is_none());
    assert!(lock.is_write_locked());
    assert_eq!(lock.reader_count(), 0);
    drop(writer);
    assert!(!lock.is_locked());
}

#[test]
fn giving_up_changes_nothing() {
    watchdog(LIMIT, "giving_up_changes_nothing", || {
        for policy in POLICIES {
            let lock = RwLock::with_policy(0, policy);
            let token = CancelToken::new();
            token.cancel();
            let soon = Duration::from_millis(2);
            let writer = lock.write();
            assert_eq!(lock.read_within(soon).unwrap_err(), GaveUp::TimedOut);
            assert_eq!(
                lock.read_recursive_within(soon).unwrap_err(),
                GaveUp::TimedOut
            );
            assert_eq!(lock.write_within(soon).unwrap_err(), GaveUp::TimedOut);
            assert_eq!(
                lock.upgradable_read_within(soon).unwrap_err(),
                GaveUp::TimedOut
            );
            assert_eq!(lock.read_within(&token).unwrap_err(), GaveUp::Cancelled);
            assert_eq!(
                lock.write_within(Duration::ZERO).unwrap_err(),
                GaveUp::TimedOut
            );
            drop(writer);
            let reader = lock.read_within(Duration::MAX).unwrap();
            assert_eq!(lock.write_within(&token).unwrap_err(), GaveUp::Cancelled);
            assert_eq!(lock.write_within(soon).unwrap_err(), GaveUp::TimedOut);
            drop(lock.try_read().expect("nobody waits any more"));
            drop(reader);
            drop(
                lock.write_within(&token)
                    .expect("what can be done at once is done"),
            );
            assert!(!lock.is_locked());
        }
    });
}

#[test]
fn a_parked_writer_keeps_new_readers_out() {
    watchdog(LIMIT, "a_parked_writer_keeps_new_readers_out", || {
        for (policy, lets_in) in POLICIES.into_iter().zip([false, true, false]) {
            let lock = RwLock::with_policy(0, policy);
            thread::scope(|s| {
                let held = lock.read();
                s.spawn(|| *lock.write() += 1);
                parked(&lock, 1);
                assert_eq!(lock.try_read().is_some(), lets_in);
                assert_eq!(lock.try_upgradable_read().is_some(), lets_in);
                assert!(lock.try_write().is_none());
                // Whatever the policy, a second read in this thread.
                assert_eq!(*lock.read_recursive() + *held, 0);
                assert!(lock.try_read_recursive().is_some());
                assert!(lock.read_recursive_within(Duration::ZERO).is_ok());
                assert_eq!(*block_on(lock.read_recursive_async()), 0);
                drop(held);
            });
            assert_eq!(*lock.read(), 1);
        }
    });
}

#[test]
fn readers_kept_out_come_in_when_the_writer_gives_up() {
    watchdog(LIMIT, "readers_kept_out_come_in", || {
        for policy in [Policy::Balanced, Policy::PreferWriters] {
            let lock = RwLock::with_policy(0, policy);
            let token = CancelToken::new();
            let held = lock.read();
            thread::scope(|s| {
                let writer = s.spawn(|| lock.write_within(&token).map(drop));
                parked(&lock, 1);
                let readers = [
                    s.spawn(|| *lock.read()),
                    s.spawn(|| *lock.upgradable_read()),
                ];
                parked(&lock, 3);
                token.cancel();
                assert_eq!(writer.join().unwrap(), Err(GaveUp::Cancelled));
                for reader in readers {
                    assert_eq!(reader.join().unwrap(), 0);
                }
            });
            drop(held);
        }
    });
}

#[test]
fn a_leaving_writer_lets_all_readers_in_together() {
    watchdog(LIMIT, "a_leaving_writer_lets_all_readers_in", || {
        for wait in [Duration::ZERO, HANDOFF] {
            let lock = RwLock::new(0);
            let together = Barrier::new(5);
            let held = lock.write();
            thread::scope(|s| {
                for n in 1..=5 {
                    let (lock, together) = (&lock, &together);
                    s.spawn(move || {
                        let plain = (n > 1).then(|| lock.read());
                        let upgradable = (n == 1).then(|| lock.upgradable_read());
                        together.wait();
                        drop((plain, upgradable));
                    });
                    parked(lock, n);
                }
                thread::sleep(wait);
                drop(held);
            });
            assert!(!lock.is_locked());
        }
    });
}

#[test]
fn readers_behind_a_stuck_upgradable_one_come_in() {
    watchdog(LIMIT, "readers_behind_a_stuck_upgradable_one", || {
        let lock = RwLock::new(0);
        let held = lock.write();
        thread::scope(|s| {
            let upgradable = s.spawn(|| drop(lock.upgradable_read()));
            parked(&lock, 1);
            let reader = s.spawn(|| *lock.read());
            parked(&lock, 2);
            let held = WriteGuard::downgrade_to_upgradable(held);
            reader.join().unwrap();
            parked(&lock, 1);
            drop(held);
            upgradable.join().unwrap();
        });
    });
}

/// By `PreferWriters`, readers wait for an upgradable one that was called; they come in beside it.
#[test]
fn readers_behind_a_called_upgradable_one_come_in() {
    let lock = RwLock::with_policy(0, Policy::PreferWriters);
    let held = lock.write();
    let (waker, calls) = counting_waker();
    let mut upgradable = pin!(lock.upgradable_read_async());
    let mut reading = pin!(lock.read_async());
    assert!(poll(upgradable.as_mut(), Waker::noop()).is_pending());
    assert!(poll(reading.as_mut(), &waker).is_pending());
    drop(held);
    // Whether it is called at once, or lines up again because the other one was.
    let early = poll(reading.as_mut(), &waker).is_ready();
    let before = calls.load(Ordering::SeqCst);
    let _inside = poll(upgradable.as_mut(), Waker::noop());
    assert!(lock.reader_count() > 0);
    if !early {
        assert_eq!(calls.load(Ordering::SeqCst), before + 1);
        assert!(poll(reading.as_mut(), &waker).is_ready());
    }
}

/// A poll that is ended by the task's own waker leaves nobody kept out.
#[test]
fn a_waker_that_panics_leaves_no_claim() {
    const VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("no clones"), |_| {}, |_| {}, |_| {});
    // SAFETY: no function of the table uses the data.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };
    let lock = RwLock::new(0);
    let held = lock.read();
    let mut writing = Box::pin(lock.write_async());
    let polled = catch_unwind(AssertUnwindSafe(|| poll(writing.as_mut(), &waker)));
    assert!(polled.is_err());
    drop(writing);
    assert!(lock.try_read().is_some());
    // Called, and then ended so: those behind it are called instead.
    let writer = {
        drop(held);
        lock.write()
    };
    let mut called = Box::pin(lock.write_async());
    assert!(poll(called.as_mut(), Waker::noop()).is_pending());
    let mut behind = pin!(lock.write_async());
    assert!(poll(behind.as_mut(), Waker::noop()).is_pending());
    drop(writer);
    let newcomer = lock.try_write();
    let polled = catch_unwind(AssertUnwindSafe(|| poll(called.as_mut(), &waker)));
    assert_eq!(polled.is_err(), newcomer.is_some());
    drop((called, polled));
    drop(newcomer);
    assert!(poll(behind.as_mut(), Waker::noop()).is_ready());
}

/// A waiter that has waited for half a millisecond is in the lock before anybody else can be.
#[test]
fn who_has_waited_is_handed_the_lock() {
    let wait_then_leave = |guard: WriteGuard<'_, i32>| {
        thread::sleep(HANDOFF);
        drop(guard);
    };
    for policy in POLICIES {
        let lock = RwLock::with_policy(0, policy);
        {
            let guard = lock.write();
            let mut writing = pin!(lock.write_async());
            assert!(poll(writing.as_mut(), Waker::noop()).is_pending());
            wait_then_leave(guard);
            assert!(
                lock.is_write_locked(),
                "it has not been polled and has it already"
            );
            assert!(poll(writing.as_mut(), Waker::noop()).is_ready());
        }
        {
            let guard = lock.write();
            let mut reading = pin!(lock.read_async());
            let mut more = pin!(lock.read_async());
            let mut upgradable = pin!(lock.upgradable_read_async());
            assert!(poll(reading.as_mut(), Waker::noop()).is_pending());
            assert!(poll(more.as_mut(), Waker::noop()).is_pending());
            assert!(poll(upgradable.as_mut(), Waker::noop()).is_pending());
            wait_then_leave(guard);
            assert!(lock.reader_count() >= 1);
            assert!(lock.try_write().is_none());
            assert!(poll(reading.as_mut(), Waker::noop()).is_ready());
            // By `PreferWriters`, who is called for more than reading is before the other readers.
            assert!(poll(upgradable.as_mut(), Waker::noop()).is_ready());
            assert!(poll(more.as_mut(), Waker::noop()).is_ready());
        }
        assert!(!lock.is_locked());
        // Granted and never polled again: dropping gives it back.
        let guard = lock.write();
        let mut reading = Box::pin(lock.read_async());
        let mut upgradable = Box::pin(lock.upgradable_read_async());
        let mut writing = Box::pin(lock.write_async());
        assert!(poll(reading.as_mut(), Waker::noop()).is_pending());
        assert!(poll(upgradable.as_mut(), Waker::noop()).is_pending());
        assert!(poll(writing.as_mut(), Waker::noop()).is_pending());
        wait_then_leave(guard);
        drop((reading, upgradable));
        assert!(
            poll(writing.as_mut(), Waker::noop()).is_ready(),
            "{policy:?}"
        );
        drop(writing);
        assert!(!lock.is_locked());
    }
}

/// A last reader's leaving is a moment at which the lock is free, too.
#[test]
fn the_last_reader_hands_over() {
    for policy in [Policy::Balanced, Policy::PreferWriters] {
        let lock = RwLock::with_policy(0, policy);
        let reader = lock.read();
        let mut writing = pin!(lock.write_async());
        assert!(poll(writing.as_mut(), Waker::noop()).is_pending());
        thread::sleep(HANDOFF);
        drop(reader);
        assert!(lock.is_write_locked());
        assert!(poll(writing.as_mut(), Waker::noop()).is_ready());
    }
}

/// A writer behind a reader is called with it, and keeps newcomers out as soon as it runs.
#[test]
fn a_called_reader_leaves_no_writer_to_starve() {
    watchdog(LIMIT, "a_called_reader_leaves_no_writer", || {
        // Again if this thread was stopped for so long that the reader was handed the lock instead.
        loop {
            let lock = RwLock::new(0);
            let guard = lock.write();
            let mut reading = pin!(lock.read_async());
            let mut writing = pin!(lock.write_async());
            assert!(poll(reading.as_mut(), Waker::noop()).is_pending());
            assert!(poll(writing.as_mut(), Waker::noop()).is_pending());
            drop(guard);
            let Some(newcomer) = lock.try_read() else {
                continue;
            };
            let Poll::Ready(called) = poll(reading.as_mut(), Waker::noop()) else {
                panic!("it may read beside a reader");
            };
            assert!(poll(writing.as_mut(), Waker::noop()).is_pending());
            assert!(lock.try_read().is_none(), "the writer was called, too");
            drop((newcomer, called));
            assert!(poll(writing.as_mut(), Waker::noop()).is_ready());
            return;
        }
    });
}

#[test]
fn a_called_writer_that_gives_up_leaves_no_writer_to_starve() {
    watchdog(LIMIT, "a_called_writer_that_gives_up", || {
        loop {
            let lock = RwLock::new(0);
            let guard = lock.write();
            let mut called = Box::pin(lock.write_async());
            let mut behind = pin!(lock.write_async());
            assert!(poll(called.as_mut(), Waker::noop()).is_pending());
            assert!(poll(behind.as_mut(), Waker::noop()).is_pending());
            drop(guard);
            let Some(newcomer) = lock.try_read() else {
                continue;
            };
            drop(called);
            assert!(poll(behind.as_mut(), Waker::noop()).is_pending());
            assert!(
                lock.try_read().is_none(),
                "the second writer was called instead"
            );
            drop(newcomer);
            assert!(poll(behind.as_mut(), Waker::noop()).is_ready());
            return;
        }
    });
}

#[test]
fn readers_first_or_writers_first() {
    watchdog(LIMIT, "readers_first_or_writers_first", || {
        for (policy, writer_first) in [
            (Policy::PreferReaders, false),
            (Policy::PreferWriters, true),
        ] {
            loop {
                let lock = RwLock::with_policy(0, policy);
                let begun = Instant::now();
                let guard = lock.write();
                let (waker, reader_calls) = counting_waker();
                let (other_waker, writer_calls) = counting_waker();
                let mut reading = pin!(lock.read_async());
                let mut writing = pin!(lock.write_async());
                // The preferred one stands behind the other.
                if writer_first {
                    assert!(poll(reading.as_mut(), &waker).is_pending());
                    assert!(poll(writing.as_mut(), &other_waker).is_pending());
                } else {
                    assert!(poll(writing.as_mut(), &other_waker).is_pending());
                    assert!(poll(reading.as_mut(), &waker).is_pending());
                }
                drop(guard);
                if begun.elapsed() > Duration::from_micros(400) {
                    continue;
                }
                let calls = [&reader_calls, &writer_calls].map(|n| n.load(Ordering::SeqCst));
                assert_eq!(calls, if writer_first { [0, 1] } else { [1, 1] });
                break;
            }
        }
    });
}

#[test]
fn readers_who_keep_coming_do_not_starve_a_writer() {
    watchdog(LIMIT, "readers_who_keep_coming", || {
        for policy in [Policy::Balanced, Policy::PreferWriters] {
            let lock = RwLock::with_policy(0, policy);
            let stop = AtomicBool::new(false);
            thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        while !stop.load(Ordering::Relaxed) {
                            let _guard = lock.read();
                            thread::sleep(Duration::from_micros(200));
                        }
                    });
                }
                (0..20).for_each(|_| *lock.write() += 1);
                stop.store(true, Ordering::Relaxed);
            });
            assert_eq!(lock.into_inner(), 20);
        }
    });
}

#[test]
fn writers_who_keep_coming_do_not_starve_a_reader() {
    watchdog(LIMIT, "writers_who_keep_coming", || {
        for policy in [Policy::Balanced, Policy::PreferReaders] {
            let lock = RwLock::with_policy(0u64, policy);
            let stop = AtomicBool::new(false);
            thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        while !stop.load(Ordering::Relaxed) {
                            *lock.write() += 1;
                        }
                    });
                }
                (0..50).for_each(|_| drop(lock.read()));
                stop.store(true, Ordering::Relaxed);
            });
        }
    });
}

#[test]
fn an_upgrade_waits_for_readers_and_keeps_new_ones_out() {
    watchdog(LIMIT, "an_upgrade_waits_for_readers", || {
        for policy in POLICIES {
            let lock = RwLock::with_policy(0, policy);
            let held = lock.read();
            thread::scope(|s| {
                let upgrader = s.spawn(|| {
                    let guard = UpgradableGuard::try_upgrade(lock.upgradable_read())
                        .expect_err("somebody reads");
                    *UpgradableGuard::upgrade(guard) += 1;
                });
                parked(&lock, 1);
                assert!(lock.try_read().is_none());
                assert!(lock.try_write().is_none());
                assert_eq!(*lock.read_recursive(), 0);
                let reader = s.spawn(|| *lock.read());
                let writer = s.spawn(|| *lock.write() += 10);
                parked(&lock, 3);
                drop(held);
                upgrader.join().unwrap();
                assert!([1, 11].contains(&reader.join().unwrap()));
                writer.join().unwrap();
            });
            assert_eq!(lock.into_inner(), 11);
        }
    });
}

#[test]
fn an_upgrade_that_gives_up_lets_in_whom_it_kept_out() {
    watchdog(LIMIT, "an_upgrade_that_gives_up", || {
        let lock = RwLock::new(0);
        let held = lock.read();
        let token = CancelToken::new();
        thread::scope(|s| {
            let upgrader = s.spawn(|| {
                let guard = lock.upgradable_read();
                let error = UpgradableGuard::upgrade_within(guard, &token).unwrap_err();
                assert_eq!(error.why, GaveUp::Cancelled);
                assert_eq!(error.to_string(), GaveUp::Cancelled.to_string());
                let soon = Duration::from_millis(1);
                let error = UpgradableGuard::upgrade_within(error.guard, soon).unwrap_err();
                assert_eq!(error.why, GaveUp::TimedOut);
                *error.guard
            });
            parked(&lock, 1);
            let reader = s.spawn(|| *lock.read());
            parked(&lock, 2);
            token.cancel();
            assert_eq!(reader.join().unwrap(), 0);
            assert_eq!(upgrader.join().unwrap(), 0);
        });
        assert_eq!(lock.reader_count(), 1);
        drop(held);
        let guard = lock.upgradable_read();
        let guard = UpgradableGuard::upgrade_within(guard, Duration::ZERO).unwrap();
        drop(guard);
        assert!(!lock.is_locked());
    });
}

#[test]
fn a_dropped_upgrade_gives_its_guard_back_too() {
    let lock = RwLock::new(0);
    let held = lock.read();
    let mut upgrading = Box::pin(UpgradableGuard::upgrade_async(lock.upgradable_read()));
    assert!(poll(upgrading.as_mut(), Waker::noop()).is_pending());
    let (waker, calls) = counting_waker();
    let mut reading = pin!(lock.read_async());
    assert!(poll(reading.as_mut(), &waker).is_pending());
    drop(upgrading);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(poll(reading.as_mut(), &waker).is_ready());
    assert_eq!(lock.reader_count(), 1);
    // Never polled; and granted, but not polled again.
    drop(UpgradableGuard::upgrade_async(lock.upgradable_read()));
    let mut upgrading = Box::pin(UpgradableGuard::upgrade_async(lock.upgradable_read()));
    assert!(poll(upgrading.as_mut(), Waker::noop()).is_pending());
    drop(held);
    assert!(lock.is_write_locked());
    drop(upgrading);
    assert!(!lock.is_locked());
}

#[test]
fn a_downgrade_lets_no_writer_in_between() {
    watchdog(LIMIT, "a_downgrade_lets_no_writer_in", || {
        for policy in POLICIES {
            let lock = RwLock::with_policy(0, policy);
            thread::scope(|s| {
                let mut guard = lock.write();
                let reader = s.spawn(|| *lock.read());
                parked(&lock, 1);
                let writer = s.spawn(|| *lock.write() += 10);
                parked(&lock, 2);
                *guard = 1;
                let guard = WriteGuard::downgrade(guard);
                // Otherwise both are called, and a writer that is quicker keeps the reader out.
                let reader = if policy == Policy::PreferReaders {
                    assert_eq!(reader.join().unwrap(), 1, "beside us");
                    parked(&lock, 1);
                    None
                } else {
                    Some(reader)
                };
                if policy != Policy::Balanced {
                    assert_eq!(lock.try_read().is_some(), policy == Policy::PreferReaders);
                }
                assert_eq!(*guard, 1);
                drop(guard);
                writer.join().unwrap();
                if let Some(reader) = reader {
                    let seen = reader.join().unwrap();
                    assert!(seen == 1 || seen == 11, "the writer in between: {seen}");
                }
            });
            let guard = WriteGuard::downgrade_to_upgradable(lock.write());
            assert!(lock.try_upgradable_read().is_none());
            assert!(lock.try_read().is_some());
            let guard = UpgradableGuard::downgrade(guard);
            assert_eq!(*guard, 11);
            assert!(lock.try_upgradable_read().is_some());
            assert_eq!(lock.reader_count(), 1);
        }
    });
}

#[test]
fn an_upgradable_reader_that_steps_down_lets_the_next_one_in() {
    watchdog(LIMIT, "an_upgradable_reader_that_steps_down", || {
        let lock = RwLock::new(0);
        let guard = lock.upgradable_read();
        thread::scope(|s| {
            let next = s.spawn(|| drop(lock.upgradable_read()));
            parked(&lock, 1);
            let guard = UpgradableGuard::downgrade(guard);
            next.join().unwrap();
            drop(guard);
            // And one that leaves.
            let guard = lock.upgradable_read();
            let next = s.spawn(|| drop(lock.upgradable_read()));
            parked(&lock, 1);
            drop(guard);
            next.join().unwrap();
        });
    });
}

#[test]
fn guards_of_parts() {
    let lock = RwLock::new((vec![1, 2, 3], "name"));
    {
        let vec = ReadGuard::map(lock.read(), |pair| &pair.0);
        let vec = ReadGuard::filter_map(vec, |vec| vec.get(7)).expect_err("there is no eighth");
        let second = ReadGuard::filter_map(vec, |vec| vec.get(1)).unwrap();
        assert_eq!(*second, 2);
        assert_eq!(lock.reader_count(), 1);
    }
    {
        let pair = WriteGuard::filter_map(lock.write(), |pair| pair.0.get_mut(7));
        let vec = WriteGuard::map(pair.expect_err("there is no eighth"), |pair| &mut pair.0);
        let vec = latchwork::sync::MappedWriteGuard::filter_map(vec, |vec| vec.get_mut(7));
        let mut second =
            latchwork::sync::MappedWriteGuard::map(vec.expect_err("as before"), |vec| &mut vec[1]);
        *second += 40;
        assert_eq!(format!("{second:?}"), "42");
        assert!(lock.is_write_locked());
    }
    // A panic in the choice of the part gives the lock back.
    let choose = || WriteGuard::map(lock.write(), |_| -> &mut i32 { panic!("no part") });
    assert!(catch_unwind(AssertUnwindSafe(|| drop(choose()))).is_err());
    assert!(!lock.is_locked());
    assert_eq!(lock.into_inner().0, [1, 42, 3]);
}

#[test]
fn guards_that_own() {
    watchdog(LIMIT, "guards_that_own", || {
        let lock = Arc::new(RwLock::new(1));
        let mut writer = lock.write_owned();
        assert!(lock.try_read_owned().is_none() && lock.try_write_owned().is_none());
        let soon = Duration::from_millis(1);
        assert_eq!(lock.read_owned_within(soon).unwrap_err(), GaveUp::TimedOut);
        assert_eq!(lock.write_owned_within(soon).unwrap_err(), GaveUp::TimedOut);
        *writer = 2;
        let reader = thread::spawn(|| OwnedWriteGuard::downgrade(writer))
            .join()
            .unwrap();
        let others = [
            lock.read_owned(),
            lock.try_read_owned().unwrap(),
            lock.read_owned_within(soon).unwrap(),
            block_on(lock.read_owned_async()),
        ];
        assert_eq!(lock.reader_count(), 5);
        assert_eq!(others.iter().map(|guard| **guard).sum::<i32>(), 8);
        assert_eq!(format!("{reader:?}"), "2");
        drop((others, reader));
        *block_on(lock.write_owned_async()) += 1;
        *lock.try_write_owned().unwrap() += 1;
        *lock.write_owned_within(soon).unwrap() += 1;
        let last = lock.read_owned();
        assert_eq!(Arc::strong_count(&lock), 2);
        drop(lock);
        assert_eq!(thread::spawn(move || *last).join().unwrap(), 5);
    });
}

#[test]
fn tasks_wait_beside_threads() {
    watchdog(LIMIT, "tasks_wait_beside_threads", || {
        let lock = RwLock::new(0);
        thread::scope(|s| {
            let held = lock.write();
            s.spawn(|| block_on(async { *lock.write_async().await += 1 }));
            s.spawn(|| block_on(async { assert!(*lock.read_async().await < 100) }));
            s.spawn(|| {
                block_on(async {
                    let guard = lock.upgradable_read_async().await;
                    *UpgradableGuard::upgrade_async(guard).await += 1;
                });
            });
            s.spawn(|| *lock.write() += 1);
            parked(&lock, 4);
            drop(held);
        });
        assert_eq!(lock.into_inner(), 3);
    });
}

#[test]
fn a_bad_waker_harms_nobody_else() {
    watchdog(LIMIT, "a_bad_waker", || {
        let lock = RwLock::new(0);
        let guard = lock.write();
        let mut reading = pin!(lock.read_async());
        assert!(poll(reading.as_mut(), &common::bad_waker()).is_pending());
        thread::scope(|s| {
            let other = s.spawn(|| *lock.read());
            parked(&lock, 2);
            drop(guard);
            other.join().unwrap();
        });
        assert!(poll(reading.as_mut(), Waker::noop()).is_ready());
    });
}

#[test]
fn a_panic_gives_the_lock_back() {
    let lock = RwLock::new(1);
    for panic in [
        &(|| assert_eq!(*lock.read(), 2)) as &dyn Fn(),
        &|| assert_eq!(*lock.write(), 2),
        &|| assert_eq!(*lock.upgradable_read(), 2),
    ] {
        assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
        assert!(!lock.is_locked());
    }
}

#[test]
fn a_waiter_tells_who_writes() {
    watchdog(LIMIT, "a_waiter_tells_who_writes", || {
        let lock = RwLock::new(0);
        thread::scope(|s| {
            let me = debug::current_thread();
            let held = lock.write();
            s.spawn(|| drop(lock.read()));
            parked(&lock, 1);
            let address = std::ptr::from_ref(&lock).addr();
            let waits = debug::waits();
            let wait = waits.iter().find(|wait| wait.address == address).unwrap();
            assert_eq!(wait.owner.as_ref(), Some(&me));
            assert!(wait.place.file().ends_with("rwlock.rs"), "{wait}");
            assert_eq!(format!("{lock:?}"), format!("RwLock {{ owner: {me} }}"));
            drop(held);
        });
        // An upgrade names its thread, too.
        let me_again = debug::current_thread();
        let guard = UpgradableGuard::upgrade(lock.upgradable_read());
        assert!(format!("{lock:?}").contains(&me_again.to_string()));
        drop(guard);
        let guard = block_on(lock.write_async());
        assert_eq!(format!("{lock:?}"), "RwLock { owner: a task }");
        drop(guard);
    });
}

#[test]
fn construction_and_debug() {
    static SHARED: RwLock<u8> = RwLock::with_policy(1, Policy::PreferReaders);
    assert_eq!(SHARED.policy(), Policy::PreferReaders);
    assert_eq!(*SHARED.read(), 1);
    let mut lock = RwLock::from(3);
    *lock.get_mut() += 1;
    let guard = lock.read();
    assert_eq!(format!("{lock:?}"), "RwLock { value: 4, readers: 1 }");
    assert_eq!(format!("{guard:?}"), "4");
    drop(guard);
    assert_eq!(lock.into_inner(), 4);
    assert_eq!(*RwLock::<String>::default().read(), "");
    let unsized_one: &RwLock<[i32]> = &RwLock::new([1, 2]);
    assert_eq!(unsized_one.read().len(), 2);
}

#[test]
fn what_may_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    fn crosses_value<T: Send>(_: &T) {}
    crosses::<RwLock<i32>>();
    crosses::<ReadGuard<'_, i32>>();
    crosses::<UpgradableGuard<'_, i32>>();
    crosses::<TaskWriteGuard<'_, i32>>();
    crosses::<MappedTaskWriteGuard<'_, i32>>();
    crosses::<OwnedReadGuard<i32>>();
    crosses::<OwnedWriteGuard<i32>>();
    let lock = Arc::new(RwLock::new(0));
    crosses_value(&lock.read_async());
    crosses_value(&lock.write_async());
    crosses_value(&lock.write_owned_async());
    crosses_value(&UpgradableGuard::upgrade_async(lock.upgradable_read()));
    // And a task's guards are dropped where they have gone to.
    thread::scope(|s| {
        let guard = block_on(lock.write_async());
        s.spawn(move || drop(WriteGuard::map(guard, |n| n)));
    });
    thread::scope(|s| {
        let guard = lock.read();
        s.spawn(move || drop(guard));
    });
    assert!(!lock.is_locked());
}

#[test]
fn never_a_writer_beside_anybody() {
    watchdog(LIMIT, "never_a_writer_beside_anybody", || {
        let lock = RwLock::new(());
        let (readers, writers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let read = |_: &()| {
            readers.fetch_add(1, Ordering::SeqCst);
            assert_eq!(writers.load(Ordering::SeqCst), 0);
            thread::yield_now();
            readers.fetch_sub(1, Ordering::SeqCst);
        };
        let write = |_: &mut ()| {
            assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0);
            assert_eq!(readers.load(Ordering::SeqCst), 0);
            thread::yield_now();
            writers.fetch_sub(1, Ordering::SeqCst);
        };
        thread::scope(|s| {
            for n in 0..6 {
                let (lock, read, write) = (&lock, &read, &write);
                s.spawn(move || {
                    let hasty = Duration::from_micros(50);
                    for i in 0..800 {
                        match (n + i) % 5 {
                            0 => write(&mut lock.write()),
                            1 => drop(lock.write_within(hasty).map(|mut guard| write(&mut guard))),
                            2 => drop(lock.read_within(hasty).map(|guard| read(&guard))),
                            3 => {
                                let guard = lock.upgradable_read();
                                read(&guard);
                                match UpgradableGuard::upgrade_within(guard, hasty) {
                                    Ok(mut guard) => write(&mut guard),
                                    Err(error) => read(&error.guard),
                                }
                            }
                            _ => read(&lock.read()),
                        }
                    }
                });
            }
        });
        assert!(!lock.is_locked());
    });
}

/// One step of a single thread.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read,
    ReadRecursive,
    Upgradable,
    Write,
    Upgrade,
    Downgrade,
    DowngradeToUpgradable,
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Read),
        1 => Just(Step::ReadRecursive),
        2 => Just(Step::Upgradable),
        2 => Just(Step::Write),
        2 => Just(Step::Upgrade),
        1 => Just(Step::Downgrade),
        1 => Just(Step::DowngradeToUpgradable),
        5 => (0usize..4).prop_map(Step::Drop),
    ]
}

enum Held<'a> {
    Read(#[allow(dead_code, reason = "kept to be dropped")] ReadGuard<'a, ()>),
    Upgradable(UpgradableGuard<'a, ()>),
    Write(WriteGuard<'a, ()>),
}

proptest! {
    /// Beside a plain list of who is inside.
    #[test]
    fn behaves_like_a_list_of_guards(
        policy in prop::sample::select(&POLICIES[..]),
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let lock = RwLock::with_policy((), policy);
        let mut held: Vec<Held<'_>> = Vec::new();
        for step in steps {
            let writes = held.iter().any(|held| matches!(held, Held::Write(_)));
            let upgradable = held.iter().position(|held| matches!(held, Held::Upgradable(_)));
            match step {
                Step::Read | Step::ReadRecursive => {
                    let guard = match step {
                        Step::Read => lock.try_read(),
                        _ => lock.read_recursive_within(Duration::ZERO).ok(),
                    };
                    prop_assert_eq!(guard.is_some(), !writes);
                    held.extend(guard.map(Held::Read));
                }
                Step::Upgradable => {
                    let guard = lock.try_upgradable_read();
                    prop_assert_eq!(guard.is_some(), !writes && upgradable.is_none());
                    held.extend(guard.map(Held::Upgradable));
                }
                Step::Write => {
                    let guard = lock.write_within(Duration::ZERO).ok();
                    prop_assert_eq!(guard.is_some(), held.is_empty());
                    held.extend(guard.map(Held::Write));
                }
                Step::Upgrade => if let Some(at) = upgradable {
                    let Held::Upgradable(guard) = held.swap_remove(at) else { unreachable!() };
                    match UpgradableGuard::try_upgrade(guard) {
                        Ok(guard) => {
                            prop_assert!(held.is_empty());
                            held.push(Held::Write(guard));
                        }
                        Err(guard) => {
                            prop_assert!(!held.is_empty());
                            held.push(Held::Upgradable(guard));
                        }
                    }
                }
                Step::Downgrade | Step::DowngradeToUpgradable => match held.pop() {
                    Some(Held::Write(guard)) if matches!(step, Step::Downgrade) => {
                        held.push(Held::Read(WriteGuard::downgrade(guard)));
                    }
                    Some(Held::Write(guard)) => {
                        held.push(Held::Upgradable(WriteGuard::downgrade_to_upgradable(guard)));
                    }
                    Some(Held::Upgradable(guard)) => {
                        held.push(Held::Read(UpgradableGuard::downgrade(guard)));
                    }
                    other => held.extend(other),
                }
                Step::Drop(at) => if at < held.len() {
                    drop(held.swap_remove(at));
                }
            }
            let writes = held.iter().any(|held| matches!(held, Held::Write(_)));
            prop_assert_eq!(lock.is_write_locked(), writes);
            prop_assert_eq!(lock.is_locked(), !held.is_empty());
            prop_assert_eq!(lock.reader_count(), if writes { 0 } else { held.len() });
        }
    }
}
