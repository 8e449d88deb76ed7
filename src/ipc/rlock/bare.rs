//! The forms without a guard: taken here, left there.
//!
//! A level that is left by hand may be one that a guard stands for. The guard's drop asks who the owner
//! is before it leaves, so the worst that can come of it is a lock that is free too early.

use super::RLock;
use crate::Limit;
use crate::ipc::LockError;
use crate::sync::NotOwner;

/// Without guards.
impl RLock {
    /// As [`lock`](RLock::lock), without a guard: [`release`](RLock::release) leaves the level.
    ///
    /// # Errors
    ///
    /// As for [`lock`](RLock::lock). After [`OwnerDied`](LockError::OwnerDied) the level *is* taken;
    /// look at what the lock protects, and [vouch](RLock::mark_consistent) for it.
    ///
    /// ```
    /// use latchwork::ipc::RLock;
    /// use latchwork::sync::NotOwner;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let turn = RLock::new()?;
    /// turn.acquire().unwrap();
    /// assert!(turn.try_acquire().unwrap());
    /// assert_eq!(turn.release(), Ok(()));
    /// assert_eq!(turn.release(), Ok(()));
    /// assert_eq!(turn.release(), Err(NotOwner));
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self) -> Result<(), LockError<()>> {
        self.acquire_within(Limit::none())
    }

    /// As [`try_lock`](RLock::try_lock), without a guard; says whether the level was taken.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](RLock::acquire).
    pub fn try_acquire(&self) -> Result<bool, LockError<()>> {
        match self.try_take()? {
            None => Ok(false),
            Some(true) => Ok(true),
            Some(false) => Err(LockError::OwnerDied(())),
        }
    }

    /// As [`lock_within`](RLock::lock_within), without a guard.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for
    /// [`acquire`](RLock::acquire).
    pub fn acquire_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), LockError<()>> {
        if self.take(limit.into())? {
            Ok(())
        } else {
            Err(LockError::OwnerDied(()))
        }
    }

    /// Leaves one level of the current thread; with the last one the lock is free.
    ///
    /// Levels are only counted. A call that has no `acquire` to match takes the level of a guard,
    /// whose drop then does nothing if the lock is not this thread's any more.
    ///
    /// # Errors
    ///
    /// When the current thread does not hold the lock, whether nobody does, another thread or another
    /// process; nothing has changed then.
    pub fn release(&self) -> Result<(), NotOwner> {
        match self.leave(1) {
            0 => Err(NotOwner),
            _ => Ok(()),
        }
    }

    /// Vouches for what the lock protects, after an [owner's death](LockError::OwnerDied).
    ///
    /// # Errors
    ///
    /// When the current thread does not hold the lock; nothing has changed then.
    pub fn mark_consistent(&self) -> Result<(), NotOwner> {
        if !self.is_owned() {
            return Err(NotOwner);
        }
        self.0.word().mark_consistent();
        Ok(())
    }
}
