//! Why a lock between processes was not simply granted.

use crate::GaveUp;
use crate::shm::refusal::Refusal;
use std::error::Error;
use std::fmt;
use std::io;

/// What else can happen when an object of [`ipc`](crate::ipc) is locked.
///
/// `G` is the guard: [`OwnerDied`](LockError::OwnerDied) *is* a successful acquisition, wrapped so
/// that it cannot be mistaken for an ordinary one. Dropping the error unlocks.
///
/// ```
/// use latchwork::ipc::{Lock, LockError};
///
/// # fn main() -> std::io::Result<()> {
/// let lock = Lock::new()?;
/// let guard = match lock.lock() {
///     Ok(guard) => guard,
///     Err(LockError::OwnerDied(mut guard)) => {
///         // ... put right what the dead process may have left half-done ...
///         guard.mark_consistent();
///         guard
///     }
///     Err(other) => panic!("{other}"),
/// };
/// # drop(guard);
/// # Ok(())
/// # }
/// ```
#[non_exhaustive]
#[must_use]
pub enum LockError<G> {
    /// The lock is held now, and an owner before died holding it.
    ///
    /// What it protects may be half-changed. Everybody who locks gets this until one calls
    /// `mark_consistent` on the guard.
    #[doc(alias = "EOWNERDEAD")]
    OwnerDied(G),
    /// The limit was reached; the lock is not held and nothing has changed.
    GaveUp(GaveUp),
    /// The lock's memory holds what no participant can have written.
    Corrupt,
    /// The process that made the object has dropped it.
    Gone,
    /// This process cannot take part: the tree has no room for another process, or the system
    /// refused it the record lock by which others would know it alive.
    Unlisted(io::Error),
}

impl<G> LockError<G> {
    /// The guard, if the lock is held.
    pub fn into_guard(self) -> Option<G> {
        match self {
            LockError::OwnerDied(guard) => Some(guard),
            _ => None,
        }
    }

    /// Why the call gave up, if it did.
    pub fn gave_up(&self) -> Option<GaveUp> {
        match self {
            LockError::GaveUp(why) => Some(*why),
            _ => None,
        }
    }

    /// The same error about another kind of guard.
    pub(crate) fn map<H>(self, guard: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            LockError::OwnerDied(held) => LockError::OwnerDied(guard(held)),
            LockError::GaveUp(why) => LockError::GaveUp(why),
            LockError::Corrupt => LockError::Corrupt,
            LockError::Gone => LockError::Gone,
            LockError::Unlisted(error) => LockError::Unlisted(error),
        }
    }
}

/// Why an operation on an object of [`ipc`](crate::ipc) that is no lock did not take place.
#[non_exhaustive]
#[derive(Debug)]
pub enum AccessError {
    /// The limit was reached; nothing has changed.
    GaveUp(GaveUp),
    /// The object's memory holds what no participant can have written.
    Corrupt,
    /// The process that made the object has dropped it.
    Gone,
    /// This process cannot take part: the tree has no room for another process, or the system
    /// refused it the record lock by which others would know it alive.
    Unlisted(io::Error),
}

impl AccessError {
    /// Why the call gave up, if it did.
    pub fn gave_up(&self) -> Option<GaveUp> {
        match self {
            AccessError::GaveUp(why) => Some(*why),
            _ => None,
        }
    }
}

impl From<Refusal> for AccessError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::GaveUp(why) => AccessError::GaveUp(why),
            Refusal::Corrupt => AccessError::Corrupt,
            Refusal::Gone => AccessError::Gone,
            Refusal::Unlisted(error) => AccessError::Unlisted(error),
        }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::GaveUp(why) => why.fmt(f),
            AccessError::Corrupt => f.write_str(CORRUPT),
            AccessError::Gone => f.write_str(GONE),
            AccessError::Unlisted(_) => f.write_str(UNLISTED),
        }
    }
}

impl Error for AccessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            AccessError::GaveUp(why) => Some(why),
            AccessError::Unlisted(error) => Some(error),
            _ => None,
        }
    }
}

const CORRUPT: &str = "the shared memory of this object is corrupt";
const GONE: &str = "the object was dropped by the process that made it";
const UNLISTED: &str = "this process cannot join its tree's roster";

impl<G> From<Refusal> for LockError<G> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::GaveUp(why) => LockError::GaveUp(why),
            Refusal::Corrupt => LockError::Corrupt,
            Refusal::Gone => LockError::Gone,
            Refusal::Unlisted(error) => LockError::Unlisted(error),
        }
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            LockError::GaveUp(why) => f.debug_tuple("GaveUp").field(why).finish(),
            LockError::Corrupt => f.write_str("Corrupt"),
            LockError::Gone => f.write_str("Gone"),
            LockError::Unlisted(error) => f.debug_tuple("Unlisted").field(error).finish(),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("a process died holding this lock"),
            LockError::GaveUp(why) => why.fmt(f),
            LockError::Corrupt => f.write_str(CORRUPT),
            LockError::Gone => f.write_str(GONE),
            LockError::Unlisted(_) => f.write_str(UNLISTED),
        }
    }
}

impl<G> Error for LockError<G> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LockError::GaveUp(why) => Some(why),
            LockError::Unlisted(error) => Some(error),
            _ => None,
        }
    }
}
