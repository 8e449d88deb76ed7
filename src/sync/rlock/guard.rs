//! The guards of an [`RLock`](super::RLock) that borrow it: one level of the thread that holds it,
//! and the value or a part of it.

use super::RawRLock;
use super::raw::Level;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;

/// One level of an [`RLock`](super::RLock) held by this thread; dropping it leaves that level.
///
/// It stays in the thread that took it, and may be dropped before or after the thread's others.
#[must_use = "the level is left at once if the guard is not kept"]
pub struct RLockGuard<'a, T: ?Sized> {
    level: Level<'a>,
    value: &'a T,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for RLockGuard<'_, T> {}

impl<'a, T: ?Sized> RLockGuard<'a, T> {
    #[inline]
    pub(super) fn new(level: Level<'a>, value: &'a T) -> RLockGuard<'a, T> {
        RLockGuard { level, value }
    }

    /// The lock and the thread that holds it, which is this one.
    pub(in crate::sync) fn raw(&self) -> (&'a RawRLock, u32) {
        self.level.raw()
    }

    /// A guard of a part of the value, at the same level.
    ///
    /// An associated function, since methods of `T` are called through the guard.
    ///
    /// ```
    /// use latchwork::sync::{RLock, RLockGuard};
    ///
    /// let pair = RLock::new((1, "one"));
    /// let name = RLockGuard::map(pair.lock(), |pair| &pair.1);
    /// assert_eq!(*name, "one");
    /// assert!(pair.is_owned());
    /// ```
    pub fn map<U: ?Sized>(guard: Self, part: impl FnOnce(&T) -> &U) -> MappedRLockGuard<'a, U> {
        MappedRLockGuard {
            value: part(guard.value),
            level: guard.level,
        }
    }

    /// A guard of a part of the value if there is one.
    ///
    /// # Errors
    ///
    /// The guard itself, when `part` returns `None`.
    ///
    /// ```
    /// use latchwork::sync::{RLock, RLockGuard};
    ///
    /// let names = RLock::new(vec!["one"]);
    /// let first = RLockGuard::filter_map(names.lock(), |names| names.first()).unwrap();
    /// assert_eq!(*first, "one");
    /// assert!(RLockGuard::filter_map(names.lock(), |names| names.get(1)).is_err());
    /// ```
    #[doc(alias = "try_map")]
    pub fn filter_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRLockGuard<'a, U>, Self> {
        match part(guard.value) {
            Some(value) => Ok(MappedRLockGuard {
                value,
                level: guard.level,
            }),
            None => Err(guard),
        }
    }

    /// Runs `f` with the lock free, and takes it again, also after a panic.
    ///
    /// # Panics
    ///
    /// When the thread has another level: the lock would not be free, or an outer frame would find
    /// the value changed under its guard. If `f` leaves 2^27 levels of its own behind, there is none
    /// left for the guard, and the process is aborted.
    ///
    /// ```
    /// use latchwork::sync::{RLock, RLockGuard};
    ///
    /// let lock = RLock::new(());
    /// let mut guard = lock.lock();
    /// RLockGuard::unlocked(&mut guard, || assert!(!lock.is_locked()));
    /// assert!(lock.is_owned());
    /// ```
    #[track_caller]
    pub fn unlocked<R>(guard: &mut Self, f: impl FnOnce() -> R) -> R {
        /// Takes the lock when it is dropped, so on every way out of `f`.
        struct Again<'a>(&'a RawRLock, u32, &'static Location<'static>);
        impl Drop for Again<'_> {
            fn drop(&mut self) {
                // Once more, if `f` has left a guard of its own behind.
                self.0.come_back(self.1, self.2);
            }
        }
        let (raw, owner) = Self::only_level(guard).raw();
        raw.leave(owner);
        let _again = Again(raw, owner, Location::caller());
        f()
    }

    /// This guard as the thread's only one, to wait on a [`Condition`](crate::sync::Condition) with a
    /// value that is not `Sync`.
    ///
    /// The result is looked at when it is used: each use panics while the thread has another level.
    ///
    /// ```
    /// use latchwork::sync::{Condition, RLock, RLockGuard};
    /// use std::cell::Cell;
    ///
    /// let (ready, changed) = (RLock::new(Cell::new(false)), Condition::new());
    /// std::thread::scope(|s| {
    ///     s.spawn(|| {
    ///         ready.lock().set(true);
    ///         changed.notify_one();
    ///     });
    ///     let mut guard = ready.lock();
    ///     changed.wait_while(&mut RLockGuard::only_level(&mut guard), |ready| !ready.get());
    /// });
    /// ```
    pub fn only_level(guard: &mut Self) -> OnlyLevel<'_, T> {
        let (raw, owner) = guard.level.raw();
        OnlyLevel::new(raw, owner, guard.value)
    }
}

impl<T: ?Sized> Deref for RLockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A guard that has to be its thread's only one: see [`RLockGuard::only_level`].
///
/// # Why this is not every guard
///
/// Waiting gives up *all* levels of the thread. If there are several, an outer frame may hold
/// something that it has borrowed from the value, while another thread gets `&T` during the wait: two
/// threads with borrows of one value. For a `T: Sync` that is fine. For others it is not, even though
/// only one of the two runs: a cell may derive from not being shared that its borrower is in the same
/// thread, and one whose keys are kept by each thread (`qcell::TLCell`) would give each of them
/// a `&mut` to the same thing. With a single level, the unique borrow of its guard shows that nothing
/// else is borrowed, and `T: Send` is enough.
pub struct OnlyLevel<'g, T: ?Sized> {
    raw: &'g RawRLock,
    owner: u32,
    value: &'g T,
    _of_this_thread: PhantomData<*const ()>,
}

impl<'g, T: ?Sized> OnlyLevel<'g, T> {
    /// For a guard that is borrowed uniquely for `'g`.
    pub(super) fn new(raw: &'g RawRLock, owner: u32, value: &'g T) -> OnlyLevel<'g, T> {
        OnlyLevel {
            raw,
            owner,
            value,
            _of_this_thread: PhantomData,
        }
    }

    /// The lock and its owner.
    ///
    /// # Panics
    ///
    /// When the thread has a second level.
    #[track_caller]
    pub(in crate::sync) fn raw(&self) -> (&'g RawRLock, u32) {
        assert!(
            self.raw.is_at_first_level(self.owner),
            "the only level of an RLock is not the only one: its thread has locked it again"
        );
        (self.raw, self.owner)
    }

    pub(in crate::sync) fn value(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OnlyLevel<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// One level of an [`RLock`](super::RLock), with a part of the value: from [`RLockGuard::map`].
#[must_use = "the level is left at once if the guard is not kept"]
pub struct MappedRLockGuard<'a, U: ?Sized> {
    level: Level<'a>,
    value: &'a U,
}

// SAFETY: a shared guard gives `&U` only.
unsafe impl<U: ?Sized + Sync> Sync for MappedRLockGuard<'_, U> {}

impl<'a, U: ?Sized> MappedRLockGuard<'a, U> {
    /// A guard of a part of the part.
    pub fn map<V: ?Sized>(guard: Self, part: impl FnOnce(&U) -> &V) -> MappedRLockGuard<'a, V> {
        MappedRLockGuard {
            value: part(guard.value),
            level: guard.level,
        }
    }

    /// A guard of a part of the part if there is one.
    ///
    /// # Errors
    ///
    /// The guard itself, when `part` returns `None`.
    #[doc(alias = "try_map")]
    pub fn filter_map<V: ?Sized>(
        guard: Self,
        part: impl FnOnce(&U) -> Option<&V>,
    ) -> Result<MappedRLockGuard<'a, V>, Self> {
        match part(guard.value) {
            Some(value) => Ok(MappedRLockGuard {
                value,
                level: guard.level,
            }),
            None => Err(guard),
        }
    }
}

impl<U: ?Sized> Deref for MappedRLockGuard<'_, U> {
    type Target = U;

    fn deref(&self) -> &U {
        self.value
    }
}

impl<U: ?Sized + fmt::Debug> fmt::Debug for MappedRLockGuard<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
