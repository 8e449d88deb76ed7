//! A writer's guard of a part of the value.
//!
//! A type of its own, because it must not become a reader: `&mut` to a part may come from inside a
//! cell (`Cell::get_mut`), and a reader of that part would share it with those who go through the cell.

use super::guard::WriteGuard;
use super::raw::RawRwLock;
use crate::sync::lock::{ByTask, ByThread, Holder};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The right to change a part of what an [`RwLock`](super::RwLock) protects, from [`WriteGuard::map`];
/// dropping it gives the right back.
///
/// It stays in its thread or moves with its task, as the guard it was made from.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct MappedWriteGuard<'a, T: ?Sized, H: Holder = ByThread> {
    lock: &'a RawRwLock,
    /// Not a reference: the value may change while a function that drops the guard still runs.
    value: NonNull<T>,
    holder: H,
    _value: PhantomData<&'a mut T>,
}

/// A [`MappedWriteGuard`] of a task.
pub type MappedTaskWriteGuard<'a, T> = MappedWriteGuard<'a, T, ByTask>;

// SAFETY: the guard is a `&mut T`, and a holder that is Send may leave in any thread.
unsafe impl<T: ?Sized + Send, H: Holder + Send> Send for MappedWriteGuard<'_, T, H> {}
// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync, H: Holder + Sync> Sync for MappedWriteGuard<'_, T, H> {}

impl<'a, T: ?Sized, H: Holder> WriteGuard<'a, T, H> {
    /// A guard of a part of the value. An associated function, so as not to hide one of `T`'s.
    ///
    /// ```
    /// use latchwork::sync::{RwLock, WriteGuard};
    ///
    /// let pair = RwLock::new((1, "one"));
    /// *WriteGuard::map(pair.write(), |pair| &mut pair.0) = 2;
    /// assert_eq!(*pair.read(), (2, "one"));
    /// ```
    pub fn map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedWriteGuard<'a, U, H> {
        let value = NonNull::from(part(&mut guard));
        let (lock, holder) = guard.into_parts();
        MappedWriteGuard::new(&lock.raw, value, holder)
    }

    /// A guard of a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// The guard, if `part` has none.
    pub fn filter_map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedWriteGuard<'a, U, H>, Self> {
        match part(&mut guard).map(NonNull::from) {
            Some(value) => {
                let (lock, holder) = guard.into_parts();
                Ok(MappedWriteGuard::new(&lock.raw, value, holder))
            }
            None => Err(guard),
        }
    }
}

impl<'a, T: ?Sized, H: Holder> MappedWriteGuard<'a, T, H> {
    fn new(lock: &'a RawRwLock, value: NonNull<T>, holder: H) -> MappedWriteGuard<'a, T, H> {
        MappedWriteGuard {
            lock,
            value,
            holder,
            _value: PhantomData,
        }
    }

    /// A guard of a part of the part.
    pub fn map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedWriteGuard<'a, U, H> {
        let value = NonNull::from(part(&mut guard));
        guard.with_value(value)
    }

    /// A guard of a part of the part, if there is one.
    ///
    /// # Errors
    ///
    /// The guard, if `part` has none.
    pub fn filter_map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedWriteGuard<'a, U, H>, Self> {
        match part(&mut guard).map(NonNull::from) {
            Some(value) => Ok(guard.with_value(value)),
            None => Err(guard),
        }
    }

    fn with_value<U: ?Sized>(self, value: NonNull<U>) -> MappedWriteGuard<'a, U, H> {
        let mapped = MappedWriteGuard::new(self.lock, value, self.holder);
        mem::forget(self);
        mapped
    }
}

impl<T: ?Sized, H: Holder> Deref for MappedWriteGuard<'_, T, H> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the part is alive as long as the lock is borrowed, and the guard proves that nobody
        // else is inside.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, H: Holder> DerefMut for MappedWriteGuard<'_, T, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed uniquely.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized, H: Holder> Drop for MappedWriteGuard<'_, T, H> {
    #[inline]
    fn drop(&mut self) {
        self.lock.unlock_write(self.holder.id());
    }
}

impl<T: ?Sized + fmt::Debug, H: Holder> fmt::Debug for MappedWriteGuard<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
