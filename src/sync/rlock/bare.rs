//! The forms without a guard, for a lock without a value: taken here, left there.
//!
//! A level that is left by hand may be one that a guard stands for. With `()` inside there is nothing
//! that the guard could still reach, and its drop asks who the owner is before it touches the depth
//! ([`RawRLock::leave`](super::RawRLock::leave)); so the worst that can come of it is a lock that is
//! free too early. Hence these are methods of `RLock<()>` alone.

use super::RLock;
use crate::GaveUp;
use crate::wait::Limit;
use std::error::Error;
use std::fmt;
use std::panic::Location;

impl RLock<()> {
    /// As [`lock`](RLock::lock), without a guard: [`release`](RLock::release) leaves the level.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    ///
    /// ```
    /// use latchwork::sync::{NotOwner, RLock};
    ///
    /// static TURN: RLock<()> = RLock::new(());
    ///
    /// TURN.acquire();
    /// assert!(TURN.try_acquire());
    /// assert_eq!(TURN.depth(), 2);
    /// assert_eq!(TURN.release(), Ok(()));
    /// assert_eq!(TURN.release(), Ok(()));
    /// assert_eq!(TURN.release(), Err(NotOwner));
    /// ```
    #[track_caller]
    pub fn acquire(&self) {
        self.raw.lock(Location::caller()).keep();
    }

    /// Takes the lock if it is free or the current thread's; returns whether it did.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    pub fn try_acquire(&self) -> bool {
        self.raw.try_lock().map(|level| level.keep()).is_some()
    }

    /// Takes the lock; blocks at most as long as `limit` says, and never blocks its owner.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    #[track_caller]
    pub fn acquire_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.raw
            .lock_within(&limit.into(), Location::caller())?
            .keep();
        Ok(())
    }

    /// Leaves one level of the current thread; with the last one the lock is free.
    ///
    /// Levels are only counted. A call that has no `acquire` to match takes the level of a guard,
    /// whose drop then does nothing if the lock is not this thread's any more.
    ///
    /// # Errors
    ///
    /// When the current thread does not hold the lock; nothing has changed then.
    pub fn release(&self) -> Result<(), NotOwner> {
        let owner = crate::platform::thread_id();
        self.raw.leave(owner).then_some(()).ok_or(NotOwner)
    }
}

/// A lock was to be released by a thread that does not hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the current thread does not hold the lock")
    }
}

impl Error for NotOwner {}
