//! The forms without a guard, for a lock without a value: taken here, freed there.
//!
//! A guard of `Lock<T>` is a `&mut T` that nobody else has; if anybody could free the lock under it,
//! two would have one. So the word of a lock that is held without a guard says so, and `release` frees
//! no other. Who has no guard has no way to the value either, and taking a lock that protects nothing
//! by itself makes sense only if there is no value; hence these are methods of `Lock<()>` alone, where
//! even a mistake here could do no harm: of `()` there is nothing to read or to write, and what a
//! closure makes of one `&mut ()` (`LockGuard::map`) it could have made of any other.

use super::Lock;
use super::raw::LockRequest;
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
/// Guards and these exclude each other on one lock, and [`release`](Lock::release) never frees what a
/// guard holds.
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
        self.raw.make_raw();
    }

    /// Takes the lock if it is free, and says whether it was; never blocks.
    #[inline]
    #[must_use = "it may not have been free"]
    pub fn try_acquire(&self) -> bool {
        let is_ours = self.raw.try_lock(TASK);
        if is_ours {
            self.raw.make_raw();
        }
        is_ours
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
            .lock_within(TASK, &limit.into(), Location::caller())?;
        self.raw.make_raw();
        Ok(())
    }

    /// Takes the lock without blocking a thread. Dropping the future before it resolves gives up;
    /// after that, the lock is held until somebody releases it.
    #[track_caller]
    pub fn acquire_async(&self) -> impl Future<Output = ()> {
        let request = WaitFuture::new(LockRequest::new(&self.raw, TASK));
        async move {
            request.await;
            self.raw.make_raw();
        }
    }

    /// Frees the lock, whoever has acquired it.
    ///
    /// # Errors
    ///
    /// [`NotLocked`], and nothing has changed, if nobody has: it is free, or a guard holds it.
    #[inline]
    #[doc(alias = "unlock")]
    pub fn release(&self) -> Result<(), NotLocked> {
        if self.raw.release() {
            Ok(())
        } else {
            Err(NotLocked)
        }
    }
}

/// [`Lock::release`] of a lock that nobody had acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLocked;

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody has acquired the lock to be released")
    }
}

impl Error for NotLocked {}
