//! The lock word: who holds a lock, in 32 bits that every process of the tree maps.
//!
//! Invariant: at most one living participant is named by the word, and a word that names a dead one
//! passes to exactly one survivor, who is told. Nothing else about a lock lives in shared memory:
//! no list of waiters that a killed process could leave half-linked. Called by `shm::arena` for its
//! blocks and by `shm::handle` for every primitive of `ipc`.
//!
//! # Why nothing is lost
//!
//! 1. A waiter sleeps only after it has seen [`WAITERS`] in a word that names an owner, and the
//!    futex compares the whole word, so it does not sleep past the owner's unlock.
//! 2. Unlocking takes the bit away and wakes one sleeper. That one brings the bit back with
//!    whatever it does next: it takes the lock *with* the bit, or finds a new owner and sets the bit
//!    in the new owner's word before it sleeps or gives up. So whoever sleeps is covered either by
//!    the bit or by one waiter on its way.
//! 3. That waiter on its way may be killed or stopped, and so may an owner between unlocking and
//!    waking. No word can cover this, the clock does: a sleep lasts at most
//!    [`LONGEST_SLICE`](super::wait::LONGEST_SLICE).
//! 4. After each slice in which nobody woke it, a waiter asks the roster about the owner it sees. A
//!    dead owner never writes again and its name is never reused, so the compare-and-swap that
//!    replaces it succeeds for one survivor only.

use super::wait::{self, Look, Operation, Patience, Step};
use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::shared_futex;
use std::fmt;
use std::num::NonZeroU32;

const SLOT_BITS: u32 = 10;
/// How many participants a tree can have at one time.
pub(crate) const SLOTS: u32 = 1 << SLOT_BITS;
const GENERATION_BITS: u32 = 20;
/// The bits that name an owner; all zero when there is none.
const OWNER: u32 = (1 << (SLOT_BITS + GENERATION_BITS)) - 1;
/// Somebody may be asleep: the next unlock has to wake one.
const WAITERS: u32 = 1 << 30;
/// An owner died holding the lock and nobody has vouched for what it protects since.
const INCONSISTENT: u32 = 1 << 31;

/// One life of one participant: a slot of the roster and the generation that claimed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner(NonZeroU32);

impl Owner {
    /// The participant that made the `claims`-th claim of `slot`, counted from 1.
    pub(crate) fn new(slot: u32, claims: u32) -> Option<Owner> {
        // The generation runs from 1 and skips 0, so that an owner is never mistaken for none.
        let generation = claims.checked_sub(1)? % Owner::GENERATIONS + 1;
        Owner::from_bits((generation << SLOT_BITS) | (slot % SLOTS))
    }

    /// How many generations a slot goes through before they repeat.
    pub(crate) const GENERATIONS: u32 = (1 << GENERATION_BITS) - 1;

    /// Reads a name back; `None` if no claim can have produced it.
    pub(crate) fn from_bits(bits: u32) -> Option<Owner> {
        let owner = Owner(NonZeroU32::new(bits)?);
        (bits & !OWNER == 0 && owner.generation() != 0).then_some(owner)
    }

    /// As [`from_bits`](Owner::from_bits), of what this process alone writes: unchecked but for none.
    #[inline]
    pub(crate) fn from_own_memory(bits: u32) -> Option<Owner> {
        NonZeroU32::new(bits).map(Owner)
    }

    #[inline]
    pub(crate) fn bits(self) -> u32 {
        self.0.get()
    }

    pub(crate) fn slot(self) -> u32 {
        self.bits() & (SLOTS - 1)
    }

    pub(crate) fn generation(self) -> u32 {
        self.bits() >> SLOT_BITS
    }
}

/// What the roster knows about a name found in shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Alive,
    Dead,
    /// No participant ever had this name: the memory was written by something else.
    NeverIssued,
}

/// Whoever can tell the living from the dead: the roster, or a model of it.
pub(crate) trait Liveness {
    fn verdict(&self, owner: Owner) -> Verdict;

    /// Somebody is going to sleep until the present holder unlocks, or has just taken the lock
    /// after such a sleep.
    fn contended(&self) {}
}

/// The lock is held by the caller now; what does it protect?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Taken {
    /// The previous owner unlocked it.
    Consistent,
    /// An owner died holding it, and nobody has called [`Word::mark_consistent`] since.
    OwnerDied,
}

/// Why the lock is not held by the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    GaveUp(GaveUp),
    Corrupt,
}

/// What a word says at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Free {
        inconsistent: bool,
    },
    Held {
        by: Owner,
        inconsistent: bool,
        has_waiters: bool,
    },
    Impossible,
}

/// The lock itself. All zero is free, so fresh shared memory is full of free locks.
#[repr(transparent)]
pub(crate) struct Word(
    /// ```text
    ///  31            30        29 ........ 10   9 ...... 0
    /// +--------------+---------+---------------+-----------+
    /// | INCONSISTENT | WAITERS |  generation   |   slot    |
    /// +--------------+---------+---------------+-----------+
    ///
    ///  INC WAIT OWNER |
    ///   0   0    -    | free
    ///   1   0    -    | free, left inconsistent: the next owner is told
    ///   0   0    A    | held by A
    ///   0   1    A    | held by A, somebody may be asleep
    ///   1   *    A    | held by A, who has not vouched for the contents yet
    ///   *   1    -    | impossible: unlocking takes the bit away, setting it needs an owner
    ///
    ///  free       -> held by me        CAS by anybody, INC is kept
    ///  held       -> held, WAIT        CAS by a waiter before it sleeps
    ///  held by A  -> free              swap by A, which wakes one if WAIT was set
    ///  held by A  -> held by B, INC    CAS by B, once the roster says that A is dead
    ///  INC        -> not INC           by the owner only
    /// ```
    AtomicU32,
);

impl Word {
    #[cfg(loom)]
    pub(crate) fn new() -> Word {
        Word(AtomicU32::new(0))
    }

    /// Takes the lock, waiting for it as long as `patience` lasts.
    #[inline]
    pub(crate) fn lock(
        &self,
        me: Owner,
        roster: &impl Liveness,
        patience: &mut impl Patience,
    ) -> Result<Taken, Refused> {
        if self.replace(0, me.bits()).is_ok() {
            return Ok(Taken::Consistent);
        }
        self.lock_slow(me, roster, patience)
    }

    /// Takes the lock if it is free, consistent, and nobody is quicker.
    #[inline]
    pub(crate) fn grab(&self, me: Owner) -> bool {
        self.replace(0, me.bits()).is_ok()
    }

    /// Takes the lock if it is free or its owner is dead, and says `None` if it is held.
    #[inline]
    pub(crate) fn try_lock(
        &self,
        me: Owner,
        roster: &impl Liveness,
    ) -> Result<Option<Taken>, Refused> {
        if self.replace(0, me.bits()).is_ok() {
            return Ok(Some(Taken::Consistent));
        }
        match self.locking(me, roster).attempt(Look::POLL) {
            Step::Done(taken) => taken.map(Some),
            Step::Sleep { .. } => Ok(None),
        }
    }

    /// Gives the lock back and wakes one waiter. Only the owner may call this, once.
    ///
    /// With `consistent` false the next owner is told what this one was told.
    #[inline]
    pub(crate) fn unlock(&self, consistent: bool) {
        if self.release(consistent) {
            self.wake_one();
        }
    }

    /// [`unlock`](Word::unlock) where it is rare: a call, and not its code.
    #[cold]
    pub(crate) fn unlock_cold(&self) {
        self.unlock(true);
    }

    /// The first half of [`unlock`](Word::unlock); says whether the second is needed. A process
    /// killed between the two leaves the sleepers to their slices.
    #[inline]
    fn release(&self, consistent: bool) -> bool {
        let left_behind = if consistent { 0 } else { INCONSISTENT };
        // Release: pairs with the acquiring CAS of the next owner. A plain swap forgets nothing:
        // WAITERS travels in its result, and what the other bit has to become the owner knows.
        self.0.swap(left_behind, Ordering::Release) & WAITERS != 0
    }

    #[cold]
    fn wake_one(&self) {
        shared_futex::wake(&self.0, 1);
    }

    /// The owner vouches for what the lock protects.
    pub(crate) fn mark_consistent(&self) {
        // Relaxed: the repairs are published by the unlock, and if the owner dies before it the
        // next one is told of a death anyway.
        self.0.fetch_and(!INCONSISTENT, Ordering::Relaxed);
    }

    /// What the word says now; it may be outdated when the caller reads the answer.
    pub(crate) fn state(&self) -> State {
        decode(self.look())
    }

    #[cold]
    fn lock_slow(
        &self,
        me: Owner,
        roster: &impl Liveness,
        patience: &mut impl Patience,
    ) -> Result<Taken, Refused> {
        wait::wait(&mut self.locking(me, roster), patience).unwrap_or_else(|why| Err(why.into()))
    }

    /// What it takes to lock, as something that can be waited for in any way.
    pub(crate) fn locking<'w, 'l, L: Liveness>(
        &'w self,
        me: Owner,
        roster: &'l L,
    ) -> Locking<'w, 'l, L> {
        Locking {
            word: self,
            me,
            roster,
            debt: 0,
        }
    }

    /// The word itself, to sleep on.
    pub(crate) fn raw(&self) -> &AtomicU32 {
        &self.0
    }

    /// Acquire, so that whoever reads an owner's name also sees that it was issued.
    fn look(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn take_free(&self, seen: u32, me: Owner, debt: u32) -> Result<Taken, u32> {
        let taken = if seen & INCONSISTENT == 0 {
            Taken::Consistent
        } else {
            Taken::OwnerDied
        };
        self.replace(seen, me.bits() | debt | seen & INCONSISTENT)?;
        Ok(taken)
    }

    /// `seen` names a dead owner. Among those who know, the word itself elects one.
    fn take_from_the_dead(&self, seen: u32, me: Owner) -> Result<Taken, u32> {
        // WAITERS, because there may be others, and it is cheaper to wake nobody than to find out.
        self.replace(seen, me.bits() | WAITERS | INCONSISTENT)?;
        Ok(Taken::OwnerDied)
    }

    /// Sets the bit that makes the owner wake somebody, and says what the word holds then.
    fn announce(&self, seen: u32) -> Result<u32, u32> {
        let announced = seen | WAITERS;
        if announced != seen {
            self.replace(seen, announced)?;
        }
        Ok(announced)
    }

    /// One compare-and-swap; the error is what the word holds instead.
    #[inline]
    fn replace(&self, seen: u32, new: u32) -> Result<(), u32> {
        // Acquire: pairs with the swap in `release`, and for a dead owner with nothing: what it wrote
        // before it was killed is as uncertain as the error says. On failure as in `look`. Release:
        // publishes the roster's entry behind `new` to whoever reads the name.
        self.0
            .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

/// What who has slept owes to others who sleep.
#[derive(Clone, Copy, Default)]
pub(crate) struct Debt(u32);

/// A caller on its way to the lock.
pub(crate) struct Locking<'w, 'l, L> {
    word: &'w Word,
    me: Owner,
    roster: &'l L,
    /// [`WAITERS`] from the first sleep on: see point 2 at the top of this file.
    debt: u32,
}

impl<'w, L: Liveness> Operation<'w> for Locking<'w, '_, L> {
    type Output = Result<Taken, Refused>;

    fn attempt(&mut self, look: Look) -> Step<'w, Self::Output> {
        let word = self.word;
        let mut seen = word.look();
        loop {
            let attempt = match decode(seen) {
                State::Free { .. } => word.take_free(seen, self.me, self.debt),
                // Once for each owner: a change of the word begins this again.
                State::Held { by, .. } if look.suspicious => match self.roster.verdict(by) {
                    Verdict::Dead => word.take_from_the_dead(seen, self.me),
                    Verdict::Alive => match self.stay(seen, look) {
                        Ok(step) => return step,
                        Err(newer) => Err(newer),
                    },
                    Verdict::NeverIssued => return Step::Done(Err(Refused::Corrupt)),
                },
                State::Held { .. } => match self.stay(seen, look) {
                    Ok(step) => return step,
                    Err(newer) => Err(newer),
                },
                State::Impossible => return Step::Done(Err(Refused::Corrupt)),
            };
            match attempt {
                Ok(taken) => {
                    if self.debt != 0 {
                        self.roster.contended();
                    }
                    return Step::Done(Ok(taken));
                }
                Err(newer) => seen = newer,
            }
        }
    }
}

impl<'w, L: Liveness> Locking<'w, '_, L> {
    /// One who has slept before, under another name perhaps, and owes what it owed.
    pub(crate) fn owing(self, debt: Debt) -> Self {
        Locking {
            debt: debt.0,
            ..self
        }
    }

    pub(crate) fn debt(&self) -> Debt {
        Debt(self.debt)
    }

    /// The lock is another's. Who has slept leaves the bit to others, also if it gives up now; who
    /// never did owes nobody one.
    fn stay(&mut self, seen: u32, look: Look) -> Result<Step<'w, Result<Taken, Refused>>, u32> {
        let mut expected = seen;
        if look.announce || self.debt != 0 {
            expected = self.word.announce(seen)?;
            self.debt = WAITERS;
            if expected != seen {
                self.roster.contended();
            }
        }
        Ok(Step::Sleep {
            word: &self.word.0,
            expected,
            // Who finds sleepers joins them: the lock is not one of those held briefly.
            is_brief: seen & WAITERS == 0,
        })
    }
}

impl From<GaveUp> for Refused {
    fn from(why: GaveUp) -> Refused {
        Refused::GaveUp(why)
    }
}

impl State {
    pub(crate) fn owner(self) -> Option<Owner> {
        match self {
            State::Held { by, .. } => Some(by),
            _ => None,
        }
    }

    pub(crate) fn has_waiters(self) -> bool {
        matches!(
            self,
            State::Held {
                has_waiters: true,
                ..
            }
        )
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

fn decode(word: u32) -> State {
    let inconsistent = word & INCONSISTENT != 0;
    match Owner::from_bits(word & OWNER) {
        Some(by) => State::Held {
            by,
            inconsistent,
            has_waiters: word & WAITERS != 0,
        },
        None if word & !INCONSISTENT == 0 => State::Free { inconsistent },
        None => State::Impossible,
    }
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model;
