//! `ipc::Lock`: mutual exclusion between processes, and nothing else.
//!
//! The lock word and its waiting are `shm::word`'s; this file gives them a face.

use super::{Holder, LockError};
use crate::Limit;
use crate::shm::handle::{Handle, Held};
use crate::shm::tree;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;

/// A mutual exclusion lock that works between processes and survives the death of its owner.
///
/// It protects what it is agreed to protect: a file, a device, a sequence of calls. To protect a
/// value in shared memory use [`Value`](super::Value), which has a lock of its own.
///
/// * **Ownership.** The owner is a process. Threads of one process exclude each other like any
///   others, and the lock is not recursive: locking twice on one thread waits for ever (or as long
///   as the limit says).
/// * **Fairness.** None: whoever comes at the right moment gets the lock, before those who sleep.
///   Sleepers look again after 50 ms at the latest.
/// * **Death.** See the [module's](super#when-a-process-is-killed) documentation. A thread that
///   panics unlocks, as usual; the lock is not poisoned.
/// * **Fork.** The child of a fork holds nothing its parent holds. Guards that it inherits do
///   nothing when dropped.
/// * **Cost.** Free: one compare-and-swap to lock, one swap to unlock, no system call. Contended: a
///   brief spin, then `futex(2)`.
///
/// Handles clone and serialise (see the [module](super)). The design is that of the kernel's robust
/// futexes (`get_robust_list(2)`) with a record lock (`fcntl(2)`) in place of the kernel's list.
///
/// ```
/// use latchwork::ipc::Lock;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = Lock::new()?;
/// let guard = lock.lock().unwrap();
/// assert!(lock.try_lock().unwrap().is_none());
/// assert!(lock.lock_within(Duration::from_millis(5)).is_err());
/// drop(guard);
/// assert!(lock.try_lock().unwrap().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "multiprocessing.Lock")]
#[doc(alias = "Mutex")]
pub struct Lock(Handle);

/// Holds an [`ipc::Lock`](Lock) and unlocks it when dropped.
///
/// It may be sent to and dropped by another thread of the process.
#[must_use = "the lock is unlocked when the guard is dropped"]
pub struct LockGuard<'a>(pub(super) Held<'a>);

type Attempt<'a> = Result<LockGuard<'a>, LockError<LockGuard<'a>>>;

impl Lock {
    /// Makes a lock in the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// `StorageFull` if there is no room for another object, `QuotaExceeded` if there is none for
    /// another process, and what the system says if shared memory cannot be had.
    pub fn new() -> io::Result<Lock> {
        Handle::holding(tree()?, &[], 1).map(Lock)
    }

    pub(super) fn from_handle(handle: Handle) -> Lock {
        Lock(handle)
    }

    /// Locks, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) holds the guard; otherwise the lock is not held and the
    /// [error](LockError) says why.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> Attempt<'_> {
        match self.0.grab() {
            Some(held) => Ok(LockGuard(held)),
            None => self.lock_slow(Limit::none()),
        }
    }

    /// Locks if nobody alive holds the lock, and returns `None` otherwise. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Lock::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<Option<LockGuard<'_>>, LockError<LockGuard<'_>>> {
        match self.0.grab() {
            Some(held) => Ok(Some(LockGuard(held))),
            None => self.try_lock_slow(),
        }
    }

    #[cold]
    fn try_lock_slow(&self) -> Result<Option<LockGuard<'_>>, LockError<LockGuard<'_>>> {
        match self.0.try_lock()? {
            Some(held) => granted(held).map(Some),
            None => Ok(None),
        }
    }

    /// Locks, waiting as long as `limit` says.
    ///
    /// A deadline is kept to the precision of the system's timers. A cancellation is noticed at
    /// the end of the current slice of sleep: within 50 ms.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`lock`](Lock::lock).
    #[inline]
    #[doc(alias = "acquire_timeout")]
    pub fn lock_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Attempt<'_> {
        match self.0.grab() {
            Some(held) => Ok(LockGuard(held)),
            None => self.lock_slow(limit.into()),
        }
    }

    /// Locks without blocking a thread, on any runtime.
    ///
    /// Fairness, death and cost are those of [`lock`](Lock::lock); the waiting is done by one thread of the process
    /// for all its futures. Dropping the future gives up, and loses nobody else's turn.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Lock::lock).
    pub async fn lock_async(&self) -> Attempt<'_> {
        match self.0.grab() {
            Some(held) => Ok(LockGuard(held)),
            None => granted(self.0.lock_async().await?),
        }
    }

    #[cold]
    fn lock_slow(&self, limit: Limit<'_>) -> Attempt<'_> {
        granted(self.0.lock(limit)?)
    }

    /// Who holds the lock, if anybody alive does. The answer may be outdated when it arrives.
    pub fn holder(&self) -> Option<Holder> {
        self.0.holder()
    }

    /// Does somebody hold the lock? The answer may be outdated when it arrives.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

#[inline]
pub(super) fn granted(held: Held<'_>) -> Attempt<'_> {
    if held.is_consistent() {
        Ok(LockGuard(held))
    } else {
        Err(LockError::OwnerDied(LockGuard(held)))
    }
}

impl LockGuard<'_> {
    /// Vouches for what the lock protects, after an [owner's death](LockError::OwnerDied).
    ///
    /// Does nothing if there was none.
    pub fn mark_consistent(&mut self) {
        self.0.mark_consistent();
    }

    /// `false` if an owner died and nobody has vouched for what the lock protects since.
    pub fn is_consistent(&self) -> bool {
        self.0.is_consistent()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.0).finish()
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("consistent", &self.is_consistent())
            .finish()
    }
}

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, 0, 1).map(Lock)
    }
}
