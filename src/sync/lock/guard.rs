//! The guards of a [`Lock`]: of a thread, and of a task.

use super::{Lock, RawLock};
use crate::wait::TASK;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// The right to use what a [`Lock`] protects; dropping it frees the lock.
///
/// It stays in the thread that took it, because that thread is named in the lock as its owner.
#[must_use = "the lock is freed at once if the guard is not kept"]
pub struct LockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    owner: u32,
    _of_this_thread: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for LockGuard<'_, T> {}

impl<'a, T: ?Sized> LockGuard<'a, T> {
    /// The guard of a lock that `owner`, the current thread, has just taken.
    #[inline]
    pub(super) fn new(lock: &'a Lock<T>, owner: u32) -> LockGuard<'a, T> {
        LockGuard {
            lock,
            owner,
            _of_this_thread: PhantomData,
        }
    }

    /// Frees the lock for the time a condition waits; the caller takes it back before anybody
    /// can use the guard.
    pub(in crate::sync) fn raw(&self) -> (&'a RawLock, u32) {
        (&self.lock.raw, self.owner)
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that the lock is ours.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that the lock is ours, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock(self.owner);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The right to use what a [`Lock`] protects, held by a task instead of a thread.
///
/// From [`Lock::lock_async`]. It may be kept across an `.await` and dropped in another thread.
#[must_use = "the lock is freed at once if the guard is not kept"]
pub struct TaskLockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    /// A guard is a `&mut T` to the compiler: `Send` if `T` is, and `Sync` only if `T` is.
    _value: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized> TaskLockGuard<'a, T> {
    /// The guard of a lock that a task has just taken.
    pub(super) fn new(lock: &'a Lock<T>) -> TaskLockGuard<'a, T> {
        TaskLockGuard {
            lock,
            _value: PhantomData,
        }
    }

    pub(in crate::sync) fn lock(&self) -> &'a Lock<T> {
        self.lock
    }
}

impl<T: ?Sized> Deref for TaskLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that the lock is ours.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for TaskLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that the lock is ours, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for TaskLockGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.unlock(TASK);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for TaskLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
