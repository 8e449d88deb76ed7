//! The guards of an [`RwLock`]: a reader's, which may be mapped to a part of the value, and a writer's.
//!
//! A guard exists exactly as long as its holder is inside. A reader is not named in the lock, so one
//! type serves threads and tasks; a writer is, so its guard says who holds it: [`ByThread`] or
//! [`ByTask`].

use super::RwLock;
use super::raw::{READER, RawRwLock};
use crate::sync::lock::{ByTask, ByThread, Holder};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The right to read what an [`RwLock`] protects, or a part of it; dropping it gives the right back.
///
/// It may be kept across an `.await` and dropped in another thread.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RawRwLock,
    /// Not a reference: the value may change while a function that drops the guard still runs.
    value: NonNull<T>,
    _value: PhantomData<&'a T>,
}

// SAFETY: a guard gives `&T` only, and a reader may leave in any thread.
unsafe impl<T: ?Sized + Sync> Send for ReadGuard<'_, T> {}
// SAFETY: a guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for ReadGuard<'_, T> {}

impl<'a, T: ?Sized> ReadGuard<'a, T> {
    /// The guard of a lock that has just let a reader in.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> ReadGuard<'a, T> {
        ReadGuard {
            lock: &lock.raw,
            // SAFETY: a cell's pointer is not null.
            value: lock
                .value
                .with(|value| unsafe { NonNull::new_unchecked(value.cast_mut()) }),
            _value: PhantomData,
        }
    }

    /// A guard of a part of the value. An associated function, so as not to hide one of `T`'s.
    ///
    /// ```
    /// use latchwork::sync::{ReadGuard, RwLock};
    ///
    /// let pair = RwLock::new((1, "one"));
    /// let name = ReadGuard::map(pair.read(), |pair| &pair.1);
    /// assert_eq!(*name, "one");
    /// ```
    pub fn map<U: ?Sized>(guard: Self, part: impl FnOnce(&T) -> &U) -> ReadGuard<'a, U> {
        let value = NonNull::from(part(&guard));
        guard.with_value(value)
    }

    /// A guard of a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// The guard, if `part` has none.
    pub fn filter_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<ReadGuard<'a, U>, Self> {
        match part(&guard).map(NonNull::from) {
            Some(value) => Ok(guard.with_value(value)),
            None => Err(guard),
        }
    }

    fn with_value<U: ?Sized>(self, value: NonNull<U>) -> ReadGuard<'a, U> {
        let lock = self.lock;
        mem::forget(self);
        ReadGuard {
            lock,
            value,
            _value: PhantomData,
        }
    }
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value, or the part of it, is alive as long as the lock is borrowed, and the
        // guard proves that nobody writes.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.unlock_read();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The right to change what an [`RwLock`] protects; dropping it gives the right back.
///
/// A thread's guard stays in the thread that took it, because that thread is named in the lock as its
/// owner; a task's, a [`TaskWriteGuard`], does not.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct WriteGuard<'a, T: ?Sized, H: Holder = ByThread> {
    lock: &'a RwLock<T>,
    holder: H,
    /// A guard is a `&mut T` to the compiler.
    _value: PhantomData<&'a mut T>,
}

/// The right to change what an [`RwLock`] protects, held by a task instead of a thread.
///
/// From [`RwLock::write_async`]. It may be kept across an `.await` and dropped in another thread.
pub type TaskWriteGuard<'a, T> = WriteGuard<'a, T, ByTask>;

impl<'a, T: ?Sized, H: Holder> WriteGuard<'a, T, H> {
    /// The guard of a lock that has just let `holder` write.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>, holder: H) -> WriteGuard<'a, T, H> {
        WriteGuard {
            lock,
            holder,
            _value: PhantomData,
        }
    }

    /// Goes on as a reader; nobody can write in between. Readers who wait are let in.
    ///
    /// ```
    /// use latchwork::sync::{RwLock, WriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut guard = lock.write();
    /// *guard = 2;
    /// let guard = WriteGuard::downgrade(guard);
    /// assert_eq!(*guard + *lock.read(), 4);
    /// ```
    pub fn downgrade(guard: Self) -> ReadGuard<'a, T> {
        let (lock, holder) = guard.into_parts();
        lock.raw.step_down(holder.id(), READER);
        ReadGuard::new(lock)
    }

    /// The lock, which stays locked, and its holder.
    pub(super) fn into_parts(self) -> (&'a RwLock<T>, H) {
        let parts = (self.lock, self.holder);
        mem::forget(self);
        parts
    }
}

impl<T: ?Sized, H: Holder> Deref for WriteGuard<'_, T, H> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that nobody else is inside.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized, H: Holder> DerefMut for WriteGuard<'_, T, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that nobody else is inside, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized, H: Holder> Drop for WriteGuard<'_, T, H> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock_write(self.holder.id());
    }
}

impl<T: ?Sized + fmt::Debug, H: Holder> fmt::Debug for WriteGuard<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
