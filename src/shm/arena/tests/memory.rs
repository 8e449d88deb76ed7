//! Memory becomes real when it is needed, and goes back to the system.

use super::*;
use crate::shm::word::Taken;

/// M21, M22: memory is taken when it is needed, and goes back.
#[test]
fn the_arena_grows_and_shrinks() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    let real = || arena.usage().unwrap().bytes_real;
    assert!(real() < 256 << 10, "{}", real());
    for round in 0..3 {
        let big = put(&arena, me, &living, plain(8 << 20), 1).unwrap();
        assert_eq!((big.generation, arena.usage().unwrap().blocks), (round, 1));
        assert!(real() >= 8 << 20);
        arena.free(big.index, big.generation, me, &living);
        assert!(real() < 256 << 10, "{}", real());
    }
    // Only what is asked for, not all of the block.
    let odd = put(&arena, me, &living, plain((1 << 20) + 1), 1).unwrap();
    assert!(real() < (1 << 20) + (256 << 10), "{}", real());
    let usage = arena.usage().unwrap();
    assert_eq!((usage.free_blocks, usage.bytes_used), (1, (1 << 20) + 1));
    arena.free(odd.index, odd.generation, me, &living);
    for nth in 0..10_000 {
        assert_eq!(put(&arena, me, &living, plain(8), 1).unwrap().index, nth);
    }
    assert!(real() < 1 << 20, "{}", real());
}

#[test]
fn more_than_the_machine_has_is_refused_and_takes_nothing() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    if arena.segment.len() < LONGEST || super::real::ask_the_machine(LONGEST / 2).is_ok() {
        return;
    }
    for _ in 0..2 {
        let error = put(&arena, me, &living, plain(LONGEST / 2), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
    let usage = arena.usage().unwrap();
    assert_eq!((usage.blocks, usage.free_blocks), (1, 1));
    assert!(usage.bytes_real < 1 << 20);
    put(&arena, me, &living, plain(1 << 20), 1).unwrap();
}

/// What processes leave that die one after the other does not pile up.
#[test]
fn the_dead_do_not_fill_the_memory() {
    let (arena, mut living) = (arena(), Living::default());
    let kept = put(&arena, name(0, 1), &living, plain(1 << 20), 7).unwrap();
    let mut most = 0;
    for life in 1..200 {
        let victim = name(1, life);
        put(&arena, victim, &living, plain(1 << 20), 1).unwrap();
        put(&arena, victim, &living, plain(20_000), 2).unwrap();
        living.dead.insert(victim.bits());
        most = most.max(arena.usage().unwrap().bytes_real);
    }
    assert!(most < 12 << 20, "{most}");
    assert!(is_marked(&arena, kept.index, plain(1 << 20), 7));
}

#[test]
fn memory_that_a_guard_holds_is_given_back_later() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    let real = || arena.usage().unwrap().bytes_real;
    let big = put(&arena, me, &living, plain(4 << 20), 5).unwrap();
    let word = &arena.block(big.index).unwrap().word;
    let guard = word.try_lock(name(1, 1), &living).unwrap();
    arena.free(big.index, big.generation, me, &living);
    assert!(is_marked(&arena, big.index, plain(4 << 20), 5));
    // Another object goes elsewhere.
    let other = put(&arena, me, &living, plain(4 << 20), 6).unwrap();
    assert_ne!(other.index, big.index);
    assert_eq!(guard, Some(Taken::Consistent));
    word.unlock(true);
    assert!(real() > 8 << 20);
    arena.reap(1, me, &living).unwrap();
    assert!(real() < 5 << 20);
    let next = put(&arena, me, &living, plain(4 << 20), 8).unwrap();
    assert_eq!(next.index, big.index);
}

#[test]
fn what_a_guard_has_kept_is_wiped_for_the_next_life() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    for len in [8, 1000, 1 << 20] {
        let object = put(&arena, me, &living, plain(len), 5).unwrap();
        let word = &arena.block(object.index).unwrap().word;
        assert!(word.try_lock(name(1, 1), &living).unwrap().is_some());
        arena.free(object.index, object.generation, me, &living);
        word.unlock(true);
        assert!(is_marked(&arena, object.index, plain(len), 5));
        let next = arena.take(object.index, me, &living, plain(len));
        assert_eq!(next.unwrap().unwrap().generation, 1);
        assert!(is_marked(&arena, object.index, plain(len), 0));
    }
}

/// Two processes, or two mappings: each makes real what it touches, whatever the other has done.
#[test]
fn each_mapping_relies_on_itself() {
    let roster = Roster::create().unwrap();
    let one = Arena::create(&roster).unwrap();
    let fd = one.fd().try_clone_to_owned().unwrap();
    let two = Arena::attach(fd, &roster).unwrap();
    let (living, me) = (Living::default(), name(0, 1));
    let real = || two.usage().unwrap().bytes_real;
    for round in 0..2 {
        let request = plain(2 << 20);
        let big = put(&one, me, &living, request, 1).unwrap();
        assert_eq!(big.generation, round);
        let all = real();
        // As if the other had lied about it.
        let (_, offset) = one.place(big.index).unwrap();
        one.segment.punch(offset..offset + (2 << 20)).unwrap();
        assert_eq!(real(), all - (2 << 20));
        two.payload(big.index, big.generation, request).unwrap();
        assert_eq!(real(), all);
        one.free(big.index, big.generation, me, &living);
        // Out of date: not worth any memory.
        two.payload(big.index, big.generation, request).unwrap();
        assert_eq!(real(), all - (2 << 20));
    }
    let small = put(&one, me, &living, plain(100), 1).unwrap();
    let (_, offset) = one.place(small.index).unwrap();
    one.segment.punch(offset..offset + 4096).unwrap();
    let less = real();
    two.payload(small.index, small.generation, plain(100))
        .unwrap();
    assert_eq!(real(), less + 4096);
}
