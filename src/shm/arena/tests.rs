//! The arena against a plain model of it, and in the states that a kill or a hostile peer leaves.

use super::carve::{pack, unpack};
use super::place::{BIG, INLINE, pack_place};
use super::*;
use crate::GaveUp;
use crate::shm::wait::Patience;
use crate::shm::word::{Liveness, Taken, Verdict};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
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

#[derive(Clone, Debug)]
enum Step {
    Allocate { by: u32, len: usize, pinned: bool },
    Free { nth: usize },
    Lock { nth: usize },
    Pin { nth: usize, by: u32 },
    Unpin { nth: usize },
    Die { who: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![
        4 => 0..200_usize,
        3 => 1000..BIG,
        2 => BIG..500_000,
        1 => 1_000_000..5_000_000_usize,
    ];
    let allocate = (0..2_u32, len, prop::bool::weighted(0.3));
    let nth = any::<usize>;
    prop_oneof![
        8 => allocate.prop_map(|(by, len, pinned)| Step::Allocate { by, len, pinned }),
        4 => nth().prop_map(|nth| Step::Free { nth }),
        1 => nth().prop_map(|nth| Step::Lock { nth }),
        2 => (nth(), 0..2_u32).prop_map(|(nth, by)| Step::Pin { nth, by }),
        1 => nth().prop_map(|nth| Step::Unpin { nth }),
        1 => (0..2_u32).prop_map(|who| Step::Die { who }),
    ]
}

/// An object of the model.
#[derive(Clone, Copy)]
struct Object {
    generation: u32,
    request: Request,
    mark: u8,
    owner: Owner,
    pinned_by: Option<Owner>,
}

#[derive(Default)]
struct Model {
    living: Living,
    lives: [u32; 2],
    in_use: BTreeMap<u32, Object>,
    /// Freed, and yet not to be touched: locked by participant 5, who never dies, or pinned.
    kept: BTreeMap<u32, Object>,
}

impl Model {
    fn me(&self, who: u32) -> Owner {
        name(who, self.lives[who as usize] + 1)
    }

    fn nth(map: &BTreeMap<u32, Object>, nth: usize) -> Option<(u32, Object)> {
        let nth = nth.checked_rem(map.len())?;
        map.iter().nth(nth).map(|(&index, &object)| (index, object))
    }

    fn run(&mut self, arena: &Arena, step: Step, mark: u8) -> Result<(), TestCaseError> {
        match step {
            Step::Allocate { by, len, pinned } => {
                let request = Request {
                    pinned,
                    ..plain(len)
                };
                let owner = self.me(by);
                let fresh = match put(arena, owner, &self.living, request, mark) {
                    Ok(fresh) => fresh,
                    Err(error) => {
                        // Only of the small arena, and never of an inline block.
                        prop_assert!(arena.segment.len() == SHORTEST);
                        prop_assert!(pinned || len > INLINE, "{}", error);
                        return Ok(());
                    }
                };
                prop_assert!(!self.kept.contains_key(&fresh.index));
                let object = Object {
                    generation: fresh.generation,
                    request,
                    mark,
                    owner,
                    pinned_by: None,
                };
                if let Some(last) = self.in_use.insert(fresh.index, object) {
                    prop_assert!(self.living.dead.contains(&last.owner.bits()));
                    let pins = last.pinned_by.filter(|by| !self.is_dead(*by));
                    prop_assert_eq!(pins, None);
                    prop_assert_ne!(last.generation, fresh.generation);
                }
            }
            Step::Free { nth } => {
                let Some((index, object)) = Model::nth(&self.in_use, nth) else {
                    return Ok(());
                };
                let (generation, living) = (object.generation, &self.living);
                let now = || arena.block(index).unwrap().generation();
                let reaped = now() != generation;
                // Not by anybody else, and not by a clone of an earlier life.
                arena.free(index, generation, name(9, 1), living);
                arena.free(index, generation.wrapping_sub(1), object.owner, living);
                prop_assert!(reaped || now() == generation);
                arena.free(index, generation, object.owner, living);
                prop_assert_ne!(now(), generation);
                self.in_use.remove(&index);
                if object.pinned_by.is_some_and(|by| !self.is_dead(by)) {
                    self.kept.insert(index, object);
                }
            }
            // A guard that outlives its object.
            Step::Lock { nth } => {
                let Some((index, object)) = Model::nth(&self.in_use, nth) else {
                    return Ok(());
                };
                let block = arena.block(index).unwrap();
                if block.generation() != object.generation {
                    return Ok(());
                }
                let locked = block.word.try_lock(name(5, 1), &self.living);
                prop_assert_eq!(locked, Ok(Some(Taken::Consistent)));
                arena.free(index, object.generation, object.owner, &self.living);
                self.in_use.remove(&index);
                self.kept.insert(
                    index,
                    Object {
                        pinned_by: Some(name(5, 1)),
                        ..object
                    },
                );
            }
            Step::Pin { nth, by } => {
                let Some((index, object)) = Model::nth(&self.in_use, nth) else {
                    return Ok(());
                };
                let me = self.me(by);
                let before = object.pinned_by.filter(|by| !self.is_dead(*by));
                if before.is_some() {
                    return Ok(());
                }
                let reaped = arena.block(index).unwrap().generation() != object.generation;
                let pinned = arena.pin(index, object.generation, me, &self.living, &mut Never);
                match pinned {
                    Ok(()) => {
                        prop_assert!(object.request.pinned && !reaped);
                        self.in_use.get_mut(&index).unwrap().pinned_by = Some(me);
                    }
                    Err(NotPinned::Gone) => prop_assert!(reaped),
                    Err(error) => prop_assert!(!object.request.pinned, "{:?}", error),
                }
            }
            Step::Unpin { nth } => {
                let all = self.in_use.iter().chain(&self.kept);
                let pins = all.filter_map(|(&index, object)| Some((index, object.pinned_by?)));
                let pins: Vec<_> = pins.filter(|(_, by)| by.slot() != 5).collect();
                let Some(nth) = nth.checked_rem(pins.len()) else {
                    return Ok(());
                };
                let (index, by) = pins[nth];
                if !self.is_dead(by) {
                    arena.unpin(index, by, &self.living);
                }
                self.kept.remove(&index);
                if let Some(object) = self.in_use.get_mut(&index) {
                    object.pinned_by = None;
                }
            }
            Step::Die { who } => {
                self.living.dead.insert(self.me(who).bits());
                self.lives[who as usize] += 1;
                let dead = &self.living.dead;
                self.kept.retain(|_, object| {
                    object
                        .pinned_by
                        .is_some_and(|by| !dead.contains(&by.bits()))
                });
            }
        }
        Ok(())
    }

    fn is_dead(&self, owner: Owner) -> bool {
        self.living.dead.contains(&owner.bits())
    }

    fn check(&self, arena: &Arena) -> Result<(), TestCaseError> {
        for (&index, object) in self.in_use.iter().chain(&self.kept) {
            let now = arena.block(index).unwrap().generation();
            let reaped = self.is_dead(object.owner) && now != object.generation;
            let kept = self.kept.contains_key(&index);
            prop_assert!(kept || reaped || now == object.generation);
            if kept || !reaped {
                prop_assert!(is_marked(arena, index, object.request, object.mark));
            }
        }
        Ok(())
    }

    /// Ends everybody, and finds all of the arena free.
    fn end(self, arena: &Arena) -> Result<(), TestCaseError> {
        for (&index, _) in self
            .kept
            .iter()
            .filter(|(_, object)| object.pinned_by == Some(name(5, 1)))
        {
            arena.block(index).unwrap().word.unlock(true);
        }
        struct Nobody;
        impl Liveness for Nobody {
            fn verdict(&self, owner: Owner) -> Verdict {
                match owner == name(6, 1) {
                    true => Verdict::Alive,
                    false => Verdict::Dead,
                }
            }
        }
        arena.reap(0, name(6, 1), &Nobody).unwrap();
        arena.reap(1, name(6, 1), &Nobody).unwrap();
        let usage = arena.usage().unwrap();
        prop_assert_eq!((usage.free_blocks, usage.bytes_used), (usage.blocks, 0));
        // Headers and small payloads at most.
        prop_assert!(usage.bytes_real < 4 << 20, "{:?}", usage);
        // Each block serves again, and no other is needed for that.
        for zone in 0..2 {
            for index in arena.made(zone).unwrap() {
                let (class, _) = arena.place(index).unwrap();
                let fresh = arena
                    .allocate(name(6, 1), &Nobody, plain(class.size()))
                    .unwrap();
                prop_assert!(fresh.index < arena.made(zone).unwrap().end);
            }
        }
        let full = arena.usage().unwrap();
        prop_assert_eq!((full.blocks, full.free_blocks), (usage.blocks, 0));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// M26. Against a map of what is in use: no block is given out twice, contents stay, handles to
    /// what was freed are out of date, what is locked or pinned is left alone, memory is refused only
    /// when there is none, and in the end all of it is there again.
    #[test]
    fn blocks_in_use_are_never_given_out(
        steps in proptest::collection::vec(step(), 16..120),
        short in any::<bool>(),
    ) {
        let arena = if short { small_arena() } else { arena() };
        let mut model = Model::default();
        for (nth, step) in (1_u32..).zip(steps) {
            model.run(&arena, step, nth as u8)?;
            if nth % 16 == 0 {
                model.check(&arena)?;
            }
        }
        model.check(&arena)?;
        model.end(&arena)?;
    }
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
    // And the next life finds nothing of the last one.
    let next = put(&arena, me, &living, plain(4 << 20), 8).unwrap();
    assert_eq!(next.index, big.index);
}

#[test]
fn what_is_pinned_stays_when_it_is_freed() {
    let living = Living::default();
    let (me, user) = (name(0, 1), name(1, 1));
    for len in [100, 1 << 20] {
        let arena = arena();
        let request = plain(len).pinned();
        let object = put(&arena, me, &living, request, 9).unwrap();
        let (index, generation) = (object.index, object.generation);
        let pin = |who| arena.pin(index, generation, who, &living, &mut Never);
        pin(user).unwrap();
        pin(user).unwrap();
        assert_eq!(arena.ledger(index).unwrap().of(user), 2);
        let other = Request::new(1, 1);
        let unpinnable = put(&arena, me, &living, other, 1).unwrap();
        assert!(arena.ledger(unpinnable.index).is_none());
        assert!(matches!(
            arena.pin(
                unpinnable.index,
                unpinnable.generation,
                user,
                &living,
                &mut Never
            ),
            Err(NotPinned::Corrupt)
        ));
        arena.free(index, generation, me, &living);
        assert!(matches!(pin(user), Err(NotPinned::Gone)));
        // A forked child has the handle, another name, and no pin to remove.
        arena.unpin(index, name(2, 1), &living);
        arena.unpin(index, user, &living);
        let next = put(&arena, me, &living, request, 4).unwrap();
        assert_ne!(next.index, index);
        assert!(is_marked(&arena, index, request, 9));
        let before = arena.usage().unwrap().bytes_real;
        arena.unpin(index, user, &living);
        if len >= BIG {
            assert!(arena.usage().unwrap().bytes_real < before - len as u64);
        }
        let heir = put(&arena, me, &living, request, 3).unwrap();
        assert_eq!((heir.index, heir.generation), (index, generation + 1));
        assert_eq!(arena.ledger(index).unwrap().total(), 0);
        assert!(matches!(pin(user), Err(NotPinned::Gone)));
    }
}

#[test]
fn a_pin_ends_with_its_process_and_outlives_the_maker() {
    let (arena, mut living) = (arena(), Living::default());
    let (maker, user) = (name(0, 1), name(1, 1));
    let request = plain(1 << 20).pinned();
    let object = put(&arena, maker, &living, request, 9).unwrap();
    let pin =
        |who, living: &Living| arena.pin(object.index, object.generation, who, living, &mut Never);
    pin(user, &living).unwrap();
    living.dead.insert(maker.bits());
    let reap = |living: &Living| arena.reap(1, name(2, 1), living).unwrap() > 0;
    assert!(!reap(&living));
    assert!(is_marked(&arena, object.index, request, 9));
    // The heir of the user's place pins it, too: what its predecessor had does not keep it from it.
    living.dead.insert(user.bits());
    pin(name(1, 2), &living).unwrap();
    assert!(!reap(&living));
    living.dead.insert(name(1, 2).bits());
    assert!(reap(&living));
    assert!(arena.usage().unwrap().bytes_real < 1 << 20);
}

#[test]
fn a_block_that_somebody_stopped_with_cannot_be_pinned_now() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    let request = plain(1).pinned();
    let object = put(&arena, me, &living, request, 9).unwrap();
    let word = &arena.block(object.index).unwrap().word;
    assert!(word.try_lock(name(1, 1), &living).unwrap().is_some());
    let pin = || arena.pin(object.index, object.generation, me, &living, &mut Never);
    assert!(matches!(pin(), Err(NotPinned::GaveUp(GaveUp::TimedOut))));
    assert_eq!(arena.ledger(object.index).unwrap().total(), 0);
    word.unlock(true);
    pin().unwrap();
    // Unpinning needs no lock.
    assert!(word.try_lock(name(1, 1), &living).unwrap().is_some());
    arena.unpin(object.index, me, &living);
    assert_eq!(arena.ledger(object.index).unwrap().total(), 0);
}

#[test]
fn what_is_for_ever_belongs_to_nobody_who_dies() {
    let (arena, mut living) = (small_arena(), Living::default());
    let me = name(0, 1);
    let request = plain(100).for_ever();
    let object = put(&arena, me, &living, request, 9).unwrap();
    assert_eq!(Owner::from_bits(FOR_EVER), None);
    living.dead.insert(me.bits());
    let heir = name(1, 1);
    while put(&arena, heir, &living, plain(100), 1).is_ok() {}
    assert!(is_marked(&arena, object.index, request, 9));
    arena.free(object.index, object.generation, me, &living);
    assert!(put(&arena, heir, &living, plain(100), 1).is_err());
    let word = &arena.block(object.index).unwrap().word;
    assert!(word.try_lock(heir, &living).unwrap().is_some());
    assert!(!arena.free_for_ever(object.index, object.generation + 1, &living));
    assert!(arena.free_for_ever(object.index, object.generation, &living));
    assert!(!arena.free_for_ever(object.index, object.generation, &living));
    word.unlock(true);
    let next = put(&arena, heir, &living, plain(100), 1).unwrap();
    assert_eq!(
        (next.index, next.generation),
        (object.index, object.generation + 1)
    );
}

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
