//! Guards that own a share of their [`RwLock`] instead of borrowing it.
//!
//! They are for what outlives a borrow: spawned tasks, structures that keep a guard. Since such a guard
//! moves about, no thread is named as its owner, and one type serves threads and tasks.

use super::RwLock;
use super::raw::{READER, shut_to_readers};
use super::request::{ReadRequest, WriteRequest, run_within};
use crate::GaveUp;
use crate::wait::{Limit, TASK, WaitFuture};
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

/// Guards that keep the lock alive, for a lock in an [`Arc`].
impl<T: ?Sized> RwLock<T> {
    /// As [`read`](RwLock::read), with a guard that owns a share of the lock.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    ///
    /// ```
    /// use latchwork::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// let lock = Arc::new(RwLock::new(7));
    /// let guard = lock.read_owned();
    /// drop(lock);
    /// let there = std::thread::spawn(move || *guard);
    /// assert_eq!(there.join().unwrap(), 7);
    /// ```
    #[inline]
    #[track_caller]
    #[doc(alias = "read_arc")]
    pub fn read_owned(self: &Arc<Self>) -> OwnedReadGuard<T> {
        self.raw.read(Location::caller());
        OwnedReadGuard::new(Arc::clone(self))
    }

    /// As [`try_read`](RwLock::try_read), with a guard that owns a share of the lock.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    pub fn try_read_owned(self: &Arc<Self>) -> Option<OwnedReadGuard<T>> {
        self.raw
            .try_read(shut_to_readers)
            .then(|| OwnedReadGuard::new(Arc::clone(self)))
    }

    /// As [`read_within`](RwLock::read_within), with a guard that owns a share of the lock.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[track_caller]
    pub fn read_owned_within<'l>(
        self: &Arc<Self>,
        limit: impl Into<Limit<'l>>,
    ) -> Result<OwnedReadGuard<T>, GaveUp> {
        let request = ReadRequest::new(&self.raw);
        run_within(request, &limit.into(), Location::caller())?;
        Ok(OwnedReadGuard::new(Arc::clone(self)))
    }

    /// As [`read_async`](RwLock::read_async), with a guard that owns a share of the lock.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[track_caller]
    pub fn read_owned_async(self: &Arc<Self>) -> impl Future<Output = OwnedReadGuard<T>> {
        let request = WaitFuture::new(ReadRequest::new(&self.raw));
        async move {
            request.await;
            OwnedReadGuard::new(Arc::clone(self))
        }
    }

    /// As [`write`](RwLock::write), with a guard that owns a share of the lock and may leave the thread.
    #[inline]
    #[track_caller]
    #[doc(alias = "write_arc")]
    pub fn write_owned(self: &Arc<Self>) -> OwnedWriteGuard<T> {
        self.raw.write(TASK, Location::caller());
        OwnedWriteGuard::new(Arc::clone(self))
    }

    /// As [`try_write`](RwLock::try_write), with a guard that owns a share of the lock and may leave the
    /// thread.
    pub fn try_write_owned(self: &Arc<Self>) -> Option<OwnedWriteGuard<T>> {
        self.raw
            .try_write(TASK)
            .then(|| OwnedWriteGuard::new(Arc::clone(self)))
    }

    /// As [`write_within`](RwLock::write_within), with a guard that owns a share of the lock and may
    /// leave the thread.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    #[track_caller]
    pub fn write_owned_within<'l>(
        self: &Arc<Self>,
        limit: impl Into<Limit<'l>>,
    ) -> Result<OwnedWriteGuard<T>, GaveUp> {
        let request = WriteRequest::new(&self.raw, TASK).patient();
        run_within(request, &limit.into(), Location::caller())?;
        Ok(OwnedWriteGuard::new(Arc::clone(self)))
    }

    /// As [`write_async`](RwLock::write_async), with a guard that owns a share of the lock.
    #[track_caller]
    pub fn write_owned_async(self: &Arc<Self>) -> impl Future<Output = OwnedWriteGuard<T>> {
        let request = WaitFuture::new(WriteRequest::new(&self.raw, TASK));
        async move {
            request.await;
            OwnedWriteGuard::new(Arc::clone(self))
        }
    }
}

/// The right to read, and a share of the [`RwLock`]; dropping it gives both back.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct OwnedReadGuard<T: ?Sized> {
    lock: Arc<RwLock<T>>,
}

impl<T: ?Sized> OwnedReadGuard<T> {
    /// The guard of a lock that has just let a reader in.
    fn new(lock: Arc<RwLock<T>>) -> OwnedReadGuard<T> {
        OwnedReadGuard { lock }
    }
}

impl<T: ?Sized> Deref for OwnedReadGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that nobody writes.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> Drop for OwnedReadGuard<T> {
    fn drop(&mut self) {
        self.lock.raw.unlock_read();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The right to write, and a share of the [`RwLock`]; dropping it gives both back.
///
/// The lock says "a task" of its owner, because the guard may be dropped in another thread than took it.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct OwnedWriteGuard<T: ?Sized> {
    lock: Arc<RwLock<T>>,
}

impl<T: ?Sized> OwnedWriteGuard<T> {
    /// The guard of a lock that has just let a writer in.
    fn new(lock: Arc<RwLock<T>>) -> OwnedWriteGuard<T> {
        OwnedWriteGuard { lock }
    }

    /// Goes on as a reader; nobody can write in between. Readers who wait are let in.
    pub fn downgrade(guard: Self) -> OwnedReadGuard<T> {
        let guard = ManuallyDrop::new(guard);
        // SAFETY: the guard is not used again, nor dropped.
        let lock = unsafe { ptr::read(&guard.lock) };
        lock.raw.step_down(TASK, READER);
        OwnedReadGuard::new(lock)
    }
}

impl<T: ?Sized> Deref for OwnedWriteGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that nobody else is inside.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for OwnedWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that nobody else is inside, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for OwnedWriteGuard<T> {
    fn drop(&mut self) {
        self.lock.raw.unlock_write(TASK);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
