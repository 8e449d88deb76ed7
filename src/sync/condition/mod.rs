//! [`Condition`]: wait, with the lock released, until somebody says that something has changed.

mod guard;
mod request;

pub use guard::ConditionGuard;

use super::lock::TaskLockGuard;
use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, WaitFuture, wait};
use guard::{HeldLock, View};
use request::{COUNTED, ConditionRequest, FOR_ALL, PassOn};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: u32 = 1;

/// A place to wait for a change of what a [`Lock`](super::Lock) or an [`RLock`](super::RLock)
/// protects.
///
/// The waiter lends its guard, the lock is released while it sleeps, and it is held again when the
/// call returns, whatever the call returns. Of an `RLock` all levels of the thread are released, and
/// as many come back; [`ConditionGuard`] lists the guards and what holds for each.
///
/// * A wake-up is exact: `notify(n)` wakes `n` of those who wait, oldest first, and is never spent
///   on a waiter that has just timed out or been cancelled. A task that is dropped with one of them
///   passes it on. There are no spurious wake-ups: a wait ends with a notification or its limit.
/// * That a change was announced does not mean that it still holds when the lock is ours again:
///   use [`wait_while`](Condition::wait_while) or [`wait_until`](Condition::wait_until).
/// * A notification wakes only those who wait already. One that changes the state under the lock
///   and notifies afterwards, with or without the lock, cannot be missed.
/// * Several conditions may serve one lock. One condition may also serve several locks, even at the
///   same time: each waiter releases and takes its own, and a notification goes to whoever has waited
///   longest, whatever its lock. (std panics, POSIX leaves it undefined.)
///
/// # Fairness
///
/// First come, first notified. Those who were notified compete for the lock, as its own fairness says.
///
/// # Cost
///
/// `notify` when nobody waits: one load. Waiting: one sleep, and one lock acquisition after it.
/// Size: four bytes.
///
/// # Source
///
/// Python's [`threading.Condition`](https://docs.python.org/3/library/threading.html#condition-objects),
/// without its habit of notifying a waiter that has timed out, and without a lock of its own: take one
/// that has the state inside.
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
#[doc(alias = "condition_variable")]
pub struct Condition {
    /// ```text
    ///   0        nobody is parked here
    ///   WAITERS  somebody is, or was a moment ago
    /// ```
    word: AtomicU32,
}

static KIND: Kind = Kind {
    name: "Condition",
    owner: None,
};

impl Condition {
    const_fn! {
        /// A condition nobody waits for.
        pub fn new() -> Condition {
            Condition { word: AtomicU32::new(0) }
        }
    }

    /// Releases the lock, sleeps until notified, and takes the lock again.
    ///
    /// # Panics
    ///
    /// With an [`OnlyLevel`](super::OnlyLevel) that isn't one, and with a guard of an `RLock<()>` whose
    /// lock was released by hand under it. So do all methods that wait. A deadlock that forms when the
    /// lock is taken again is printed at most and never a panic, since the caller still has the guard.
    ///
    /// ```
    /// use latchwork::sync::{Condition, RLock};
    ///
    /// let (turn, called) = (RLock::new(()), Condition::new());
    /// std::thread::scope(|s| {
    ///     let outer = turn.lock();
    ///     s.spawn(|| {
    ///         let _turn = turn.lock(); // free only while the other waits
    ///         called.notify_one();
    ///     });
    ///     called.wait(&mut turn.lock());
    ///     assert_eq!(turn.depth(), 1);
    ///     drop(outer);
    /// });
    /// ```
    #[track_caller]
    pub fn wait<G: ConditionGuard>(&self, guard: &mut G) {
        let outcome = self.wait_at(&guard.held(), &Limit::none(), Location::caller());
        debug_assert_eq!(outcome, Ok(()), "a wait without a limit gave up");
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
    pub fn wait_within<'l, G: ConditionGuard>(
        &self,
        guard: &mut G,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), GaveUp> {
        // First, since it is the user's code: what `held` says must still be true when it is used.
        let limit = limit.into();
        self.wait_at(&guard.held(), &limit, Location::caller())
    }

    fn wait_at(
        &self,
        held: &HeldLock<'_>,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        let mut released = None;
        let outcome = wait(
            &mut self.request(|| released = Some(held.release())),
            limit,
            place,
        );
        if let Some(released) = released {
            held.restore(released, place);
        }
        outcome.map(drop)
    }

    /// Waits as long as `pending` says true of the protected value.
    ///
    /// `pending` runs with the lock held; a panic in it leaves the guard as it is. It sees `&mut T`
    /// of a [`Lock`](super::Lock), `&T` of an [`RLock`](super::RLock).
    #[track_caller]
    #[doc(alias = "wait_for")]
    pub fn wait_while<G: ConditionGuard>(
        &self,
        guard: &mut G,
        mut pending: impl FnMut(<G as View<'_>>::Seen) -> bool,
    ) {
        self.wait_until(guard, |value| (!pending(value)).then_some(()));
    }

    /// As [`wait_while`](Condition::wait_while), with one limit over all wake-ups.
    ///
    /// # Errors
    ///
    /// Why it gave up; `pending` was asked once more after that and still said true.
    #[track_caller]
    #[doc(alias = "wait_timeout_while")]
    pub fn wait_while_within<'l, G: ConditionGuard>(
        &self,
        guard: &mut G,
        mut pending: impl FnMut(<G as View<'_>>::Seen) -> bool,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), GaveUp> {
        self.wait_until_within(guard, |value| (!pending(value)).then_some(()), limit)
    }

    /// Waits until `ready` makes something of the protected value, and returns that.
    ///
    /// As [`wait_while`](Condition::wait_while) for those who want what they have waited for. (The
    /// `wait_until` of other crates takes a deadline: that is [`wait_within`](Condition::wait_within).)
    ///
    /// ```
    /// use latchwork::sync::{Condition, Lock};
    ///
    /// let (basket, filled) = (Lock::new(vec!["apple"]), Condition::new());
    /// assert_eq!(filled.wait_until(&mut basket.lock(), |basket| basket.pop()), "apple");
    /// ```
    #[track_caller]
    #[doc(alias = "wait_for")]
    pub fn wait_until<G: ConditionGuard, R>(
        &self,
        guard: &mut G,
        ready: impl FnMut(<G as View<'_>>::Seen) -> Option<R>,
    ) -> R {
        match self.wait_until_at(guard, ready, &Limit::none(), Location::caller()) {
            Ok(result) => result,
            Err(_) => unreachable!("a wait without a limit gave up"),
        }
    }

    /// As [`wait_until`](Condition::wait_until), with one limit over all wake-ups.
    ///
    /// # Errors
    ///
    /// Why it gave up; `ready` was asked once more after that and still had nothing.
    ///
    /// ```
    /// use latchwork::sync::{Condition, Lock};
    /// use std::time::Duration;
    ///
    /// let (basket, filled) = (Lock::new(Vec::<u8>::new()), Condition::new());
    /// let limit = Duration::from_millis(1);
    /// assert!(filled.wait_until_within(&mut basket.lock(), |b| b.pop(), limit).is_err());
    /// ```
    #[track_caller]
    #[doc(alias = "wait_for")]
    pub fn wait_until_within<'l, G: ConditionGuard, R>(
        &self,
        guard: &mut G,
        ready: impl FnMut(<G as View<'_>>::Seen) -> Option<R>,
        limit: impl Into<Limit<'l>>,
    ) -> Result<R, GaveUp> {
        self.wait_until_at(guard, ready, &limit.into(), Location::caller())
    }

    fn wait_until_at<G: ConditionGuard, R>(
        &self,
        guard: &mut G,
        mut ready: impl FnMut(<G as View<'_>>::Seen) -> Option<R>,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<R, GaveUp> {
        loop {
            if let Some(result) = ready(guard.view()) {
                return Ok(result);
            }
            if let Err(why) = self.wait_at(&guard.held(), limit, place) {
                return ready(guard.view()).ok_or(why);
            }
        }
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
            let token = waiting.await;
            // Dropped only if the future is, between its notification and its lock.
            let pass_on = PassOn {
                condition: self,
                token,
            };
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
    ///
    /// Exactly so many have been notified, and none of them will report a time-out.
    #[inline]
    pub fn notify(&self, n: usize) -> usize {
        self.grant(n, COUNTED)
    }

    /// Wakes everybody who waits now, and nobody who comes later. Returns how many.
    ///
    /// All are woken at once, and then compete for the lock. The alternative is to wake one and to move
    /// the others into the lock's line, as parking_lot does; it was weighed and not taken, because
    /// whoever finds the lock free need not be woken by its last owner. The group `condition` of the
    /// benchmarks measures both ways side by side.
    #[inline]
    #[doc(alias = "notifyAll")]
    #[doc(alias = "broadcast")]
    pub fn notify_all(&self) -> usize {
        self.grant(usize::MAX, FOR_ALL)
    }

    /// How many wait now. For reports: the answer may be old when it arrives.
    ///
    /// Counts them one by one, with their bucket locked.
    pub fn waiters(&self) -> usize {
        if self.word.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        lot::line(self.address(), |line| line.count())
    }

    #[inline]
    fn grant(&self, n: usize, token: usize) -> usize {
        // Relaxed: a waiter marked the word before it released its lock, and whoever changed the
        // state under that lock afterwards sees the mark, or what a later change left there.
        if self.word.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.grant_slow(n, token)
    }

    #[cold]
    fn grant_slow(&self, n: usize, token: usize) -> usize {
        lot::line(self.address(), |line| {
            let mut woken = 0;
            while woken < n && !line.is_empty() {
                // One that has given up leaves the notification to the next.
                woken += usize::from(line.grant_front(token));
            }
            self.unmark_if_empty(line);
            woken
        })
    }

    /// Gives a notification that its receiver will not use to the next, if it was one of a number.
    fn pass_on(&self, token: usize) {
        if token == COUNTED {
            self.notify_one();
        }
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
            .field("waiters", &self.waiters())
            .finish()
    }
}
