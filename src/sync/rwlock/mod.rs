//! Many readers or one writer: [`RwLock`].

mod guard;
mod mapped;
mod owned;
mod raw;
mod request;
mod serve;
mod upgrade;

pub use guard::{ReadGuard, TaskWriteGuard, WriteGuard};
pub use mapped::{MappedTaskWriteGuard, MappedWriteGuard};
pub use owned::{OwnedReadGuard, OwnedWriteGuard};
pub use upgrade::{UpgradableGuard, UpgradeError};

use crate::GaveUp;
use crate::platform::{UnsafeCell, const_fn};
use crate::sync::lock::{ByTask, ByThread, Id};
use crate::wait::{Limit, WaitFuture};
use raw::{RawRwLock, SHARED, WRITER, shut_to_readers};
use request::{ReadRequest, WriteRequest, run, run_within};
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// Whom an [`RwLock`] prefers while readers and writers want it at once.
///
/// By each of them a newcomer may take a free lock before those who sleep in line, which is what makes
/// a contended lock fast. They differ in who may come in while others wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Nobody starves: a writer that finds only readers inside keeps new ones out until it has been in,
    /// and whoever is overdue, reader or writer, is handed the lock (see [`RwLock`]).
    #[default]
    Balanced = 0,
    /// A reader waits for the writer inside only, or for an upgrade, never for a writer that waits.
    /// Readers who keep coming keep writers out for ever. A writer that is overdue beside another one is
    /// handed the lock if nobody reads when that one leaves.
    PreferReaders = 1,
    /// Readers wait while any writer is asleep in line, or called and on its way. Writers who keep coming
    /// keep readers out for ever. An upgradable reader that is called keeps other readers out until it
    /// is inside.
    PreferWriters = 2,
}

/// A value that many may read at a time, or one may change.
///
/// Eight bytes beside the value. std's and parking_lot's `RwLock` with deadlines, cancellation, an
/// async face, and a reader that may become the writer.
///
/// # Who gets in
///
/// | inside | `read` | `upgradable_read` | `write` |
/// |---|---|---|---|
/// | readers | enters | enters | waits |
/// | the upgradable reader, readers | enters | waits | waits |
/// | the writer | waits | waits | waits |
///
/// [`UpgradableGuard::upgrade`] makes the upgradable reader the writer as soon as the others have left,
/// and nobody can write in between; while it waits, no new reader enters. So nobody but the readers inside
/// can keep it waiting. [`WriteGuard::downgrade`] makes the writer a reader, and again nobody can write in
/// between.
///
/// # Fairness
///
/// As the [`Policy`] says, which is chosen when the lock is made. By the default,
/// [`Policy::Balanced`]:
///
/// * A writer that finds readers inside, but no writer and no upgradable reader, claims the lock: no new
///   reader enters, and it writes as soon as the present ones have left. One that finds the lock claimed,
///   written to or read upgradably waits for that to end, and does not keep plain readers out meanwhile.
/// * When somebody who writes or reads upgradably leaves, all readers who sleep are woken, and one of those
///   who sleep because they want to write or to read upgradably. Newcomers may be quicker.
/// * Whoever has been at the front of the line for half a millisecond is overdue and is handed the lock, or
///   the claim to it, when a writer or an upgradable reader next leaves; but among those who wait in the
///   same bucket of the table of waiters, only one each half millisecond.
///
/// A future stands in the same line: while one that is called, or handed the lock or the claim, is not
/// polled, those who sleep behind it may go on sleeping.
///
/// # Reading twice
///
/// A thread that calls [`read`](RwLock::read) while it holds a read guard waits for ever if a writer has
/// come to wait in between: the writer waits for the first guard, the second read for the writer. By
/// [`Policy::PreferReaders`] it never waits. Where a thread may read already, call
/// [`read_recursive`](RwLock::read_recursive), which never waits for those who wait.
///
/// Asking for [`write`](RwLock::write) with any guard in hand, or for an upgrade with a second guard in
/// hand, waits for ever.
///
/// # Panics and poison
///
/// A panic while a guard is held gives the guard back; there is no poison. Reading panics if there are
/// more than 2^24 readers (2^21 on a 32-bit machine); the lock is unchanged then. A guard that is
/// forgotten ([`std::mem::forget`]) stays in the lock for ever: a reader keeps writers out, a writer
/// everybody.
///
/// # Cost
///
/// With nobody in the way, one atomic read-modify-write to enter and one to leave, no system call.
/// Writing with another policy than the default takes two. In the way: about 40 microseconds awake, then one
/// sleep.
/// Size: eight bytes (four on a 32-bit machine) and the value.
///
/// # Source
///
/// C++'s `shared_mutex`, Java's `ReentrantReadWriteLock`, .NET's `ReaderWriterLockSlim`; Python has none.
/// The upgradable reader is that of Boost.Thread and parking_lot; a reader that adds itself to the count
/// before it looks is that of Brandenburg's and Anderson's phase-fair locks (*Reader-Writer
/// Synchronization for Shared-Memory Multiprocessor Real-Time Systems*, 2009), but here it leaves again.
///
/// ```
/// use latchwork::sync::{RwLock, UpgradableGuard};
///
/// static CACHE: RwLock<Vec<u32>> = RwLock::new(Vec::new());
///
/// fn remember(n: u32) {
///     let seen = CACHE.upgradable_read();
///     if !seen.contains(&n) {
///         // Nobody can have written since we looked.
///         UpgradableGuard::upgrade(seen).push(n);
///     }
/// }
///
/// std::thread::scope(|s| {
///     for n in [1, 2, 1, 2] {
///         s.spawn(move || remember(n));
///     }
/// });
/// assert_eq!(CACHE.read().len(), 2);
/// ```
#[doc(alias = "shared_mutex")]
#[doc(alias = "ReaderWriterLock")]
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves with the lock, and nothing else in it is bound to a thread.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: sharing the lock shares `&T` among readers, hence `T: Sync`, and `&mut T` among writers in
// turn, hence `T: Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    const_fn! {
        /// A free lock around `value`, by the default policy, [`Policy::Balanced`].
        pub fn new(value: T) -> RwLock<T> {
            RwLock::with_policy(value, Policy::Balanced)
        }
    }

    const_fn! {
        /// A free lock around `value`.
        pub fn with_policy(value: T, policy: Policy) -> RwLock<T> {
            RwLock { raw: RawRwLock::new(policy), value: UnsafeCell::new(value) }
        }
    }

    /// The value; the lock is gone.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

/// Reading.
impl<T: ?Sized> RwLock<T> {
    /// Blocks until no writer is inside or, as the policy says, before us; then reads.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[inline]
    #[track_caller]
    #[doc(alias = "lock_shared")]
    pub fn read(&self) -> ReadGuard<'_, T> {
        self.raw.read(Location::caller());
        ReadGuard::new(self)
    }

    /// Reads if that is possible at once; never blocks.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[inline]
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.raw
            .try_read(shut_to_readers)
            .then(|| ReadGuard::new(self))
    }

    /// Reads; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[inline]
    #[track_caller]
    #[doc(alias = "try_read_for")]
    pub fn read_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<ReadGuard<'_, T>, GaveUp> {
        let request = ReadRequest::new(&self.raw);
        run_within(request, &limit.into(), Location::caller())?;
        Ok(ReadGuard::new(self))
    }

    /// Reads without blocking a thread: resolves when the guard is ours.
    ///
    /// Dropping the future before it resolves gives up; what it was granted goes to the next waiter. A
    /// future that is forgotten instead ([`std::mem::forget`]) keeps its place in the line.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[track_caller]
    pub fn read_async(&self) -> impl Future<Output = ReadGuard<'_, T>> {
        let request = WaitFuture::new(ReadRequest::new(&self.raw));
        async move {
            request.await;
            ReadGuard::new(self)
        }
    }

    /// As [`read`](RwLock::read), but waits for the writer inside only, never for anybody who waits.
    ///
    /// So it never waits in a thread that reads already. It can keep a writer waiting for as long as
    /// such reads overlap: use it for the second guard, not for the first. One that finds a writer
    /// inside stands in line like any other reader.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    ///
    /// ```
    /// use latchwork::sync::RwLock;
    ///
    /// let lock = RwLock::new(5);
    /// let first = lock.read();
    /// // Whether or not a writer waits by now:
    /// let second = lock.read_recursive();
    /// assert_eq!(*first + *second, 10);
    /// ```
    #[inline]
    #[track_caller]
    pub fn read_recursive(&self) -> ReadGuard<'_, T> {
        run(ReadRequest::recursive(&self.raw), Location::caller());
        ReadGuard::new(self)
    }

    /// As [`read_recursive`](RwLock::read_recursive), if that is possible at once; never blocks.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[inline]
    pub fn try_read_recursive(&self) -> Option<ReadGuard<'_, T>> {
        self.raw.try_read(|_| WRITER).then(|| ReadGuard::new(self))
    }

    /// As [`read_recursive`](RwLock::read_recursive); blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[inline]
    #[track_caller]
    pub fn read_recursive_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<ReadGuard<'_, T>, GaveUp> {
        let request = ReadRequest::recursive(&self.raw);
        run_within(request, &limit.into(), Location::caller())?;
        Ok(ReadGuard::new(self))
    }

    /// As [`read_recursive`](RwLock::read_recursive), without blocking a thread.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[track_caller]
    pub fn read_recursive_async(&self) -> impl Future<Output = ReadGuard<'_, T>> {
        let request = WaitFuture::new(ReadRequest::recursive(&self.raw));
        async move {
            request.await;
            ReadGuard::new(self)
        }
    }
}

/// Writing.
impl<T: ?Sized> RwLock<T> {
    /// Blocks until nobody is inside, and writes.
    ///
    /// The thread is named in the lock as its owner, so the guard stays in it.
    #[inline]
    #[track_caller]
    #[doc(alias = "lock_exclusive")]
    pub fn write(&self) -> WriteGuard<'_, T> {
        let by = ByThread::current();
        self.raw.write(by.id(), Location::caller());
        WriteGuard::new(self, by)
    }

    /// Writes if nobody is inside; never blocks.
    ///
    /// It may also fail because of a reader that has come in vain, because of a writer before, and is
    /// leaving in this moment, or because of somebody overdue whose turn it is.
    #[inline]
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        let by = ByThread::current();
        self.raw
            .try_write(by.id())
            .then(|| WriteGuard::new(self, by))
    }

    /// Writes; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up. The lock is as if the call had not been made.
    #[inline]
    #[track_caller]
    #[doc(alias = "try_write_for")]
    pub fn write_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<WriteGuard<'_, T>, GaveUp> {
        let by = ByThread::current();
        let request = WriteRequest::new(&self.raw, by.id()).patient();
        run_within(request, &limit.into(), Location::caller())?;
        Ok(WriteGuard::new(self, by))
    }

    /// Writes without blocking a thread: resolves when the guard is ours.
    ///
    /// The guard belongs to the task and may move between threads with it. Dropping the future
    /// before it resolves gives up; what it was granted goes to the next waiter. A future that is
    /// forgotten instead ([`std::mem::forget`]) keeps its place in the line, like a forgotten guard.
    #[track_caller]
    pub fn write_async(&self) -> impl Future<Output = TaskWriteGuard<'_, T>> {
        let request = WaitFuture::new(WriteRequest::new(&self.raw, ByTask::HOLDER.id()));
        async move {
            request.await;
            WriteGuard::new(self, ByTask::HOLDER)
        }
    }

    /// The value, without locking: `&mut self` proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self` is unique, so no guard exists.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

/// For reports: an answer may be old when it arrives.
impl<T: ?Sized> RwLock<T> {
    /// Does anybody read or write right now?
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.raw.load() & (WRITER | SHARED) != 0
    }

    /// Does anybody write right now?
    #[doc(alias = "is_locked_exclusive")]
    pub fn is_write_locked(&self) -> bool {
        self.raw.load() & WRITER != 0
    }

    /// How many read right now, the upgradable reader included.
    pub fn reader_count(&self) -> usize {
        match self.raw.load() {
            word if word & WRITER != 0 => 0,
            word => raw::readers(word),
        }
    }

    /// Whom it prefers.
    pub fn policy(&self) -> Policy {
        raw::policy_of(self.raw.load())
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readers = self.reader_count();
        let mut out = f.debug_struct("RwLock");
        match self.try_read_recursive() {
            Some(guard) => out.field("value", &&*guard).field("readers", &readers),
            None => out.field("owner", &crate::debug::Owner(self.raw.owner())),
        };
        out.finish()
    }
}
