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
//! Where to look for a free block of a size first is a hint beside the cursor, so that taking one
//! does not mean walking past all that are in use. A hint may be wrong: the last look before the
//! arena is called full goes by none.
//!
//! Blocks are not merged or split: memory that served one size serves that size again, or a smaller
//! one. The arena does not grow yet.

use super::roster::Roster;
use super::segment::{HEADER_LEN, Id, Kind, Segment, invalid};
use super::word::{Liveness, Owner, Taken, Verdict, Word};
use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use std::cell::UnsafeCell;
use std::io;
use std::mem;
use std::ops::Range;
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
/// How many different sizes blocks have: [`INLINE`], and the powers of two from [`SMALLEST`] on.
const CLASSES: usize = 2 + (BIGGEST / SMALLEST).ilog2() as usize;
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
    /// When somebody began to wait for the lock, in nanoseconds of the monotonic clock: for people
    /// who look at who holds it.
    since: AtomicU64,
    inline: UnsafeCell<[u8; INLINE]>,
}

// SAFETY: all fields but `inline` are atomics, and `inline` is accessed through the pointer that
// `Arena::payload` gives out, under the block's lock.
unsafe impl Sync for Block {}
const _: () = assert!(HEADER_LEN + 8 + 4 * CLASSES <= TABLE);
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
        let hint = self.hint(size);
        let bigger = |owner: u32, has: usize| owner == 0 && has >= size;
        let abandoned = |owner: u32, has: usize| {
            let dead = |owner| roster.verdict(owner) == Verdict::Dead;
            has >= size && Owner::from_bits(owner).is_some_and(dead)
        };
        loop {
            let start = hint.load(Ordering::Relaxed);
            let end = self.carved();
            let found = self.find(start..end, me, roster, len, free);
            let next = found.as_ref().map_or(end, |fresh| fresh.index + 1);
            // Unless a block was freed further down meanwhile.
            let _ = hint.compare_exchange(start, next, Ordering::Relaxed, Ordering::Relaxed);
            if let Some(fresh) = found {
                return Ok(fresh);
            }
            if !self.carve(size)? {
                break;
            }
        }
        let all = 0..self.carved();
        self.find(all.clone(), me, roster, len, bigger)
            .or_else(|| self.find(all, me, roster, len, abandoned))
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
            if let Ok((_, size)) = self.payload(index) {
                self.hint(size).fetch_min(index, Ordering::Relaxed);
            }
        }
    }

    /// Takes the first block of the range whose owner and size are as wanted.
    fn find(
        &self,
        mut range: Range<u32>,
        me: Owner,
        roster: &impl Liveness,
        len: usize,
        wanted: impl Fn(u32, usize) -> bool,
    ) -> Option<Fresh> {
        range.find_map(|index| {
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

    /// Below this index, few blocks of `size` are free.
    fn hint(&self, size: usize) -> &AtomicU32 {
        let class = match size {
            INLINE => 0,
            _ => 1 + (size / SMALLEST).ilog2() as usize,
        };
        let offset = HEADER_LEN + mem::size_of::<AtomicU64>() + class * mem::size_of::<AtomicU32>();
        // SAFETY: an atomic.
        unsafe { self.segment.at(offset) }
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

    pub(crate) fn since(&self) -> &AtomicU64 {
        &self.since
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// A roster in which participants 0 and 1 live until they are said to be dead.
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

    fn name(slot: u32, claims: u32) -> Owner {
        Owner::new(slot, claims).unwrap()
    }

    fn arena() -> Arena {
        Arena::create_beside([3, 4]).unwrap()
    }

    /// Takes a block, marks all of it with `mark` and unlocks it.
    fn put(arena: &Arena, me: Owner, living: &Living, len: usize, mark: u8) -> io::Result<Fresh> {
        let fresh = arena.allocate(me, living, len, 1)?;
        let (payload, size) = arena.payload(fresh.index)?;
        // SAFETY: `size` bytes of a block that is locked by the caller.
        let bytes = unsafe { std::slice::from_raw_parts_mut(payload.as_ptr(), size) };
        assert!(size >= len && bytes.iter().all(|&byte| byte == 0));
        bytes.fill(mark);
        arena.block(fresh.index).unwrap().word.unlock(true);
        Ok(fresh)
    }

    fn is_marked(arena: &Arena, index: u32, mark: u8) -> bool {
        let (payload, size) = arena.payload(index).unwrap();
        // SAFETY: as in `put`; nobody writes while a test reads.
        let bytes = unsafe { std::slice::from_raw_parts(payload.as_ptr(), size) };
        bytes.iter().all(|&byte| byte == mark)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Allocate { by: u32, len: usize },
        Free { nth: usize },
        Lock { nth: usize },
        Die { who: u32 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let len = prop_oneof![0..200_usize, 1000..BIGGEST];
        prop_oneof![
            6 => (0..2_u32, len).prop_map(|(by, len)| Step::Allocate { by, len }),
            4 => any::<usize>().prop_map(|nth| Step::Free { nth }),
            1 => any::<usize>().prop_map(|nth| Step::Lock { nth }),
            1 => (0..2_u32).prop_map(|who| Step::Die { who }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Against a map of what is in use: no block is given out twice, contents stay, handles to
        /// what was freed are out of date, and memory is refused only when there is none.
        #[test]
        fn blocks_in_use_are_never_given_out(steps in proptest::collection::vec(step(), 16..130)) {
            let arena = arena();
            let mut living = Living::default();
            let mut lives = [1, 1];
            // index -> generation, mark, owner
            let mut in_use: BTreeMap<u32, (u32, u8, Owner)> = BTreeMap::new();
            let mut guarded: BTreeMap<u32, u8> = BTreeMap::new();
            let mut mark = 0_u8;
            for (nth_step, step) in (1..).zip(steps) {
                match step {
                    Step::Allocate { by, len } => {
                        mark = mark.wrapping_add(1);
                        let me = name(by, lives[by as usize]);
                        let Ok(fresh) = put(&arena, me, &living, len, mark) else {
                            prop_assert!(len > INLINE);
                            continue;
                        };
                        prop_assert!(!guarded.contains_key(&fresh.index));
                        if let Some((generation, _, owner)) = in_use.insert(
                            fresh.index,
                            (fresh.generation, mark, me),
                        ) {
                            prop_assert!(living.dead.contains(&owner.bits()));
                            prop_assert_ne!(generation, fresh.generation);
                        }
                    }
                    Step::Free { nth } if !in_use.is_empty() => {
                        let nth = nth % in_use.len();
                        let (index, (generation, _, owner)) = in_use.iter().nth(nth).map(|(a, b)| (*a, *b)).unwrap();
                        // Not by anybody else, and not by a clone of an earlier life.
                        arena.free(index, generation, name(9, 1));
                        arena.free(index, generation.wrapping_sub(1), owner);
                        prop_assert_eq!(arena.block(index).unwrap().generation(), generation);
                        arena.free(index, generation, owner);
                        prop_assert_ne!(arena.block(index).unwrap().generation(), generation);
                        in_use.remove(&index);
                    }
                    // A guard that outlives its object: participant 5 never dies and never unlocks.
                    Step::Lock { nth } if !in_use.is_empty() => {
                        let nth = nth % in_use.len();
                        let (index, (generation, mark, owner)) =
                            in_use.iter().nth(nth).map(|(a, b)| (*a, *b)).unwrap();
                        let word = &arena.block(index).unwrap().word;
                        prop_assert_eq!(word.try_lock(name(5, 1), &living), Ok(Some(Taken::Consistent)));
                        arena.free(index, generation, owner);
                        in_use.remove(&index);
                        guarded.insert(index, mark);
                    }
                    Step::Die { who } => {
                        living.dead.insert(name(who, lives[who as usize]).bits());
                        lives[who as usize] += 1;
                    }
                    Step::Free { .. } | Step::Lock { .. } => {}
                }
                if nth_step % 16 != 0 {
                    continue;
                }
                let in_use = in_use.iter().map(|(&index, &(_, mark, _))| (index, mark));
                for (index, mark) in in_use.chain(guarded.iter().map(|(&a, &b)| (a, b))) {
                    prop_assert!(is_marked(&arena, index, mark));
                }
            }
        }
    }

    #[test]
    fn small_values_share_the_line_of_their_lock() {
        let arena = arena();
        let fresh = put(&arena, name(0, 1), &Living::default(), 8, 1).unwrap();
        let (payload, size) = arena.payload(fresh.index).unwrap();
        let header = std::ptr::from_ref(arena.block(fresh.index).unwrap()).addr();
        assert_eq!((payload.addr().get() - header, size), (32, INLINE));
    }

    #[test]
    fn a_full_arena_is_an_error_until_somebody_dies_or_frees() {
        let arena = arena();
        let mut living = Living::default();
        let me = name(0, 1);
        let mut count = 0;
        let error = loop {
            match put(&arena, me, &living, 0, 1) {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(count, BLOCKS);
        arena.free(17, 0, me);
        assert_eq!(put(&arena, me, &living, 0, 1).unwrap().index, 17);
        assert!(put(&arena, me, &living, 0, 1).is_err());
        living.dead.insert(me.bits());
        let heir = put(&arena, name(1, 1), &living, 0, 1).unwrap();
        assert_eq!((heir.index, heir.generation), (0, 1));
    }

    #[test]
    fn somebody_killed_while_carving_is_finished_for() {
        let arena = arena();
        put(&arena, name(0, 1), &Living::default(), 100, 1).unwrap();
        // The place is written, the cursor is not: the step between the two.
        let (count, end) = unpack(arena.cursor().load(Ordering::SeqCst));
        arena
            .header(count)
            .place
            .store(pack(end, 4096), Ordering::SeqCst);
        let small = put(&arena, name(0, 1), &Living::default(), 100, 2).unwrap();
        let big = put(&arena, name(0, 1), &Living::default(), 4000, 3).unwrap();
        assert_eq!((small.index, big.index), (count + 1, count));
        assert!(is_marked(&arena, small.index, 2) && is_marked(&arena, big.index, 3));
    }

    #[test]
    fn somebody_killed_while_taking_loses_nothing() {
        let arena = arena();
        let mut living = Living::default();
        let me = name(0, 1);
        let fresh = put(&arena, me, &living, 8, 1).unwrap();
        arena.free(fresh.index, fresh.generation, me);
        // Locked and not yet owned; and owned, not yet unlocked.
        let block = arena.block(fresh.index).unwrap();
        assert!(block.word.try_lock(name(1, 1), &living).unwrap().is_some());
        assert_ne!(put(&arena, me, &living, 8, 2).unwrap().index, fresh.index);
        let held = arena.allocate(name(2, 1), &living, 8, 1).unwrap();
        living.dead.extend([name(1, 1).bits(), name(2, 1).bits()]);
        let rest = std::iter::from_fn(|| put(&arena, me, &living, 0, 3).ok());
        let rest: BTreeMap<_, _> = rest.map(|last| (last.index, last.generation)).collect();
        assert!(rest.contains_key(&fresh.index));
        assert_eq!(rest[&held.index], held.generation + 1);
        assert_eq!(rest.len(), BLOCKS as usize - 1);
    }

    #[test]
    fn what_a_hostile_peer_writes_is_an_error() {
        let relaxed = Ordering::Relaxed;
        let arena = arena();
        let living = Living::default();
        let index = put(&arena, name(0, 1), &living, 100, 1).unwrap().index;
        let outside = [
            pack(u32::MAX, 64),
            pack(LEN as u32, 64),
            pack(PAYLOAD as u32, 1 << 30),
            pack(0, 64),
            pack(PAYLOAD as u32 + 1, 64),
            pack(PAYLOAD as u32, 96),
            pack(PAYLOAD as u32, INLINE as u32),
            u64::MAX,
            0,
        ];
        for place in outside {
            arena.header(index).place.store(place, relaxed);
            let error = arena.payload(index).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        assert!(arena.payload(BLOCKS).is_err() && arena.payload(u32::MAX).is_err());
        for cursor in [pack(u32::MAX, PAYLOAD as u32), pack(1, 0), u64::MAX] {
            arena.cursor().store(cursor, relaxed);
            assert!(arena.allocate(name(0, 1), &living, 4000, 1).is_err());
            assert!(arena.block(BLOCKS).is_none());
        }
    }

    #[test]
    fn a_block_that_somebody_else_took_meanwhile_is_left_to_them() {
        let (arena, living) = (arena(), Living::default());
        let theirs = put(&arena, name(0, 1), &living, 8, 7).unwrap();
        // This one saw it free, and comes too late.
        assert!(
            arena
                .take(theirs.index, 0, name(1, 1), &living, 8)
                .is_none()
        );
        assert!(is_marked(&arena, theirs.index, 7));
        assert_eq!(
            arena.block(theirs.index).unwrap().word.state().owner(),
            None
        );
    }
}
