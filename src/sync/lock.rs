//! Mutual exclusion: [`Lock`], and the word it is made of.
//!
//! The engine calls back through [`LockRequest`]; [`Condition`](super::Condition) releases and
//! takes the word through [`RawLock`].

use crate::GaveUp;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::{UnsafeCell, const_fn, thread_id};
use crate::wait::lot::{self, Front, Line};
use crate::wait::{Kind, Limit, Request, TASK, WaitFuture, wait, wait_for_ever};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;
use std::time::Duration;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: usize = 1;

/// A waiter that has waited this long gets the lock handed to it, so nobody can overtake it again.
const HANDOFF_AFTER: Duration = Duration::from_micros(500);

/// Grant tokens: the lock is yours; or: it was free a moment ago, try.
const HANDED: usize = 0;
const COMPETE: usize = 1;

/// The word of a lock.
///
/// ```text
///   owner << 1 | WAITERS
///
///   owner  WAITERS
///     0       0     free
///     t       0     held by t, nobody parked                the two fast paths: 0 -> t<<1 -> 0
///     t       1     held by t, somebody parked              unlock takes the slow path
///     0       1     free, the front waiter has been woken to compete, others are parked
/// ```
///
/// The owner changes 0 -> t by the taker's CAS, t -> 0 by the holder, and t -> u by the holder when
/// it hands the lock to the waiter u; the last two in the slow path only under the bucket's lock.
pub(crate) struct RawLock {
    word: AtomicUsize,
}

static KIND: Kind = Kind {
    name: "Lock",
    owner: |word| word >> 1,
};

impl RawLock {
    const_fn! {
        pub(crate) fn new() -> RawLock {
            RawLock { word: AtomicUsize::new(0) }
        }
    }

    /// Takes the lock for `owner` unless somebody has it. Acquire pairs with the Release of `unlock`.
    #[inline]
    fn try_lock(&self, owner: usize) -> bool {
        self.word
            .compare_exchange(0, owner << 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            || self.try_lock_slow(owner)
    }

    /// As `try_lock`, also when somebody is parked beside a free lock.
    #[cold]
    fn try_lock_slow(&self, owner: usize) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen >> 1 == 0 {
            match self.word.compare_exchange_weak(
                seen,
                owner << 1 | seen,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Blocks until the lock is `owner`'s.
    #[inline]
    pub(crate) fn lock(&self, owner: usize, place: &'static Location<'static>) {
        if !self.try_lock(owner) {
            wait_for_ever(&mut LockRequest { lock: self, owner }, place);
        }
    }

    #[inline]
    pub(crate) fn lock_within(
        &self,
        owner: usize,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        if self.try_lock(owner) {
            return Ok(());
        }
        wait(&mut LockRequest { lock: self, owner }, limit, place)
    }

    /// Frees the lock, which `owner` holds.
    #[inline]
    pub(crate) fn unlock(&self, owner: usize) {
        if self
            .word
            .compare_exchange(owner << 1, 0, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.unlock_slow();
        }
    }

    /// Wakes the front waiter to compete, or hands it the lock when it has waited long enough.
    ///
    /// The lock is still ours here, and nobody can park while we hold the bucket, so plain stores
    /// do. An heir is named *before* it is granted, because it goes on at once.
    #[cold]
    fn unlock_slow(&self) {
        lot::line(self.address(), |line| {
            while let Some(front) = line.front() {
                let waiters = if line.has_second() { WAITERS } else { 0 };
                if is_overdue(&front) {
                    // Relaxed: the heir learns what we did from its waiter's state.
                    self.word
                        .store(front.thread << 1 | waiters, Ordering::Relaxed);
                    if line.grant_front(HANDED) {
                        return;
                    }
                } else {
                    self.word.store(waiters, Ordering::Release);
                    // If the front one has given up, so that nobody was woken, the next must be; the
                    // lock is free or somebody else's by now, and both are fine to wake into.
                    while !line.grant_front(COMPETE) && !line.is_empty() {}
                    return;
                }
            }
            self.word.store(0, Ordering::Release);
        });
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }

    fn owner(&self) -> usize {
        self.word.load(Ordering::Relaxed) >> 1
    }
}

/// Overtaken for so long, or (there is no time in a model) so often, that it is its turn.
fn is_overdue(front: &Front) -> bool {
    if cfg!(loom) {
        front.again
    } else {
        front.since.elapsed() >= HANDOFF_AFTER
    }
}

/// Wants the lock for `owner`.
pub(crate) struct LockRequest<'a> {
    lock: &'a RawLock,
    owner: usize,
}

impl Request for LockRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.lock.address()
    }

    fn attempt(&mut self) -> Option<()> {
        (self.lock.owner() == 0 && self.lock.try_lock(self.owner)).then_some(())
    }

    fn crowded(&self) -> bool {
        self.lock.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let word = &self.lock.word;
        let mut seen = word.load(Ordering::Relaxed);
        // A CAS even if the mark is there: a lock that is free by now must not be waited for.
        while seen >> 1 != 0 {
            match word.compare_exchange_weak(
                seen,
                seen | WAITERS,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(0),
                Err(now) => seen = now,
            }
        }
        None
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        self.attempt()
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        if line.is_empty() {
            self.lock.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }

    fn decline(&mut self, token: usize) {
        // Called to compete and not competing: the lock may lie free with others parked. Taking and
        // freeing it wakes the next; if somebody else has it, their unlock does.
        if token == HANDED || self.attempt().is_some() {
            self.lock.unlock(self.owner);
        }
    }
}

/// Mutual exclusion around a value.
///
/// One word beside the value. Python's `threading.Lock` with the data inside; std's and
/// parking_lot's `Mutex` with deadlines, cancellation and an async face.
///
/// # Fairness
///
/// Barging with a bounded handoff: a thread that comes by while the lock is free may take it before
/// those who wait, which is what makes a contended lock fast; but as soon as the first in line has
/// waited half a millisecond, the next unlock hands it the lock, and it cannot be overtaken any more.
/// So who waits behind `n` others is bypassed for at most half a millisecond and `n` critical
/// sections. A future of `lock_async` stands in the same line: one that is not polled when its turn
/// has come keeps the lock from everybody.
///
/// # Panics and poison
///
/// A panic while the guard is held frees the lock; there is no poison. Locking a lock again in the
/// thread that holds it waits for ever.
///
/// # Cost
///
/// Free: one compare-and-swap to lock and one to unlock, no system call. Taken: a short spin, then
/// one sleep. Size: one `usize` and the value.
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
        let owner = thread_id();
        self.raw.lock(owner, Location::caller());
        self.guard(owner)
    }

    /// Takes the lock if it is free; never blocks.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        let owner = thread_id();
        self.raw.try_lock(owner).then(|| self.guard(owner))
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
        let owner = thread_id();
        self.raw
            .lock_within(owner, &limit.into(), Location::caller())?;
        Ok(self.guard(owner))
    }

    /// Takes the lock without blocking a thread: resolves when it is ours.
    ///
    /// The guard belongs to the task and may move between threads with it. Dropping the future
    /// before it resolves gives up; what it was granted goes to the next waiter. A future that is
    /// forgotten instead ([`std::mem::forget`]) keeps its place in the line, like a forgotten guard.
    #[track_caller]
    pub fn lock_async(&self) -> impl Future<Output = TaskLockGuard<'_, T>> {
        let request = WaitFuture::new(LockRequest {
            lock: &self.raw,
            owner: TASK,
        });
        async move {
            request.await;
            TaskLockGuard {
                lock: self,
                _value: PhantomData,
            }
        }
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

    #[inline]
    fn guard(&self, owner: usize) -> LockGuard<'_, T> {
        LockGuard {
            lock: self,
            owner,
            _of_this_thread: PhantomData,
        }
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

/// The right to use what a [`Lock`] protects; dropping it frees the lock.
///
/// It stays in the thread that took it, because that thread is named in the lock as its owner.
#[must_use = "the lock is freed at once if the guard is not kept"]
pub struct LockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    owner: usize,
    _of_this_thread: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for LockGuard<'_, T> {}

impl<'a, T: ?Sized> LockGuard<'a, T> {
    /// Frees the lock for the time a condition waits; the caller takes it back before anybody
    /// can use the guard.
    pub(super) fn raw(&self) -> (&'a RawLock, usize) {
        (&self.lock.raw, self.owner)
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that the lock is ours.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that the lock is ours, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock(self.owner);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The right to use what a [`Lock`] protects, held by a task instead of a thread.
///
/// From [`Lock::lock_async`]. It may be kept across an `.await` and dropped in another thread.
#[must_use = "the lock is freed at once if the guard is not kept"]
pub struct TaskLockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    /// A guard is a `&mut T` to the compiler: `Send` if `T` is, and `Sync` only if `T` is.
    _value: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized> TaskLockGuard<'a, T> {
    pub(super) fn lock(&self) -> &'a Lock<T> {
        self.lock
    }
}

impl<T: ?Sized> Deref for TaskLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that the lock is ours.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for TaskLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that the lock is ours, and it is borrowed uniquely.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for TaskLockGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.unlock(TASK);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for TaskLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
