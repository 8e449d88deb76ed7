//! Making new blocks at the end of a zone.
//!
//! Invariant: block number `n` of a zone is carved once, at the cursor's value for `n`, by whoever
//! writes its `place` first. Called by `take.rs` when no free block was found.

use super::Arena;
use super::place::{Class, pack_place};
use crate::platform::atomic::Ordering;
use crate::shm::segment::invalid;
use std::io;
use std::ops::Range;

impl Arena {
    /// Makes one more free block of this class; `None` if its zone has no room.
    ///
    /// It may be somebody else's by the time this returns.
    pub(super) fn carve(&self, class: Class) -> io::Result<Option<u32>> {
        let zone = &self.layout.zones[class.zone()];
        let cursor = &self.head().zones[class.zone()].cursor;
        loop {
            let seen = cursor.load(Ordering::Acquire);
            let (count, end) = unpack(seen);
            let left = zone.units().checked_sub(end);
            let (Some(left), true) = (left, count <= zone.blocks.len() as u32) else {
                return Err(invalid("the arena's cursor is out of bounds"));
            };
            if count == zone.blocks.len() as u32 || class.units() > left {
                return Ok(None);
            }
            self.make_headers_real(class.zone(), count + 1)?;
            let index = zone.blocks.start + count;
            let place = &self.header(index).place;
            let ours = match class {
                Class::INLINE => pack_place(class, 0),
                _ => pack_place(class, end),
            };
            // The cursor's value for this count is the only one there will ever be, so whoever wins
            // has carved where everybody would. Acquire, to build on the winner's place.
            let placed = place.compare_exchange(0, ours, Ordering::AcqRel, Ordering::Acquire);
            let theirs = placed.err().unwrap_or(ours);
            let (taken, _) = self.layout.place(index, theirs)?;
            if taken != Class::INLINE && theirs != pack_place(taken, end) {
                return Err(invalid("a block that does not begin at the cursor"));
            }
            // If it fails, somebody has finished this step for us.
            let _ = cursor.compare_exchange(
                seen,
                pack(count + 1, end + taken.units()),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if placed.is_ok() {
                return Ok(Some(index));
            }
        }
    }

    /// The blocks of a zone, as many as there are. Their headers are real.
    pub(super) fn made(&self, zone: usize) -> io::Result<Range<u32>> {
        let blocks = &self.layout.zones[zone].blocks;
        let (count, _) = unpack(self.head().zones[zone].cursor.load(Ordering::Acquire));
        let count = count.min(blocks.len() as u32);
        self.make_headers_real(zone, count)?;
        Ok(blocks.start..blocks.start + count)
    }

    /// How many bytes of the zone have been given to blocks, used or not.
    pub(super) fn space(&self, zone: usize) -> u64 {
        let (count, end) = unpack(self.head().zones[zone].cursor.load(Ordering::Relaxed));
        self.layout.zones[zone].space(count, end)
    }
}

pub(super) fn pack(count: u32, end: u32) -> u64 {
    u64::from(count) << 32 | u64::from(end)
}

pub(super) fn unpack(both: u64) -> (u32, u32) {
    ((both >> 32) as u32, both as u32)
}
