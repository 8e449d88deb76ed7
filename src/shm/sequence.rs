//! A number that grows: those who wait for what it counts sleep until it has grown.
//!
//! Invariant: it is changed only under the lock of what it belongs to, and a sleeper has set
//! [`SLEEPERS`] in the value it sleeps on. So whoever changes something and lets the number grow,
//! both under the lock, is seen by those who were about to sleep (the futex compares the whole
//! word), and knows whether there may be anybody to wake. Nobody acknowledges a wake-up: a sleeper
//! that is killed costs nothing, but for one system call too many.
//!
//! A process killed between the change and the wake-up leaves the sleepers to their slices. So does
//! one that is killed between its wake-up and what it wanted to do then: the others find at the end
//! of their slices that the number has grown.
//!
//! Used by the primitives of `ipc`, through `shm::monitor`.

use super::wait::Step;
use crate::platform::atomic::{AtomicU32, Ordering};

/// Somebody may be asleep.
const SLEEPERS: u32 = 1;
/// Belongs to the user of the sequence, and changes together with the number.
const FLAG: u32 = 2;
const ONE: u32 = 4;

/// All zero: nothing has happened, the flag is not set, nobody sleeps.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Sequence(AtomicU32);

/// How far a sequence was at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(u32);

/// Who has to be woken after the lock is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Call {
    Nobody,
    /// So many of those who sleep, or all if they are fewer.
    Some(u32),
    All,
}

impl Sequence {
    #[cfg(loom)]
    pub(crate) fn new() -> Sequence {
        Sequence(AtomicU32::new(0))
    }

    /// How far it is. A sleeper that compares it later needs no lock for this.
    pub(crate) fn ticket(&self) -> Ticket {
        // Acquire: pairs with `put`, for those who look without the lock.
        Ticket(self.0.load(Ordering::Acquire) & !(ONE - 1))
    }

    /// Whether the flag is set; a hint for those who don't hold the lock.
    pub(crate) fn flag(&self) -> bool {
        self.0.load(Ordering::Acquire) & FLAG != 0
    }

    /// The step of an operation that has found nothing, taken under the lock.
    pub(crate) fn sleep<T>(&self, announce: bool) -> Step<'_, T> {
        let seen = self.0.load(Ordering::Relaxed);
        let expected = if announce { seen | SLEEPERS } else { seen };
        if expected != seen {
            self.put(expected);
        }
        Step::Sleep {
            word: &self.0,
            expected,
            is_brief: seen & SLEEPERS == 0,
        }
    }

    /// Something happened that concerns `n` of the sleepers. Under the lock; whom it says to wake is
    /// woken after it.
    pub(crate) fn advance(&self, n: u32) -> Call {
        let seen = self.0.load(Ordering::Relaxed);
        self.put(seen.wrapping_add(ONE));
        match (seen & SLEEPERS, n) {
            (0, _) | (_, 0) => Call::Nobody,
            _ => Call::Some(n),
        }
    }

    /// Something happened that concerns everybody. As [`advance`](Sequence::advance).
    pub(crate) fn advance_all(&self) -> Call {
        let flag = self.0.load(Ordering::Relaxed) & FLAG;
        self.advance_with(flag)
    }

    /// Sets the flag if it is not set, and advances for everybody.
    pub(crate) fn set_flag(&self) -> Option<Call> {
        let seen = self.0.load(Ordering::Relaxed);
        if seen & FLAG == 0 {
            return Some(self.advance_with(FLAG));
        }
        // What this caller did before must be visible, too, to who only looks at the flag.
        self.put(seen);
        None
    }

    /// Takes the flag away, and says whether it was there. Concerns nobody who sleeps.
    pub(crate) fn clear_flag(&self) -> bool {
        let seen = self.0.load(Ordering::Relaxed);
        if seen & FLAG != 0 {
            self.put(seen & !FLAG);
        }
        seen & FLAG != 0
    }

    fn advance_with(&self, flag: u32) -> Call {
        let seen = self.0.load(Ordering::Relaxed);
        let number = seen & !(ONE - 1);
        // All are going to be woken, so nobody is left who would need the bit.
        self.put(number.wrapping_add(ONE) | flag);
        match seen & SLEEPERS {
            0 => Call::Nobody,
            _ => Call::All,
        }
    }

    /// A store and not a read-modify-write: whoever changes the word holds the lock.
    fn put(&self, value: u32) {
        // Release: pairs with the loads of those who look without the lock.
        self.0.store(value, Ordering::Release);
    }

    /// The word, to wake those who sleep on it.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.0
    }
}
