//! Guards that own a share of their lock instead of borrowing it: what a spawned task can keep.
//!
//! The promise of [`OwnedLockGuard`] is that of [`LockGuard`](super::LockGuard), with an `Arc` in
//! the place of the reference; so are its variance, its `Send` and its `Sync`.

use super::holder::Id;
use super::indirect::{Beside, Indirect};
use super::{ByTask, ByThread, Holder, Lock, RawLock};
use crate::GaveUp;
use crate::wait::{Limit, WaitFuture};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

/// The right to use what a shared [`Lock`] protects; dropping it frees the lock.
///
/// From [`Lock::lock_owned`]. It borrows nothing, so it can be kept in a struct beside the lock. It
/// stays in its thread; a task's is an [`OwnedTaskLockGuard`].
#[must_use = "the lock is freed at once if the guard is not kept"]
#[doc(alias = "ArcMutexGuard")]
#[doc(alias = "OwnedMutexGuard")]
pub struct OwnedLockGuard<T: ?Sized, H: Holder = ByThread> {
    lock: Arc<Lock<T>>,
    by: H,
}

/// The right to use what a shared [`Lock`] protects, held by a task.
///
/// From [`Lock::lock_owned_async`]. It is `Send` and borrows nothing: a spawned task may keep it
/// across an `.await`, hand it to another task, and drop it anywhere.
pub type OwnedTaskLockGuard<T> = OwnedLockGuard<T, ByTask>;

// SAFETY: a shared guard gives `&T` only. (Whoever lets it give its lock must ask for `T: Send` too.)
unsafe impl<T: ?Sized + Sync, H: Holder + Sync> Sync for OwnedLockGuard<T, H> {}

/// With the lock in an [`Arc`]: guards that keep it alive.
impl<T: ?Sized> Lock<T> {
    /// As [`lock`](Lock::lock), with a guard that shares the lock instead of borrowing it.
    ///
    /// Costs a count up and down more than `lock`.
    ///
    /// ```
    /// use latchwork::sync::{Lock, OwnedLockGuard};
    /// use std::sync::Arc;
    ///
    /// struct Session {
    ///     log: OwnedLockGuard<Vec<String>>,
    /// }
    /// let log = Arc::new(Lock::new(Vec::new()));
    /// let mut session = Session { log: log.lock_owned() };
    /// session.log.push("begun".into());
    /// assert!(log.is_locked());
    /// drop(session);
    /// assert_eq!(*log.lock(), ["begun"]);
    /// ```
    #[inline]
    #[track_caller]
    #[doc(alias = "lock_arc")]
    pub fn lock_owned(self: &Arc<Self>) -> OwnedLockGuard<T> {
        let by = ByThread::current();
        self.raw.lock(by.id(), Location::caller());
        OwnedLockGuard::new(self, by)
    }

    /// As [`try_lock`](Lock::try_lock), with a guard that shares the lock.
    #[inline]
    #[doc(alias = "try_lock_arc")]
    pub fn try_lock_owned(self: &Arc<Self>) -> Option<OwnedLockGuard<T>> {
        let by = ByThread::current();
        self.raw
            .try_lock(by.id())
            .then(|| OwnedLockGuard::new(self, by))
    }

    /// As [`lock_within`](Lock::lock_within), with a guard that shares the lock.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    #[inline]
    #[track_caller]
    pub fn lock_owned_within<'l>(
        self: &Arc<Self>,
        limit: impl Into<Limit<'l>>,
    ) -> Result<OwnedLockGuard<T>, GaveUp> {
        let by = ByThread::current();
        self.raw
            .lock_within(by.id(), &limit.into(), Location::caller())?;
        Ok(OwnedLockGuard::new(self, by))
    }

    /// As [`lock_async`](Lock::lock_async), with a future and a guard that share the lock: both can
    /// go into a spawned task, and from one task to another.
    ///
    /// ```
    /// use latchwork::sync::{Lock, OwnedTaskLockGuard};
    /// use std::sync::Arc;
    ///
    /// fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    ///     # let _ = task;
    ///     // Your runtime's.
    /// }
    /// let stock = Arc::new(Lock::new(3));
    /// let taken = stock.lock_owned_async();
    /// spawn(async move {
    ///     let mut stock: OwnedTaskLockGuard<i32> = taken.await;
    ///     *stock -= 1;
    /// });
    /// ```
    #[track_caller]
    pub fn lock_owned_async(
        self: &Arc<Self>,
    ) -> impl Future<Output = OwnedTaskLockGuard<T>> + use<T> {
        let lock = Arc::clone(self);
        // SAFETY: the word lives as long as the `Arc` beside it, which goes after the request does.
        let word: &'static RawLock = unsafe { &*ptr::from_ref(&self.raw) };
        let request = WaitFuture::new(Indirect::new(word, Arc::clone(self)));
        async move {
            request.await;
            OwnedLockGuard {
                lock,
                by: ByTask::HOLDER,
            }
        }
    }
}

/// Keeps the lock alive while a task waits for it.
impl<T: ?Sized> Beside<'static> for Arc<Lock<T>> {
    fn taken(&mut self) -> Option<&'static RawLock> {
        None
    }
}

impl<T: ?Sized, H: Holder> OwnedLockGuard<T, H> {
    /// The guard of a lock that has just been taken for `by`, once.
    #[inline]
    fn new(lock: &Arc<Lock<T>>, by: H) -> OwnedLockGuard<T, H> {
        let lock = Arc::clone(lock);
        OwnedLockGuard { lock, by }
    }
}

impl<T: ?Sized, H: Holder> Deref for OwnedLockGuard<T, H> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that the lock is ours.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized, H: Holder> DerefMut for OwnedLockGuard<T, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that the lock is ours, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized, H: Holder> Drop for OwnedLockGuard<T, H> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock(self.by.id());
    }
}

impl<T: ?Sized + fmt::Debug, H: Holder> fmt::Debug for OwnedLockGuard<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
