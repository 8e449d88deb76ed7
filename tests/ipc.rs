//! Locks and values of `ipc` between the threads of one process; tests/kill.rs is between processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;

use bytemuck::{Pod, Zeroable};
use common::watchdog;
use latchwork::ipc::{Lock, LockError, Value};
use latchwork::{CancelToken, GaveUp};
use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn threads_exclude_each_other() {
    watchdog(LIMIT, "increments", || {
        let pair = Value::new([0_u64; 2]).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                let pair = pair.clone();
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        pair.update(|pair| {
                            assert_eq!(pair[0], pair[1]);
                            pair[0] += 1;
                            pair[1] += 1;
                        })
                        .unwrap();
                    }
                });
            }
        });
        assert_eq!(pair.get().unwrap(), [80_000; 2]);
    });
}

#[test]
fn sleepers_are_woken_by_the_unlock() {
    watchdog(LIMIT, "sleepers", || {
        let lock = Lock::new().unwrap();
        for _ in 0..10 {
            let guard = lock.lock().unwrap();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| drop(lock.lock().unwrap()));
                }
                thread::sleep(Duration::from_millis(3));
                drop(guard);
            });
        }
        assert!(!lock.is_locked());
    });
}

#[test]
fn a_limit_is_kept_and_changes_nothing() {
    watchdog(LIMIT, "limits", || {
        let lock = Lock::new().unwrap();
        let guard = lock.lock().unwrap();
        for wait in [0, 1, 7, 120] {
            let wait = Duration::from_millis(wait);
            let began = Instant::now();
            let error = lock.lock_within(wait).unwrap_err();
            assert_eq!(error.gave_up(), Some(GaveUp::TimedOut));
            assert!(began.elapsed() >= wait);
        }
        let past = Instant::now() - Duration::from_secs(1);
        assert!(lock.lock_within(past).is_err());
        drop(guard);
        // What can be done at once is done, whatever the limit says.
        assert!(lock.lock_within(past).is_ok());
        assert!(lock.lock_within(Duration::MAX).is_ok());
    });
}

#[test]
fn a_cancelled_wait_ends_within_a_slice_or_two() {
    watchdog(LIMIT, "cancel", || {
        let lock = Lock::new().unwrap();
        let guard = lock.lock().unwrap();
        let token = CancelToken::new();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let why = lock.lock_within(&token).unwrap_err().gave_up();
                (why, Instant::now())
            });
            thread::sleep(Duration::from_millis(100));
            let cancelled = Instant::now();
            token.cancel();
            let (why, ended) = waiter.join().unwrap();
            assert_eq!(why, Some(GaveUp::Cancelled));
            assert!(ended - cancelled < Duration::from_secs(1));
        });
        drop(guard);
        assert!(lock.lock_within(&token).is_ok());
    });
}

#[test]
fn what_its_maker_drops_is_gone_for_others() {
    let value = Value::new(5_u32).unwrap();
    let bytes = postcard::to_stdvec(&value).unwrap();
    let visitor: Value<u32> = postcard::from_bytes(&bytes).unwrap();
    visitor.update(|n| *n += 1).unwrap();
    assert_eq!(value.get().unwrap(), 6);
    let last = value.clone();
    drop(value);
    assert_eq!(visitor.get().unwrap(), 6);
    drop(last);
    assert!(matches!(visitor.get(), Err(LockError::Gone)));
    assert!(matches!(visitor.try_lock(), Err(LockError::Gone)));
    assert_eq!(format!("{visitor:?}"), "Value(gone)");
    // A late handle is still good for that answer, and only for that, if another lives there.
    let others: Vec<_> = (0..8_u32).map(|n| Value::new(n).unwrap()).collect();
    let late: Value<u32> = postcard::from_bytes(&bytes).unwrap();
    assert!(matches!(late.set(99), Err(LockError::Gone)));
    for (n, other) in (0..).zip(&others) {
        assert_eq!(other.get().unwrap(), n);
    }
}

#[test]
fn an_object_dropped_while_locked_elsewhere_is_not_reused_under_the_guard() {
    let value = Value::new([1_u64; 8]).unwrap();
    let bytes = postcard::to_stdvec(&value).unwrap();
    let visitor: Value<[u64; 8]> = postcard::from_bytes(&bytes).unwrap();
    let mut guard = visitor.lock().unwrap();
    drop(value);
    let others: Vec<_> = (0..20).map(|_| Value::new([2_u64; 8]).unwrap()).collect();
    guard.fill(3);
    for other in &others {
        assert_eq!(other.get().unwrap(), [2; 8]);
    }
    assert_eq!(*guard, [3; 8]);
}

#[test]
fn a_handle_of_another_tree_or_type_does_not_deserialise() {
    let value = Value::new(5_u32).unwrap();
    let bytes = postcard::to_stdvec(&value).unwrap();
    assert!(postcard::from_bytes::<Value<u64>>(&bytes).is_err());
    assert!(postcard::from_bytes::<Value<[u8; 200]>>(&bytes).is_err());
    assert!(postcard::from_bytes::<Lock>(&bytes).is_err());
    let stranger = postcard::to_stdvec(&([1_u64, 2], 0_u32, 0_u32)).unwrap();
    assert!(postcard::from_bytes::<Lock>(&stranger).is_err());
    // Every possible index and generation: an error or a handle, and never another's value.
    let (arena, index, generation): ([u64; 2], u32, u32) = postcard::from_bytes(&bytes).unwrap();
    for forged in [
        (index ^ 0xFFFF, generation),
        (u32::MAX, 0),
        (index, generation + 1),
    ] {
        let forged = postcard::to_stdvec(&(arena, forged.0, forged.1)).unwrap();
        if let Ok(handle) = postcard::from_bytes::<Value<u32>>(&forged) {
            assert!(matches!(handle.get(), Err(LockError::Gone)));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Statistics {
    count: u64,
    sum: f64,
    histogram: [u32; 20],
}

// SAFETY: numbers only, and no padding between or after them: 8 + 8 + 80 bytes.
unsafe impl Zeroable for Statistics {}
// SAFETY: as above.
unsafe impl Pod for Statistics {}

#[test]
fn any_plain_data_is_a_value() {
    let empty = Statistics::zeroed();
    let shared = Value::new(empty).unwrap();
    shared
        .update(|all| {
            all.count += 1;
            all.sum += 0.5;
            all.histogram[19] = 7;
        })
        .unwrap();
    let seen = shared.get().unwrap();
    assert_eq!((seen.count, seen.sum, seen.histogram[19]), (1, 0.5, 7));
    shared.set(empty).unwrap();
    assert_eq!(shared.get().unwrap(), empty);
    assert_eq!(Value::new(()).unwrap().get().unwrap(), ());
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
struct TwoLines([u8; 128]);

// SAFETY: bytes only, and no padding: 128 of them, aligned to 128.
unsafe impl Zeroable for TwoLines {}
// SAFETY: as above.
unsafe impl Pod for TwoLines {}

#[test]
fn a_value_that_is_aligned_too_strictly_is_refused() {
    let error = Value::new(TwoLines([0; 128])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_panic_in_update_unlocks_and_does_not_poison() {
    let value = Value::new(1_u8).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = value.update(|n| {
            *n = 2;
            panic!("on purpose");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(value.get().unwrap(), 2);
}

#[test]
fn debug_and_errors_say_what_is_the_matter() {
    let lock = Lock::new().unwrap();
    assert_eq!(format!("{lock:?}"), "Lock(free)");
    let guard = lock.lock().unwrap();
    let held = format!("Lock(held by process {})", std::process::id());
    assert_eq!(format!("{lock:?}"), held);
    let error = lock.lock_within(Duration::ZERO).unwrap_err();
    assert_eq!(format!("{error:?}"), "GaveUp(TimedOut)");
    assert!(error.source().is_some());
    assert!(error.into_guard().is_none());
    assert!(guard.is_consistent());
}

#[test]
fn guards_and_handles_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Lock>();
    crosses::<Value<u64>>();
    crosses::<latchwork::ipc::LockGuard<'_>>();
    crosses::<latchwork::ipc::ValueGuard<'_, u64>>();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    thread::scope(|scope| scope.spawn(|| drop(guard)).join().unwrap());
    assert!(!lock.is_locked());
}
