//! Finding a block for an object and making it its own.
//!
//! Invariant: a block is taken under its lock, from nobody, while no living process has it pinned; it
//! is wiped and real before it has an owner. Called by `shm::handle`, which fills and unlocks it.
//!
//! A taker that is killed leaves a free block whose lock passes on, or after its last store an owner
//! who is dead. Either way the next one begins from the start: it wipes again, and memory that is
//! real already is found so.

use super::place::{BIG, Class};
use super::real::ask_the_machine;
use super::{Arena, Block, Fresh, Request};
use crate::platform::atomic::Ordering;
use crate::shm::ledger::Ledger;
use crate::shm::segment::no_memory;
use crate::shm::word::{Liveness, Owner, Taken};
use std::io;
use std::mem;
use std::ops::Range;

/// How many blocks are looked at before a new one is made. The next search goes on from there.
const LOOK: u32 = 256;

impl Arena {
    /// Takes a block for zeroed bytes. It is locked by `me`: fill it, then unlock it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what no arena of this length can hold, `StorageFull` if there is no room or
    /// no memory, `InvalidData` if the arena was written by something else.
    pub(crate) fn allocate(
        &self,
        me: Owner,
        roster: &impl Liveness,
        request: Request,
    ) -> io::Result<Fresh> {
        let class = request.total().and_then(|total| {
            // A big payload is aligned to a page, its ledger is a multiple of one.
            self.layout.class(total, request.align)
        });
        let class = class.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "too big for shared memory, or aligned too strictly",
            )
        })?;
        match self.take_or_carve(class, me, roster, request) {
            Ok(Some(fresh)) => return Ok(fresh),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(error) => return Err(error),
        }
        self.reap(0, me, roster)?;
        self.reap(1, me, roster)?;
        let larger = |has: Class| has > class;
        match self.find_anywhere(class.zone(), me, roster, request, |has| has == class)? {
            Some(fresh) => Ok(fresh),
            None => self
                .find_anywhere(class.zone(), me, roster, request, larger)?
                .ok_or_else(no_memory),
        }
    }

    /// `None` if the zone has no room for another block.
    fn take_or_carve(
        &self,
        class: Class,
        me: Owner,
        roster: &impl Liveness,
        request: Request,
    ) -> io::Result<Option<Fresh>> {
        let hint = self.hint(class);
        loop {
            let seen = hint.load(Ordering::Relaxed);
            let made = self.made(class.zone())?;
            let start = seen.clamp(made.start, made.end);
            let stop = made.end.min(start + LOOK);
            let found = self.find(start..stop, me, roster, request, |has| has == class)?;
            let next = found.as_ref().map_or(stop, |fresh| fresh.index + 1);
            // Unless a block was freed further down meanwhile.
            let _ = hint.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed);
            if found.is_some() {
                return Ok(found);
            }
            if self.reap_if_doubled(class.zone(), me, roster)? {
                continue;
            }
            let Some(index) = self.carve(class)? else {
                return Ok(None);
            };
            // Whoever was faster has got an object of it; the others make another block.
            if let Some(fresh) = self.take(index, me, roster, request)? {
                return Ok(Some(fresh));
            }
        }
    }

    /// Takes the first free block as wanted, from this zone on.
    fn find_anywhere(
        &self,
        zone: usize,
        me: Owner,
        roster: &impl Liveness,
        request: Request,
        wanted: impl Fn(Class) -> bool,
    ) -> io::Result<Option<Fresh>> {
        for zone in zone..self.layout.zones.len() {
            let found = self.find(self.made(zone)?, me, roster, request, &wanted)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Takes the first free block of the range whose class is as wanted.
    fn find(
        &self,
        range: Range<u32>,
        me: Owner,
        roster: &impl Liveness,
        request: Request,
        wanted: impl Fn(Class) -> bool,
    ) -> io::Result<Option<Fresh>> {
        for index in range {
            if self.header(index).owner.load(Ordering::Acquire) != 0 {
                continue;
            }
            let Ok((class, _)) = self.place(index) else {
                continue;
            };
            if !wanted(class) {
                continue;
            }
            match self.take(index, me, roster, request) {
                Ok(None) => {}
                // Another small block may lie where memory is real already.
                Err(error) if error.kind() == io::ErrorKind::StorageFull && !class.is_big() => {}
                outcome => return outcome,
            }
        }
        Ok(None)
    }

    /// Makes block `index` ours if it still belongs to nobody.
    pub(super) fn take(
        &self,
        index: u32,
        me: Owner,
        roster: &impl Liveness,
        request: Request,
    ) -> io::Result<Option<Fresh>> {
        // Locked: a guard from the block's last life is still in use. Look elsewhere.
        let Some(locked) = self.lock_block(index, me, roster) else {
            return Ok(None);
        };
        let block = locked.block;
        if block.owner.load(Ordering::Acquire) != 0 || self.is_pinned(index, roster) {
            return Ok(None);
        }
        let generation = block.generation();
        self.wipe(index, generation, request)?;
        block.since.store(0, Ordering::Relaxed);
        block.shape.store(request.shape(), Ordering::Relaxed);
        let owner = request.owner.unwrap_or(me.bits());
        // Release: a block with an owner is a block with that owner's generation and shape.
        block.owner.store(owner, Ordering::Release);
        mem::forget(locked);
        Ok(Some(Fresh { index, generation }))
    }

    /// Makes the payload real and zero. The block is free, and locked by the caller.
    fn wipe(&self, index: u32, generation: u32, request: Request) -> io::Result<()> {
        let (class, offset) = self.place(index)?;
        let total = request.total().filter(|&total| total <= class.size());
        let total = total.ok_or_else(no_memory)?;
        if class.is_big() {
            // New pages are zero. Also takes what a guard of the last life had kept from being given
            // back, and what is longer than this one.
            self.segment.punch(offset..offset + class.size())?;
            return ask_the_machine(total)
                .and_then(|()| self.make_known(index, class, offset, generation, total))
                .inspect_err(|_| {
                    let _ = self.segment.punch(offset..offset + class.size());
                });
        }
        self.make_known(index, class, offset, generation, total)?;
        let pointer = self.segment.pointer(offset, total);
        let pointer = pointer.ok_or_else(no_memory)?;
        if request.pinned {
            // SAFETY: made of atomics; a pinned request's payload begins with one, aligned.
            unsafe { self.segment.at::<Ledger>(offset) }.clear();
        }
        let (before, len) = (request.before(), request.len);
        // SAFETY: these bytes are inside the mapping, real, and the block's lock is held. No living
        // process uses them without it: that would take a pin.
        unsafe { pointer.as_ptr().add(before).write_bytes(0, len) };
        Ok(())
    }

    /// Locks a block that is known to be made, unless somebody else alive has.
    pub(super) fn lock_block(
        &self,
        index: u32,
        me: Owner,
        roster: &impl Liveness,
    ) -> Option<Locked<'_>> {
        let block = self.header(index);
        let taken = block.word.try_lock(me, roster).ok()??;
        Some(Locked::new(block, taken))
    }
}

/// A block that the caller has locked. Dropped, it is unlocked as it was found: what the last owner of
/// the lock left is for the next one to judge.
pub(super) struct Locked<'a> {
    pub(super) block: &'a Block,
    taken: Taken,
}

impl<'a> Locked<'a> {
    pub(super) fn new(block: &'a Block, taken: Taken) -> Locked<'a> {
        Locked { block, taken }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.block.word.unlock(self.taken == Taken::Consistent);
    }
}

const _: () = assert!(mem::size_of::<Ledger>().is_multiple_of(super::place::PAGE) && BIG > 8192);
