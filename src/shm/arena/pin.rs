//! Pins: using an object without holding its lock.
//!
//! Invariant: while a living process has a pin on a block, the block begins no other life and its
//! memory stays real. The ledger of pins is written under the block's lock when a pin is added, so
//! nobody takes or punches the block at that moment; a pin is removed without it, by one atomic step,
//! after which the process does not touch the block. Called by `shm::handle`, which adds one for the
//! first user in its process and removes it with the last.
//!
//! A process that is killed takes its pins along, whenever that is: the dead have none.

use super::take::Locked;
use super::{Arena, Class};
use crate::GaveUp;
use crate::platform::atomic::Ordering;
use crate::shm::ledger::{Ledger, Unchanged};
use crate::shm::refusal::Refusal;
use crate::shm::segment::invalid;
use crate::shm::wait::{self, Patience};
use crate::shm::word::{Liveness, Owner};
use std::io;
use std::mem;

/// Why a block was not pinned.
#[derive(Debug)]
pub(crate) enum NotPinned {
    GaveUp(GaveUp),
    /// The memory holds what no participant can have written, or the object is not one to be pinned.
    Corrupt,
    /// The object was freed.
    Gone,
    /// There is no memory for the ledger.
    Full(io::Error),
}

impl Arena {
    /// Adds a pin of this process to an object that was made [pinned](super::Request::pinned).
    ///
    /// Waits for the block's lock, which is held for long by nobody who is not stopped.
    pub(crate) fn pin(
        &self,
        index: u32,
        generation: u32,
        me: Owner,
        roster: &impl Liveness,
        patience: &mut impl Patience,
    ) -> Result<(), NotPinned> {
        let block = self.block(index).ok_or(NotPinned::Gone)?;
        // A hint: keeps handles that are out of date from getting in the way of the next object.
        if block.generation() != generation {
            return Err(NotPinned::Gone);
        }
        let mut locking = block.locking(generation, me, roster);
        let taken = wait::wait(&mut locking, patience).map_err(NotPinned::GaveUp)??;
        let _locked = Locked::new(block, taken);
        // In this order, see `disown`: with an owner, the generation is that of an object. If that is
        // freed right now, the pin keeps the block from its next life.
        if block.owner.load(Ordering::Acquire) == 0 || block.generation() != generation {
            return Err(NotPinned::Gone);
        }
        let ledger = match self.pins(index) {
            Ok(Some(ledger)) => ledger,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                return Err(NotPinned::Full(error));
            }
            Ok(None) | Err(_) => return Err(NotPinned::Corrupt),
        };
        let add = || ledger.update(me, |count| count.checked_add(1));
        let added = match add() {
            // This process has the roster's place of a dead one, whose pins are worth nothing.
            Err(Unchanged::Unburied) => {
                let _ = ledger.bury(roster);
                add()
            }
            other => other,
        };
        added.map(drop).map_err(|_| NotPinned::Corrupt)
    }

    /// Removes a pin of this process. Does nothing if it has none, as the child of a fork, which has
    /// its parent's handles and not its pins. Never waits.
    pub(crate) fn unpin(&self, index: u32, me: Owner, roster: &impl Liveness) {
        let (Some(block), Some(ledger)) = (self.block(index), self.ledger(index)) else {
            return;
        };
        let removed = ledger.update(me, |count| count.checked_sub(1));
        // An object that was freed before stayed for the sake of pins.
        if removed == Ok(0) && block.owner.load(Ordering::Acquire) == 0 {
            if let Ok((class, _)) = self.place(index) {
                self.hint(class).fetch_min(index, Ordering::Relaxed);
            }
            self.give_back_if_idle(index, me, roster);
        }
    }

    /// Who has pinned the block. Asked with the block locked or pinned; `None` if it has no ledger, or
    /// no memory for one.
    pub(crate) fn ledger(&self, index: u32) -> Option<&Ledger> {
        self.block(index)?;
        self.pins(index).ok()?
    }

    /// Does a living process use the block without its lock? The caller has it locked.
    pub(super) fn is_pinned(&self, index: u32, roster: &impl Liveness) -> bool {
        match self.pins(index) {
            Ok(ledger) => ledger.is_some_and(|ledger| ledger.living(roster).next().is_some()),
            // What cannot be read for want of memory may say so. A place that is impossible says
            // nothing, and will not be accepted by anybody else either.
            Err(error) => error.kind() == io::ErrorKind::StorageFull,
        }
    }

    fn pins(&self, index: u32) -> io::Result<Option<&Ledger>> {
        let block = self.header(index);
        if !block.is_pinnable() {
            return Ok(None);
        }
        let len = mem::size_of::<Ledger>();
        let (class, offset) = self.place(index)?;
        if class == Class::INLINE || class.size() < len {
            return Err(invalid("a block too small for its pins"));
        }
        if class.is_big() && block.owner.load(Ordering::Acquire) == 0 {
            // Nothing can be known of a free block for long.
            self.segment.make_real(offset..offset + len)?;
        } else {
            self.make_known(index, class, offset, block.generation(), len)?;
        }
        // SAFETY: a ledger is made of atomics, and of these bytes at the beginning of a payload.
        Ok(Some(unsafe { self.segment.at(offset) }))
    }
}

impl From<Refusal> for NotPinned {
    fn from(refusal: Refusal) -> NotPinned {
        match refusal {
            Refusal::GaveUp(why) => NotPinned::GaveUp(why),
            Refusal::Corrupt => NotPinned::Corrupt,
            Refusal::Gone => NotPinned::Gone,
            Refusal::Unlisted(error) => NotPinned::Full(error),
        }
    }
}
