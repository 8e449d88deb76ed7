//! A lock that its owner may take again: [`RLock`].

mod bare;
mod guard;
mod owned;
mod raw;

pub use bare::NotOwner;
pub use guard::{MappedRLockGuard, OnlyLevel, RLockGuard};
pub use owned::OwnedRLockGuard;
pub(in crate::sync) use raw::{Levels, RawRLock};

use crate::GaveUp;
use crate::debug::Owner;
use crate::platform::const_fn;
use crate::wait::Limit;
use std::fmt;
use std::panic::Location;

/// Mutual exclusion between threads around a value, for a thread that may hold it already.
///
/// The thread that holds the lock may lock it again, and holds it until it has dropped as many
/// guards as it was given, in whatever order. Since several of its guards can live at once, they
/// give `&T` only: put what changes into a [`Cell`](std::cell::Cell) or a
/// [`RefCell`](std::cell::RefCell).
///
/// # Fairness
///
/// That of [`Lock`](super::Lock): barging, and a handoff to whoever has waited half a millisecond.
/// The owner never waits, whatever its limit says.
///
/// # No async face
///
/// What the lock is owned by is a thread. Two tasks on one thread would both be its owner, and
/// nothing would keep them apart; a task that moved on with its guard would not be the owner any more.
/// Futures have no identity that could take the thread's place. In async code use
/// [`Lock::lock_async`](super::Lock::lock_async) and pass the guard to what is called inside; or
/// lock an `RLock` between two `.await`s, never across one: the guard is not `Send`, so executors
/// that move tasks between threads refuse a future that keeps it.
///
/// # Panics
///
/// Locking it more than 2^27 times in one thread without dropping a guard: the call panics and has changed
/// nothing. A panic while a guard is held frees its level; there is no poison. A guard that is
/// forgotten keeps the lock for good, and after the thread has ended another thread that was given
/// the same number (see [`debug::current_thread`](crate::debug::current_thread)) counts as its owner.
///
/// # Cost
///
/// First level: two loads and two plain stores more than a [`Lock`](super::Lock), whose word it has.
/// Each further one: a load, a comparison and a plain store, and as much to leave it; no
/// read-modify-write. (From the 32nd level on, one that fails.) Size: eight bytes and the value.
///
/// # Source
///
/// Python's [`threading.RLock`](https://docs.python.org/3/library/threading.html#rlock-objects); std's
/// (unstable) `ReentrantLock` and parking_lot's `ReentrantMutex` with deadlines, cancellation and a
/// [`Condition`](super::Condition).
///
/// ```
/// use latchwork::sync::RLock;
/// use std::cell::RefCell;
/// use std::time::Duration;
///
/// struct Tree(RLock<RefCell<Vec<&'static str>>>);
///
/// impl Tree {
///     fn add(&self, leaf: &'static str) {
///         self.0.lock().borrow_mut().push(leaf);
///     }
///     fn add_pair(&self, a: &'static str, b: &'static str) {
///         let _both = self.0.lock(); // nobody comes in between
///         self.add(a);
///         self.add(b);
///     }
/// }
///
/// let tree = Tree(RLock::default());
/// tree.add_pair("apple", "pear");
///
/// let held = tree.0.lock();
/// let again = tree.0.lock_within(Duration::ZERO).unwrap();
/// assert_eq!(tree.0.depth(), 2);
/// std::thread::scope(|s| {
///     s.spawn(|| assert!(tree.0.try_lock().is_none()));
/// });
/// drop(held); // in any order
/// assert_eq!(again.borrow().len(), 2);
/// ```
#[doc(alias = "ReentrantMutex")]
#[doc(alias = "ReentrantLock")]
#[doc(alias = "recursive")]
pub struct RLock<T: ?Sized> {
    raw: RawRLock,
    value: T,
}

// SAFETY: sharing the lock shares only the right to take turns at `&T`: as long as one thread has
// one, no other has (`OnlyLevel` tells how waits in between keep to that). Hence `T: Send` is enough.
unsafe impl<T: ?Sized + Send> Sync for RLock<T> {}

impl<T> RLock<T> {
    const_fn! {
        /// A free lock around `value`.
        pub fn new(value: T) -> RLock<T> {
            RLock { raw: RawRLock::new(), value }
        }
    }

    /// The value; the lock is gone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> RLock<T> {
    /// Blocks until the lock is free or the current thread's, and takes it once more.
    ///
    /// # Panics
    ///
    /// When the thread holds it 2^27 times already.
    ///
    /// ```
    /// use latchwork::sync::RLock;
    ///
    /// let lock = RLock::new(7);
    /// let (outer, inner) = (lock.lock(), lock.lock());
    /// assert_eq!(*outer, *inner);
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> RLockGuard<'_, T> {
        RLockGuard::new(self.raw.lock(Location::caller()), &self.value)
    }

    /// Takes the lock if it is free or the current thread's; never blocks.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    #[inline]
    pub fn try_lock(&self) -> Option<RLockGuard<'_, T>> {
        let level = self.raw.try_lock()?;
        Some(RLockGuard::new(level, &self.value))
    }

    /// Takes the lock; blocks at most as long as `limit` says. Never blocks its owner, who succeeds
    /// even if the limit has been reached already.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    ///
    /// # Panics
    ///
    /// As [`lock`](RLock::lock).
    #[inline]
    #[track_caller]
    #[doc(alias = "lock_timeout")]
    #[doc(alias = "try_lock_for")]
    pub fn lock_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<RLockGuard<'_, T>, GaveUp> {
        let level = self.raw.lock_within(&limit.into(), Location::caller())?;
        Ok(RLockGuard::new(level, &self.value))
    }

    /// Is it held by anybody right now? For reports: the answer may be old when it arrives.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.raw.owner() != 0
    }

    /// Does the current thread hold it? The answer is exact.
    #[doc(alias = "_is_owned")]
    pub fn is_owned(&self) -> bool {
        self.raw.is_owned()
    }

    /// How many times the current thread holds it; 0 if it doesn't, whoever else does.
    #[doc(alias = "_recursion_count")]
    pub fn depth(&self) -> usize {
        self.raw.depth()
    }

    /// The value, without locking: `&mut self` proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Default> Default for RLock<T> {
    fn default() -> RLock<T> {
        RLock::new(T::default())
    }
}

impl<T> From<T> for RLock<T> {
    fn from(value: T) -> RLock<T> {
        RLock::new(value)
    }
}

/// Tells the value if it can have the lock without waiting, else who has it.
impl<T: ?Sized + fmt::Debug> fmt::Debug for RLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.raw.owner();
        let depth = self.depth();
        let mut out = f.debug_struct("RLock");
        // Held while the value is told: its `Debug` is the user's code and may drop a guard.
        let level = self.raw.look();
        if level.is_some() {
            out.field("value", &&self.value);
        }
        if depth > 0 || level.is_none() {
            out.field("owner", &Owner(owner));
        }
        if depth > 0 {
            out.field("depth", &depth);
        }
        out.finish()
    }
}
