//! The forms without a guard, for a lock without a value: taken here, freed there.
//!
//! A guard of `Lock<T>` is a `&mut T` that nobody else has; if anybody could free the lock under it,
//! two would have one. Of `()` there is nothing to read or to write, so two `&mut ()` do no harm, and
//! what a closure makes of one (`LockGuard::map`) it could have made of any other. Hence these are
//! methods of `Lock<()>` alone.

use super::raw::LockRequest;
use super::{Lock, RawLock};
use crate::GaveUp;
use crate::wait::{Limit, TASK, WaitFuture};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// Without a guard, where taking and freeing are in different functions, or in different threads.
///
/// As with Python's `Lock`, any thread may free what any other has taken, so no thread counts as
/// the holder: reports say that a task has it.
///
/// Use either these or guards on one lock. [`release`](Lock::release) also frees what a guard holds;
/// a guard that finds its lock freed under it frees it from whoever has it by then.
///
/// ```
/// use latchwork::sync::{Lock, NotLocked};
///
/// let door: Lock<()> = Lock::default();
/// door.acquire();
/// assert!(!door.try_acquire());
/// std::thread::scope(|s| {
///     s.spawn(|| door.release().unwrap());
///     door.acquire();
/// });
/// assert_eq!(door.release(), Ok(()));
/// assert_eq!(door.release(), Err(NotLocked));
/// ```
impl Lock<()> {
    /// Blocks until the lock is free and takes it, to be freed by [`release`](Lock::release).
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        self.raw.lock(TASK, Location::caller());
    }

    /// Takes the lock if it is free, and says whether it was; never blocks.
    #[inline]
    #[must_use = "it may not have been free"]
    pub fn try_acquire(&self) -> bool {
        self.raw.try_lock(TASK)
    }

    /// Takes the lock; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    #[inline]
    #[track_caller]
    pub fn acquire_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.raw
            .lock_within(TASK, &limit.into(), Location::caller())
    }

    /// Takes the lock without blocking a thread. Dropping the future before it resolves gives up;
    /// after that, the lock is held until somebody releases it.
    #[track_caller]
    pub fn acquire_async(&self) -> impl Future<Output = ()> {
        WaitFuture::new(LockRequest {
            lock: &self.raw,
            owner: TASK,
        })
    }

    /// Frees the lock, whoever has taken it.
    ///
    /// # Errors
    ///
    /// [`NotLocked`], and nothing has changed, if it is free.
    #[inline]
    #[doc(alias = "unlock")]
    pub fn release(&self) -> Result<(), NotLocked> {
        if release(&self.raw) {
            Ok(())
        } else {
            Err(NotLocked)
        }
    }
}

/// STAND-IN for `RawLock::release(&self) -> bool`.
fn release(raw: &RawLock) -> bool {
    let owner = raw.owner();
    if owner != 0 {
        raw.unlock(owner);
    }
    owner != 0
}

/// [`Lock::release`] of a lock that nobody had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLocked;

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock to release is free")
    }
}

impl Error for NotLocked {}
