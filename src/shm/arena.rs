//! The arena: one segment per process tree, and the blocks in it that primitives live in.
//!
//! Invariant: a block never moves and never changes its size. Its header is at a fixed place and
//! carries the lock word, so a handle that is out of date, or forged, still finds a lock and a
//! generation there and nothing else. Called by `shm::handle`.
//!
//! There is no lock over the arena, because whoever is killed or stopped while holding it would be
//! everybody's concern. Each step is one atomic operation that leaves the arena whole:
//!
//! * **carve** makes a new block at the cursor. Its `place` is written first, then the cursor moves
//!   on; whoever finds the first done and not the second does the second. Nothing is lost.
//! * **take** locks a block that belongs to nobody and writes its new owner. Its lock decides
//!   between several takers, and if a taker is killed the lock word passes on as after any death.
//! * **free** raises the generation, which disowns every handle, and then clears the owner. The
//!   block may be locked by somebody at that time; it is not taken again until it is unlocked.
//! * A block whose owner died is taken like a free one, once there is nothing else left.
//!
//! Blocks are not merged or split: memory that served one size serves that size again, or a smaller
//! one. The arena does not grow yet.

use super::roster::Roster;
use super::segment::{HEADER_LEN, Id, Kind, Segment, invalid};
use super::word::{Liveness, Owner, Taken, Verdict, Word};
use crate::platform::AtomicU64;
use crate::platform::atomic::{AtomicU32, Ordering};
use std::cell::UnsafeCell;
use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// The whole segment. All of it is paid for when the first process of a tree first needs it.
const LEN: usize = 1 << 20;
/// Where the table of blocks begins, after the segment's header and the cursor's cache line.
const TABLE: usize = HEADER_LEN + 64;
/// Where the table ends and the memory of bigger blocks begins.
const PAYLOAD: usize = 256 << 10;
/// How many blocks there can be.
const BLOCKS: u32 = ((PAYLOAD - TABLE) / mem::size_of::<Block>()) as u32;
/// What fits beside the header, in the lock's own cache line.
const INLINE: usize = 32;
const SMALLEST: usize = 64;
/// The biggest block.
const BIGGEST: usize = 256 << 10;
/// Every payload begins at a multiple of this, small ones at a multiple of [`INLINE`].
const ALIGN: usize = 64;

/// A block's fixed part.
#[repr(C, align(64))]
pub(crate) struct Block {
    pub(crate) word: Word,
    /// Raised when the block is freed. A handle is good for one generation.
    generation: AtomicU32,
    /// Whose process made what is in the block, as an [`Owner`]; 0 if it is free. Set under the
    /// block's lock, cleared by the owner without it.
    owner: AtomicU32,
    /// How many bytes the owner asked for.
    len: AtomicU32,
    /// Where the payload is and how much fits: offset and size. Written once; 0 before that.
    place: AtomicU64,
    _reserved: AtomicU64,
    inline: UnsafeCell<[u8; INLINE]>,
}

// SAFETY: all fields but `inline` are atomics, and `inline` is accessed through the pointer that
// `Arena::payload` gives out, under the block's lock.
unsafe impl Sync for Block {}
const _: () = assert!(mem::size_of::<Block>() == 64 && mem::offset_of!(Block, inline) == 32);

/// One mapping of a tree's arena.
#[derive(Debug)]
pub(crate) struct Arena {
    segment: Segment,
}

/// A block that was just taken, still locked by the caller.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Arena {
    pub(crate) fn create(roster: &Roster) -> io::Result<Arena> {
        Arena::create_beside(roster.id())
    }

    fn create_beside(roster: Id) -> io::Result<Arena> {
        let segment = Segment::create(Kind::Arena, LEN, roster)?;
        let arena = Arena { segment };
        let start = pack(0, PAYLOAD as u32);
        arena.cursor().store(start, Ordering::Relaxed);
        Ok(arena)
    }

    pub(crate) fn attach(fd: OwnedFd, roster: &Roster) -> io::Result<Arena> {
        let segment = Segment::attach(fd, Kind::Arena, LEN)?;
        if segment.partner() != roster.id() {
            return Err(invalid("roster and arena are of different trees"));
        }
        Ok(Arena { segment })
    }

    pub(crate) fn id(&self) -> Id {
        self.segment.id()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.segment.fd()
    }

    /// The block with this index, if it was ever made.
    pub(crate) fn block(&self, index: u32) -> Option<&Block> {
        (index < BLOCKS && index < self.carved()).then(|| self.header(index))
    }

    /// Where the contents of a block are, and how many bytes fit.
    ///
    /// The answer never changes: keep it, so that what a peer writes into the header later
    /// does not matter.
    pub(crate) fn payload(&self, index: u32) -> io::Result<(NonNull<u8>, usize)> {
        let block = self.block(index).ok_or_else(|| invalid("no such block"))?;
        let (offset, size) = self.checked_place(index, block.place.load(Ordering::Acquire))?;
        let pointer = self.segment.pointer(offset, size);
        Ok((pointer.ok_or_else(|| invalid("a block outside"))?, size))
    }

    /// Takes a block for `len` zeroed bytes. It is locked by `me`: fill it, then unlock it.
    pub(crate) fn allocate(
        &self,
        me: Owner,
        roster: &impl Liveness,
        len: usize,
        align: usize,
    ) -> io::Result<Fresh> {
        let size = class(len).filter(|&size| align <= size.min(ALIGN));
        let size = size.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "a shared value has at most 256 KiB and an alignment of at most 64",
            )
        })?;
        let free = |owner: u32, has: usize| owner == 0 && has == size;
        let bigger = |owner: u32, has: usize| owner == 0 && has >= size;
        let abandoned = |owner: u32, has: usize| {
            let dead = |owner| roster.verdict(owner) == Verdict::Dead;
            has >= size && Owner::from_bits(owner).is_some_and(dead)
        };
        loop {
            if let Some(fresh) = self.find(me, roster, len, free) {
                return Ok(fresh);
            }
            if !self.carve(size)? {
                break;
            }
        }
        self.find(me, roster, len, bigger)
            .or_else(|| self.find(me, roster, len, abandoned))
            .ok_or_else(|| {
                let full = "the shared arena of this process tree is full";
                io::Error::new(io::ErrorKind::StorageFull, full)
            })
    }

    /// Frees a block if `me` made it. Handles to it are answered with "gone" from here on.
    pub(crate) fn free(&self, index: u32, generation: u32, me: Owner) {
        let Some(block) = self.block(index) else {
            return;
        };
        if block.owner.load(Ordering::Relaxed) == me.bits()
            && block.generation.load(Ordering::Relaxed) == generation
        {
            let next = generation.wrapping_add(1);
            block.generation.store(next, Ordering::Relaxed);
            // Release: whoever finds the block free finds the new generation in it. If this process
            // is killed before, the block belongs to a dead owner, which comes to the same.
            block.owner.store(0, Ordering::Release);
        }
    }

    /// Takes the first block whose owner and size are as wanted.
    fn find(
        &self,
        me: Owner,
        roster: &impl Liveness,
        len: usize,
        wanted: impl Fn(u32, usize) -> bool,
    ) -> Option<Fresh> {
        (0..self.carved()).find_map(|index| {
            let block = self.header(index);
            let owner = block.owner.load(Ordering::Acquire);
            let place = block.place.load(Ordering::Acquire);
            let (_, size) = self.checked_place(index, place).ok()?;
            wanted(owner, size).then(|| self.take(index, owner, me, roster, len))?
        })
    }

    /// Makes block `index` ours if it still belongs to `owner`, who is nobody or dead.
    fn take(
        &self,
        index: u32,
        owner: u32,
        me: Owner,
        roster: &impl Liveness,
        len: usize,
    ) -> Option<Fresh> {
        let block = self.header(index);
        let (payload, size) = self.payload(index).ok()?;
        // Locked: a guard from the block's last life is still in use. Look elsewhere.
        let taken = block.word.try_lock(me, roster).ok()??;
        if block.owner.load(Ordering::Acquire) != owner {
            // Somebody else was faster; what the last owner of the lock left is theirs to judge.
            block.word.unlock(taken == Taken::Consistent);
            return None;
        }
        let mut generation = block.generation.load(Ordering::Relaxed);
        if owner != 0 {
            generation = generation.wrapping_add(1);
            block.generation.store(generation, Ordering::Relaxed);
        }
        // SAFETY: `size` bytes from `payload` are inside the mapping (checked by `payload`), and
        // the block's lock is held.
        unsafe { payload.as_ptr().write_bytes(0, size) };
        block.len.store(len as u32, Ordering::Relaxed);
        // Release: a block with an owner is a block with that owner's generation and length.
        block.owner.store(me.bits(), Ordering::Release);
        Some(Fresh { index, generation })
    }

    /// Makes one more free block of `size`; `false` if there is no room.
    ///
    /// It may be somebody else's by the time this returns: the caller looks for it like everybody.
    fn carve(&self, size: usize) -> io::Result<bool> {
        loop {
            let cursor = self.cursor().load(Ordering::Acquire);
            let (count, end) = unpack(cursor);
            if count > BLOCKS || !(PAYLOAD..=LEN).contains(&(end as usize)) {
                return Err(invalid("the arena's cursor is out of bounds"));
            }
            if count == BLOCKS || size > INLINE && end as usize + size > LEN {
                return Ok(false);
            }
            let place = &self.header(count).place;
            let ours = match size {
                INLINE => pack(inline_offset(count) as u32, INLINE as u32),
                _ => pack(end, size as u32),
            };
            // The cursor's value for this count is the only one there will ever be, so whoever wins
            // has carved where everybody would. Acquire, to build on the winner's place.
            let placed = place.compare_exchange(0, ours, Ordering::AcqRel, Ordering::Acquire);
            let (offset, taken) = self.checked_place(count, placed.err().unwrap_or(ours))?;
            let next = match taken {
                INLINE => end,
                _ if offset == end as usize => end + taken as u32,
                _ => return Err(invalid("a block that does not begin at the cursor")),
            };
            // If it fails, somebody has finished this step for us.
            let _ = self.cursor().compare_exchange(
                cursor,
                pack(count + 1, next),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if placed.is_ok() {
                return Ok(true);
            }
        }
    }

    /// Offset and size as `place` states them, if a block can have them.
    fn checked_place(&self, index: u32, place: u64) -> io::Result<(usize, usize)> {
        let (offset, size) = unpack(place);
        let (offset, size) = (offset as usize, size as usize);
        let sound = match size {
            INLINE => offset == inline_offset(index),
            SMALLEST..=BIGGEST => {
                size.is_power_of_two()
                    && offset.is_multiple_of(ALIGN)
                    && offset >= PAYLOAD
                    && offset + size <= LEN
            }
            _ => false,
        };
        if !sound {
            return Err(invalid("a block with an impossible place"));
        }
        Ok((offset, size))
    }

    /// How many blocks there are: a count that is never out of the table's bounds.
    fn carved(&self) -> u32 {
        unpack(self.cursor().load(Ordering::Acquire)).0.min(BLOCKS)
    }

    /// Blocks made so far and the end of the last payload, in one word so that they change as one.
    fn cursor(&self) -> &AtomicU64 {
        // SAFETY: an atomic.
        unsafe { self.segment.at(HEADER_LEN) }
    }

    fn header(&self, index: u32) -> &Block {
        // SAFETY: a block is made of atomics and of bytes in a cell.
        unsafe { self.segment.at(block_offset(index)) }
    }
}

impl Block {
    /// Relaxed: under the block's lock it is exact, before it a hint.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) as usize
    }
}

fn block_offset(index: u32) -> usize {
    TABLE + index as usize * mem::size_of::<Block>()
}

fn inline_offset(index: u32) -> usize {
    block_offset(index) + mem::offset_of!(Block, inline)
}

/// The size of the blocks that hold `len` bytes.
fn class(len: usize) -> Option<usize> {
    match len {
        0..=INLINE => Some(INLINE),
        _ => Some(len.next_power_of_two().max(SMALLEST)).filter(|&size| size <= BIGGEST),
    }
}

fn pack(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn unpack(both: u64) -> (u32, u32) {
    ((both >> 32) as u32, both as u32)
}
