//! `ipc::Synchronized`: what has no lock, behind a lock that exists already.
//!
//! Invariant: the object is reached through the guard only, that is while the lock is held. Clones of it
//! that were kept aside are not bound by that, which is why the guard gives `&R` and not `&mut R`.

use super::{Holder, Lock, LockError, LockGuard};
use crate::Limit;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// An object without a lock, behind a lock that other objects may share.
///
/// A [`Value`](super::Value) and an [`Array`](super::Array) have a lock each. Where several objects change
/// together, put [raw](super::RawValue) ones behind one [`Lock`]; while it is held, all of them are at
/// rest. Waiting, fairness, death, fork and cost are the lock's.
///
/// ```
/// use latchwork::ipc::{Lock, RawArray, RawValue};
///
/// # fn main() -> std::io::Result<()> {
/// let lock = Lock::new()?;
/// let total = RawValue::new(0_i64)?.synchronized(lock.clone());
/// total.lock().unwrap().update(|total| *total += 5);
///
/// // Several, under one lock:
/// let books = (RawValue::new(0_i64)?, RawArray::<i64>::zeroed(12)?);
/// let books = latchwork::ipc::Synchronized::new(books, lock);
/// let guard = books.lock().unwrap();
/// let (sum, months) = &*guard;
/// months.set(3, 7).unwrap();
/// sum.set(sum.get() + 7);
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.sharedctypes.synchronized(obj, lock)`, `Value(..., lock=lock)`. What Python
/// finds out when it runs, that a lock is no lock or an object is synchronised already, does not compile.
#[doc(alias = "multiprocessing.sharedctypes.synchronized")]
#[derive(Clone, Serialize, Deserialize)]
pub struct Synchronized<R> {
    object: R,
    lock: Lock,
}

/// The object while its lock is held. Unlocks it when dropped.
#[must_use = "the lock is unlocked when the guard is dropped"]
pub struct SynchronizedGuard<'a, R> {
    pub(super) object: &'a R,
    pub(super) held: LockGuard<'a>,
}

type Attempt<'a, R> = Result<SynchronizedGuard<'a, R>, LockError<SynchronizedGuard<'a, R>>>;

impl<R> Synchronized<R> {
    /// Puts `object` behind `lock`. Several objects may be a tuple or a struct.
    pub fn new(object: R, lock: Lock) -> Synchronized<R> {
        Synchronized { object, lock }
    }

    /// Locks, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// As for [`Lock::lock`]; after an owner's death the guard is in the error.
    #[doc(alias = "get_lock")]
    pub fn lock(&self) -> Attempt<'_, R> {
        self.lock_within(Limit::none())
    }

    /// Locks if nobody alive holds the lock, and returns `None` otherwise. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Synchronized::lock).
    pub fn try_lock(
        &self,
    ) -> Result<Option<SynchronizedGuard<'_, R>>, LockError<SynchronizedGuard<'_, R>>> {
        match self.lock.try_lock() {
            Ok(held) => Ok(held.map(|held| self.guard(held))),
            Err(error) => Err(error.map(|held| self.guard(held))),
        }
    }

    /// Locks, waiting as long as `limit` says; see [`Lock::lock_within`].
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`lock`](Synchronized::lock).
    pub fn lock_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Attempt<'_, R> {
        match self.lock.lock_within(limit) {
            Ok(held) => Ok(self.guard(held)),
            Err(error) => Err(error.map(|held| self.guard(held))),
        }
    }

    /// Locks without blocking a thread; see [`Lock::lock_async`].
    ///
    /// # Errors
    ///
    /// As for [`lock`](Synchronized::lock).
    pub async fn lock_async(&self) -> Attempt<'_, R> {
        match self.lock.lock_async().await {
            Ok(held) => Ok(self.guard(held)),
            Err(error) => Err(error.map(|held| self.guard(held))),
        }
    }

    /// Who holds the lock, if anybody alive does. The answer may be outdated when it arrives.
    pub fn holder(&self) -> Option<Holder> {
        self.lock.holder()
    }

    /// Does somebody hold the lock? The answer may be outdated when it arrives.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    fn guard<'a>(&'a self, held: LockGuard<'a>) -> SynchronizedGuard<'a, R> {
        SynchronizedGuard {
            object: &self.object,
            held,
        }
    }
}

impl<R> SynchronizedGuard<'_, R> {
    /// Vouches for what the lock protects, after an [owner's death](LockError::OwnerDied).
    ///
    /// Does nothing if there was none.
    pub fn mark_consistent(&mut self) {
        self.held.mark_consistent();
    }

    /// `false` if an owner died and nobody has vouched for what the lock protects since.
    pub fn is_consistent(&self) -> bool {
        self.held.is_consistent()
    }
}

impl<R> Deref for SynchronizedGuard<'_, R> {
    type Target = R;

    fn deref(&self) -> &R {
        self.object
    }
}

/// Shows the state of the lock, not the object, which may be in the middle of a change.
impl<R> fmt::Debug for Synchronized<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Synchronized")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

impl<R: fmt::Debug> fmt::Debug for SynchronizedGuard<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SynchronizedGuard")
            .field("object", self.object)
            .field("consistent", &self.is_consistent())
            .finish()
    }
}
