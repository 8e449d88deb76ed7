//! Mutual exclusion: [`Lock`].
//!
//! [`raw`] is the word; here a value lies beside it. A guard is the proof that the word was taken:
//! [`guard`] for a lock that is borrowed, [`owned`] for one in an `Arc`, [`mapped`] for a part of the
//! value, each by a thread or by a task ([`holder`]). [`bare`] does without.

mod bare;
mod guard;
mod holder;
pub(super) mod indirect;
mod mapped;
mod owned;
mod raw;

pub use bare::NotLocked;
pub use guard::{LockGuard, TaskLockGuard};
pub(super) use holder::Id;
pub use holder::{ByTask, ByThread, Holder};
pub use mapped::{MappedLockGuard, MappedTaskLockGuard};
pub use owned::{OwnedLockGuard, OwnedTaskLockGuard};
pub(crate) use raw::RawLock;

use crate::GaveUp;
use crate::platform::{UnsafeCell, const_fn};
use crate::wait::{Limit, TASK, WaitFuture};
use raw::LockRequest;
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// Mutual exclusion around a value.
///
/// Four bytes beside the value. Python's `threading.Lock` with the data inside; std's and
/// parking_lot's `Mutex` with deadlines, cancellation and an async face.
///
/// # Fairness
///
/// Barging with a bounded handoff: a thread that comes by while the lock is free may take it before
/// those who wait, which is what makes a contended lock fast. But once the first in line has waited
/// half a millisecond, and nobody in this line was handed the lock for half a millisecond, the next
/// unlock hands it over, and nobody can be quicker. (While a waiter that was called is awake and tries
/// for itself, every 64th unlock of a thread looks for that.) So who waits behind `n` others is
/// overtaken for `n + 1` half milliseconds, and as long as that unlock is in coming. A newcomer that
/// takes the lock while it is being handed over may keep it for one critical section.
///
/// A future of `lock_async` stands in the same line. One that is not polled when it was called or
/// handed the lock keeps those behind it waiting: poll it, or drop it, which passes its turn on.
/// [`Lock::fair`] makes a lock without barging.
///
/// # Panics and poison
///
/// A panic while the guard is held frees the lock; there is no poison. Locking a lock again in the
/// thread that holds it waits for ever.
///
/// # Cost
///
/// Free: one compare-and-swap to lock and one to unlock, no system call. Taken: a short spin, then
/// one sleep. Size: four bytes and the value.
///
/// # Source
///
/// Python's [`threading.Lock`](https://docs.python.org/3/library/threading.html#lock-objects); the
/// protocol follows parking_lot's `RawMutex` and WebKit's `WTF::Lock`.
///
/// ```
/// use latchwork::sync::Lock;
/// use std::time::Duration;
///
/// static TOTAL: Lock<u64> = Lock::new(0);
///
/// std::thread::scope(|s| {
///     for n in 1..=4 {
///         s.spawn(move || *TOTAL.lock() += n);
///     }
/// });
/// assert_eq!(*TOTAL.lock(), 10);
///
/// let held = TOTAL.lock();
/// assert!(TOTAL.try_lock().is_none());
/// assert!(TOTAL.lock_within(Duration::from_millis(1)).is_err());
/// ```
#[doc(alias = "Mutex")]
#[doc(alias = "acquire")]
pub struct Lock<T: ?Sized> {
    raw: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves with the lock, and a guard gives access to one thread at a time.
unsafe impl<T: ?Sized + Send> Send for Lock<T> {}
// SAFETY: sharing the lock shares only the right to take turns at `&mut T`, hence `T: Send`.
unsafe impl<T: ?Sized + Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    const_fn! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Lock<T> {
            Lock { raw: RawLock::new(), value: UnsafeCell::new(value) }
        }
    }

    const_fn! {
        /// A free lock around `value` that is first come, first served: nobody overtakes anybody.
        ///
        /// When it is freed it goes straight to the one who has waited longest, so each contended
        /// turn costs a wake-up, and throughput under contention is a small part of that of
        /// [`new`](Lock::new). For where the order itself matters.
        ///
        /// ```
        /// use latchwork::sync::Lock;
        ///
        /// static PRINTER: Lock<Vec<&str>> = Lock::fair(Vec::new());
        /// PRINTER.lock().push("page");
        /// ```
        #[doc(alias = "FairMutex")]
        pub fn fair(value: T) -> Lock<T> {
            Lock { raw: RawLock::fair(), value: UnsafeCell::new(value) }
        }
    }

    /// The value; the lock is gone.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Blocks until the lock is free and takes it.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> LockGuard<'_, T> {
        let by = ByThread::current();
        self.raw.lock(by.id(), Location::caller());
        LockGuard::new(self, by)
    }

    /// Takes the lock if it is free; never blocks.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        let by = ByThread::current();
        self.raw.try_lock(by.id()).then(|| LockGuard::new(self, by))
    }

    /// Takes the lock; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    #[inline]
    #[track_caller]
    #[doc(alias = "try_lock_for")]
    #[doc(alias = "lock_timeout")]
    pub fn lock_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<LockGuard<'_, T>, GaveUp> {
        let by = ByThread::current();
        self.raw
            .lock_within(by.id(), &limit.into(), Location::caller())?;
        Ok(LockGuard::new(self, by))
    }

    /// Takes the lock without blocking a thread: resolves when it is ours.
    ///
    /// The guard belongs to the task and may move between threads with it. Dropping the future
    /// before it resolves gives up; what it was granted goes to the next waiter. A future that is
    /// forgotten instead ([`std::mem::forget`]) keeps its place in the line, like a forgotten guard.
    #[track_caller]
    pub fn lock_async(&self) -> impl Future<Output = TaskLockGuard<'_, T>> {
        let request = WaitFuture::new(LockRequest::new(&self.raw, TASK));
        async move {
            request.await;
            LockGuard::new(self, ByTask::HOLDER)
        }
    }

    /// The word, for whoever takes several.
    pub(super) fn word(&self) -> &RawLock {
        &self.raw
    }

    /// Is it held by anybody right now? For reports: the answer may be old when it arrives.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.raw.owner() != 0
    }

    /// The value, without locking: `&mut self` proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self` is unique, so no guard exists.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Lock<T> {
        Lock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Lock");
        match self.try_lock() {
            Some(guard) => out.field("value", &&*guard),
            None => out.field("owner", &crate::debug::Owner(self.raw.owner())),
        };
        out.finish()
    }
}
