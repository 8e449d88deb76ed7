//! The guard of an [`RLock`]: one level of the thread that holds it.

use super::RLock;
use crate::Limit;
use crate::ipc::LockError;
use crate::shm::protocol::rlock::is_consistent;
use std::fmt;
use std::marker::PhantomData;

/// One level of an [`ipc::RLock`](RLock) that this thread holds. Leaves it when dropped.
///
/// It stays in the thread that took it, and may be dropped before or after the thread's others.
#[must_use = "the level is left when the guard is dropped"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    _of_this_thread: PhantomData<*const ()>,
}

impl<'a> RLockGuard<'a> {
    /// The guard of a level that the calling thread has taken.
    #[inline]
    pub(super) fn new(lock: &'a RLock) -> RLockGuard<'a> {
        RLockGuard {
            lock,
            _of_this_thread: PhantomData,
        }
    }

    /// Vouches for what the lock protects, after an [owner's death](LockError::OwnerDied), on behalf of
    /// all levels.
    ///
    /// Does nothing if there was none.
    pub fn mark_consistent(&mut self) {
        if self.lock.is_owned() {
            self.lock.0.word().mark_consistent();
        }
    }

    /// `false` if an owner died and nobody has vouched for what the lock protects since.
    pub fn is_consistent(&self) -> bool {
        is_consistent(self.lock.0.word())
    }

    /// Gives up all levels of this thread, to wait for something without the lock.
    ///
    /// Guards of other levels stay with their frames, and are good again after
    /// [`restore`](AllLevels::restore). `None` if the lock was released by hand under this guard.
    pub(in crate::ipc) fn release_all(self) -> Option<AllLevels<'a>> {
        let lock = self.lock;
        std::mem::forget(self);
        match lock.leave(u32::MAX) {
            0 => None,
            depth => Some(AllLevels { lock, depth }),
        }
    }
}

/// The levels that a thread has given up, and wants back.
#[must_use]
pub(in crate::ipc) struct AllLevels<'a> {
    lock: &'a RLock,
    depth: u32,
}

impl<'a> AllLevels<'a> {
    /// Takes the lock again, as deep as it was. If that cannot be, the guards of the other levels do
    /// nothing when they are dropped.
    pub(in crate::ipc) fn restore(
        self,
        limit: Limit<'_>,
    ) -> Result<RLockGuard<'a>, LockError<RLockGuard<'a>>> {
        let lock = self.lock;
        let me = lock.me()?;
        let is_consistent = lock.begin(me, lock.0.lock(limit)?, self.depth);
        lock.granted(is_consistent)
    }
}

impl Drop for RLockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.leave(1);
    }
}

impl fmt::Debug for RLockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard")
            .field("consistent", &self.is_consistent())
            .field("depth", &self.lock.depth())
            .finish()
    }
}
