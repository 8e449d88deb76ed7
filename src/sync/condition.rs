//! [`Condition`]: wait, with the lock released, until somebody says that something has changed.

use super::lock::{LockGuard, TaskLockGuard};
use crate::GaveUp;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, WaitFuture, wait, wait_for_ever};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: usize = 1;

/// A place to wait for a change of what a [`Lock`](super::Lock) protects.
///
/// The waiter gives its guard, the lock is released while it sleeps, and it is held again when the
/// call returns, whatever the call returns. Several conditions may serve one lock.
///
/// * A wake-up is exact: `notify(n)` wakes `n` of those who wait, oldest first, and is never spent
///   on a waiter that has just timed out or been cancelled. A task that is dropped with a
///   notification passes it on, be it one of a `notify_all`; else there are no spurious wake-ups.
/// * That a change was announced does not mean that it still holds when the lock is ours again:
///   use [`wait_while`](Condition::wait_while).
/// * A notification wakes only those who wait already. One that changes the state under the lock
///   and notifies afterwards, with or without the lock, cannot be missed.
///
/// # Cost
///
/// `notify` when nobody waits: one load. Waiting: one sleep, and one lock acquisition after it.
/// Size: one `usize`.
///
/// # Source
///
/// Python's [`threading.Condition`](https://docs.python.org/3/library/threading.html#condition-objects),
/// without its habit of notifying a waiter that has timed out.
///
/// ```
/// use latchwork::sync::{Condition, Lock};
///
/// let basket = Lock::new(Vec::new());
/// let filled = Condition::new();
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         basket.lock().push("apple");
///         filled.notify_one();
///     });
///     let mut guard = basket.lock();
///     filled.wait_while(&mut guard, |basket| basket.is_empty());
///     assert_eq!(guard.pop(), Some("apple"));
/// });
/// ```
#[doc(alias = "Condvar")]
pub struct Condition {
    word: AtomicUsize,
}

static KIND: Kind = Kind {
    name: "Condition",
    owner: None,
};

impl Condition {
    const_fn! {
        /// A condition nobody waits for.
        pub fn new() -> Condition {
            Condition { word: AtomicUsize::new(0) }
        }
    }

    /// Releases the lock, sleeps until notified, and takes the lock again.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut LockGuard<'_, T>) {
        let place = Location::caller();
        let (lock, owner) = guard.raw();
        let mut request = self.request(|| lock.unlock(owner));
        wait_for_ever(&mut request, place);
        lock.lock_again(owner, place);
    }

    /// As [`wait`](Condition::wait), at most as long as `limit` says. The lock is taken again in
    /// every case, and that takes as long as it takes.
    ///
    /// # Errors
    ///
    /// Why it gave up. A limit that has been reached already returns without releasing the lock.
    #[track_caller]
    #[doc(alias = "wait_for")]
    #[doc(alias = "wait_timeout")]
    pub fn wait_within<'l, T: ?Sized>(
        &self,
        guard: &mut LockGuard<'_, T>,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), GaveUp> {
        self.wait_at(guard, &limit.into(), Location::caller())
    }

    fn wait_at<T: ?Sized>(
        &self,
        guard: &mut LockGuard<'_, T>,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        let (lock, owner) = guard.raw();
        let mut request = self.request(|| lock.unlock(owner));
        let outcome = wait(&mut request, limit, place);
        if request.release.is_none() {
            lock.lock_again(owner, place);
        }
        outcome
    }

    /// Waits as long as `pending` says true of the protected value.
    ///
    /// `pending` runs with the lock held; a panic in it leaves the guard as it is.
    #[track_caller]
    #[doc(alias = "wait_for")]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut LockGuard<'_, T>,
        pending: impl FnMut(&mut T) -> bool,
    ) {
        let place = Location::caller();
        let _ = self.wait_while_at(guard, pending, &Limit::none(), place);
    }

    /// As [`wait_while`](Condition::wait_while), with one limit over all wake-ups.
    ///
    /// # Errors
    ///
    /// Why it gave up; `pending` was asked once more after that and still said true.
    #[track_caller]
    #[doc(alias = "wait_timeout_while")]
    pub fn wait_while_within<'l, T: ?Sized>(
        &self,
        guard: &mut LockGuard<'_, T>,
        pending: impl FnMut(&mut T) -> bool,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), GaveUp> {
        self.wait_while_at(guard, pending, &limit.into(), Location::caller())
    }

    fn wait_while_at<T: ?Sized>(
        &self,
        guard: &mut LockGuard<'_, T>,
        mut pending: impl FnMut(&mut T) -> bool,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        while pending(guard) {
            if let Err(why) = self.wait_at(guard, limit, place) {
                return if pending(guard) { Err(why) } else { Ok(()) };
            }
        }
        Ok(())
    }

    /// As [`wait`](Condition::wait), without blocking a thread.
    ///
    /// The lock is released when the future is first polled. Dropping the future gives up: a
    /// notification it had got goes to the next waiter, and the lock is not taken again.
    #[track_caller]
    pub fn wait_async<'a, T: ?Sized>(
        &'a self,
        guard: TaskLockGuard<'a, T>,
    ) -> impl Future<Output = TaskLockGuard<'a, T>> {
        let lock = guard.lock();
        let waiting = WaitFuture::new(self.request(move || drop(guard)));
        async move {
            waiting.await;
            // Dropped only if the future is, between its notification and its lock.
            let pass_on = PassOn(self);
            let guard = lock.lock_async().await;
            std::mem::forget(pass_on);
            guard
        }
    }

    /// Wakes the one who has waited longest. Returns whether there was one.
    #[inline]
    pub fn notify_one(&self) -> bool {
        self.notify(1) == 1
    }

    /// Wakes the `n` who have waited longest, or all there are. Returns how many.
    #[inline]
    pub fn notify(&self, n: usize) -> usize {
        // Relaxed: a waiter marked the word before it released the lock, and whoever changed the
        // state under that lock afterwards has seen the mark.
        if self.word.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.notify_slow(n)
    }

    /// Wakes everybody who waits now. Returns how many.
    #[inline]
    #[doc(alias = "notifyAll")]
    #[doc(alias = "broadcast")]
    pub fn notify_all(&self) -> usize {
        self.notify(usize::MAX)
    }

    #[cold]
    fn notify_slow(&self, n: usize) -> usize {
        lot::line(self.address(), |line| {
            let mut woken = 0;
            while woken < n && !line.is_empty() {
                woken += usize::from(line.grant_front(0));
            }
            self.unmark_if_empty(line);
            woken
        })
    }

    fn unmark_if_empty(&self, line: &Line<'_>) {
        if line.is_empty() {
            self.word.store(0, Ordering::Relaxed);
        }
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }

    fn request<F: FnOnce()>(&self, release: F) -> ConditionRequest<'_, F> {
        ConditionRequest {
            condition: self,
            release: Some(release),
        }
    }
}

impl Default for Condition {
    fn default() -> Condition {
        Condition::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("waited_for", &(self.word.load(Ordering::Relaxed) != 0))
            .finish()
    }
}

/// A notification in the hands of a task that has not used it yet.
struct PassOn<'a>(&'a Condition);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Wants to be notified; `release` frees the lock as soon as the waiter is in the line.
struct ConditionRequest<'a, F> {
    condition: &'a Condition,
    release: Option<F>,
}

impl<F: FnOnce()> Request for ConditionRequest<'_, F> {
    type Output = ();
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.condition.address()
    }

    fn attempt(&mut self) -> Option<()> {
        None
    }

    /// The lock is still held: spinning would keep out whoever is to notify.
    fn crowded(&self) -> bool {
        true
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        self.condition.word.store(WAITERS, Ordering::Relaxed);
        Some(0)
    }

    fn parked(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }

    fn granted(&mut self, _token: usize) -> Option<()> {
        Some(())
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.condition.unmark_if_empty(line);
    }

    fn decline(&mut self, _token: usize) {
        self.condition.notify_one();
    }
}
