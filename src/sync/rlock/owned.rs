//! [`OwnedRLockGuard`]: one level of an [`RLock`] behind an `Arc`, with a share of it.

use super::{OnlyLevel, RLock, RawRLock};
use crate::GaveUp;
use crate::wait::Limit;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

/// One level of an [`RLock`] held by this thread, with a share of the lock instead of a borrow.
///
/// From [`RLock::lock_owned`]. As a [`RLockGuard`](super::RLockGuard) it stays in its thread.
#[must_use = "the level is left at once if the guard is not kept"]
pub struct OwnedRLockGuard<T: ?Sized> {
    lock: Arc<RLock<T>>,
    owner: u32,
    _of_this_thread: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for OwnedRLockGuard<T> {}

impl<T: ?Sized> RLock<T> {
    /// As [`lock`](RLock::lock), with a guard that keeps the lock alive instead of borrowing it.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    ///
    /// ```
    /// use latchwork::sync::RLock;
    /// use std::sync::Arc;
    ///
    /// let guard = Arc::new(RLock::new(7)).lock_owned();
    /// assert_eq!(*guard, 7);
    /// ```
    #[track_caller]
    #[doc(alias = "lock_arc")]
    pub fn lock_owned(self: &Arc<Self>) -> OwnedRLockGuard<T> {
        self.owned(self.raw.lock(Location::caller()).keep())
    }

    /// As [`try_lock`](RLock::try_lock), with a guard that keeps the lock alive.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    pub fn try_lock_owned(self: &Arc<Self>) -> Option<OwnedRLockGuard<T>> {
        Some(self.owned(self.raw.try_lock()?.keep()))
    }

    /// As [`lock_within`](RLock::lock_within), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    #[track_caller]
    pub fn lock_owned_within<'l>(
        self: &Arc<Self>,
        limit: impl Into<Limit<'l>>,
    ) -> Result<OwnedRLockGuard<T>, GaveUp> {
        let level = self.raw.lock_within(&limit.into(), Location::caller())?;
        Ok(self.owned(level.keep()))
    }

    /// The guard of a level that `owner`, the current thread, has just taken.
    fn owned(self: &Arc<Self>, owner: u32) -> OwnedRLockGuard<T> {
        OwnedRLockGuard {
            lock: Arc::clone(self),
            owner,
            _of_this_thread: PhantomData,
        }
    }
}

impl<T: ?Sized> OwnedRLockGuard<T> {
    /// As [`RLockGuard::only_level`](super::RLockGuard::only_level).
    pub fn only_level(guard: &mut Self) -> OnlyLevel<'_, T> {
        let (raw, owner) = guard.raw();
        OnlyLevel::new(raw, owner, guard)
    }

    /// The lock and the thread that holds it, which is this one.
    pub(in crate::sync) fn raw(&self) -> (&RawRLock, u32) {
        (&self.lock.raw, self.owner)
    }
}

impl<T: ?Sized> Deref for OwnedRLockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T: ?Sized> Drop for OwnedRLockGuard<T> {
    fn drop(&mut self) {
        self.lock.raw.leave(self.owner);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedRLockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
