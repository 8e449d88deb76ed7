//! Shared memory without a lock: raw values and arrays, and atomics.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc::{Array, Misfit, OutOfBounds, RawArray, RawValue, Shared, SharedSlice, Value};
use proptest::prelude::*;
use std::io;
use std::sync::atomic::{AtomicI8, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// M2, M9: a value without a lock, seen by all at once.
#[test]
fn a_raw_value_is_seen_by_other_processes() {
    watchdog(LIMIT, "raw value", || {
        let question = RawValue::new(0_u64).unwrap();
        let answer = RawValue::<f64>::zeroed().unwrap();
        let child = Victim::new(|| {
            wait_until(|| question.get() == 7);
            answer.set(3.5);
        });
        question.set(7);
        wait_until(|| answer.get() == 3.5);
        child.join();
        assert_eq!(
            format!("{question:?} {answer:?}"),
            "RawValue(7) RawValue(3.5)"
        );
    });
}

/// M9: what fits a word is never read in parts.
#[test]
fn a_raw_number_is_never_cut() {
    watchdog(LIMIT, "raw numbers", || {
        let long = RawValue::new(0_u64).unwrap();
        let short = RawArray::<u16>::zeroed(5).unwrap();
        let writer = Victim::new(|| {
            for n in 0..20_000_u64 {
                long.set(n << 32 | n);
                let byte = n as u16 & 0xFF;
                short.write_from(0, &[byte << 8 | byte; 5]).unwrap();
            }
        });
        let mut seen = 0;
        while seen & 0xFFFF_FFFF != 19_999 {
            seen = long.get();
            assert_eq!(seen >> 32, seen & 0xFFFF_FFFF);
            for element in short.to_vec() {
                assert_eq!(element >> 8, element & 0xFF);
            }
        }
        writer.join();
    });
}

/// S30: every count of every thread and process is there.
#[test]
fn an_atomic_counts_for_all_processes() {
    fn count(counter: Shared<AtomicU64>) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    watchdog(LIMIT, "atomics", || {
        let counter = Shared::<AtomicU64>::new(5).unwrap();
        let small = Shared::<AtomicI8>::new(-3).unwrap();
        let arrived = Shared::<AtomicU32>::new(0).unwrap();
        let work = || {
            // All at the same time.
            arrived.fetch_add(1, Ordering::Relaxed);
            wait_until(|| arrived.load(Ordering::Relaxed) == 4);
            for _ in 0..10_000 {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            small.fetch_sub(1, Ordering::Relaxed);
        };
        let children: Vec<_> = (0..2).map(|_| Victim::new(work)).collect();
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        children.into_iter().for_each(Victim::join);
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let counts = pool.map(count, (0..20).map(|_| counter.clone())).unwrap();
        counts.for_each(Result::unwrap);
        assert_eq!(counter.load(Ordering::Relaxed), 40_025);
        assert_eq!(small.load(Ordering::Relaxed), -7);
        assert_eq!(format!("{small:?}"), "Shared(-7)");
    });
}

/// S30: an order between processes, by release and acquire.
#[test]
fn what_was_written_before_a_release_is_seen_after_the_acquire() {
    watchdog(LIMIT, "order", || {
        let ready = Shared::<AtomicU32>::new(0).unwrap();
        let letter = RawArray::<u64>::zeroed(100).unwrap();
        let writer = Victim::new(|| {
            for round in 1..=200 {
                letter.elements().fill(u64::from(round));
                ready.store(round, Ordering::Release);
                wait_until(|| ready.load(Ordering::Acquire) == 0);
            }
        });
        for round in 1..=200 {
            wait_until(|| ready.load(Ordering::Acquire) == round);
            assert_eq!(letter.to_vec(), [u64::from(round); 100]);
            ready.store(0, Ordering::Release);
        }
        writer.join();
    });
}

/// S30: integers of an array or a value as atomics.
#[test]
fn integers_are_atomics_too() {
    let value = RawValue::new(1_u32).unwrap();
    assert_eq!(value.atomic().swap(9, Ordering::Relaxed), 1);
    assert_eq!(value.get(), 9);
    let array = RawArray::from_slice(&[1_u64, 2, 3]).unwrap();
    let atomic = array.elements().atomic(2).unwrap();
    assert_eq!(
        atomic.compare_exchange(3, 30, Ordering::AcqRel, Ordering::Relaxed),
        Ok(3)
    );
    assert_eq!(array.get(2), Some(30));
    assert_eq!(array.elements().atomics().len(), 3);
    assert!(array.elements().atomic(3).is_none());
}

/// M11, M12: an array without a lock, within its bounds.
#[test]
fn a_raw_array_is_read_and_written_within_its_bounds() {
    let array = RawArray::from_slice(&[1_u16, 2, 3, 4, 5]).unwrap();
    assert_eq!((array.len(), array.is_empty()), (5, false));
    assert_eq!((array.get(4), array.get(5)), (Some(5), None));
    assert_eq!(array.set(5, 1), Err(OutOfBounds { len: 5 }));
    array.write_from(3, &[40, 50]).unwrap();
    assert!(array.write_from(4, &[9, 9]).is_err());
    assert!(array.write_from(usize::MAX, &[9]).is_err());
    let mut three = [0; 3];
    array.read_into(2, &mut three).unwrap();
    assert_eq!(three, [3, 40, 50]);
    assert!(array.read_into(3, &mut three).is_err());
    assert_eq!(array.to_vec(), [1, 2, 3, 40, 50]);
    assert_eq!(format!("{array:?}"), "RawArray([1, 2, 3, 40, 50])");
    let other = array.duplicate().unwrap();
    array.set(0, 100).unwrap();
    assert_eq!(other.get(0), Some(1));
    let empty = RawArray::<u64>::zeroed(0).unwrap();
    assert_eq!(
        (empty.to_vec(), empty.elements().iter().next()),
        (vec![], None)
    );
    let error = RawArray::<u64>::zeroed(usize::MAX / 8).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

/// M30: parts and other types of one memory.
#[test]
fn elements_are_seen_in_parts_and_as_other_types() {
    let array = RawArray::<u32>::zeroed(9).unwrap();
    let all = array.elements();
    let pairs = all.range(1..).unwrap();
    pairs.fill(0x0101_0101);
    assert_eq!(all.cast::<u64>().err(), Some(Misfit::Size));
    assert_eq!(pairs.cast::<u64>().err(), Some(Misfit::Alignment));
    let words = all.range(2..8).unwrap().cast::<u64>().unwrap();
    words.set(0, 0).unwrap();
    assert_eq!(array.get(3), Some(0));
    assert_eq!(array.get(4), Some(0x0101_0101));
    let bytes: SharedSlice<'_, u8> = all.range(..2).unwrap().cast().unwrap();
    assert_eq!(bytes.to_vec(), [0, 0, 0, 0, 1, 1, 1, 1]);
    // SAFETY: nobody else knows this array.
    let borrowed = unsafe { words.as_mut_slice() };
    borrowed[2] = u64::MAX;
    assert_eq!(all.iter().rev().nth(1), Some(u32::MAX));
}

/// M51: bytes of a worker are there without being sent.
#[test]
fn workers_fill_a_raw_array_side_by_side() {
    const ROWS: usize = 8;
    const COLUMNS: usize = 5000;
    fn fill((frame, row): (RawArray<u32>, usize)) {
        let row_of = Vec::from_iter((0..COLUMNS).map(|column| (row * COLUMNS + column) as u32));
        frame.write_from(row * COLUMNS, &row_of).unwrap();
    }
    watchdog(LIMIT, "side by side", || {
        let frame = RawArray::<u32>::zeroed(ROWS * COLUMNS).unwrap();
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let rows = pool
            .map(fill, (0..ROWS).map(|row| (frame.clone(), row)))
            .unwrap();
        rows.for_each(Result::unwrap);
        assert!(frame.elements().iter().eq(0..(ROWS * COLUMNS) as u32));
    });
}

/// M19: without a lock there is nobody to tell that an object is gone, so it stays.
#[test]
fn memory_without_a_lock_stays_while_a_handle_does() {
    let made = RawArray::from_slice(&[7_u64; 20]).unwrap();
    let bytes = postcard::to_stdvec(&made).unwrap();
    let visitor: RawArray<u64> = postcard::from_bytes(&bytes).unwrap();
    drop(made);
    let others: Vec<_> = (0..40)
        .map(|_| RawArray::from_slice(&[9_u64; 20]).unwrap())
        .collect();
    assert_eq!(visitor.to_vec(), [7; 20]);
    visitor.elements().fill(8);
    assert!(others.iter().all(|other| other.to_vec() == [9; 20]));
    // But it has an end: who comes late gets nothing, and what the last one leaves is used again.
    assert!(postcard::from_bytes::<RawArray<u64>>(&bytes).is_err());
    let copy = visitor.clone();
    drop(visitor);
    assert_eq!(copy.get(0), Some(8));
}

/// M19: a process that has a handle keeps the memory, though the one that made it does not.
#[test]
fn another_process_keeps_the_memory_of_a_dropped_array() {
    fn keep((array, stage): (RawArray<u64>, Shared<AtomicU32>)) -> Vec<u64> {
        stage.store(1, Ordering::Release);
        while stage.load(Ordering::Acquire) != 2 {
            thread::yield_now();
        }
        array.to_vec()
    }
    watchdog(LIMIT, "kept", || {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let stage = Shared::<AtomicU32>::new(0).unwrap();
        // Of a size that no other test of this file uses.
        let array = RawArray::from_slice(&[7_u64; 20_000]).unwrap();
        let kept = pool.submit(keep, (array.clone(), stage.clone())).unwrap();
        wait_until(|| stage.load(Ordering::Acquire) == 1);
        drop(array);
        let others: Vec<_> = (0..4)
            .map(|_| RawArray::from_slice(&[9_u64; 20_000]).unwrap())
            .collect();
        stage.store(2, Ordering::Release);
        assert_eq!(kept.result().unwrap(), [7; 20_000]);
        assert!(others.iter().all(|other| other.get(19_999) == Some(9)));
    });
}

/// M20: memory that the last process has let go is used again, and zero.
#[test]
fn memory_of_a_dropped_raw_array_comes_back_zeroed() {
    let mut places = Vec::new();
    for _ in 0..3 {
        let array = RawArray::<u8>::zeroed(60_000).unwrap();
        assert!(array.elements().iter().all(|byte| byte == 0));
        array.elements().fill(0xEE);
        let bytes = postcard::to_stdvec(&array).unwrap();
        let visitor: RawArray<u8> = postcard::from_bytes(&bytes).unwrap();
        drop(array);
        assert_eq!(visitor.get(59_999), Some(0xEE));
        let (_, index, _, _): ([u64; 2], u32, u32, u64) = postcard::from_bytes(&bytes).unwrap();
        places.push(index);
    }
    assert!(places.iter().all(|&place| place == places[0]), "{places:?}");
}

/// S32: a forked child has what its parent had, and keeps it once it has used it.
#[test]
fn a_forked_child_keeps_what_it_uses() {
    watchdog(LIMIT, "forked", || {
        let stage = Shared::<AtomicU32>::new(0).unwrap();
        // Of a size that no other test of this file uses.
        let array = RawArray::from_slice(&[7_u64; 40_000]).unwrap();
        let child = Victim::new(|| {
            assert_eq!(array.get(0), Some(7));
            stage.store(1, Ordering::Release);
            wait_until(|| stage.load(Ordering::Acquire) == 2);
            assert!(array.elements().iter().all(|element| element == 7));
        });
        wait_until(|| stage.load(Ordering::Acquire) == 1);
        drop(array);
        let _others: Vec<_> = (0..4)
            .map(|_| RawArray::from_slice(&[9_u64; 40_000]).unwrap())
            .collect();
        stage.store(2, Ordering::Release);
        child.join();
    });
}

/// S22: what a killed process had comes back.
#[test]
fn memory_that_only_the_dead_had_is_used_again() {
    watchdog(LIMIT, "the dead", || {
        let index_of = |array: &RawArray<u64>| {
            let bytes = postcard::to_stdvec(array).unwrap();
            let (_, index, _, _): ([u64; 2], u32, u32, u64) = postcard::from_bytes(&bytes).unwrap();
            index
        };
        let stage = Shared::<AtomicU32>::new(0).unwrap();
        // Of a size that no other test of this file uses.
        let array = RawArray::<u64>::zeroed(100_000).unwrap();
        let child = Victim::new(|| {
            array.set(0, 1).unwrap();
            stage.store(1, Ordering::Release);
            sleep_for_ever()
        });
        wait_until(|| stage.load(Ordering::Acquire) == 1);
        let index = index_of(&array);
        drop(array);
        let other = RawArray::<u64>::zeroed(100_000).unwrap();
        assert_ne!(index_of(&other), index);
        child.kill();
        let again = RawArray::<u64>::zeroed(100_000).unwrap();
        assert_eq!(index_of(&again), index);
        assert_eq!(again.get(0), Some(0));
    });
}

/// What has a lock is not to be had without it, and the other way round.
#[test]
fn a_handle_of_one_kind_is_not_one_of_the_other() {
    let locked = Array::<u64>::zeroed(5).unwrap();
    let bytes = postcard::to_stdvec(&locked).unwrap();
    assert!(postcard::from_bytes::<RawArray<u64>>(&bytes).is_err());
    assert!(postcard::from_bytes::<Array<u64>>(&bytes).is_ok());
    let raw = RawArray::<u64>::zeroed(5).unwrap();
    let bytes = postcard::to_stdvec(&raw).unwrap();
    assert!(postcard::from_bytes::<Array<u64>>(&bytes).is_err());
    let value = Value::new(5_u64).unwrap();
    let bytes = postcard::to_stdvec(&value).unwrap();
    assert!(postcard::from_bytes::<RawValue<u64>>(&bytes).is_err());
    assert!(postcard::from_bytes::<Shared<AtomicU64>>(&bytes).is_err());
}

/// A handle that is not what its bytes say does not come into being: nothing would check it later.
#[test]
fn a_forged_handle_is_refused() {
    let array = RawArray::<u32>::zeroed(10).unwrap();
    let bytes = postcard::to_stdvec(&array).unwrap();
    let (arena, index, generation, len): ([u64; 2], u32, u32, u64) =
        postcard::from_bytes(&bytes).unwrap();
    let forged = |index: u32, generation: u32, len: u64| {
        let bytes = postcard::to_stdvec(&(arena, index, generation, len)).unwrap();
        postcard::from_bytes::<RawArray<u32>>(&bytes).is_err()
    };
    assert!(!forged(index, generation, len));
    assert!(forged(index, generation.wrapping_add(1), len));
    assert!(forged(index, generation.wrapping_sub(1), len));
    assert!(forged(u32::MAX, generation, len));
    for len in [0, 9, 11, 16, 1 << 40, u64::MAX, u64::MAX / 4 + 11] {
        assert!(forged(index, generation, len), "{len}");
    }
    let value = postcard::to_stdvec(&RawValue::new(1_u32).unwrap()).unwrap();
    assert!(postcard::from_bytes::<RawValue<u64>>(&value).is_err());
    assert!(postcard::from_bytes::<Shared<AtomicU64>>(&value).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// M19: what a hostile peer makes up is an error, or an object that is there and has room.
    #[test]
    fn a_handle_that_is_made_up_reaches_no_other_memory(
        index in prop_oneof![0..40_u32, any::<u32>()],
        generation in prop_oneof![0..4_u32, any::<u32>()],
        len in prop_oneof![0..70_u64, 0..200_000_u64, any::<u64>()],
    ) {
        let own = RawArray::<u16>::zeroed(40).unwrap();
        let bytes = postcard::to_stdvec(&own).unwrap();
        let (arena, place, life, _): ([u64; 2], u32, u32, u64) = postcard::from_bytes(&bytes).unwrap();
        for (index, generation) in [(index, generation), (place, generation), (place, life)] {
            let forged = postcard::to_stdvec(&(arena, index, generation, len)).unwrap();
            if let Ok(array) = postcard::from_bytes::<RawArray<u16>>(&forged) {
                prop_assert_eq!(array.to_vec().len() as u64, len);
            }
            if let Ok(array) = postcard::from_bytes::<RawArray<[u64; 3]>>(&forged) {
                prop_assert_eq!(array.to_vec().len() as u64, len);
            }
            let forged = postcard::to_stdvec(&(arena, index, generation)).unwrap();
            let _ = postcard::from_bytes::<RawValue<[u8; 80]>>(&forged).map(|value| value.get());
            let _ = postcard::from_bytes::<Shared<AtomicU64>>(&forged).map(|it| it.load(Ordering::Relaxed));
        }
        prop_assert_eq!(own.to_vec(), vec![0; 40]);
    }
}

/// Handles go where their elements may.
#[test]
fn handles_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<RawValue<u64>>();
    crosses::<RawArray<u64>>();
    crosses::<Shared<AtomicU64>>();
    crosses::<SharedSlice<'_, u64>>();
}
