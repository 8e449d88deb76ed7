//! [`ConditionGuard`]: what a wait has to know of the guard it is called with. How its lock is given
//! up and taken again, and what a predicate may see of the value.
//!
//! The trait is sealed, and what its hidden half returns can be used in here only: a guard whose lock
//! has been given up is a lie, until the same call has taken the lock again.

use crate::sync::lock::{LockGuard, RawLock};
use crate::sync::rlock::{Levels, OnlyLevel, OwnedRLockGuard, RLockGuard, RawRLock};
use std::panic::Location;

/// A guard whose lock a [`Condition`](super::Condition) gives up while it waits, and takes again.
///
/// | guard | its lock is given up | a predicate sees |
/// |---|---|---|
/// | [`LockGuard`] | | `&mut T` |
/// | [`RLockGuard`], [`OwnedRLockGuard`], if `T: Sync` | with all levels of the thread, as many come back | `&T` |
/// | [`OnlyLevel`], for any other `T` | with its one level, else the wait panics | `&T` |
///
/// Nobody else can implement it.
pub trait ConditionGuard: sealed::Sealed + for<'v> View<'v> {
    #[doc(hidden)]
    #[track_caller]
    fn held(&self) -> HeldLock<'_>;
}

/// What a predicate gets to see: `&mut T` from a guard that is alone, `&T` from one of several.
///
/// The second parameter says no more than that `Self` outlives `'v`. Written as a bound, that would be
/// asked of every `'v` wherever a closure takes a `Seen`, and so of `'static`.
pub trait View<'v, SelfOutlives = &'v Self> {
    type Seen;

    #[doc(hidden)]
    fn view(&'v mut self) -> Self::Seen;
}

mod sealed {
    use super::{LockGuard, OnlyLevel, OwnedRLockGuard, RLockGuard};

    pub trait Sealed {}

    impl<T: ?Sized> Sealed for LockGuard<'_, T> {}
    impl<T: ?Sized> Sealed for RLockGuard<'_, T> {}
    impl<T: ?Sized> Sealed for OwnedRLockGuard<T> {}
    impl<T: ?Sized> Sealed for OnlyLevel<'_, T> {}
}

impl<'v, T: ?Sized> View<'v> for LockGuard<'_, T> {
    type Seen = &'v mut T;

    fn view(&'v mut self) -> &'v mut T {
        self
    }
}

impl<T: ?Sized> ConditionGuard for LockGuard<'_, T> {
    fn held(&self) -> HeldLock<'_> {
        let (lock, owner) = self.raw();
        HeldLock(Kind::Lock(lock, owner))
    }
}

// Several guards of one thread: others may have borrowed from the value, hence `T: Sync`.
impl<'v, T: ?Sized + Sync> View<'v> for RLockGuard<'_, T> {
    type Seen = &'v T;

    fn view(&'v mut self) -> &'v T {
        self
    }
}

impl<T: ?Sized + Sync> ConditionGuard for RLockGuard<'_, T> {
    fn held(&self) -> HeldLock<'_> {
        HeldLock::of_rlock(self.raw())
    }
}

impl<'v, T: ?Sized + Sync> View<'v> for OwnedRLockGuard<T> {
    type Seen = &'v T;

    fn view(&'v mut self) -> &'v T {
        self
    }
}

impl<T: ?Sized + Sync> ConditionGuard for OwnedRLockGuard<T> {
    fn held(&self) -> HeldLock<'_> {
        HeldLock::of_rlock(self.raw())
    }
}

// `raw` panics unless the guard behind it is the only one, and that is borrowed uniquely.
impl<'v, T: ?Sized> View<'v> for OnlyLevel<'_, T> {
    type Seen = &'v T;

    fn view(&'v mut self) -> &'v T {
        self.value()
    }
}

impl<T: ?Sized> ConditionGuard for OnlyLevel<'_, T> {
    fn held(&self) -> HeldLock<'_> {
        HeldLock::of_rlock(self.raw())
    }
}

/// A lock that the current thread holds, with the name it holds it under.
pub struct HeldLock<'a>(Kind<'a>);

enum Kind<'a> {
    Lock(&'a RawLock, u32),
    RLock(&'a RawRLock, u32),
}

impl<'a> HeldLock<'a> {
    #[track_caller]
    fn of_rlock((lock, owner): (&'a RawRLock, u32)) -> HeldLock<'a> {
        lock.assert_owner(owner);
        HeldLock(Kind::RLock(lock, owner))
    }

    /// Gives the lock up; the caller takes it back before anybody can use the guard.
    ///
    /// Never panics: the waiter is in the line already, and an unwinding frame would leave it there.
    pub(super) fn release(&self) -> Released {
        Released(match self.0 {
            Kind::Lock(lock, owner) => {
                lock.unlock(owner);
                None
            }
            Kind::RLock(lock, owner) => lock.release_all(owner),
        })
    }

    /// Takes it again, as it was held before. Never panics: the guard is still there.
    pub(super) fn restore(&self, released: Released, place: &'static Location<'static>) {
        match self.0 {
            Kind::Lock(lock, owner) => lock.lock_again(owner, place),
            Kind::RLock(lock, owner) => {
                if let Some(levels) = released.0 {
                    lock.restore(owner, levels, place);
                }
            }
        }
    }
}

/// That a lock was given up, and how deep it was held.
#[must_use = "the lock has to be taken again"]
pub(super) struct Released(Option<Levels>);
