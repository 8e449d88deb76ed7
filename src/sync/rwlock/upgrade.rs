//! The reader that may become the writer.

use super::RwLock;
use super::guard::{ReadGuard, TaskWriteGuard, WriteGuard};
use super::raw::UPGRADABLE;
use super::request::{ReadRequest, WriteRequest, run, run_within};
use crate::GaveUp;
use crate::sync::lock::{ByTask, ByThread, Holder, Id};
use crate::wait::{Limit, WaitFuture};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::Deref;
use std::panic::Location;

/// Reading with the right to write later. One at a time, beside any number of readers.
impl<T: ?Sized> RwLock<T> {
    /// Blocks until no writer and no other upgradable reader is inside or before us; then reads.
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) -> UpgradableGuard<'_, T> {
        run(ReadRequest::upgradable(&self.raw), Location::caller());
        UpgradableGuard { lock: self }
    }

    /// Reads with the right to write later, if that is possible at once; never blocks.
    #[inline]
    pub fn try_upgradable_read(&self) -> Option<UpgradableGuard<'_, T>> {
        self.raw
            .try_upgradable()
            .then(|| UpgradableGuard { lock: self })
    }

    /// Reads with the right to write later; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    #[inline]
    #[track_caller]
    pub fn upgradable_read_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<UpgradableGuard<'_, T>, GaveUp> {
        let request = ReadRequest::upgradable(&self.raw);
        run_within(request, &limit.into(), Location::caller())?;
        Ok(UpgradableGuard { lock: self })
    }

    /// Reads with the right to write later, without blocking a thread.
    ///
    /// Dropping the future before it resolves gives up.
    #[track_caller]
    pub fn upgradable_read_async(&self) -> impl Future<Output = UpgradableGuard<'_, T>> {
        let request = WaitFuture::new(ReadRequest::upgradable(&self.raw));
        async move {
            request.await;
            UpgradableGuard { lock: self }
        }
    }
}

/// The right to read what an [`RwLock`] protects, and to write as soon as the other readers have left.
///
/// It may be kept across an `.await` and dropped in another thread.
///
/// ```
/// use latchwork::sync::{RwLock, UpgradableGuard};
///
/// let lock = RwLock::new(1);
/// let reader = lock.read();
/// let guard = lock.upgradable_read();
/// let guard = UpgradableGuard::try_upgrade(guard).expect_err("somebody else reads");
/// drop(reader);
/// *UpgradableGuard::upgrade(guard) = 2;
/// assert_eq!(*lock.read(), 2);
/// ```
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct UpgradableGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> UpgradableGuard<'a, T> {
    /// Blocks until the other readers have left, and writes. Nobody can write in between.
    ///
    /// While it waits no new reader enters, so it waits for those who are inside only (and for
    /// [`read_recursive`](RwLock::read_recursive)). If one of them is this thread, that is for ever.
    #[inline]
    #[track_caller]
    pub fn upgrade(guard: Self) -> WriteGuard<'a, T> {
        let by = ByThread::current();
        run(guard.request(by.id()), Location::caller());
        WriteGuard::new(guard.into_lock(), by)
    }

    /// Writes if nobody else reads; never blocks.
    ///
    /// # Errors
    ///
    /// The guard, if somebody else reads.
    #[inline]
    pub fn try_upgrade(guard: Self) -> Result<WriteGuard<'a, T>, Self> {
        let by = ByThread::current();
        if guard.lock.raw.try_upgrade(by.id()) {
            Ok(WriteGuard::new(guard.into_lock(), by))
        } else {
            Err(guard)
        }
    }

    /// Writes as soon as the other readers have left; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up, and the guard. Readers that it kept out are let in.
    #[inline]
    #[track_caller]
    pub fn upgrade_within<'l>(
        guard: Self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<WriteGuard<'a, T>, UpgradeError<'a, T>> {
        let by = ByThread::current();
        match run_within(
            guard.request(by.id()).patient(),
            &limit.into(),
            Location::caller(),
        ) {
            Ok(()) => Ok(WriteGuard::new(guard.into_lock(), by)),
            Err(why) => Err(UpgradeError { guard, why }),
        }
    }

    /// Writes as soon as the other readers have left, without blocking a thread.
    ///
    /// Dropping the future before it resolves gives the guard back to the lock.
    #[track_caller]
    pub fn upgrade_async(guard: Self) -> impl Future<Output = TaskWriteGuard<'a, T>> {
        let request = WaitFuture::new(guard.lock.raw_upgrade(ByTask::HOLDER.id()));
        async move {
            // Declared before the request is awaited, so dropped after it has left the line.
            let guard = guard;
            request.await;
            WriteGuard::new(guard.into_lock(), ByTask::HOLDER)
        }
    }

    /// Goes on as a plain reader; another reader may become upgradable.
    pub fn downgrade(guard: Self) -> ReadGuard<'a, T> {
        let lock = guard.into_lock();
        lock.raw.upgradable_to_read();
        ReadGuard::new(lock)
    }

    fn request(&self, owner: u32) -> WriteRequest<'a> {
        self.lock.raw_upgrade(owner)
    }

    /// The lock, which stays locked.
    fn into_lock(self) -> &'a RwLock<T> {
        let lock = self.lock;
        mem::forget(self);
        lock
    }
}

impl<T: ?Sized> RwLock<T> {
    fn raw_upgrade(&self, owner: u32) -> WriteRequest<'_> {
        WriteRequest::upgrade(&self.raw, owner)
    }
}

impl<'a, T: ?Sized, H: Holder> WriteGuard<'a, T, H> {
    /// Goes on as the upgradable reader; nobody can write in between. Readers who wait are let in.
    pub fn downgrade_to_upgradable(guard: Self) -> UpgradableGuard<'a, T> {
        let (lock, holder) = guard.into_parts();
        lock.raw.step_down(holder.id(), UPGRADABLE);
        UpgradableGuard { lock }
    }
}

impl<T: ?Sized> Deref for UpgradableGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that nobody writes.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> Drop for UpgradableGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock_upgradable();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for UpgradableGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An upgrade gave up: the guard is as it was, and this is why.
pub struct UpgradeError<'a, T: ?Sized> {
    /// The guard that was to be upgraded.
    pub guard: UpgradableGuard<'a, T>,
    /// Why it was not.
    pub why: GaveUp,
}

impl<T: ?Sized> fmt::Debug for UpgradeError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeError")
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> fmt::Display for UpgradeError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<T: ?Sized> Error for UpgradeError<'_, T> {}
