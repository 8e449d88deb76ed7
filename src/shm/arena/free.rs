//! Giving blocks back, and their memory.
//!
//! Invariant: the memory of a big block is punched out under the block's lock, when it has no owner
//! and no living process has it pinned: whoever could still reach it holds that lock or a pin.
//! Called by `shm::handle` for what a process frees, and by `take.rs` for what the dead left.
//!
//! Whoever is killed on the way leaves a block that has an owner who is dead, or has none; its memory
//! may still be real. The next one to reap or to take it does the rest. The same goes for a block
//! whose lock was held when it was freed.

use super::place::Class;
use super::{Arena, Block, FOR_EVER};
use crate::platform::atomic::Ordering;
use crate::shm::word::{Liveness, Owner, Verdict};
use std::io;

/// So many bytes of headers and payloads a zone has before it is reaped for the first time.
const FIRST_REAP: u64 = 1 << 20;

impl Arena {
    /// Frees a block if `me` made it. Handles to it are answered with "gone" from here on.
    pub(crate) fn free(&self, index: u32, generation: u32, me: Owner, roster: &impl Liveness) {
        let Some(block) = self.block(index) else {
            return;
        };
        if block.owner.load(Ordering::Relaxed) == me.bits() && block.generation() == generation {
            self.disown(index, block);
            self.give_back_if_idle(index, me, roster);
        }
    }

    /// Frees a block that was taken [for ever](super::Request::for_ever); says whether it was one.
    /// The caller has it locked, and unlocks it.
    pub(crate) fn free_for_ever(
        &self,
        index: u32,
        generation: u32,
        roster: &impl Liveness,
    ) -> bool {
        let block = self.block(index).filter(|block| {
            block.owner.load(Ordering::Relaxed) == FOR_EVER && block.generation() == generation
        });
        if let Some(block) = block {
            self.disown(index, block);
            self.give_back(index, roster);
        }
        block.is_some()
    }

    /// Ends an object. By its owner, or under the block's lock.
    pub(super) fn disown(&self, index: u32, block: &Block) {
        let next = block.generation().wrapping_add(1);
        block.generation.store(next, Ordering::Relaxed);
        // Release: whoever finds the block free finds the new generation in it. If this process
        // is killed before, the block belongs to a dead owner, which comes to the same.
        block.owner.store(0, Ordering::Release);
        if let Ok((class, _)) = self.place(index) {
            self.hint(class).fetch_min(index, Ordering::Relaxed);
        }
    }

    /// Gives the memory of a big free block back, unless somebody still uses it. Called with every
    /// block that is free and has just lost a user: the last one finds it idle.
    pub(crate) fn give_back_if_idle(&self, index: u32, me: Owner, roster: &impl Liveness) {
        // A hint, which keeps the latecomers of an object out of the way of the next.
        if self.header(index).owner.load(Ordering::Relaxed) != 0
            || !self.place(index).is_ok_and(|(class, _)| class.is_big())
        {
            return;
        }
        if let Some(locked) = self.lock_block(index, me, roster)
            && locked.block.owner.load(Ordering::Acquire) == 0
        {
            self.give_back(index, roster);
        }
    }

    /// The same with the block locked by the caller, and known to be free.
    pub(super) fn give_back(&self, index: u32, roster: &impl Liveness) {
        let Ok((class, offset)) = self.place(index) else {
            return;
        };
        if class.is_big() && !self.is_pinned(index, roster) {
            // If it fails, the memory stays until the block is taken again.
            let _ = self.segment.punch(offset..offset + class.size());
            // There is no ledger any more.
            self.header(index).shape.store(0, Ordering::Relaxed);
        }
    }

    /// Reaps the zone before it grows to twice of what it was when that had last been worth little;
    /// says whether anything was freed. So all of it is at most four times what the living have, and
    /// looking at every block is paid for by as many that were made or freed since.
    pub(super) fn reap_if_doubled(
        &self,
        zone: usize,
        me: Owner,
        roster: &impl Liveness,
    ) -> io::Result<bool> {
        let space = self.space(zone);
        let reap_at = &self.head().zones[zone].reap_at;
        let seen = reap_at.load(Ordering::Relaxed);
        if space < seen.max(FIRST_REAP) {
            return Ok(false);
        }
        let freed = self.reap(zone, me, roster)?;
        // Afterwards, so that others do it all the same if this process is killed meanwhile. What was
        // worth half of the space is worth doing again when that is used up.
        if freed < space / 2 {
            let next = space.saturating_mul(2);
            let _ = reap_at.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(freed > 0)
    }

    /// Frees what belongs to the dead, gives back memory that nobody uses, and lets the hints know of
    /// every free block. Says how many bytes, headers included, were freed.
    pub(super) fn reap(&self, zone: usize, me: Owner, roster: &impl Liveness) -> io::Result<u64> {
        let mut verdicts = Verdicts::of(roster);
        let mut lowest = [u32::MAX; Class::END];
        let mut freed = 0;
        for index in self.made(zone)? {
            let block = self.header(index);
            if block.owner.load(Ordering::Acquire) == 0 {
                self.give_back_if_idle(index, me, roster);
                if let Ok((class, _)) = self.place(index) {
                    let lowest = &mut lowest[class.number()];
                    *lowest = index.min(*lowest);
                }
            } else if let Some(owner) = block.process()
                && verdicts.is_dead(owner)
                && self.free_of_the_dead(index, owner, me, roster)
            {
                let units = self.place(index).map_or(0, |(class, _)| class.units());
                freed += self.layout.zones[zone].space(1, units);
            }
        }
        for (hint, lowest) in self.head().hints.iter().zip(lowest) {
            if lowest != u32::MAX {
                hint.fetch_min(lowest, Ordering::Relaxed);
            }
        }
        Ok(freed)
    }

    /// Frees a block whose owner died, unless somebody uses it.
    fn free_of_the_dead(&self, index: u32, dead: Owner, me: Owner, roster: &impl Liveness) -> bool {
        let Some(locked) = self.lock_block(index, me, roster) else {
            return false;
        };
        // Somebody else may have been faster.
        if locked.block.process() != Some(dead) || self.is_pinned(index, roster) {
            return false;
        }
        self.disown(index, locked.block);
        self.give_back(index, roster);
        true
    }
}

/// What the roster said, so that it is not asked about the same few owners a million times.
struct Verdicts<'a, R> {
    roster: &'a R,
    /// Names and whether they are dead, by slot.
    known: [(u32, bool); 64],
}

impl<'a, R: Liveness> Verdicts<'a, R> {
    fn of(roster: &'a R) -> Verdicts<'a, R> {
        Verdicts {
            roster,
            known: [(0, false); 64],
        }
    }

    fn is_dead(&mut self, owner: Owner) -> bool {
        let place = owner.slot() as usize % self.known.len();
        let known = &mut self.known[place];
        if known.0 != owner.bits() {
            *known = (owner.bits(), self.roster.verdict(owner) == Verdict::Dead);
        }
        known.1
    }
}
