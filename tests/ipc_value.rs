//! Values in shared memory, and objects under a lock of their own, between threads and processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use bytemuck::{Pod, Zeroable};
use common::watchdog;
use latchwork::GaveUp;
use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc::{Lock, LockError, RawArray, RawValue, Shared, Synchronized, Value};
use std::ffi;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// M1: zeroed, or made of what is given.
#[test]
fn a_value_begins_as_zero_or_as_what_it_was_made_of() {
    assert_eq!(Value::<u64>::zeroed().unwrap().get().unwrap(), 0);
    assert_eq!(
        Value::<[f64; 40]>::zeroed().unwrap().get().unwrap(),
        [0.0; 40]
    );
    assert_eq!(Value::new(-7_i16).unwrap().get().unwrap(), -7);
}

/// M4: what is one step for threads is one for processes too.
#[test]
fn additions_of_threads_and_processes_are_all_counted() {
    watchdog(LIMIT, "additions", || {
        const ROUNDS: i64 = 20_000;
        let sum = Value::new(0_i64).unwrap();
        let arrived = Shared::<AtomicU32>::new(0).unwrap();
        let work = || {
            // All at the same time.
            arrived.fetch_add(1, Ordering::Relaxed);
            wait_until(|| arrived.load(Ordering::Relaxed) == 4);
            for n in 0..ROUNDS {
                sum.fetch_add(n).unwrap();
                sum.fetch_sub(n - 1).unwrap();
            }
        };
        let children: Vec<_> = (0..2).map(|_| Victim::new(work)).collect();
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        children.into_iter().for_each(Victim::join);
        assert_eq!(sum.get().unwrap(), 4 * ROUNDS);
    });
}

/// M4: additions wrap around, and return what was there before.
#[test]
fn additions_wrap_around() {
    let small = Value::new(250_u8).unwrap();
    assert_eq!(small.fetch_add(10).unwrap(), 250);
    assert_eq!(small.fetch_sub(5).unwrap(), 4);
    assert_eq!(small.get().unwrap(), 255);
}

/// M5: the value can be seen while somebody has it locked, and not once it is another's memory.
#[test]
fn a_look_waits_for_nobody() {
    let value = Value::new([1_u64; 16]).unwrap();
    let bytes = postcard::to_stdvec(&value).unwrap();
    let visitor: Value<[u64; 16]> = postcard::from_bytes(&bytes).unwrap();
    let mut guard = value.lock().unwrap();
    guard[3] = 9;
    assert_eq!(visitor.peek().unwrap()[2..5], [1, 9, 1]);
    drop(guard);
    drop(value);
    assert_eq!(visitor.peek(), None);
    let _others: Vec<_> = (0..20).map(|_| Value::new([2_u64; 16]).unwrap()).collect();
    assert_eq!(visitor.peek(), None);
}

/// M5: a number is seen as a whole, whatever happens to it.
#[test]
fn a_look_never_cuts_a_number() {
    watchdog(LIMIT, "looks", || {
        let value = Value::new(0_u64).unwrap();
        let writer = Victim::new(|| {
            for n in 0..20_000_u64 {
                value.set(n << 32 | n).unwrap();
            }
        });
        let mut last = 0;
        while last & 0xFFFF_FFFF != 19_999 {
            last = value.peek().unwrap();
            assert_eq!(last >> 32, last & 0xFFFF_FFFF);
        }
        writer.join();
    });
}

/// M5: what is seen of a value that is dropped meanwhile is that value, or nothing.
#[test]
fn a_look_never_shows_another_object() {
    type Big = [u64; 6000];
    watchdog(LIMIT, "looks at what goes", || {
        let rounds = Shared::<AtomicU32>::new(0).unwrap();
        let (hand, handed) = std::sync::mpsc::sync_channel::<Value<Big>>(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for visitor in handed {
                    rounds.fetch_add(1, Ordering::Relaxed);
                    while let Some(seen) = visitor.peek() {
                        assert_eq!(seen, [1; 6000]);
                    }
                }
            });
            for round in 1..=200 {
                let value = Value::<Big>::new([1; 6000]).unwrap();
                let bytes = postcard::to_stdvec(&value).unwrap();
                hand.send(postcard::from_bytes(&bytes).unwrap()).unwrap();
                wait_until(|| rounds.load(Ordering::Relaxed) == round);
                drop(value);
                // The same memory, if it is found.
                drop(Value::<Big>::new([2; 6000]).unwrap());
            }
            drop(hand);
        });
    });
}

/// M8: each of Python's type codes is a type here, as big as its C type.
#[test]
fn type_codes_are_types() {
    fn row<T: Pod + PartialEq + std::fmt::Debug, C>(code: char, value: T) {
        assert_eq!(
            (size_of::<T>(), align_of::<T>()),
            (size_of::<C>(), align_of::<C>()),
            "{code}"
        );
        let shared = Value::<T>::zeroed().unwrap();
        shared.set(value).unwrap();
        assert_eq!(shared.get().unwrap(), value, "{code}");
        assert_eq!(RawValue::new(value).unwrap().get(), value, "{code}");
    }
    row::<_, ffi::c_schar>('b', i8::MIN);
    row::<_, ffi::c_uchar>('B', u8::MAX);
    row::<_, ffi::c_short>('h', i16::MIN);
    row::<_, ffi::c_ushort>('H', u16::MAX);
    row::<_, ffi::c_int>('i', i32::MIN);
    row::<_, ffi::c_uint>('I', u32::MAX);
    row::<_, ffi::c_long>('l', i64::MIN);
    row::<_, ffi::c_ulong>('L', u64::MAX);
    row::<_, ffi::c_longlong>('q', i64::MAX);
    row::<_, ffi::c_ulonglong>('Q', u64::MAX - 1);
    row::<_, ffi::c_float>('f', f32::MIN_POSITIVE);
    row::<_, ffi::c_double>('d', f64::MAX);
    row::<_, ffi::c_char>('c', b'x');
    row::<_, libc::wchar_t>('u', u32::from('ß'));
    // What no type code is for.
    row::<_, u128>('-', u128::MAX - 5);
}

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Account {
    balance: i64,
    interest: f64,
    history: [i32; 30],
}

/// M15: fields of a structure change under one lock, in whatever process.
#[test]
fn a_structure_is_changed_field_by_field() {
    fn pay(account: Value<Account>) {
        let mut account = account.lock().unwrap();
        account.balance -= 5;
        account.interest += 0.25;
        account.history.rotate_right(1);
        account.history[0] = -5;
    }
    watchdog(LIMIT, "structures", || {
        let account = Value::<Account>::zeroed().unwrap();
        account.update(|account| account.balance = 100).unwrap();
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let payments = pool.map(pay, (0..8).map(|_| account.clone())).unwrap();
        payments.for_each(Result::unwrap);
        let Account {
            balance,
            interest,
            history,
        } = account.get().unwrap();
        assert_eq!((balance, interest), (60, 2.0));
        assert_eq!(history[..10], [-5, -5, -5, -5, -5, -5, -5, -5, 0, 0]);
    });
}

/// M17: a duplicate is another object.
#[test]
fn a_duplicate_goes_its_own_way() {
    let first = Value::new([1_u32, 2]).unwrap();
    let second = {
        let guard = first.lock().unwrap();
        let second = guard.duplicate().unwrap();
        assert!(second.try_lock().unwrap().is_some());
        second
    };
    first.set([3, 4]).unwrap();
    assert_eq!(second.get().unwrap(), [1, 2]);

    let first = RawValue::new(1_u8).unwrap();
    let second = first.duplicate().unwrap();
    first.set(2);
    assert_eq!(second.get(), 1);
}

/// M20: memory that is used again is zero again.
#[test]
fn memory_of_a_dropped_value_comes_back_zeroed() {
    // Of a size that no other test of this file uses, so that the same block is found again.
    type Big = [u64; 300];
    let mut places = Vec::new();
    for _ in 0..3 {
        let value = Value::<Big>::zeroed().unwrap();
        assert_eq!(value.get().unwrap(), [0; 300]);
        value.set([u64::MAX; 300]).unwrap();
        let bytes = postcard::to_stdvec(&value).unwrap();
        let (_, index, _): ([u64; 2], u32, u32) = postcard::from_bytes(&bytes).unwrap();
        places.push(index);
    }
    assert!(places.iter().all(|&place| place == places[0]), "{places:?}");
}

/// M3, M16: several objects under one lock never show a half-done change.
#[test]
fn objects_under_one_lock_change_together() {
    type Books = Synchronized<(RawValue<i64>, RawArray<i64>)>;
    fn book(books: &Books, month: usize) {
        let guard = books.lock().unwrap();
        let (sum, months) = &*guard;
        assert_eq!(sum.get(), months.elements().iter().sum::<i64>());
        months.set(month, months.get(month).unwrap() + 3).unwrap();
        sum.set(sum.get() + 3);
    }
    fn task((books, month): (Books, usize)) {
        book(&books, month);
    }
    watchdog(LIMIT, "one lock", || {
        let lock = Lock::new().unwrap();
        let other = RawValue::new(0_u32).unwrap().synchronized(lock.clone());
        let books = (RawValue::new(0).unwrap(), RawArray::zeroed(12).unwrap());
        let books = Synchronized::new(books, lock.clone());
        let children: Vec<_> = (0..2)
            .map(|child| {
                let (books, other) = (&books, &other);
                Victim::new(move || {
                    for n in 0..1000 {
                        book(books, (n + child) % 12);
                        other.lock().unwrap().update(|n| *n += 1);
                    }
                })
            })
            .collect();
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let tasks = pool
            .map(task, (0..50).map(|n| (books.clone(), n % 12)))
            .unwrap();
        tasks.for_each(Result::unwrap);
        children.into_iter().for_each(Victim::join);
        assert_eq!(books.lock().unwrap().0.get(), 3 * 2050);
        assert_eq!(other.lock().unwrap().update(|n| *n), 2000);
        assert!(!lock.is_locked());
    });
}

/// M3: the lock behind a synchronised object is the one it was given, with all that may happen to it.
#[test]
fn a_synchronised_object_waits_for_its_lock_and_hears_of_deaths() {
    watchdog(LIMIT, "synchronised", || {
        let lock = Lock::new().unwrap();
        let value = RawValue::new(1_u64).unwrap().synchronized(lock.clone());
        let held = lock.lock().unwrap();
        assert!(value.is_locked());
        assert!(value.try_lock().unwrap().is_none());
        let gave_up = value.lock_within(Duration::from_millis(5)).unwrap_err();
        assert_eq!(gave_up.gave_up(), Some(GaveUp::TimedOut));
        drop(held);

        let halfway = Shared::<AtomicU32>::new(0).unwrap();
        let victim = Victim::new(|| {
            let guard = value.lock().unwrap();
            guard.set(2);
            halfway.store(1, Ordering::Release);
            sleep_for_ever()
        });
        wait_until(|| halfway.load(Ordering::Acquire) == 1);
        assert_eq!(value.holder().unwrap().pid(), victim.pid as u32);
        victim.kill();
        assert!(value.holder().is_none());
        let Err(LockError::OwnerDied(mut guard)) = value.lock() else {
            panic!("the owner's death went unnoticed");
        };
        assert!(!guard.is_consistent());
        assert_eq!(guard.get(), 2);
        guard.update(|value| *value = 3);
        guard.mark_consistent();
        drop(guard);
        assert!(lock.lock().is_ok());
        assert_eq!(
            format!("{value:?}"),
            "Synchronized { lock: Lock(free), .. }"
        );
    });
}

/// M16: a panic in the middle leaves the value as it was, and unlocks.
#[test]
fn a_panic_in_update_of_a_synchronised_value_changes_nothing() {
    let value = RawValue::new(1_u64)
        .unwrap()
        .synchronized(Lock::new().unwrap());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        value.lock().unwrap().update(|value| {
            *value = 2;
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(value.lock().unwrap().get(), 1);
}
