//! What the bits of a semaphore's word mean, under each [`Bound`].

use super::error::Refused;

/// Somebody is parked. Set and cleared only under the bucket's lock.
pub(super) const WAITERS: usize = 1;
/// A waiter has been called and is awake, trying. Set under the bucket's lock, before the call; cleared
/// by the called one, in the step by which it takes its permits, lines up again, or resigns.
pub(super) const CALLED: usize = 1 << 1;
/// The count is kept for the front waiter. Set and cleared only under the bucket's lock.
pub(super) const RESERVED: usize = 1 << 2;
/// Who waits is never overtaken: RESERVED whenever WAITERS. Never changes.
pub(super) const FAIR: usize = 1 << 3;
/// No more permits are given out. Never cleared.
pub(super) const CLOSED: usize = 1 << 4;
/// Where the capacity begins, if there is one, and else the count.
pub(super) const FLAGS: u32 = 5;

/// How many permits there can be, and so how a word is read.
pub trait Bound: 'static {
    const NAME: &'static str;
    /// Bits of the word that hold the capacity.
    const CAPACITY_BITS: u32;
    /// The largest count.
    const MOST: usize;
    /// Where the count begins.
    const SHIFT: u32 = FLAGS + Self::CAPACITY_BITS;

    #[inline]
    fn count(word: usize) -> isize {
        word as isize >> Self::SHIFT
    }

    /// What may be taken from the count by whom it is kept for.
    #[inline]
    fn in_count(word: usize) -> usize {
        Self::count(word).max(0) as usize
    }

    /// What may be taken from the count by whom it is not kept for.
    #[inline]
    fn free(word: usize) -> usize {
        if word & RESERVED != 0 {
            return 0;
        }
        Self::in_count(word)
    }

    #[inline]
    fn capacity_in(word: usize) -> usize {
        if Self::CAPACITY_BITS == 0 {
            Self::MOST
        } else {
            word >> FLAGS & Self::MOST
        }
    }

    /// `word` with `n` permits more, if so many can have been out.
    #[inline]
    fn add(word: usize, n: usize) -> Option<usize> {
        if Self::CAPACITY_BITS == 0 && Self::count(word) < 0 {
            // Somebody has just given back one too many, and is about to take it out again.
            return None;
        }
        let room = Self::capacity_in(word) as isize - Self::count(word);
        (n <= room as usize).then(|| word.wrapping_add(n << Self::SHIFT))
    }

    /// Why nobody can have `n` permits, now or later.
    #[inline]
    fn refusal(word: usize, n: usize) -> Option<Refused> {
        if word & CLOSED != 0 {
            Some(Refused::Closed)
        } else if n > Self::capacity_in(word) {
            Some(Refused::OverCapacity)
        } else {
            None
        }
    }
}

/// As many as the word can count.
pub struct Unbounded;

impl Bound for Unbounded {
    const NAME: &'static str = "Semaphore";
    const CAPACITY_BITS: u32 = 0;
    const MOST: usize = isize::MAX as usize >> FLAGS;
}

/// As many as the word says beside the count.
pub struct Bounded;

impl Bound for Bounded {
    const NAME: &'static str = "BoundedSemaphore";
    // One bit less than the signed count, which goes as far down as up.
    const CAPACITY_BITS: u32 = (usize::BITS - FLAGS - 1) / 2;
    const MOST: usize = (1 << Bounded::CAPACITY_BITS) - 1;
}
