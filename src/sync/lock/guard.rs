//! [`LockGuard`]: the right to use what a lock protects, on loan from a borrowed lock.
//!
//! A guard exists exactly while the lock is its holder's; hence its dereferences are sound.
//!
//! It is invariant in `T`, by the cell in `&'a Lock<T>`: who could pass it for the guard of a
//! supertype could write that in. `Send` is derived: `&Lock<T>` is `Send` if `T` is, and the holder
//! says whether the guard may change threads. `Sync` is not derived, because a shared guard gives
//! `&T` and nothing else, so that `T: Sync` is both needed (`Lock<T>` is `Sync` for a `Cell`, its
//! guard must not be) and enough.

use super::holder::{Held, Id};
use super::{ByTask, ByThread, Holder, Lock, MappedLockGuard, RawLock};
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr::NonNull;

/// The right to use what a [`Lock`] protects; dropping it frees the lock.
///
/// `LockGuard<'a, T>` is a thread's, from [`Lock::lock`]. It stays in the thread that took it,
/// because that thread is named in the lock as its owner. [`TaskLockGuard`] is a task's.
#[must_use = "the lock is freed at once if the guard is not kept"]
#[doc(alias = "MutexGuard")]
pub struct LockGuard<'a, T: ?Sized, H: Holder = ByThread> {
    lock: &'a Lock<T>,
    by: H,
}

/// The right to use what a [`Lock`] protects, held by a task instead of a thread.
///
/// From [`Lock::lock_async`]. It may be kept across an `.await` and dropped in another thread.
pub type TaskLockGuard<'a, T> = LockGuard<'a, T, ByTask>;

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync, H: Holder + Sync> Sync for LockGuard<'_, T, H> {}

impl<'a, T: ?Sized, H: Holder> LockGuard<'a, T, H> {
    /// The guard of a lock that has just been taken for `by`, once.
    #[inline]
    pub(in crate::sync) fn new(lock: &'a Lock<T>, by: H) -> LockGuard<'a, T, H> {
        LockGuard { lock, by }
    }

    /// Narrows the guard to a part of the value. The lock stays held, and is freed with the part.
    ///
    /// A function and no method, so that it hides none of `T`'s. A panic in `part` frees the lock.
    ///
    /// A mapped guard cannot be given to a [`Condition`](crate::sync::Condition) or
    /// [unlocked](LockGuard::unlocked): while the lock is free anybody may replace the whole, and
    /// the part with it.
    ///
    /// ```
    /// use latchwork::sync::{Lock, LockGuard};
    ///
    /// struct Account { owner: String, cents: u64 }
    /// let account = Lock::new(Account { owner: "Ada".into(), cents: 5 });
    ///
    /// let mut cents = LockGuard::map(account.lock(), |account| &mut account.cents);
    /// *cents += 10;
    /// drop(cents);
    /// assert_eq!(account.lock().cents, 15);
    /// # assert_eq!(account.lock().owner, "Ada");
    /// ```
    #[inline]
    pub fn map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedLockGuard<'a, U, H> {
        let part = NonNull::from(part(&mut guard));
        MappedLockGuard::new(guard.into_held(), part)
    }

    /// As [`map`](LockGuard::map), if the value has such a part at the moment.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` says `None`.
    ///
    /// ```
    /// use latchwork::sync::{Lock, LockGuard};
    ///
    /// let queue = Lock::new(vec![1, 2]);
    /// let Ok(mut last) = LockGuard::filter_map(queue.lock(), |queue| queue.last_mut()) else {
    ///     panic!("it is not empty");
    /// };
    /// *last = 3;
    /// drop(last);
    ///
    /// let whole = LockGuard::filter_map(queue.lock(), |queue| queue.get_mut(9)).unwrap_err();
    /// assert_eq!(*whole, [1, 3]);
    /// ```
    #[inline]
    #[doc(alias = "try_map")]
    pub fn filter_map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedLockGuard<'a, U, H>, Self> {
        match part(&mut guard).map(NonNull::from) {
            Some(part) => Ok(MappedLockGuard::new(guard.into_held(), part)),
            None => Err(guard),
        }
    }

    /// The lock stays held; it is the result that frees it.
    #[inline]
    fn into_held(self) -> Held<'a, H> {
        let held = Held::new(&self.lock.raw, self.by);
        mem::forget(self);
        held
    }
}

impl<'a, T: ?Sized> LockGuard<'a, T> {
    /// Frees the lock while `f` runs, and takes it again after it, also if `f` panics.
    ///
    /// For what takes long and needs none of the value. Whoever waits may get the lock in between
    /// and change the value: look at it again. Waits for the lock as [`Lock::lock`] does, but a
    /// deadlock that forms here is printed at most and never a panic, since the guard must be whole.
    ///
    /// With nothing to do in between (`|| ()`) it lets those go first who have waited for half a
    /// millisecond, for the cost of an unlock and a lock.
    ///
    /// ```
    /// use latchwork::sync::{Lock, LockGuard};
    ///
    /// let names = Lock::new(vec!["one"]);
    /// let mut guard = names.lock();
    /// LockGuard::unlocked(&mut guard, || {
    ///     // Anybody's turn.
    ///     names.lock().push("two");
    /// });
    /// assert_eq!(*guard, ["one", "two"]);
    /// ```
    #[track_caller]
    pub fn unlocked<R>(guard: &mut Self, f: impl FnOnce() -> R) -> R {
        /// Takes the lock when it is dropped, so on every way out of `f`.
        struct Again<'a>(&'a RawLock, u32, &'static Location<'static>);
        impl Drop for Again<'_> {
            fn drop(&mut self) {
                let Again(raw, owner, place) = *self;
                raw.lock_again(owner, place);
            }
        }
        let (raw, owner) = guard.raw();
        raw.unlock(owner);
        // The guard is borrowed until the lock is ours again, so nobody can use it meanwhile.
        let _again = Again(raw, owner, Location::caller());
        f()
    }

    /// The word and its owner, for whoever frees the lock while it waits; it takes the lock back
    /// before anybody can use the guard.
    pub(in crate::sync) fn raw(&self) -> (&'a RawLock, u32) {
        (&self.lock.raw, self.by.id())
    }
}

impl<'a, T: ?Sized> TaskLockGuard<'a, T> {
    // Not public: a guard may be shared where its lock may not, that is if `T` is `Sync` alone.
    pub(in crate::sync) fn lock(&self) -> &'a Lock<T> {
        self.lock
    }
}

impl<T: ?Sized, H: Holder> Deref for LockGuard<'_, T, H> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that the lock is ours.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized, H: Holder> DerefMut for LockGuard<'_, T, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that the lock is ours, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized, H: Holder> Drop for LockGuard<'_, T, H> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock(self.by.id());
    }
}

impl<T: ?Sized + fmt::Debug, H: Holder> fmt::Debug for LockGuard<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
