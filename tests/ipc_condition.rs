//! `ipc::Condition` between threads and between processes (rows S8 to S10, S17, S18, S28, S33).

#![cfg(all(feature = "process", target_os = "linux"))]

#[path = "common/asleep.rs"]
mod asleep;
mod common;
#[path = "kill/scratch.rs"]
mod scratch;
#[path = "common/storm.rs"]
mod storm;
#[path = "kill/victim.rs"]
mod victim;

use asleep::{asleep, until_asleep};
use common::{block_on, pending, watchdog};
use latchwork::ipc::{
    AccessError, Array, Condition, Lock, LockError, RLock, RawValue, Synchronized, Value,
    ValueGuard,
};
use latchwork::{CancelToken, GaveUp};
use scratch::scratch;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};
use storm::{is_granted_in_a_storm, times_out_in_a_storm};
use victim::{Victim, sleep_for_ever, timed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than any slice: who is to be let go at the end of one has been by then.
const SLICES: Duration = Duration::from_millis(150);

/// The guard, and after a death also the guard.
fn vouched<'a>(
    result: Result<ValueGuard<'a, u64>, LockError<ValueGuard<'a, u64>>>,
) -> ValueGuard<'a, u64> {
    match result {
        Ok(guard) => guard,
        Err(error) => {
            let mut guard = error.into_guard().expect("the lock is of use");
            guard.mark_consistent();
            guard
        }
    }
}

/// S8: nothing is put without being taken, and nobody sleeps on beside an item.
#[test]
fn two_processes_take_what_a_third_puts() {
    watchdog(LIMIT, "produce and consume", || {
        const ITEMS: u64 = 600;
        let (items, filled) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let taken = scratch();
        let takers: Vec<_> = (0..2)
            .map(|place| {
                let (items, filled) = (&items, &filled);
                Victim::new(move || {
                    for _ in 0..ITEMS / 2 {
                        let guard = items.lock().unwrap();
                        let mut guard = filled.wait_while(guard, |n| *n == 0).unwrap();
                        *guard -= 1;
                        taken[place].fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        for item in 0..ITEMS {
            items.update(|n| *n += 1).unwrap();
            filled.notify_one().unwrap();
            if item % 50 == 0 {
                // Let them get ahead, so that both kinds of waiting occur.
                wait_until(|| items.get().unwrap() == 0);
            }
        }
        takers.into_iter().for_each(Victim::join);
        assert_eq!(items.get().unwrap(), 0);
        assert_eq!(filled.waiters().unwrap(), 0);
    });
}

/// S9: `notify(n)` is for `n`, S18: of threads and processes alike. S17: all of them hold the lock then.
#[test]
fn a_notification_for_two_lets_two_go() {
    watchdog(LIMIT, "notify(2)", || {
        let (value, condition) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let come_back = || {
            let mut guard = condition.wait(value.lock().unwrap()).unwrap();
            *guard += 1;
        };
        // The end of a process that has waited is a death, after which others may come back.
        let stay = || {
            come_back();
            sleep_for_ever()
        };
        let processes: Vec<_> = (0..2).map(|_| Victim::new(stay)).collect();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(come_back);
            }
            wait_until(|| condition.waiters().unwrap() == 5);
            condition.notify(0).unwrap();
            condition.notify(2).unwrap();
            wait_until(|| value.get().unwrap() == 2);
            thread::sleep(SLICES);
            assert_eq!(value.get().unwrap(), 2, "others came back, too");
            assert_eq!(condition.waiters().unwrap(), 3);
            condition.notify_one().unwrap();
            wait_until(|| value.get().unwrap() == 3);
            condition.notify_all().unwrap();
        });
        wait_until(|| value.get().unwrap() == 5);
        processes.into_iter().for_each(Victim::kill);
        assert_eq!(condition.waiters().unwrap(), 0);
    });
}

/// S9: who comes later gets nothing of it.
#[test]
fn a_notification_is_for_those_who_wait_already() {
    watchdog(LIMIT, "too early", || {
        let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
        condition.notify_all().unwrap();
        condition.notify(5).unwrap();
        let (_, outcome) = condition.wait_within(lock.lock().unwrap(), SLICES).unwrap();
        assert_eq!(outcome, Err(GaveUp::TimedOut));
    });
}

/// S10: Python's `notify` waits for the dead for ever.
#[test]
fn killed_waiters_cost_nothing() {
    watchdog(LIMIT, "waiters killed", || {
        for round in 0..10 {
            let (items, filled) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
            let take = || {
                let guard = vouched(items.lock());
                *vouched(filled.wait_while(guard, |n| *n == 0)) -= 1;
            };
            let mut waiters: Vec<_> = (0..3).map(|_| Victim::new(take)).collect();
            wait_until(|| filled.waiters().unwrap() == 3);
            waiters.iter().for_each(|waiter| until_asleep(waiter.pid));
            let mut kill_two = || waiters.drain(..2).for_each(Victim::kill);
            if round % 2 == 0 {
                kill_two();
            }
            items.update(|n| *n += 1).unwrap();
            let (told, took) = timed(|| filled.notify_one());
            told.unwrap();
            assert!(took < Duration::from_secs(1), "notify took {took:?}");
            if round % 2 == 1 {
                // Too late: one of them has been let go, and may have taken the item or not.
                kill_two();
                *vouched(items.lock()) = 1;
                filled.notify_one().unwrap();
            }
            let ((), took) = timed(|| waiters.pop().unwrap().join());
            assert!(took < Duration::from_secs(1), "left waiting for {took:?}");
        }
    });
}

/// S10: the dead had been let go and had not got the lock yet.
#[test]
fn what_a_killed_waiter_was_notified_of_reaches_another() {
    watchdog(LIMIT, "notified and killed", || {
        for _ in 0..10 {
            let (items, filled) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
            let take = || {
                let guard = vouched(items.lock());
                *vouched(filled.wait_while(guard, |n| *n == 0)) -= 1;
            };
            let first = Victim::new(take);
            wait_until(|| filled.waiters().unwrap() == 1);
            until_asleep(first.pid);
            let second = Victim::new(take);
            wait_until(|| filled.waiters().unwrap() == 2);
            let mut guard = items.lock().unwrap();
            *guard += 1;
            filled.notify_one().unwrap();
            // It is on its way to the lock now, which is held: most often the first.
            wait_until(|| filled.waiters().unwrap() == 1);
            first.kill();
            drop(guard);
            let ((), took) = timed(|| second.join());
            assert!(took < Duration::from_secs(1), "left waiting for {took:?}");
            assert_eq!(items.get().unwrap(), 0);
        }
    });
}

/// S10: killed anywhere in `notify_all`, or with the lock, a process costs those who wait nothing but time.
#[test]
fn killed_notifiers_strand_nobody() {
    watchdog(LIMIT, "notifiers killed", || {
        let (turn, moved) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..40 {
            let start = *vouched(turn.lock());
            let waiter = Victim::new(|| {
                let guard = vouched(turn.lock());
                let pending = |now: &mut u64| *now < start + 20;
                let mut result = moved.wait_while(guard, pending);
                while let Err(LockError::OwnerDied(mut guard)) = result {
                    guard.mark_consistent();
                    result = moved.wait_while(guard, pending);
                }
                drop(result.unwrap());
            });
            let notifier = Victim::new(|| {
                loop {
                    *vouched(turn.lock()) += 1;
                    moved.notify_all().unwrap();
                }
            });
            wait_until(|| *vouched(turn.lock()) > start);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            thread::sleep(Duration::from_micros(random % 2000));
            notifier.kill();
            *vouched(turn.lock()) += 20;
            let (told, took) = timed(|| moved.notify_all());
            told.unwrap();
            assert!(took < Duration::from_secs(1), "notify took {took:?}");
            let ((), took) = timed(|| waiter.join());
            assert!(took < Duration::from_secs(1), "left waiting for {took:?}");
        }
    });
}

/// S8: the error that the lock gives is the one that the wait gives.
#[test]
fn who_comes_back_to_a_lock_whose_owner_died_is_told() {
    watchdog(LIMIT, "owner died", || {
        let (value, condition) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let told = scratch();
        let guard = value.lock().unwrap();
        let owner = Victim::new(|| {
            let mut guard = value.lock().unwrap();
            *guard = 7;
            condition.notify_all().unwrap();
            told[0].store(1, SeqCst);
            sleep_for_ever()
        });
        let killer = thread::spawn(move || {
            wait_until(|| told[0].load(SeqCst) == 1);
            owner.kill();
        });
        let result = condition.wait(guard);
        let Err(LockError::OwnerDied(mut guard)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(*guard, 7);
        guard.mark_consistent();
        drop(guard);
        killer.join().unwrap();
        drop(value.lock().unwrap());
    });
}

/// S8.
#[test]
fn a_limit_is_kept_and_the_lock_is_held_again() {
    watchdog(LIMIT, "limits", || {
        let (value, condition) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let mut guard = value.lock().unwrap();
        for limit in [0, 1, 7, 120].map(Duration::from_millis) {
            let began = Instant::now();
            let outcome;
            (guard, outcome) = condition.wait_within(guard, limit).unwrap();
            assert_eq!(outcome, Err(GaveUp::TimedOut));
            assert!(began.elapsed() >= limit);
            assert!(value.is_locked());
            assert_eq!(condition.waiters().unwrap(), 0);
        }
        let token = CancelToken::new();
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                wait_until(|| condition.waiters().unwrap() == 1);
                token.cancel();
            });
            let (guard, outcome) = condition.wait_within(guard, &token).unwrap();
            drop(guard);
            outcome
        });
        assert_eq!(outcome, Err(GaveUp::Cancelled));
        // One limit over all wake-ups.
        thread::scope(|scope| {
            let is_over = scratch();
            scope.spawn(|| {
                while is_over[0].load(SeqCst) == 0 {
                    condition.notify_all().unwrap();
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let guard = value.lock().unwrap();
            let began = Instant::now();
            let (guard, outcome) = condition
                .wait_while_within(guard, |n| *n == 0, SLICES)
                .unwrap();
            is_over[0].store(1, SeqCst);
            assert_eq!((outcome, *guard), (Err(GaveUp::TimedOut), 0));
            assert!((SLICES..Duration::from_secs(10)).contains(&began.elapsed()));
        });
    });
}

/// S28, S33: with the lock held again, and the state as it was.
#[test]
fn a_storm_of_signals_neither_ends_nor_stretches_a_wait() {
    watchdog(LIMIT, "storm", || {
        let (value, condition) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let outcome = times_out_in_a_storm(|limit| {
            let (_, outcome) = condition.wait_within(value.lock().unwrap(), limit).unwrap();
            outcome
        });
        assert_eq!(outcome, Err(GaveUp::TimedOut));
        is_granted_in_a_storm(
            || drop(condition.wait(value.lock().unwrap()).unwrap()),
            || condition.notify_one().unwrap(),
        );
        assert!(value.try_lock().unwrap().is_some());
    });
}

/// S8: one condition, two locks; and a wait that makes something of the value.
#[test]
fn a_condition_serves_several_locks() {
    watchdog(LIMIT, "two locks", || {
        let condition = Condition::new().unwrap();
        let (value, lock) = (Value::new(0_u64).unwrap(), Lock::new().unwrap());
        thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let take = |n: &mut u64| n.checked_sub(1).inspect(|left| *n = *left);
                let guard = value.lock().unwrap();
                condition.wait_until(guard, take).unwrap().1
            });
            let other = scope.spawn(|| drop(condition.wait(lock.lock().unwrap()).unwrap()));
            wait_until(|| condition.waiters().unwrap() == 2);
            value.set(5).unwrap();
            condition.notify_all().unwrap();
            assert_eq!(taker.join().unwrap(), 4);
            other.join().unwrap();
        });
        assert!(!lock.is_locked() && !value.is_locked());
    });
}

#[test]
fn a_panic_in_a_predicate_unlocks() {
    let (value, condition) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = condition.wait_while(value.lock().unwrap(), |_| panic!("on purpose"));
    }));
    assert!(panicked.is_err());
    assert!(!value.is_locked());
}

#[test]
fn who_waits_when_the_maker_drops_it_is_told() {
    watchdog(LIMIT, "gone", || {
        let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
        let bytes = postcard::to_stdvec(&condition).unwrap();
        let visitor: Condition = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(format!("{visitor:?}"), "Condition(0 waiting)");
        thread::scope(|scope| {
            let waiter = asleep(scope, || match visitor.wait(lock.lock().unwrap()) {
                Err(LockError::Gone) => {}
                other => panic!("{other:?}"),
            });
            wait_until(|| condition.waiters().unwrap() == 1);
            drop(condition);
            waiter.join().unwrap();
        });
        assert!(!lock.is_locked());
        assert!(matches!(visitor.notify_all(), Err(AccessError::Gone)));
        assert!(matches!(visitor.waiters(), Err(AccessError::Gone)));
        assert_eq!(format!("{visitor:?}"), "Condition(gone)");
    });
}

/// S8: a task waits; and what one that is dropped was notified of reaches another.
#[test]
fn futures_wait_and_pass_on() {
    watchdog(LIMIT, "futures", || {
        let (value, condition) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let begin = || pending(condition.wait_async(value.lock().unwrap()));
        let (first, second) = (begin(), begin());
        assert_eq!(condition.waiters().unwrap(), 2);
        drop(first);
        assert_eq!(condition.waiters().unwrap(), 1);
        value.update(|n| *n += 1).unwrap();
        condition.notify_one().unwrap();
        assert_eq!(*block_on(second).unwrap(), 1);
        // One is let go while the lock is held, and is dropped on its way to it.
        let (mut third, fourth) = (begin(), begin());
        let held = value.lock().unwrap();
        condition.notify_one().unwrap();
        while condition.waiters().unwrap() != 1 {
            assert!(common::poll(third.as_mut(), std::task::Waker::noop()).is_pending());
            thread::yield_now();
        }
        assert!(common::poll(third.as_mut(), std::task::Waker::noop()).is_pending());
        drop(held);
        drop(third);
        drop(block_on(fourth).unwrap());
        assert!(!value.is_locked());
    });
}

/// S8: what is left of a notification goes to nobody who came after it.
#[test]
fn a_second_notification_does_not_let_the_first_go_to_newcomers() {
    watchdog(LIMIT, "newcomers", || {
        let (value, condition) = (Value::new(0_u64).unwrap(), Condition::new().unwrap());
        let begin = || pending(condition.wait_async(value.lock().unwrap()));
        let early = [begin(), begin()];
        condition.notify_one().unwrap();
        let late = [begin(), begin()];
        condition.notify_one().unwrap();
        assert_eq!(condition.waiters().unwrap(), 2, "all who were there may go");
        for future in early {
            drop(block_on(future).unwrap());
        }
        drop(late);
        assert_eq!(condition.waiters().unwrap(), 0);
    });
}

/// S8: predicates see elements, and what a lock is agreed to protect.
#[test]
fn arrays_and_synchronised_objects_have_conditions() {
    watchdog(LIMIT, "guards", || {
        let changed = Condition::new().unwrap();
        let array = Array::from_slice(&[0_u32; 5]).unwrap();
        let count = RawValue::new(0_u32).unwrap();
        let both = Synchronized::new(count, Lock::new().unwrap());
        let other = Victim::new(|| {
            array.lock().unwrap()[3] = 9;
            both.lock().unwrap().set(4);
            changed.notify_all().unwrap();
        });
        let guard = array.lock().unwrap();
        let guard = changed.wait_while(guard, |all| all[3] == 0).unwrap();
        assert_eq!(*guard, [0, 0, 0, 9, 0]);
        let guard = both.lock().unwrap();
        let guard = changed.wait_while(guard, |count| count.get() == 0).unwrap();
        assert_eq!(guard.get(), 4);
        other.join();
    });
}

/// S11: all levels are given up and come back.
#[test]
fn a_recursive_lock_is_given_up_with_all_its_levels() {
    watchdog(LIMIT, "recursive", || {
        let (lock, changed) = (RLock::new().unwrap(), Condition::new().unwrap());
        let told = scratch();
        let outer = lock.lock().unwrap();
        let middle = lock.lock().unwrap();
        let inner = lock.lock().unwrap();
        let other = Victim::new(|| {
            // Free only while the other waits.
            let guard = lock.lock().unwrap();
            assert_eq!(lock.depth(), 1);
            told[0].store(1, SeqCst);
            changed.notify_one().unwrap();
            drop(guard);
        });
        let inner = changed.wait_while(inner, |()| told[0].load(SeqCst) == 0);
        assert_eq!(lock.depth(), 3);
        drop((outer, middle));
        assert!(lock.is_owned());
        let limit = Duration::from_millis(5);
        let (inner, outcome) = changed.wait_within(inner.unwrap(), limit).unwrap();
        assert_eq!((outcome, lock.depth()), (Err(GaveUp::TimedOut), 1));
        drop(inner);
        assert!(!lock.is_locked());
        other.join();
        // A death is told at the depth that was given up.
        let guards = (lock.lock().unwrap(), lock.lock().unwrap());
        let owner = Victim::new(|| {
            let _held = lock.lock().unwrap();
            changed.notify_all().unwrap();
            told[1].store(1, SeqCst);
            sleep_for_ever()
        });
        let killer = thread::spawn(move || {
            wait_until(|| told[1].load(SeqCst) == 1);
            owner.kill();
        });
        let error = changed.wait(guards.1).unwrap_err();
        killer.join().unwrap();
        error.into_guard().expect("it is held").mark_consistent();
        assert_eq!(lock.depth(), 1);
        drop(guards.0);
        drop(lock.try_lock().unwrap().expect("it is free"));
    });
}

/// S8: Python's "cannot wait on un-acquired lock" is left for one case only.
#[test]
#[should_panic(expected = "released by hand")]
fn a_guard_whose_lock_was_released_by_hand_is_a_panic() {
    let (lock, changed) = (RLock::new().unwrap(), Condition::new().unwrap());
    let guard = lock.lock().unwrap();
    lock.release().unwrap();
    drop(changed.wait(guard));
}
