//! Random steps of all kinds, against a plain map of what is in use.

use super::super::place::INLINE;
use super::*;
use crate::shm::word::Taken;
use proptest::prelude::*;
use std::collections::BTreeMap;

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
