//! The arena: one segment per process tree, and the blocks in it that primitives live in.
//!
//! Invariant: a block never moves and never changes its size. Its header is at a fixed place and
//! carries the lock word, so a handle that is out of date, or forged, still finds a lock and a
//! generation there and nothing else. Called by `shm::handle`.
//!
//! There is no lock over the arena, because whoever is killed or stopped while holding it would be
//! everybody's concern. Each step is one atomic operation that leaves the arena whole:
//!
//! * **carve** makes a new block at its zone's cursor. Its `place` is written first, then the cursor
//!   moves on; whoever finds the first done and not the second does the second. Nothing is lost.
//! * **take** locks a block that belongs to nobody, wipes it and writes its new owner. Its lock decides
//!   between several takers, and if a taker is killed the lock word passes on as after any death.
//! * **free** raises the generation, which disowns every handle, and then clears the owner. The
//!   block may be locked by somebody at that time; it is not taken again until it is unlocked, nor
//!   while a living process has pinned it.
//! * **reap** frees the blocks of dead owners, when there is no other room or the arena has doubled.
//!
//! Where to look for a free block of a size first is a hint beside the cursor, so that taking one
//! does not mean walking past all that are in use. A hint may be wrong: the last look before the
//! arena is called full goes by none, and reaping sets them right.
//!
//! Blocks are not merged or split: address space that served one size serves that size again, or a
//! smaller one. Memory is another matter. The segment is mostly address space; memory is made real
//! a little ahead of need (`real.rs`), and that of big blocks is given back when they are freed.
//! A block is good without its memory being real: who takes it makes that real first, and a process
//! killed between the two leaves a free block, or some memory that the next one finds real already.

mod carve;
mod free;
mod locking;
mod pin;
mod place;
mod real;
mod take;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use pin::NotPinned;
pub use usage::Usage;

use self::place::{Class, LONGEST, Layout, SHORTEST, header_offset};
use self::real::Known;
use super::ledger::Ledger;
use super::roster::Roster;
use super::segment::{HEADER_LEN, Id, Kind, Segment, invalid};
use super::word::{Owner, Word};
use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use std::cell::UnsafeCell;
use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// A block's fixed part.
#[repr(C, align(64))]
pub(crate) struct Block {
    pub(crate) word: Word,
    /// Raised when the block is freed. A handle is good for one generation.
    generation: AtomicU32,
    /// Whose process made what is in the block, as an [`Owner`]; 0 if it is free, [`FOR_EVER`] if it
    /// belongs to no process. Set under the block's lock, cleared by the owner without it.
    owner: AtomicU32,
    /// Where the payload is and how much fits, see `place.rs`. Written once; 0 before that.
    place: AtomicU32,
    /// How many bytes were asked for, and [`PINNED`]. Written under the block's lock.
    shape: AtomicU64,
    /// For people who look: a time on the monotonic clock, in nanoseconds. Written by whoever waits for the
    /// block's lock, without it; 0 when the block is taken.
    pub(crate) since: AtomicU64,
    inline: UnsafeCell<[u8; place::INLINE]>,
}

// SAFETY: all fields but `inline` are atomics, and `inline` is accessed through the pointer that
// `Arena::payload` gives out, under the block's lock.
unsafe impl Sync for Block {}
const _: () = assert!(mem::size_of::<Block>() == 64 && mem::offset_of!(Block, inline) == 32);

/// The owner of what outlives every process: neither 0 nor a participant's name.
const FOR_EVER: u32 = 1;

/// The bit of `shape` that says that the payload begins with a [`Ledger`] of pins.
const PINNED: u64 = 1 << 63;

/// What the arena itself keeps in its segment.
#[repr(C)]
struct Head {
    zones: [ZoneHead; 2],
    /// Of each class: below this index, few blocks are free.
    hints: [AtomicU32; Class::END],
}

#[repr(C, align(64))]
struct ZoneHead {
    /// Blocks made so far and units of payload given to them, in one word so that they change as one.
    cursor: AtomicU64,
    /// Reap before there is more in use than this. A hint.
    reap_at: AtomicU64,
}

const _: () = assert!(HEADER_LEN + mem::size_of::<Head>() <= place::TABLE);

/// What is asked of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) len: usize,
    pub(crate) align: usize,
    pinned: bool,
    owner: Option<u32>,
}

impl Request {
    /// `len` bytes, which may be none, for this process and those it lends them to.
    pub(crate) fn new(len: usize, align: usize) -> Request {
        Request {
            len,
            align,
            pinned: false,
            owner: None,
        }
    }

    /// To be used without its lock by those who have [pinned](Arena::pin) it.
    pub(crate) fn pinned(self) -> Request {
        Request {
            pinned: true,
            ..self
        }
    }

    /// Belongs to no process: stays until [`Arena::free_for_ever`].
    pub(crate) fn for_ever(self) -> Request {
        Request {
            owner: Some(FOR_EVER),
            ..self
        }
    }

    /// How many bytes lie before those that were asked for.
    fn before(self) -> usize {
        if self.pinned {
            mem::size_of::<Ledger>()
        } else {
            0
        }
    }

    /// The whole payload.
    fn total(self) -> Option<usize> {
        self.before().checked_add(self.len)
    }

    fn shape(self) -> u64 {
        self.len as u64 | if self.pinned { PINNED } else { 0 }
    }
}

/// One mapping of a tree's arena.
#[derive(Debug)]
pub(crate) struct Arena {
    segment: Segment,
    layout: Layout,
    known: Known,
}

/// A block that was just taken, still locked by the caller.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Arena {
    pub(crate) fn create(roster: &Roster) -> io::Result<Arena> {
        Arena::create_beside(roster.id(), LONGEST)
    }

    fn create_beside(roster: Id, longest: usize) -> io::Result<Arena> {
        let lens = SHORTEST..=longest;
        // All zero is an arena without a block.
        Segment::create_sparse(Kind::Arena, lens, roster).map(Arena::of)
    }

    pub(crate) fn attach(fd: OwnedFd, roster: &Roster) -> io::Result<Arena> {
        let segment = Segment::attach_sparse(fd, Kind::Arena, SHORTEST..=LONGEST)?;
        if segment.partner() != roster.id() {
            return Err(invalid("roster and arena are of different trees"));
        }
        if !segment.len().is_power_of_two() {
            return Err(invalid("an arena of an impossible length"));
        }
        Ok(Arena::of(segment))
    }

    /// Makes an arena that is the last part of a file with a name.
    pub(crate) fn create_within(place: (OwnedFd, usize), roster: &Roster) -> io::Result<Arena> {
        let lens = SHORTEST..=LONGEST;
        Segment::create_sparse_within(place, Kind::Arena, lens, roster.id()).map(Arena::of)
    }

    /// Maps an arena of `len` bytes in a file with a name.
    pub(crate) fn attach_within(
        place: (OwnedFd, usize),
        len: usize,
        roster: &Roster,
    ) -> io::Result<Arena> {
        if !(SHORTEST..=LONGEST).contains(&len) || !len.is_power_of_two() {
            return Err(invalid("an arena of an impossible length"));
        }
        let segment = Segment::attach_within(place, Kind::Arena, len)?;
        if segment.partner() != roster.id() {
            return Err(invalid("roster and arena do not belong together"));
        }
        Ok(Arena::of(segment))
    }

    /// Takes a block from the process that made what is in it: from now on it belongs to none, and is not
    /// freed with its handles.
    pub(crate) fn keep_for_ever(&self, index: u32, generation: u32, me: Owner) {
        let block = self.block(index);
        if let Some(block) = block.filter(|block| block.generation() == generation) {
            // Release: as when it was given to its owner.
            let mine = me.bits();
            let _ = (block.owner).compare_exchange(
                mine,
                FOR_EVER,
                Ordering::Release,
                Ordering::Relaxed,
            );
        }
    }

    /// Is it an object that belongs to no process?
    pub(crate) fn is_kept(&self, index: u32, generation: u32) -> bool {
        let kept = |block: &Block| block.owner.load(Ordering::Acquire) == FOR_EVER;
        self.block(index)
            .is_some_and(|block| kept(block) && block.generation() == generation)
    }

    fn of(segment: Segment) -> Arena {
        let layout = Layout::of(segment.len());
        let known = Known::nothing(&layout);
        Arena {
            segment,
            layout,
            known,
        }
    }

    pub(crate) fn id(&self) -> Id {
        self.segment.id()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.segment.fd()
    }

    /// The block with this index, if it was ever made.
    pub(crate) fn block(&self, index: u32) -> Option<&Block> {
        let made = self.made(self.layout.zone_of(index)?).ok()?;
        made.contains(&index).then(|| self.header(index))
    }

    /// Where the bytes of the object are that a handle of this index and generation stands for,
    /// if it was made by this request. There is room for all of them, and the memory is real.
    ///
    /// An object that is gone has no memory, but an address; its lock is there, with another
    /// generation in it, and whoever finds that does not touch the payload. For the object of one
    /// handle the answer never changes: keep it, so that what a peer writes into the header later
    /// does not matter.
    ///
    /// # Errors
    ///
    /// `InvalidData` if there cannot be such an object, `StorageFull` if memory is.
    pub(crate) fn payload(
        &self,
        index: u32,
        generation: u32,
        request: Request,
    ) -> io::Result<NonNull<u8>> {
        let block = self.block(index).ok_or_else(|| invalid("no such block"))?;
        let place = block.place.load(Ordering::Acquire);
        let (class, offset) = self.layout.place(index, place)?;
        let mixed_up = || invalid("the handle is that of another type");
        let total = request.total().filter(|&total| total <= class.size());
        let total = total.ok_or_else(mixed_up)?;
        // In this order: who sees the block free sees the generation it was freed with.
        let owner = block.owner.load(Ordering::Acquire);
        let shape = block.shape.load(Ordering::Acquire);
        let now = block.generation();
        if now == generation {
            if owner == 0 || shape != request.shape() {
                return Err(mixed_up());
            }
            self.make_known(index, class, offset, generation, total)?;
        } else if generation.wrapping_sub(now) <= u32::MAX / 2 {
            return Err(invalid("a handle of an object that is yet to be made"));
        }
        let pointer = self.segment.pointer(offset, total);
        let pointer = pointer.ok_or_else(|| invalid("a block outside"))?;
        // SAFETY: `before` is part of `total`, which is within the mapping.
        let pointer = unsafe { pointer.add(request.before()) };
        if !pointer.addr().get().is_multiple_of(request.align) {
            return Err(mixed_up());
        }
        Ok(pointer)
    }

    fn head(&self) -> &Head {
        // SAFETY: made of atomics.
        unsafe { self.segment.at(HEADER_LEN) }
    }

    fn hint(&self, class: Class) -> &AtomicU32 {
        &self.head().hints[class.number()]
    }

    /// The header of a block whose part of the table is known to be real.
    fn header(&self, index: u32) -> &Block {
        // SAFETY: a block is made of atomics and of bytes in a cell.
        unsafe { self.segment.at(header_offset(index)) }
    }

    /// What is in the place of a block that is known to be made.
    fn place(&self, index: u32) -> io::Result<(Class, usize)> {
        let place = self.header(index).place.load(Ordering::Acquire);
        self.layout.place(index, place)
    }
}

impl Block {
    /// Relaxed: under the block's lock it is exact, before it a hint.
    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// How many bytes the object has.
    pub(crate) fn len(&self) -> usize {
        (self.shape.load(Ordering::Relaxed) & !PINNED) as usize
    }

    fn is_pinnable(&self) -> bool {
        self.shape.load(Ordering::Relaxed) & PINNED != 0
    }

    /// The owner, if it is a process.
    fn process(&self) -> Option<Owner> {
        Owner::from_bits(self.owner.load(Ordering::Acquire))
    }
}
