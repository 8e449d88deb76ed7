//! Arrays in shared memory, between threads and processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::GaveUp;
use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc::{Array, ElementError, LockError, OutOfBounds, Shared, SharedBytes, Value};
use proptest::prelude::*;
use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// M10: a number of zeroed elements, or copies of those given.
#[test]
fn an_array_begins_as_zeros_or_as_copies() {
    let zeros = Array::<f64>::zeroed(1000).unwrap();
    assert_eq!((zeros.len(), zeros.is_empty()), (1000, false));
    assert_eq!(zeros.to_vec().unwrap(), [0.0; 1000]);
    let copies = Array::from_slice(&[5_u16, 6, 7]).unwrap();
    assert_eq!(copies.to_vec().unwrap(), [5, 6, 7]);
}

/// M10: an array of nothing is an array.
#[test]
fn an_array_may_be_empty() {
    for empty in [
        Array::<u64>::zeroed(0).unwrap(),
        Array::from_slice(&[]).unwrap(),
    ] {
        assert!(empty.is_empty());
        assert_eq!(empty.get(0).unwrap(), None);
        assert!(empty.set(0, 1).is_err());
        assert_eq!(*empty.lock().unwrap(), []);
        empty.set_all(&[]).unwrap();
        let bytes = postcard::to_stdvec(&empty).unwrap();
        let visitor: Array<u64> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(visitor.to_vec().unwrap(), []);
    }
}

/// M24: what there cannot be room for is refused, however it is asked for.
#[test]
fn too_many_elements_are_refused() {
    for len in [
        usize::MAX,
        usize::MAX / 8,
        isize::MAX as usize / 8,
        1 << 60,
        (1 << 61) + 1,
    ] {
        let error = Array::<u64>::zeroed(len).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{len}: {error}");
    }
    // And nothing is lost by asking.
    assert!(Array::<u64>::zeroed(8).is_ok());
}

/// M12: elements by index, within bounds that are looked at first.
#[test]
fn elements_are_read_and_written_by_index() {
    let array = Array::from_slice(&[1_i32, 2, 3]).unwrap();
    assert_eq!(array.get(2).unwrap(), Some(3));
    assert_eq!(array.get(3).unwrap(), None);
    assert_eq!(array.peek(1), Some(2));
    assert_eq!(array.peek(3), None);
    array.set(2, 30).unwrap();
    // Not even by waiting for the lock.
    let guard = array.lock().unwrap();
    let error = array.set(3, 40).unwrap_err();
    assert!(matches!(
        error,
        ElementError::OutOfBounds(OutOfBounds { len: 3 })
    ));
    assert_eq!(error.to_string(), "out of the bounds of 3 shared elements");
    assert!(error.source().is_none() && error.into_guard().is_none());
    assert_eq!(array.peek(2), Some(30));
    drop(guard);
    for wrong in [&[1, 2][..], &[1, 2, 3, 4]] {
        assert!(matches!(
            array.set_all(wrong),
            Err(ElementError::OutOfBounds(_))
        ));
    }
    assert_eq!(array.to_vec().unwrap(), [1, 2, 30]);
    array.set_all(&[7, 8, 9]).unwrap();
    assert_eq!(array.to_vec().unwrap(), [7, 8, 9]);
}

/// M12, M13: the guard is a slice.
#[test]
fn a_guard_is_indexed_sliced_and_iterated() {
    let array = Array::from_slice(&Vec::from_iter(0..10_u8)).unwrap();
    let mut guard = array.lock().unwrap();
    assert_eq!(guard[2..7], [2, 3, 4, 5, 6]);
    guard[4..8].copy_from_slice(b"four");
    assert_eq!(guard.iter().rev().nth(2), Some(&b'r'));
    assert_eq!(guard[guard.len() - 2], 8);
    assert_eq!(guard.last(), Some(&9));
    guard.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(guard[..4], *b"urof");
    assert_eq!(guard.get(10), None);
    let shown = format!("{guard:?}");
    assert!(
        shown.starts_with("ArrayGuard { elements: [117, "),
        "{shown}"
    );
    let held = format!(
        "Array {{ len: 10, lock: held by process {} }}",
        std::process::id()
    );
    assert_eq!(format!("{array:?}"), held);
}

/// M14: text up to a NUL, and the bytes as they are.
#[test]
fn bytes_may_be_a_string_of_c() {
    let bytes = SharedBytes::from_slice(b"hello\0you").unwrap();
    let mut guard = bytes.lock().unwrap();
    assert_eq!(guard.text(), b"hello");
    assert_eq!(guard.as_cstr(), Some(c"hello"));
    assert_eq!(guard[..], *b"hello\0you");
    guard.set_text(b"").unwrap();
    assert_eq!((guard.text(), &guard[..]), (&b""[..], &b"\0ello\0you"[..]));
    guard.set_text(b"all nine!").unwrap();
    assert_eq!((guard.text(), guard.as_cstr()), (&b"all nine!"[..], None));
    assert_eq!(guard.set_text(b"ten bytes!"), Err(OutOfBounds { len: 9 }));
    assert_eq!(guard.text(), b"all nine!");
    guard.set_text(b"nearly 9").unwrap();
    assert_eq!(guard.as_cstr(), Some(c"nearly 9"));
    drop(guard);
    let empty = SharedBytes::zeroed(0).unwrap();
    let mut guard = empty.lock().unwrap();
    assert_eq!((guard.text(), guard.as_cstr()), (&b""[..], None));
    guard.set_text(b"").unwrap();
}

/// M17: a duplicate is another array.
#[test]
fn a_duplicate_goes_its_own_way() {
    let first = Array::from_slice(&[1_u64, 2, 3]).unwrap();
    let second = first.lock().unwrap().duplicate().unwrap();
    first.set(0, 100).unwrap();
    assert_eq!(second.to_vec().unwrap(), [1, 2, 3]);
}

/// M19: what its maker drops is gone for others, and its memory is another's.
#[test]
fn an_array_ends_with_its_maker() {
    let array = Array::from_slice(&[1_u8; 100]).unwrap();
    let bytes = postcard::to_stdvec(&array).unwrap();
    let visitor: Array<u8> = postcard::from_bytes(&bytes).unwrap();
    let last = array.clone();
    drop(array);
    assert_eq!(visitor.get(99).unwrap(), Some(1));
    drop(last);
    assert!(matches!(visitor.get(99), Err(LockError::Gone)));
    assert!(matches!(
        visitor.set(99, 2),
        Err(ElementError::Lock(LockError::Gone))
    ));
    assert!(matches!(visitor.try_lock(), Err(LockError::Gone)));
    assert_eq!(visitor.peek(99), None);
    let others: Vec<_> = (0..20)
        .map(|_| Array::from_slice(&[3_u8; 100]).unwrap())
        .collect();
    assert!(visitor.set_all(&[9; 100]).is_err());
    assert!(
        others
            .iter()
            .all(|other| other.to_vec().unwrap() == [3; 100])
    );
}

/// M23: to drop what somebody has locked waits for nobody, and leaves the memory to who has it until the end.
#[test]
fn what_is_locked_may_be_dropped() {
    watchdog(LIMIT, "dropped while locked", || {
        // Small, and of a size whose memory is given back.
        for len in [10, 30_000] {
            let array = Array::from_slice(&vec![1_u64; len]).unwrap();
            let bytes = postcard::to_stdvec(&array).unwrap();
            let visitor: Array<u64> = postcard::from_bytes(&bytes).unwrap();
            let mut guard = visitor.lock().unwrap();
            drop(array);
            let others: Vec<_> = (0..20)
                .map(|_| Array::from_slice(&vec![3_u64; len]).unwrap())
                .collect();
            assert!(guard.iter().all(|&element| element == 1));
            guard.fill(9);
            for other in &others {
                assert_eq!(other.to_vec().unwrap(), vec![3; len]);
            }
            drop(guard);
            assert!(matches!(visitor.try_lock(), Err(LockError::Gone)));
        }
    });
}

/// M20: memory that is used again is zero again, all of it.
#[test]
fn memory_of_a_dropped_array_comes_back_zeroed() {
    // Of a size that no other test of this file uses, so that the same block is found again.
    let mut places = Vec::new();
    for round in 0..3 {
        let array = Array::<u8>::zeroed(9000 + round).unwrap();
        assert!(array.lock().unwrap().iter().all(|&byte| byte == 0));
        array.lock().unwrap().fill(0xEE);
        let bytes = postcard::to_stdvec(&array).unwrap();
        let (_, index, _): ([u64; 2], u32, u32) = postcard::from_bytes(&bytes).unwrap();
        places.push(index);
    }
    assert!(places.iter().all(|&place| place == places[0]), "{places:?}");
}

/// M11, M13: threads and processes change elements as one step.
#[test]
fn changes_of_threads_and_processes_exclude_each_other() {
    watchdog(LIMIT, "rotations", || {
        let array = Array::from_slice(&Vec::from_iter(0..100_u32)).unwrap();
        let arrived = Shared::<AtomicU32>::new(0).unwrap();
        let work = || {
            // All at the same time.
            arrived.fetch_add(1, Ordering::Relaxed);
            wait_until(|| arrived.load(Ordering::Relaxed) == 4);
            for _ in 0..500 {
                array
                    .update(|array| {
                        let first = array[0];
                        let ring = |n| (first + n) % 100;
                        assert!((0..).zip(&*array).all(|(n, &element)| element == ring(n)));
                        array.rotate_left(1);
                    })
                    .unwrap();
            }
        };
        let children: Vec<_> = (0..2).map(|_| Victim::new(work)).collect();
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        children.into_iter().for_each(Victim::join);
        // 2,000 steps around a ring of 100.
        assert_eq!(array.to_vec().unwrap(), Vec::from_iter(0..100));
    });
}

/// M6: four faces but the one that is a future.
#[test]
fn a_locked_array_is_waited_for_as_long_as_the_limit_says() {
    watchdog(LIMIT, "limits", || {
        let array = Array::<u8>::zeroed(3).unwrap();
        let guard = array.lock().unwrap();
        assert!(array.is_locked());
        assert_eq!(array.holder().unwrap().pid(), std::process::id());
        assert!(array.try_lock().unwrap().is_none());
        let gave_up = array.lock_within(Duration::from_millis(5)).unwrap_err();
        assert_eq!(gave_up.gave_up(), Some(GaveUp::TimedOut));
        thread::scope(|scope| {
            let waits = scope.spawn(|| array.get(0).unwrap());
            drop(guard);
            assert_eq!(waits.join().unwrap(), Some(0));
        });
        assert!(array.try_lock().unwrap().is_some());
    });
}

/// S22: who locks after a death sees what the dead has done, and only what replaces it all is no error.
#[test]
fn an_owner_killed_halfway_leaves_half_to_see() {
    watchdog(LIMIT, "halfway", || {
        const LEN: usize = 20_000;
        let array = Array::<u64>::zeroed(LEN).unwrap();
        let halfway = Shared::<AtomicU32>::new(0).unwrap();
        let victim = Victim::new(|| {
            let _ = array.update(|array| {
                for (n, element) in array.iter_mut().enumerate() {
                    if n == LEN / 2 {
                        halfway.store(1, Ordering::Release);
                        sleep_for_ever()
                    }
                    *element = 1;
                }
            });
        });
        wait_until(|| halfway.load(Ordering::Acquire) == 1);
        victim.kill();
        let written = |array: &[u64]| array.iter().sum::<u64>();
        let Err(LockError::OwnerDied(guard)) = array.update(|_| unreachable!("not consistent"))
        else {
            panic!("the owner's death went unnoticed");
        };
        assert_eq!(written(&guard), LEN as u64 / 2);
        assert_eq!((guard[LEN / 2 - 1], guard[LEN / 2]), (1, 0));
        drop(guard);
        // One element does not put it right, and is not written.
        let Err(error) = array.set(0, 50) else {
            panic!("a single element was taken for a repair")
        };
        assert_eq!(error.into_guard().unwrap()[0], 1);
        assert!(matches!(array.get(0), Err(LockError::OwnerDied(_))));
        assert!(matches!(array.to_vec(), Err(LockError::OwnerDied(_))));
        array.set_all(&[2; LEN]).unwrap();
        assert_eq!(array.get(LEN - 1).unwrap(), Some(2));
    });
}

/// M51: an array is handed to a worker by its handle; what the worker writes is there at once.
#[test]
fn workers_fill_a_big_array_in_place() {
    const ELEMENTS: usize = 1 << 20;
    const PARTS: usize = 4;
    fn fill((array, part): (Array<u32>, usize)) {
        let mut guard = array.lock().unwrap();
        let len = guard.len() / PARTS;
        for (n, element) in guard.iter_mut().enumerate().skip(part * len).take(len) {
            *element = n as u32 ^ 0xABCD;
        }
    }
    watchdog(LIMIT, "filled in place", || {
        let array = Array::<u32>::zeroed(ELEMENTS).unwrap();
        // What crosses the process border is not 4 MiB.
        assert!(postcard::to_stdvec(&array).unwrap().len() < 50);
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let parts = pool
            .map(fill, (0..PARTS).map(|part| (array.clone(), part)))
            .unwrap();
        parts.for_each(Result::unwrap);
        let guard = array.lock().unwrap();
        assert!(
            guard
                .iter()
                .enumerate()
                .all(|(n, &element)| element == n as u32 ^ 0xABCD)
        );
    });
}

/// M50: the elements in a shape, without a copy.
#[cfg(feature = "ndarray")]
#[test]
fn a_guard_is_a_matrix() {
    fn double((matrix, row): (Array<f64>, usize)) {
        let mut guard = matrix.lock().unwrap();
        let mut matrix = guard.view_mut((3, 4)).unwrap();
        matrix.row_mut(row).mapv_inplace(|element| element * 2.0);
    }
    watchdog(LIMIT, "matrix", || {
        let matrix = Array::from_slice(&[1.5; 12]).unwrap();
        let pool = ProcessPoolExecutor::new(1).unwrap();
        pool.submit(double, (matrix.clone(), 1))
            .unwrap()
            .result()
            .unwrap();
        let guard = matrix.lock().unwrap();
        let view = guard.view((3, 4)).unwrap();
        assert_eq!(view.row(1).sum(), 12.0);
        assert_eq!(view.column(0).to_vec(), [1.5, 3.0, 1.5]);
        assert_eq!(view.as_ptr(), guard.as_ptr());
        assert_eq!(guard.view((2, 3, 2)).unwrap().shape(), [2, 3, 2]);
        assert!(guard.view((3, 5)).is_err());
    });
}

/// What a hostile peer can send in place of a handle: the parts of a true one, each possibly changed.
type Parts = ([u64; 2], u32, u32, u64);

fn read_all<T: bytemuck::Pod>(array: &Array<T>) {
    match array.lock_within(Duration::from_secs(10)) {
        // There is room for what it says it is.
        Ok(guard) => assert!(
            bytemuck::cast_slice::<T, u8>(&guard)
                .iter()
                .map(|&b| u64::from(b))
                .sum::<u64>()
                < u64::MAX
        ),
        Err(error) => assert!(matches!(error, LockError::Gone), "{error}"),
    }
    let _ = array.peek(array.len().wrapping_sub(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// M12, and the rule about what is read from others: forged handles are errors or are gone.
    #[test]
    fn a_forged_handle_is_refused_or_gone(
        index in prop_oneof![0..40_u32, any::<u32>()],
        generation in prop_oneof![0..4_u32, any::<u32>()],
        len in prop_oneof![0..70_u64, 0..40_000_u64, any::<u64>()],
        elements in 0..300_usize,
    ) {
        let array = Array::from_slice(&vec![7_u64; elements]).unwrap();
        let bytes = postcard::to_stdvec(&array).unwrap();
        let (arena, own, _, _): Parts = postcard::from_bytes(&bytes).unwrap();
        for index in [index, own] {
            let forged: Parts = (arena, index, generation, len);
            let forged = postcard::to_stdvec(&forged).unwrap();
            let _ = postcard::from_bytes::<Array<u8>>(&forged).map(|array| read_all(&array));
            let _ = postcard::from_bytes::<Array<u64>>(&forged).map(|array| read_all(&array));
            let _ = postcard::from_bytes::<Array<[u16; 3]>>(&forged).map(|array| read_all(&array));
        }
        prop_assert_eq!(array.to_vec().unwrap(), vec![7; elements]);
    }

    /// Bytes of any kind in place of a handle.
    #[test]
    fn bytes_that_are_no_handle_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(postcard::from_bytes::<Array<u32>>(&bytes).is_err());
        prop_assert!(postcard::from_bytes::<Value<u32>>(&bytes).is_err());
    }
}

/// The length in a handle is the array's, exactly.
#[test]
fn a_handle_with_another_length_or_type_is_refused() {
    let array = Array::<u32>::zeroed(10).unwrap();
    let bytes = postcard::to_stdvec(&array).unwrap();
    let (arena, index, generation, len): Parts = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(len, 10);
    for forged in [9, 11, 16, 1 << 20, u64::MAX, u64::MAX / 4 + 11] {
        let forged = postcard::to_stdvec(&(arena, index, generation, forged)).unwrap();
        assert!(postcard::from_bytes::<Array<u32>>(&forged).is_err());
    }
    // Of the next object in that place: it could come true, and there is no room for so many.
    let next = postcard::to_stdvec(&(arena, index, generation + 1, 100_u64)).unwrap();
    assert!(postcard::from_bytes::<Array<u32>>(&next).is_err());
    assert!(postcard::from_bytes::<Array<u64>>(&bytes).is_err());
    assert!(postcard::from_bytes::<Array<u8>>(&bytes).is_err());
    let stranger = postcard::to_stdvec(&([1_u64, 2], index, generation, len)).unwrap();
    assert!(postcard::from_bytes::<Array<u32>>(&stranger).is_err());
}

/// Guards and handles go where their elements may.
#[test]
fn guards_and_handles_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Array<u64>>();
    crosses::<latchwork::ipc::ArrayGuard<'_, u64>>();
    let array = Array::<u8>::zeroed(1).unwrap();
    let guard = array.lock().unwrap();
    thread::scope(|scope| scope.spawn(|| drop(guard)).join().unwrap());
    assert!(!array.is_locked());
}
