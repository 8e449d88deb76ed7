//! Views of shared memory without a lock: bounds, parts, types, iteration, and threads that race.

#![cfg(all(feature = "process", target_os = "linux"))]

use latchwork::ipc::{Misfit, OutOfBounds, RawArray, SharedSlice};
use std::sync::atomic::Ordering;

/// 32 bytes at an address that is a multiple of 8.
fn memory() -> RawArray<u64> {
    RawArray::zeroed(4).unwrap()
}

fn bytes(memory: &RawArray<u64>) -> SharedSlice<'_, u8> {
    memory.elements().cast().unwrap()
}

/// M30.
#[test]
fn elements_are_within_their_bounds() {
    let memory = memory();
    let words = bytes(&memory).cast::<u16>().unwrap();
    assert_eq!(words.len(), 16);
    words.write_from(0, &Vec::from_iter(0..16)).unwrap();
    assert_eq!(words.get(15), Some(15));
    assert_eq!(words.get(16), None);
    assert_eq!(words.set(16, 1), Err(OutOfBounds { len: 16 }));
    let mut four = [9; 4];
    assert!(words.read_into(13, &mut four).is_err());
    assert!(words.read_into(usize::MAX, &mut four).is_err());
    assert_eq!(four, [9; 4]);
    words.read_into(12, &mut four).unwrap();
    assert_eq!(four, [12, 13, 14, 15]);
    assert!(words.write_from(13, &four).is_err());
    assert_eq!(words.to_vec(), Vec::from_iter(0..16));
}

/// M30.
#[test]
fn parts_are_views_of_the_whole() {
    let memory = memory();
    let bytes = bytes(&memory);
    bytes.range(2..=3).unwrap().fill(7);
    let (head, tail) = bytes.split_at(3).unwrap();
    assert_eq!((head.to_vec(), tail.len()), (vec![0, 0, 7], 29));
    assert_eq!(tail.get(0), Some(7));
    assert_eq!(bytes.range(32..).unwrap().len(), 0);
    assert!(bytes.split_at(33).is_none());
    #[expect(clippy::reversed_empty_ranges, reason = "must not be taken for a part")]
    let reversed = bytes.range(3..2);
    assert!(reversed.is_none());
    assert!(bytes.range(..=usize::MAX).is_none());
    assert!(bytes.range(1..34).is_none());
}

/// M30.
#[test]
fn memory_is_seen_as_what_fits() {
    let memory = memory();
    let bytes = bytes(&memory);
    assert_eq!(
        bytes.range(1..17).unwrap().cast::<u64>().err(),
        Some(Misfit::Alignment)
    );
    assert_eq!(
        bytes.range(8..17).unwrap().cast::<u64>().err(),
        Some(Misfit::Size)
    );
    assert_eq!(bytes.cast::<()>().err(), Some(Misfit::Size));
    let none = bytes.range(8..8).unwrap();
    assert_eq!(none.cast::<()>().err(), Some(Misfit::Size));
    let floats = bytes.range(8..24).unwrap().cast::<f64>().unwrap();
    floats.set(1, 0.5).unwrap();
    assert_eq!(format!("{floats:?}"), "[0.0, 0.5]");
    let triples = bytes.range(1..31).unwrap().cast::<[u8; 3]>().unwrap();
    triples.set(9, [1, 2, 3]).unwrap();
    assert_eq!(bytes.range(28..).unwrap().to_vec(), [1, 2, 3, 0]);
    assert_eq!(triples.get(9), Some([1, 2, 3]));
}

/// M30.
#[test]
fn iteration_is_by_value_and_from_both_ends() {
    let memory = memory();
    let numbers = bytes(&memory).cast::<u64>().unwrap();
    numbers.write_from(0, &[1, 2, 3, 4]).unwrap();
    assert!(numbers.iter().rev().eq([4, 3, 2, 1]));
    let mut some = numbers.into_iter();
    assert_eq!(
        (some.nth(1), some.next_back(), some.len()),
        (Some(2), Some(4), 1)
    );
    assert_eq!(
        (some.next(), some.next(), some.next_back()),
        (Some(3), None, None)
    );
    assert_eq!(numbers.iter().nth(usize::MAX), None);
}

/// M30.
#[test]
fn threads_count_through_atomics_and_never_see_half_a_word() {
    let memory = memory();
    let words = bytes(&memory).cast::<u64>().unwrap();
    let halves = |value: u64| (value >> 32, value & 0xFFFF_FFFF);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..2000_u64 {
                    words.atomic(0).unwrap().fetch_add(1, Ordering::Relaxed);
                    words.write_from(1, &[n << 32 | n; 3]).unwrap();
                    for value in words.range(1..).unwrap() {
                        let (high, low) = halves(value);
                        assert_eq!(high, low);
                    }
                }
            });
        }
    });
    assert_eq!(words.get(0), Some(4000));
    assert!(words.atomic(4).is_none());
}
