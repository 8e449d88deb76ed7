//! What is asked of an arena, granted or refused. The files of this folder share the names of this one.

mod memory;
mod model;
mod pins;
mod survival;

use super::place::BIG;
use super::*;
use crate::GaveUp;
use crate::shm::wait::Patience;
use crate::shm::word::{Liveness, Verdict};
use std::collections::BTreeSet;
use std::time::Duration;

/// A roster in which everybody lives until they are said to be dead.
#[derive(Default)]
struct Living {
    dead: BTreeSet<u32>,
}

impl Liveness for Living {
    fn verdict(&self, owner: Owner) -> Verdict {
        match self.dead.contains(&owner.bits()) {
            true => Verdict::Dead,
            false => Verdict::Alive,
        }
    }
}

/// Polls.
struct Never;

impl Patience for Never {
    fn slice(&mut self, _: Duration) -> Result<Duration, GaveUp> {
        Err(GaveUp::TimedOut)
    }
}

fn name(slot: u32, claims: u32) -> Owner {
    Owner::new(slot, claims).unwrap()
}

/// The smallest there is: 4,096 small blocks, and 448 KiB for big ones.
fn small_arena() -> Arena {
    Arena::create_beside([3, 4], SHORTEST).unwrap()
}

fn arena() -> Arena {
    Arena::create_beside([3, 4], LONGEST).unwrap()
}

fn plain(len: usize) -> Request {
    Request::new(len, 1)
}

/// Takes a block, marks all of it with `mark` and unlocks it.
fn put(arena: &Arena, me: Owner, living: &Living, request: Request, mark: u8) -> io::Result<Fresh> {
    let fresh = arena.allocate(me, living, request)?;
    let payload = arena.payload(fresh.index, fresh.generation, request)?;
    // SAFETY: so many bytes of a block that is locked by the caller.
    let bytes = unsafe { std::slice::from_raw_parts_mut(payload.as_ptr(), request.len) };
    assert!(*bytes == *vec![0; request.len], "not wiped");
    bytes.fill(mark);
    arena.block(fresh.index).unwrap().word.unlock(true);
    Ok(fresh)
}

/// Is the object as `put` left it, whether or not it was freed since?
fn is_marked(arena: &Arena, index: u32, request: Request, mark: u8) -> bool {
    let (_, offset) = arena.place(index).unwrap();
    let offset = offset + request.before();
    let payload = arena.segment.pointer(offset, request.len).unwrap();
    // SAFETY: as in `put`; nobody writes while a test reads.
    let bytes = unsafe { std::slice::from_raw_parts(payload.as_ptr(), request.len) };
    *bytes == *vec![mark; request.len]
}

#[test]
fn small_values_share_the_line_of_their_lock() {
    let arena = arena();
    let fresh = put(&arena, name(0, 1), &Living::default(), plain(8), 1).unwrap();
    let payload = arena.payload(fresh.index, fresh.generation, plain(8));
    let header = std::ptr::from_ref(arena.block(fresh.index).unwrap()).addr();
    assert_eq!(payload.unwrap().addr().get() - header, 32);
}

/// M24: nothing is a size, and what can never fit is told from what does not fit now.
#[test]
fn sizes_and_alignments_are_kept_or_refused() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    let aligned = [(0, 64), (1, 32), (33, 64), (BIG, 4096), (3 * BIG, 64)];
    for (len, align) in aligned {
        let request = Request::new(len, align);
        let fresh = put(&arena, me, &living, request, 1).unwrap();
        let payload = arena.payload(fresh.index, fresh.generation, request);
        assert!(payload.unwrap().addr().get().is_multiple_of(align));
        let pinned = put(&arena, me, &living, request.pinned(), 1).unwrap();
        let payload = arena.payload(pinned.index, pinned.generation, request.pinned());
        assert!(payload.unwrap().addr().get().is_multiple_of(align));
    }
    let refused = [(1, 128), (BIG, 8192), (usize::MAX, 1), (LONGEST, 1)];
    for (len, align) in refused {
        for request in [Request::new(len, align), Request::new(len, align).pinned()] {
            let error = arena.allocate(me, &living, request).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}

#[test]
fn a_full_arena_is_an_error_until_somebody_dies_or_frees() {
    let arena = small_arena();
    let mut living = Living::default();
    let me = name(0, 1);
    let mut count = 0;
    let error = loop {
        match put(&arena, me, &living, plain(0), 1) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(count, 4096);
    arena.free(17, 0, me, &living);
    assert_eq!(put(&arena, me, &living, plain(0), 1).unwrap().index, 17);
    assert!(put(&arena, me, &living, plain(0), 1).is_err());
    living.dead.insert(me.bits());
    let heir = put(&arena, name(1, 1), &living, plain(0), 1).unwrap();
    assert_eq!((heir.index, heir.generation), (0, 1));
}

#[test]
fn small_objects_may_use_what_was_big() {
    let (arena, living, me) = (small_arena(), Living::default(), name(0, 1));
    let big = put(&arena, me, &living, plain(BIG), 1).unwrap();
    while put(&arena, me, &living, plain(30_000), 1).is_ok() {}
    arena.free(big.index, big.generation, me, &living);
    let small = put(&arena, me, &living, plain(30_000), 2).unwrap();
    assert_eq!(small.index, big.index);
    assert!(put(&arena, me, &living, plain(30_000), 1).is_err());
}
