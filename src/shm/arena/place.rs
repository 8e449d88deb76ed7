//! Where everything is in an arena: the sizes that blocks have, and the zones they are made in.
//!
//! Invariant: a place that [`Layout::place`] has accepted lies within its zone, aligned, and apart from
//! the headers. Places are read from shared memory, where a hostile peer may have written them, so
//! nobody computes an address from one that was not accepted. All of it follows from one number, the
//! arena's length, so processes that map the same arena agree without telling each other anything.
//!
//! ```text
//! | segment | cursors, hints | table of headers: small, big | payloads: small | big          |
//! 0         64               4096                           64 KiB multiple   64 KiB multiple
//! ```
//!
//! The zone of small payloads never gives memory back, that of big ones does with each block. Hence
//! there are two: one page must not hold both.

use super::super::segment::invalid;
use super::Block;
use std::io;
use std::mem;
use std::ops::Range;

/// The most address space an arena has, and the least. Lengths are powers of two.
pub(super) const LONGEST: usize = 64 << 30;
pub(super) const SHORTEST: usize = 1 << 20;

/// Where the table of headers begins.
pub(super) const TABLE: usize = 4096;
/// How many small blocks there can be.
pub(super) const SMALL_BLOCKS: usize = 1 << 20;
/// The most address space for small payloads: as far as a place can point.
const SMALL_PAYLOADS: usize = SMALLEST << UNIT_BITS;

/// What fits beside the header, in the lock's own cache line.
pub(super) const INLINE: usize = 32;
const SMALLEST: usize = 64;
/// Blocks of this size and above are made of whole pages, whatever the size of a page is.
pub(super) const BIG: usize = 64 << 10;
/// What big payloads are aligned to, at least.
pub(super) const PAGE: usize = 4096;
/// What small payloads are aligned to, if they are not inline.
pub(super) const ALIGN: usize = 64;

/// The size of a block, as a number from 1: [`INLINE`], then the powers of two from [`SMALLEST`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Class(u32);

const CLASS_BITS: u32 = 5;
const UNIT_BITS: u32 = 32 - CLASS_BITS;

impl Class {
    pub(super) const INLINE: Class = Class(1);
    const FIRST_BIG: u32 = BIG.ilog2() - SMALLEST.ilog2() + 2;
    /// One more than the highest number.
    pub(super) const END: usize = 1 << CLASS_BITS;

    /// The smallest class for so many bytes.
    pub(super) fn of(len: usize) -> Option<Class> {
        if len <= INLINE {
            return Some(Class::INLINE);
        }
        let size = len.checked_next_power_of_two()?.max(SMALLEST);
        Some(Class(size.ilog2() - SMALLEST.ilog2() + 2)).filter(|class| class.number() < Class::END)
    }

    pub(super) fn size(self) -> usize {
        match self {
            Class::INLINE => INLINE,
            Class(number) => SMALLEST << (number - 2),
        }
    }

    pub(super) fn is_big(self) -> bool {
        self.0 >= Class::FIRST_BIG
    }

    /// What payloads of this class are aligned to.
    pub(super) fn align(self) -> usize {
        match self {
            Class::INLINE => INLINE,
            _ if self.is_big() => PAGE,
            _ => ALIGN,
        }
    }

    pub(super) fn number(self) -> usize {
        self.0 as usize
    }

    /// Which of [`Layout::zones`] blocks of this class are made in.
    pub(super) fn zone(self) -> usize {
        usize::from(self.is_big())
    }

    /// How much of its zone's payload space a block takes, in units; an inline one takes none.
    pub(super) fn units(self) -> u32 {
        match self {
            Class::INLINE => 0,
            _ => (self.size() / UNITS[self.zone()]) as u32,
        }
    }
}

/// What offsets within the zones are multiples of.
const UNITS: [usize; 2] = [SMALLEST, BIG];

/// A class and an offset in units, as a header has them: never 0, which means none yet.
pub(super) fn pack_place(class: Class, unit: u32) -> u32 {
    class.0 << UNIT_BITS | unit
}

/// The blocks of one kind: a range of the table, and of the payloads.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) blocks: Range<u32>,
    pub(super) payloads: Range<usize>,
    unit: usize,
}

impl Zone {
    /// How many units of payload there is room for.
    pub(super) fn units(&self) -> u32 {
        (self.payloads.len() / self.unit) as u32
    }

    /// How much of the arena so many blocks and units take.
    pub(super) fn space(&self, blocks: u32, units: u32) -> u64 {
        let headers = u64::from(blocks) * mem::size_of::<Block>() as u64;
        headers + u64::from(units) * self.unit as u64
    }
}

/// What follows from the length of an arena.
#[derive(Debug)]
pub(super) struct Layout {
    /// Small blocks, big blocks.
    pub(super) zones: [Zone; 2],
}

impl Layout {
    /// `len` is at least [`SHORTEST`] and at most [`LONGEST`].
    pub(super) fn of(len: usize) -> Layout {
        let header = mem::size_of::<Block>();
        let small = (len / 4 / header).min(SMALL_BLOCKS);
        // As many as could ever be, so that their table is never what is full.
        let big = len / BIG;
        let payloads = (TABLE + (small + big) * header).next_multiple_of(BIG);
        let border = payloads + (len / 4).min(SMALL_PAYLOADS);
        let end = len - len % BIG;
        let (small, big) = (small as u32, big as u32);
        let zone = |blocks, payloads, unit| Zone {
            blocks,
            payloads,
            unit,
        };
        Layout {
            zones: [
                zone(0..small, payloads..border, UNITS[0]),
                zone(small..small + big, border..end, UNITS[1]),
            ],
        }
    }

    /// The class for `len` bytes with this alignment, if there can be such a block.
    pub(super) fn class(&self, len: usize, align: usize) -> Option<Class> {
        let class = match align {
            0..=ALIGN => Class::of(len.max(align))?,
            _ => Class::of(len)?,
        };
        (align <= class.align() && class.size() <= self.zones[class.zone()].payloads.len())
            .then_some(class)
    }

    /// The zone that the block with this index belongs to.
    pub(super) fn zone_of(&self, index: u32) -> Option<usize> {
        let [small, big] = &self.zones;
        match index {
            _ if small.blocks.contains(&index) => Some(0),
            _ if big.blocks.contains(&index) => Some(1),
            _ => None,
        }
    }

    /// Class and offset as `place` states them, if the block `index` can have them.
    pub(super) fn place(&self, index: u32, place: u32) -> io::Result<(Class, usize)> {
        self.checked(index, place)
            .ok_or_else(|| invalid("a block with an impossible place"))
    }

    fn checked(&self, index: u32, place: u32) -> Option<(Class, usize)> {
        let (class, unit) = (place >> UNIT_BITS, place & ((1 << UNIT_BITS) - 1));
        let class = Some(Class(class)).filter(|class| class.0 != 0)?;
        let zone = &self.zones[class.zone()];
        if !zone.blocks.contains(&index) {
            return None;
        }
        if class == Class::INLINE {
            let inline = header_offset(index) + mem::offset_of!(Block, inline);
            return (unit == 0).then_some((class, inline));
        }
        let offset = zone.payloads.start + unit as usize * zone.unit;
        (offset + class.size() <= zone.payloads.end).then_some((class, offset))
    }
}

/// Where the header of a block is.
pub(super) fn header_offset(index: u32) -> usize {
    TABLE + index as usize * mem::size_of::<Block>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_fit_what_they_are_for() {
        for len in [0, 1, 31, 32] {
            assert_eq!(Class::of(len), Some(Class::INLINE));
        }
        for len in [
            33,
            64,
            65,
            4096,
            BIG - 1,
            BIG,
            BIG + 1,
            1 << 30,
            LONGEST / 2,
        ] {
            let class = Class::of(len).unwrap();
            assert!(class.size() >= len && class.size() < 2 * len.max(33));
            assert_eq!(class.is_big(), len > BIG / 2);
        }
        assert_eq!(Class::of(LONGEST), None);
        assert_eq!(Class::of(usize::MAX), None);
    }

    #[test]
    fn every_length_has_room_for_both_kinds() {
        let mut len = SHORTEST;
        while len <= LONGEST {
            let [small, big] = Layout::of(len).zones;
            assert!(header_offset(big.blocks.end) <= small.payloads.start);
            assert_eq!(small.payloads.end, big.payloads.start);
            assert!(big.payloads.end <= len && big.payloads.start.is_multiple_of(BIG));
            assert!(small.payloads.start.is_multiple_of(BIG));
            assert!(big.units() as usize <= big.blocks.len());
            assert!(small.blocks.len() >= 4096 && big.units() >= 6);
            assert!(small.units() <= 1 << UNIT_BITS);
            len *= 2;
        }
        let longest = Layout::of(LONGEST);
        assert_eq!(longest.zones[0].blocks.len(), 1 << 20);
        assert!(longest.class(LONGEST / 2, 1).is_some());
    }

    #[test]
    fn an_alignment_is_met_or_refused() {
        let layout = Layout::of(SHORTEST);
        assert_eq!(layout.class(0, 64).unwrap().size(), 64);
        assert_eq!(layout.class(8, 32).unwrap(), Class::INLINE);
        assert_eq!(layout.class(100, 128), None);
        assert!(layout.class(BIG, PAGE).is_some());
        assert_eq!(layout.class(BIG, 2 * PAGE), None);
        assert_eq!(layout.class(1 << 19, 1), None);
    }
}
