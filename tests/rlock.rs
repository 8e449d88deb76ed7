//! `sync::RLock`: rows T69-T76 (T72, the overflow, is beside the code: nobody counts so far here).

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{
    Condition, Event, MappedRLockGuard, NotOwner, OwnedRLockGuard, RLock, RLockGuard,
};
use latchwork::{CancelToken, GaveUp};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// Runs `f` in a thread of its own, which owns nothing yet.
fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|s| s.spawn(f).join().unwrap())
}

/// T69, T73, T74.
#[test]
fn it_is_held_until_as_many_guards_are_dropped_as_were_given() {
    watchdog(LIMIT, "it_is_held_until_as_many_guards", || {
        let lock = RLock::new(());
        assert!(!lock.is_locked() && !lock.is_owned());
        assert_eq!(lock.depth(), 0);
        let mut guards = Vec::new();
        for depth in 1..=10 {
            guards.push(lock.lock());
            assert_eq!(lock.depth(), depth);
        }
        for depth in (1..=10).rev() {
            assert!(lock.is_locked() && lock.is_owned());
            assert_eq!(lock.depth(), depth);
            elsewhere(|| {
                assert!(lock.is_locked() && !lock.is_owned());
                assert_eq!(lock.depth(), 0, "somebody else's levels are not ours");
                assert!(lock.try_lock().is_none());
            });
            guards.pop();
        }
        assert!(!lock.is_locked());
        elsewhere(|| assert!(lock.try_lock().is_some()));
    });
}

/// T70, T76: beyond the depth at which the levels need another place, with others looking on.
#[test]
fn far_down_it_is_the_same_lock() {
    watchdog(LIMIT, "far_down_it_is_the_same_lock", || {
        const DEPTH: usize = 100;
        assert_eq!(size_of::<RLock<()>>(), 8);
        let count = RLock::new(Cell::new(0));
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    for _ in 0..100 {
                        let mut levels = std::collections::VecDeque::new();
                        for depth in 1..=DEPTH {
                            levels.push_back(count.lock());
                            assert_eq!(count.depth(), depth);
                        }
                        let seen = count.lock().get();
                        thread::yield_now();
                        levels[0].set(seen + 1);
                        while levels.pop_front().is_some() {
                            assert_eq!(count.depth(), levels.len());
                        }
                        assert!(!count.is_owned());
                    }
                });
            }
        });
        assert_eq!(count.into_inner().get(), 300);
    });
}

/// T69: exclusion, by a count that no atomic protects.
#[test]
fn one_thread_at_a_time() {
    watchdog(LIMIT, "one_thread_at_a_time", || {
        let count = RLock::new(Cell::new(0));
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..2_000 {
                        let outer = count.lock();
                        let seen = outer.get();
                        {
                            let inner = count.lock();
                            thread::yield_now();
                            inner.set(seen + 1);
                        }
                        assert_eq!(outer.get(), seen + 1, "still held after the inner level");
                    }
                });
            }
        });
        assert_eq!(count.into_inner().get(), 8_000);
    });
}

/// T70: the owner never waits, whatever the face and the limit.
#[test]
fn the_owner_succeeds_at_once() {
    watchdog(LIMIT, "the_owner_succeeds_at_once", || {
        let lock = RLock::new(());
        let token = CancelToken::new();
        token.cancel();
        let _held = lock.lock();
        assert!(lock.try_lock().is_some());
        assert!(lock.lock_within(Duration::ZERO).is_ok());
        let past = Instant::now();
        assert!(lock.lock_within(past).is_ok());
        assert!(lock.lock_within(&token).is_ok());
        assert_eq!(lock.depth(), 1);
        elsewhere(|| {
            assert_eq!(lock.lock_within(past).err(), Some(GaveUp::TimedOut));
            assert_eq!(lock.lock_within(&token).err(), Some(GaveUp::Cancelled));
            let limit = Duration::from_millis(5);
            let begin = Instant::now();
            assert_eq!(lock.lock_within(limit).err(), Some(GaveUp::TimedOut));
            assert!(begin.elapsed() >= limit);
        });
        assert_eq!(lock.depth(), 1, "who gave up has changed nothing");
    });
}

/// T70: others wait for the last level, not for the first that is left.
#[test]
fn others_get_it_after_the_last_level() {
    watchdog(LIMIT, "others_get_it_after_the_last_level", || {
        let lock = RLock::new(Cell::new(0));
        thread::scope(|s| {
            let (outer, inner) = (lock.lock(), lock.lock());
            let other = s.spawn(|| lock.lock().get());
            until_parked("Lock", &lock, 1);
            drop(outer);
            inner.set(1);
            assert!(!other.is_finished());
            until_parked("Lock", &lock, 1);
            drop(inner);
            assert_eq!(other.join().unwrap(), 1);
        });
    });
}

/// T71.
#[test]
fn the_forms_without_a_guard() {
    watchdog(LIMIT, "the_forms_without_a_guard", || {
        let lock = RLock::new(());
        assert_eq!(lock.release(), Err(NotOwner), "free");
        lock.acquire();
        assert!(lock.try_acquire());
        assert_eq!(lock.acquire_within(Duration::ZERO), Ok(()));
        assert_eq!(lock.depth(), 3);
        elsewhere(|| {
            assert_eq!(lock.release(), Err(NotOwner), "somebody else's");
            assert!(!lock.try_acquire());
            assert_eq!(lock.acquire_within(Duration::ZERO), Err(GaveUp::TimedOut));
        });
        for depth in [2, 1, 0] {
            assert_eq!(lock.release(), Ok(()));
            assert_eq!(lock.depth(), depth);
        }
        assert_eq!(lock.release(), Err(NotOwner));
        elsewhere(|| assert!(lock.try_acquire()));
        assert!(NotOwner.to_string().contains("does not hold"));
    });
}

/// T71: levels are counted, so a release too many takes a guard's, and the guard notices.
#[test]
fn a_guard_whose_level_was_released_by_hand_frees_nobody_elses_lock() {
    watchdog(LIMIT, "a_guard_whose_level_was_released", || {
        let lock = RLock::new(());
        let mut guard = lock.lock();
        lock.release().unwrap();
        assert!(!lock.is_locked());
        let changed = Condition::new();
        let waits = catch_unwind(AssertUnwindSafe(|| changed.wait(&mut guard)));
        let message = waits.unwrap_err();
        let message = message.downcast_ref::<&str>().unwrap();
        assert!(message.contains("released by hand"), "{message}");
        let (go, end) = (Event::new(), Event::new());
        thread::scope(|s| {
            s.spawn(|| {
                let _theirs = lock.lock();
                go.set();
                end.wait();
                assert!(lock.is_owned());
            });
            go.wait();
            drop(guard);
            assert!(lock.is_locked(), "it was not this guard's any more");
            end.set();
        });
        assert!(!lock.is_locked());
    });
}

/// T75, for one level.
#[test]
fn unlocked_frees_it_and_takes_it_again() {
    watchdog(LIMIT, "unlocked_frees_it", || {
        let lock = RLock::new(Cell::new(0));
        let mut guard = lock.lock();
        let result = RLockGuard::unlocked(&mut guard, || {
            elsewhere(|| lock.lock().set(1));
            "result"
        });
        assert_eq!((result, lock.depth(), guard.get()), ("result", 1, 1));

        let panic = catch_unwind(AssertUnwindSafe(|| {
            RLockGuard::unlocked(&mut guard, || panic!("on purpose"))
        }));
        assert!(panic.is_err());
        assert_eq!(lock.depth(), 1, "taken again after a panic");

        let mut kept = None;
        RLockGuard::unlocked(&mut guard, || kept = Some(lock.lock()));
        assert_eq!(
            lock.depth(),
            2,
            "its own guard beside the one it left behind"
        );
        let panic = catch_unwind(AssertUnwindSafe(|| {
            RLockGuard::unlocked(&mut guard, || unreachable!())
        }));
        assert!(
            panic.is_err(),
            "with a second level it would not be unlocked"
        );
        drop(kept);
        assert_eq!(lock.depth(), 1);
    });
}

/// T76, for every order of three guards of each kind.
#[test]
fn guards_go_in_any_order() {
    watchdog(LIMIT, "guards_go_in_any_order", || {
        let lock = Arc::new(RLock::new((1, 2)));
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut guards: [Option<Box<dyn std::ops::Deref<Target = i32> + '_>>; 3] = [
                Some(Box::new(RLockGuard::map(lock.lock(), |pair| &pair.0))),
                Some(Box::new(RLockGuard::map(lock.lock(), |pair| &pair.1))),
                None,
            ];
            let mut owned = Some(lock.lock_owned());
            for (left, which) in [2, 1, 0].into_iter().zip(order) {
                drop(guards[which].take());
                if which == 2 {
                    drop(owned.take());
                }
                assert_eq!(lock.depth(), left);
                assert_eq!(lock.is_locked(), left > 0);
            }
        }
    });
}

#[test]
fn mapped_guards_keep_the_level_and_show_the_part() {
    let lock = RLock::new(Some((1, "one")));
    let pair = RLockGuard::filter_map(lock.lock(), |value| value.as_ref()).unwrap();
    let number = MappedRLockGuard::map(pair, |pair| &pair.0);
    assert_eq!((*number, lock.depth()), (1, 1));
    assert_eq!(format!("{number:?}"), "1");
    let number = MappedRLockGuard::filter_map(number, |_| None::<&u8>).unwrap_err();
    assert_eq!(lock.depth(), 1, "the guard came back");
    drop(number);
    assert!(!lock.is_locked());
    let none = RLock::new(None::<u8>);
    let guard = RLockGuard::filter_map(none.lock(), |value| value.as_ref()).unwrap_err();
    assert_eq!((*guard, none.depth()), (None, 1));
}

#[test]
fn owned_guards_keep_the_lock_alive() {
    watchdog(LIMIT, "owned_guards_keep_the_lock_alive", || {
        let lock = Arc::new(RLock::new(7));
        let guards: [OwnedRLockGuard<i32>; 3] = [
            lock.lock_owned(),
            lock.try_lock_owned().unwrap(),
            lock.lock_owned_within(Duration::ZERO).unwrap(),
        ];
        assert_eq!((lock.depth(), Arc::strong_count(&lock)), (3, 4));
        elsewhere(|| {
            assert!(lock.try_lock_owned().is_none());
            let late = lock.lock_owned_within(Duration::ZERO);
            assert_eq!(late.unwrap_err(), GaveUp::TimedOut);
        });
        let weak = Arc::downgrade(&lock);
        drop(lock);
        assert_eq!(*guards[2], 7);
        drop(guards);
        assert!(weak.upgrade().is_none());
    });
}

/// A guard that is forgotten keeps the lock; others still give up. A later thread with the number of the
/// one that has ended counts as the owner, and as nothing worse.
#[test]
fn a_forgotten_guard_keeps_the_lock() {
    watchdog(LIMIT, "a_forgotten_guard_keeps_the_lock", || {
        let lock = RLock::new(Cell::new(0));
        assert!(!lock.is_owned());
        elsewhere(|| {
            let guard = lock.lock();
            guard.set(1);
            std::mem::forget(guard);
        });
        assert!(lock.is_locked() && !lock.is_owned());
        assert!(lock.lock_within(Duration::from_millis(2)).is_err());
        elsewhere(|| match lock.try_lock() {
            Some(guard) => assert_eq!((lock.depth(), guard.get()), (2, 1)),
            None => assert!(!lock.is_owned()),
        });
        assert!(lock.is_locked());
    });
}

#[test]
fn a_panic_frees_its_own_level_only() {
    let lock = RLock::new(());
    let outer = lock.lock();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _inner = lock.lock();
        panic!("on purpose");
    }));
    assert!(panic.is_err());
    assert_eq!(lock.depth(), 1);
    drop(outer);
    assert!(!lock.is_locked());
}

#[test]
fn the_value_without_locking() {
    let mut lock = RLock::from(RefCell::new(vec![1]));
    lock.get_mut().get_mut().push(2);
    assert_eq!(lock.into_inner().into_inner(), [1, 2]);
    assert_eq!(*RLock::<u8>::default().lock(), 0);
    let slice: Box<RLock<[u8]>> = Box::new(RLock::new([1, 2, 3]));
    assert_eq!(slice.lock().len(), 3, "values need not be sized");
}

#[test]
fn debug_tells_the_state_and_never_blocks() {
    watchdog(LIMIT, "debug_tells_the_state", || {
        let lock = RLock::new(5);
        assert_eq!(format!("{lock:?}"), "RLock { value: 5 }");
        let guard = lock.lock();
        let _again = lock.lock();
        let me = latchwork::debug::current_thread();
        assert_eq!(
            format!("{lock:?}"),
            format!("RLock {{ value: 5, owner: {me}, depth: 2 }}")
        );
        let seen = elsewhere(|| format!("{lock:?}"));
        assert_eq!(seen, format!("RLock {{ owner: {me} }}"));
        assert_eq!((format!("{guard:?}"), lock.depth()), ("5".to_owned(), 2));
    });
}

/// Cancelling and timing out, under load, loses neither the lock nor a level.
#[test]
fn giving_up_under_load() {
    watchdog(LIMIT, "giving_up_under_load", || {
        let lock = RLock::new(Cell::new(0));
        let taken = AtomicUsize::new(0);
        thread::scope(|s| {
            for patience in [0, 20, 100, 10_000] {
                let (lock, taken) = (&lock, &taken);
                s.spawn(move || {
                    for _ in 0..1_000 {
                        let limit = Duration::from_micros(patience);
                        if let Ok(outer) = lock.lock_within(limit) {
                            let inner = lock.lock_within(Duration::ZERO).unwrap();
                            drop(outer);
                            inner.set(inner.get() + 1);
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!(!lock.is_locked());
        assert_eq!(lock.lock().get(), taken.into_inner());
    });
}

/// One step of one thread that has a lock with guards and levels by hand.
#[derive(Clone, Debug)]
enum Step {
    Lock,
    TryLock,
    LockWithinZero,
    Acquire,
    Release,
    /// Drops the guard at this place among those there are.
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Lock),
        1 => Just(Step::TryLock),
        1 => Just(Step::LockWithinZero),
        2 => Just(Step::Acquire),
        2 => Just(Step::Release),
        4 => (0usize..8).prop_map(Step::Drop),
    ]
}

proptest! {
    /// T71, T74, T76: a counter that stops at zero is all there is to it.
    #[test]
    fn behaves_like_a_counter(steps in proptest::collection::vec(step(), 0..60)) {
        let lock = RLock::new(());
        let mut guards = Vec::new();
        let mut levels = 0usize;
        for step in steps {
            match step {
                Step::Lock => guards.push(lock.lock()),
                Step::TryLock => guards.push(lock.try_lock().unwrap()),
                Step::LockWithinZero => guards.push(lock.lock_within(Duration::ZERO).unwrap()),
                Step::Acquire => lock.acquire(),
                Step::Release => prop_assert_eq!(lock.release().is_ok(), levels > 0),
                Step::Drop(which) if !guards.is_empty() => {
                    drop(guards.swap_remove(which % guards.len()));
                }
                Step::Drop(_) => continue,
            }
            match step {
                Step::Release | Step::Drop(_) => levels = levels.saturating_sub(1),
                _ => levels += 1,
            }
            prop_assert_eq!(lock.depth(), levels);
            prop_assert_eq!(lock.is_locked(), levels > 0);
            prop_assert_eq!(lock.is_owned(), levels > 0);
        }
    }
}
