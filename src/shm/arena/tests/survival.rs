//! States that a killed process leaves, and what a hostile one may write.

use super::super::carve::{pack, unpack};
use super::super::place::pack_place;
use super::*;
use crate::shm::word::Taken;
use std::collections::BTreeMap;

#[test]
fn somebody_killed_while_carving_is_finished_for() {
    for len in [4000, 200_000] {
        let (arena, living) = (arena(), Living::default());
        let class = Class::of(len).unwrap();
        put(&arena, name(0, 1), &living, plain(len), 1).unwrap();
        // The place is written, the cursor is not: the step between the two.
        let cursor = &arena.head().zones[class.zone()].cursor;
        let (count, end) = unpack(cursor.load(Ordering::SeqCst));
        let index = arena.layout.zones[class.zone()].blocks.start + count;
        let other = Class::of(2 * len).unwrap();
        let place = pack_place(other, end);
        arena.header(index).place.store(place, Ordering::SeqCst);
        let one = put(&arena, name(0, 1), &living, plain(len), 2).unwrap();
        let two = put(&arena, name(0, 1), &living, plain(2 * len), 3).unwrap();
        assert_eq!((one.index, two.index), (index + 1, index));
        assert!(is_marked(&arena, one.index, plain(len), 2));
        assert!(is_marked(&arena, two.index, plain(2 * len), 3));
    }
}

#[test]
fn somebody_killed_while_taking_loses_nothing() {
    let arena = small_arena();
    let mut living = Living::default();
    let me = name(0, 1);
    let fresh = put(&arena, me, &living, plain(8), 1).unwrap();
    arena.free(fresh.index, fresh.generation, me, &living);
    // Locked and not yet owned; and owned, not yet unlocked.
    let block = arena.block(fresh.index).unwrap();
    assert!(block.word.try_lock(name(1, 1), &living).unwrap().is_some());
    assert_ne!(
        put(&arena, me, &living, plain(8), 2).unwrap().index,
        fresh.index
    );
    let held = arena.allocate(name(2, 1), &living, plain(8)).unwrap();
    living.dead.extend([name(1, 1).bits(), name(2, 1).bits()]);
    let rest = std::iter::from_fn(|| put(&arena, me, &living, plain(0), 3).ok());
    let rest: BTreeMap<_, _> = rest.map(|last| (last.index, last.generation)).collect();
    assert!(rest.contains_key(&fresh.index));
    assert_eq!(rest[&held.index], held.generation + 1);
    assert_eq!(rest.len(), 4096 - 1);
}

/// A big block in each state that a kill can leave it in.
#[test]
fn somebody_killed_while_memory_is_given_or_given_back_loses_nothing() {
    let mut living = Living::default();
    let me = name(0, 1);
    let request = plain(1 << 20);
    for state in 0..4 {
        let arena = arena();
        let victim = name(1, state + 1);
        let big = put(&arena, victim, &living, request, 1).unwrap();
        let block = arena.block(big.index).unwrap();
        let lock = |living: &Living| block.word.try_lock(victim, living).unwrap().unwrap();
        match state {
            // Raised the generation, still the owner.
            0 => block.generation.store(1, Ordering::SeqCst),
            // Freed, and nothing given back.
            1 => arena.disown(big.index, block),
            // Freed, and given back, with the lock held.
            2 => {
                arena.disown(big.index, block);
                assert_eq!(lock(&living), Taken::Consistent);
                arena.give_back(big.index, &living);
            }
            // Taken again and made real, not yet owned, with the lock held.
            _ => {
                arena.free(big.index, big.generation, victim, &living);
                assert_eq!(lock(&living), Taken::Consistent);
                let (class, offset) = arena.place(big.index).unwrap();
                arena
                    .make_known(big.index, class, offset, 1, 1 << 20)
                    .unwrap();
            }
        }
        living.dead.insert(victim.bits());
        arena.reap(1, me, &living).unwrap();
        let usage = arena.usage().unwrap();
        assert_eq!(
            (usage.free_blocks, usage.bytes_real < 1 << 20),
            (1, true),
            "{state}"
        );
        let heir = put(&arena, me, &living, request, 2).unwrap();
        assert_eq!(heir.index, big.index);
        assert!(heir.generation > big.generation);
    }
}

#[test]
fn what_a_hostile_peer_writes_is_an_error() {
    let relaxed = Ordering::Relaxed;
    let arena = small_arena();
    let living = Living::default();
    let index = put(&arena, name(0, 1), &living, plain(100), 1)
        .unwrap()
        .index;
    let payload = |index, len| arena.payload(index, 0, plain(len));
    let class = |len| Class::of(len).unwrap();
    let outside = [
        u32::MAX,
        0,
        // No class; the end of the zone; a class of the other zone; too large for its room.
        7,
        pack_place(class(128), 4096),
        pack_place(class(BIG), 0),
        pack_place(class(1 << 30), 0),
        pack_place(class(BIG / 2), 4000),
        // Inline, and yet elsewhere; room for less than is asked.
        pack_place(Class::INLINE, 1),
        pack_place(class(64), 0),
    ];
    for place in outside {
        arena.header(index).place.store(place, relaxed);
        let error = payload(index, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{place:#x}");
    }
    for beyond in [1, 4095, 4096, 5000, u32::MAX] {
        assert!(payload(beyond, 100).is_err());
    }
    let cursor = &arena.head().zones[0].cursor;
    for lie in [
        pack(u32::MAX, 0),
        pack(1, u32::MAX),
        pack(4097, 0),
        u64::MAX,
    ] {
        cursor.store(lie, relaxed);
        for hint in &arena.head().hints {
            hint.store(u32::MAX, relaxed);
        }
        let error = put(&arena, name(0, 1), &living, plain(4000), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(arena.block(4096).is_none() && arena.block(u32::MAX).is_none());
    }
    // Set back: what is in the way is no block that could have been carved there.
    cursor.store(pack(0, 0), relaxed);
    let place = pack_place(class(64), 5);
    arena.header(index).place.store(place, relaxed);
    let error = put(&arena, name(0, 1), &living, plain(4000), 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// Handles that nobody was given, and those of objects whose flags a peer has changed.
#[test]
fn a_handle_to_what_is_not_there_is_refused() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    for len in [100, 1 << 20] {
        let request = plain(len);
        let object = put(&arena, me, &living, request, 1).unwrap();
        let index = object.index;
        let at = |generation, request| arena.payload(index, generation, request);
        for wrong in [plain(len - 1), plain(len + 1), request.pinned(), plain(0)] {
            assert!(at(object.generation, wrong).is_err());
        }
        assert!(at(object.generation + 1, request).is_err());
        arena.free(index, object.generation, me, &living);
        // Too late, which the lock will tell, and too early.
        let real = arena.usage().unwrap().bytes_real;
        assert!(at(object.generation, request).is_ok());
        assert_eq!(arena.usage().unwrap().bytes_real, real);
        assert!(at(object.generation + 1, request).is_err());
        let ledgerless = put(&arena, me, &living, request, 1).unwrap();
        let block = arena.block(ledgerless.index).unwrap();
        let inline = put(&arena, me, &living, plain(1), 1).unwrap();
        let inline = arena.block(inline.index).unwrap();
        for block in [block, inline] {
            block.shape.fetch_or(PINNED, Ordering::SeqCst);
        }
        assert!(arena.ledger(ledgerless.index).is_none() || len > 8192);
        assert!(at(ledgerless.generation, request).is_err());
    }
}

#[test]
fn an_arena_of_another_tree_or_length_is_not_attached() {
    let (ours, theirs) = (Roster::create().unwrap(), Roster::create().unwrap());
    let arena = Arena::create(&theirs).unwrap();
    let fd = || arena.fd().try_clone_to_owned().unwrap();
    assert!(Arena::attach(fd(), &theirs).is_ok());
    assert!(Arena::attach(fd(), &ours).is_err());
    for len in [3 << 20, 4096] {
        let odd = Segment::create(Kind::Arena, len, ours.id()).unwrap();
        let fd = odd.fd().try_clone_to_owned().unwrap();
        let error = Arena::attach(fd, &ours).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn a_block_that_somebody_else_took_meanwhile_is_left_to_them() {
    let (arena, living) = (arena(), Living::default());
    let theirs = put(&arena, name(0, 1), &living, plain(8), 7).unwrap();
    // This one saw it free, and comes too late.
    let late = arena.take(theirs.index, name(1, 1), &living, plain(8));
    assert!(late.unwrap().is_none());
    assert!(is_marked(&arena, theirs.index, plain(8), 7));
    let word = &arena.block(theirs.index).unwrap().word;
    assert_eq!(word.state().owner(), None);
}
