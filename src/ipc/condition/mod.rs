//! `ipc::Condition`: wait, with a lock given up, until another process says that something has changed.
//!
//! Who is let go is decided in `shm::protocol::condition`; here the lock is given up and taken again.

mod guard;

pub use guard::{ConditionGuard, TaskGuard};

use super::{AccessError, LockError};
use crate::shm::handle::Slices;
use crate::shm::monitor;
use crate::shm::object::{Object, Shared};
use crate::shm::protocol::condition::{Bell, Waiter};
use crate::shm::refusal::Refusal;
use crate::shm::{Tree, tree};
use crate::{GaveUp, Limit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::mem;

// SAFETY: a bell is made of atomics, and all zero nobody waits for it.
unsafe impl Shared for Bell {}

/// A place to wait for a change of what a lock between processes protects.
///
/// The waiter hands in its guard; the lock is given up while it sleeps, and taken again before the call
/// returns. It has no lock of its own: it works with any [`ConditionGuard`], and that the lock is held
/// is checked by the compiler, where Python raises an error.
///
/// * A notification is for those who wait already. One that changes the state under the lock and notifies
///   afterwards, with or without the lock, is never missed.
/// * [`notify(n)`](Condition::notify) lets `n` of those go who wait, about in the order in which they
///   came. A waiter that has given up takes none of them along.
/// * A wait may end without a notification of its own: after a death, and when notifications come faster
///   than those who were notified get on. Use [`wait_while`](Condition::wait_while) or
///   [`wait_until`](Condition::wait_until), which ask again.
/// * Several conditions may serve one lock, and one condition several locks.
///
/// # When a process is killed
///
/// * A waiter: nothing happens to the others, and nobody ever waits for it. A notification that it took
///   along reaches another waiter within 50 ms.
/// * A process that was going to notify: nobody knows. Those who wait for it sleep on; use a limit where
///   that matters.
/// * A process in the middle of `notify`: it has notified or it has not; or everybody who waits is let go.
///   Nobody sleeps longer than 50 ms when it should not.
/// * A process that holds the lock when it is to be taken again: [`LockError::OwnerDied`], as ever.
///
/// A process that is *stopped* in the dozen instructions of a notification, or of the beginning or end of a
/// wait, keeps the others from those until it goes on, also from the end of a wait whose limit was reached.
///
/// # Cost
///
/// `notify` when nobody waits: two loads. Else a compare-and-swap and a swap, and one system call.
/// A wait takes three locks: two for its place in line, and its own.
///
/// # Source
///
/// Python's `multiprocessing.Condition`. Its `notify` waits until those it woke have said so, and hangs
/// for ever if one of them was killed; here nobody acknowledges anything.
///
/// ```
/// use latchwork::ipc::{Condition, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (apples, filled) = (Value::new(0_u32)?, Condition::new()?);
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         apples.update(|n| *n += 3).unwrap();
///         filled.notify_all().unwrap();
///     });
///     let guard = apples.lock().unwrap();
///     let mut guard = filled.wait_while(guard, |n| *n == 0).unwrap();
///     *guard -= 1;
/// });
/// assert_eq!(apples.get().unwrap(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "multiprocessing.Condition")]
#[doc(alias = "Condvar")]
pub struct Condition(Object<Bell>);

/// The guard, and whether the limit was kept.
type Within<G, R> = Result<(G, Result<R, GaveUp>), LockError<G>>;

impl Condition {
    /// Makes a condition that nobody waits for, in the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// As for [`Lock::new`](super::Lock::new).
    pub fn new() -> io::Result<Condition> {
        Condition::create(tree()?)
    }

    pub(crate) fn create(tree: &'static Tree) -> io::Result<Condition> {
        Object::new(tree, |_| {}).map(Condition)
    }

    /// Gives the lock up, sleeps until notified, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) holds the guard: somebody died with the lock meanwhile, or
    /// before, and nobody has vouched for what it protects. With any other error the lock is not held,
    /// because the condition or the lock is of no use any more; never [`GaveUp`](LockError::GaveUp).
    ///
    /// # Panics
    ///
    /// With a guard of an [`RLock`](super::RLock) whose levels were released by hand. So do all methods that
    /// wait.
    pub fn wait<G: ConditionGuard>(&self, guard: G) -> Result<G, LockError<G>> {
        self.wait_within(guard, Limit::none())
            .map(|(guard, _)| guard)
    }

    /// As [`wait`](Condition::wait), sleeping at most as long as `limit` says. The lock is taken again in
    /// every case, and that takes as long as it takes. A cancellation is noticed within 50 ms.
    ///
    /// A limit that has been reached already returns without giving the lock up.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condition::wait); a limit that was reached is the second part of the result.
    ///
    /// ```
    /// use latchwork::GaveUp;
    /// use latchwork::ipc::{Condition, Lock};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (lock, changed) = (Lock::new()?, Condition::new()?);
    /// let guard = lock.lock().unwrap();
    /// let (guard, outcome) = changed.wait_within(guard, Duration::from_millis(2)).unwrap();
    /// assert_eq!(outcome, Err(GaveUp::TimedOut));
    /// assert!(guard.is_consistent());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "wait_timeout")]
    pub fn wait_within<'l, G: ConditionGuard>(
        &self,
        guard: G,
        limit: impl Into<Limit<'l>>,
    ) -> Within<G, ()> {
        self.wait_at(guard, limit.into())
    }

    /// Waits as long as `pending` says true of the protected value.
    ///
    /// `pending` runs with the lock held. If it panics, the lock is unlocked.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condition::wait). After a death `pending` is not asked again.
    #[doc(alias = "wait_for")]
    pub fn wait_while<G: ConditionGuard>(
        &self,
        guard: G,
        pending: impl FnMut(&mut G::Value) -> bool,
    ) -> Result<G, LockError<G>> {
        self.wait_while_within(guard, pending, Limit::none())
            .map(|(guard, _)| guard)
    }

    /// As [`wait_while`](Condition::wait_while), with one limit over all wake-ups.
    ///
    /// # Errors
    ///
    /// As for [`wait_while`](Condition::wait_while). If the limit was reached, `pending` was asked once
    /// more and still said true.
    #[doc(alias = "wait_timeout_while")]
    pub fn wait_while_within<'l, G: ConditionGuard>(
        &self,
        guard: G,
        mut pending: impl FnMut(&mut G::Value) -> bool,
        limit: impl Into<Limit<'l>>,
    ) -> Within<G, ()> {
        self.wait_until_within(guard, |value| (!pending(value)).then_some(()), limit)
    }

    /// Waits until `ready` makes something of the protected value, and returns that with the guard.
    ///
    /// # Errors
    ///
    /// As for [`wait_while`](Condition::wait_while).
    #[doc(alias = "wait_for")]
    pub fn wait_until<G: ConditionGuard, R>(
        &self,
        guard: G,
        ready: impl FnMut(&mut G::Value) -> Option<R>,
    ) -> Result<(G, R), LockError<G>> {
        match self.wait_until_within(guard, ready, Limit::none())? {
            (guard, Ok(result)) => Ok((guard, result)),
            (_, Err(_)) => unreachable!("a wait without a limit gave up"),
        }
    }

    /// As [`wait_until`](Condition::wait_until), with one limit over all wake-ups.
    ///
    /// # Errors
    ///
    /// As for [`wait_while`](Condition::wait_while). If the limit was reached, `ready` was asked once
    /// more and still had nothing.
    ///
    /// ```
    /// use latchwork::ipc::{Condition, Value};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (apples, filled) = (Value::new(1_u32)?, Condition::new()?);
    /// let take = |apples: &mut u32| apples.checked_sub(1).inspect(|left| *apples = *left);
    /// let limit = Duration::from_millis(2);
    /// let (guard, taken) = filled.wait_until_within(apples.lock().unwrap(), take, limit).unwrap();
    /// assert_eq!(taken, Ok(0));
    /// let (_, taken) = filled.wait_until_within(guard, take, limit).unwrap();
    /// assert!(taken.is_err());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "wait_for")]
    pub fn wait_until_within<'l, G: ConditionGuard, R>(
        &self,
        mut guard: G,
        mut ready: impl FnMut(&mut G::Value) -> Option<R>,
        limit: impl Into<Limit<'l>>,
    ) -> Within<G, R> {
        let limit = limit.into();
        let mut outcome = Ok(());
        loop {
            match (ready(guard.value()), outcome) {
                (Some(result), _) => return Ok((guard, Ok(result))),
                (None, Err(why)) => return Ok((guard, Err(why))),
                (None, Ok(())) => (guard, outcome) = self.wait_at(guard, limit)?,
            }
        }
    }

    /// As [`wait`](Condition::wait), without blocking a thread: for any runtime, with a guard that a task may
    /// hold. The lock is given up when the future is first polled. Dropping the future gives up: a
    /// notification that it had got goes to another waiter, and the lock is not taken again.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condition::wait).
    pub async fn wait_async<G: TaskGuard>(&self, guard: G) -> Result<G, LockError<G>> {
        let mut waiter = self.0.wait_async(Waiter::join(&self.0)).await?;
        let released = guard.release();
        self.0.wait_async(&mut waiter).await?;
        // Dropped only if the future is, between its notification and its lock.
        let pass_on = PassOn(self);
        let guard = G::lock_again_async(released).await;
        mem::forget(pass_on);
        guard
    }

    fn wait_at<G: ConditionGuard>(&self, guard: G, limit: Limit<'_>) -> Within<G, ()> {
        if let Err(why) = limit.check() {
            return Ok((guard, Err(why)));
        }
        // Before the lock is given up: whoever changes something under it afterwards finds us in line.
        let mut waiter = match self.0.wait(Waiter::join(&self.0), limit) {
            Err(Refusal::GaveUp(why)) => return Ok((guard, Err(why))),
            other => other?,
        };
        let released = guard.release();
        let outcome = match monitor::wait(&mut waiter, &mut Slices(limit)) {
            Err(Refusal::GaveUp(why)) if !waiter.leave()? => Err(why),
            Err(Refusal::GaveUp(_)) => Ok(()),
            other => Ok(other?),
        };
        Ok((G::lock_again(released)?, outcome))
    }

    /// Lets one go who waits.
    ///
    /// # Errors
    ///
    /// As for [`notify`](Condition::notify).
    pub fn notify_one(&self) -> Result<(), AccessError> {
        self.notify(1)
    }

    /// Lets `n` go who wait, or all there are. Never waits for them, dead or alive.
    ///
    /// # Errors
    ///
    /// The [error](AccessError) says why the condition is of no use any more; never
    /// [`GaveUp`](AccessError::GaveUp).
    pub fn notify(&self, n: usize) -> Result<(), AccessError> {
        Ok(Bell::ring(&self.0, n.try_into().unwrap_or(u32::MAX))?)
    }

    /// Lets everybody go who waits now, and nobody who comes later.
    ///
    /// # Errors
    ///
    /// As for [`notify`](Condition::notify).
    #[doc(alias = "notifyAll")]
    #[doc(alias = "broadcast")]
    pub fn notify_all(&self) -> Result<(), AccessError> {
        self.notify(usize::MAX)
    }

    /// How many wait. For reports: the answer may be old when it arrives, and those who were killed
    /// while they waited are in it until everybody has been notified.
    pub fn waiters(&self) -> Result<usize, AccessError> {
        Ok(self.0.hint(Bell::waiters)? as usize)
    }
}

/// Gives a notification that its receiver will not use to the next.
struct PassOn<'a>(&'a Condition);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        // If the condition is of no use any more, nobody is left to be told.
        let _ = self.0.notify_one();
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.waiters() {
            Ok(waiters) => write!(f, "Condition({waiters} waiting)"),
            Err(_) => f.write_str("Condition(gone)"),
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(Condition)
    }
}
