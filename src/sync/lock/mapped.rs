//! [`MappedLockGuard`]: a guard of a part of what a lock protects.
//!
//! `part` was derived from a `&mut` of the whole while the lock was held, and `held` keeps it held:
//! to the compiler it is a `&'a mut U`, which decides variance (invariant in `U`) and is all that
//! other threads could come by. Whether the whole may cross threads does not matter, since nothing
//! of it can be reached from here.

use super::holder::Held;
use super::{ByTask, ByThread, Holder};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The right to use a part of what a [`Lock`](super::Lock) protects; dropping it frees the lock.
///
/// From [`LockGuard::map`](super::LockGuard::map). A task's is a [`MappedTaskLockGuard`].
#[must_use = "the lock is freed at once if the guard is not kept"]
#[doc(alias = "MappedMutexGuard")]
pub struct MappedLockGuard<'a, U: ?Sized, H: Holder = ByThread> {
    held: Held<'a, H>,
    part: NonNull<U>,
    _part: PhantomData<&'a mut U>,
}

/// The right to use a part of what a [`Lock`](super::Lock) protects, held by a task.
///
/// From [`LockGuard::map`](super::LockGuard::map) of a [`TaskLockGuard`](super::TaskLockGuard).
pub type MappedTaskLockGuard<'a, U> = MappedLockGuard<'a, U, ByTask>;

// SAFETY: it is a `&mut U`, beside a word that any thread may free if the holder says so.
unsafe impl<U: ?Sized + Send, H: Holder + Send> Send for MappedLockGuard<'_, U, H> {}
// SAFETY: a shared guard gives `&U` only.
unsafe impl<U: ?Sized + Sync, H: Holder + Sync> Sync for MappedLockGuard<'_, U, H> {}

impl<'a, U: ?Sized, H: Holder> MappedLockGuard<'a, U, H> {
    /// `part` was borrowed for as long as the lock is held, by way of its only guard.
    #[inline]
    pub(super) fn new(held: Held<'a, H>, part: NonNull<U>) -> MappedLockGuard<'a, U, H> {
        MappedLockGuard {
            held,
            part,
            _part: PhantomData,
        }
    }

    /// Narrows the guard further, to a part of the part.
    ///
    /// ```
    /// use latchwork::sync::{Lock, LockGuard, MappedLockGuard};
    ///
    /// let point = Lock::new((1, (2, 3)));
    /// let inner = LockGuard::map(point.lock(), |point| &mut point.1);
    /// let mut y = MappedLockGuard::map(inner, |inner| &mut inner.1);
    /// *y = 4;
    /// drop(y);
    /// assert_eq!(*point.lock(), (1, (2, 4)));
    /// ```
    #[inline]
    pub fn map<V: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut U) -> &mut V,
    ) -> MappedLockGuard<'a, V, H> {
        let part = NonNull::from(part(&mut guard));
        MappedLockGuard::new(guard.held, part)
    }

    /// As [`map`](MappedLockGuard::map), if the part has such a part at the moment.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` says `None`.
    #[inline]
    #[doc(alias = "try_map")]
    pub fn filter_map<V: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut U) -> Option<&mut V>,
    ) -> Result<MappedLockGuard<'a, V, H>, Self> {
        match part(&mut guard).map(NonNull::from) {
            Some(part) => Ok(MappedLockGuard::new(guard.held, part)),
            None => Err(guard),
        }
    }
}

impl<U: ?Sized, H: Holder> Deref for MappedLockGuard<'_, U, H> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: the part lives as long as the lock is held, and nobody else has a way to it.
        unsafe { self.part.as_ref() }
    }
}

impl<U: ?Sized, H: Holder> DerefMut for MappedLockGuard<'_, U, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: as above, and the guard is borrowed uniquely.
        unsafe { self.part.as_mut() }
    }
}

impl<U: ?Sized + fmt::Debug, H: Holder> fmt::Debug for MappedLockGuard<'_, U, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
