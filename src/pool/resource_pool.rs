//! [`ResourcePool`]: the handle, with the faces of getting.
//!
//! Keeps: the last handle closes the pool. What is behind it is in `core.rs`.

use super::builder::Builder;
use super::core::Core;
use super::stats::Stats;
use super::{GetError, Pooled, TryGetError};
use crate::sync::{OwnedPermit, Permit, TryAcquireError};
use crate::{GaveUp, Limit};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Lends resources that are costly to make and can be used by one at a time: connections, parsers, buffers.
///
/// At most so many are alive at once, those being made or dropped included. They are made when somebody wants one and
/// none is idle, by a function of the user's, and come back as the guard [`Pooled`] is dropped, by a panic too.
/// Clones are the same pool; the last of them to go [closes](ResourcePool::close) it.
///
/// [`new`](ResourcePool::new) is a pool that just lends; [`builder`](ResourcePool::builder) adds checks before
/// lending, cleaning on return, ages, and what happens after a panic.
///
/// # Whose code runs where
///
/// The function that makes resources, and those of the [`Builder`], run in the thread that gets or returns, with
/// nothing locked: while one caller connects, others get and return. Nobody can interrupt them, so a limit bounds
/// the wait for one's turn, and a connect needs a time-out of its own. A pool has no thread: who wants idle
/// resources dropped, or made in advance, while nobody uses it, calls [`maintain`](ResourcePool::maintain) now
/// and then.
///
/// # Fairness
///
/// First come, first served, tasks and threads alike. [`Builder::barging`] is faster and less strict.
///
/// # Errors
///
/// A call that gives up has changed nothing: a resource that was on its way goes to the next in line. If making
/// one fails, or panics, that caller gets the error, or the panic, and the next in line tries for itself.
///
/// # Deadlocks
///
/// Who holds all resources and gets another one waits for itself. It is not found: turns have no owner. Take a
/// limit.
///
/// # Cost
///
/// Lending an idle resource and returning it: three short locks and a permit, no system call, no allocation; with
/// ages to look at, also two looks at the clock. The future of [`get_async`](ResourcePool::get_async) is as cheap.
///
/// # Source
///
/// The r2d2, deadpool and bb8 crates; Java's HikariCP; SQLAlchemy's `QueuePool`. Python has none.
///
/// ```
/// use latchwork::pool::{Pooled, ResourcePool};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
///
/// #[derive(Debug)]
/// struct Connection(u32);
///
/// let dialled = AtomicU32::new(0);
/// let pool: ResourcePool<Connection> = ResourcePool::builder(2, move || {
///     Ok(Connection(dialled.fetch_add(1, Ordering::Relaxed)))
/// })
/// .check(|connection| connection.0 != 0) // The first one has broken down by the time it is wanted again.
/// .build();
///
/// let first = pool.get()?;
/// let second = pool.get()?;
/// assert!(pool.get_within(Duration::from_millis(10)).unwrap_err().is_timed_out());
/// drop(first);
/// assert_eq!(pool.get()?.0, 2, "a new one instead of the broken one");
///
/// Pooled::discard(second);
/// let stats = pool.stats();
/// assert_eq!((stats.created, stats.in_use, stats.idle), (3, 0, 1));
/// assert_eq!((stats.retired.failed_check, stats.retired.discarded), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "ObjectPool")]
#[doc(alias = "ConnectionPool")]
pub struct ResourcePool<T, E = Box<dyn Error + Send + Sync>> {
    shared: Arc<Shared<T, E>>,
}

/// What the handles share, and the guards need not.
struct Shared<T, E> {
    core: Arc<Core<T>>,
    factory: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
}

/// What [`ResourcePool::maintain`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// So many were dropped, because they were too old or idle for too long.
    pub dropped: usize,
    /// So many were made.
    pub made: usize,
}

impl<T, E> ResourcePool<T, E> {
    /// A pool of at most `capacity` resources, which `factory` makes when they are wanted.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0, or more than [`Semaphore::MAX_PERMITS`](crate::sync::Semaphore::MAX_PERMITS).
    pub fn new(
        capacity: usize,
        factory: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> ResourcePool<T, E> {
        ResourcePool::builder(capacity, factory).build()
    }

    /// As [`new`](ResourcePool::new), with more to say.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn builder(
        capacity: usize,
        factory: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Builder<T, E> {
        Builder::new(capacity, factory)
    }

    pub(super) fn with(
        core: Arc<Core<T>>,
        factory: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
    ) -> ResourcePool<T, E> {
        ResourcePool {
            shared: Arc::new(Shared { core, factory }),
        }
    }

    fn core(&self) -> &Arc<Core<T>> {
        &self.shared.core
    }

    /// Lends a resource; blocks while all are in use.
    ///
    /// # Errors
    ///
    /// [`Closed`](GetError::Closed), if the pool is closed before it is the caller's turn, or while one is made;
    /// [`Factory`](GetError::Factory), if one had to be made, and that failed.
    ///
    /// # Panics
    ///
    /// If the function that makes one, or checks one, panics.
    #[track_caller]
    #[doc(alias = "checkout")]
    #[doc(alias = "acquire")]
    pub fn get(&self) -> Result<Pooled<T>, GetError<E>> {
        self.get_within(Limit::none())
    }

    /// Lends a resource if that need not wait for anybody; it may have to make one.
    ///
    /// # Errors
    ///
    /// [`AllInUse`](TryGetError::AllInUse), also if what is there is kept for somebody who waits; and as
    /// [`get`](ResourcePool::get).
    ///
    /// # Panics
    ///
    /// As `get`.
    pub fn try_get(&self) -> Result<Pooled<T>, TryGetError<E>> {
        match self.core().try_turn() {
            Ok(turn) => Ok(Core::lend(turn, None, &*self.shared.factory)?),
            Err(TryAcquireError::Closed) => Err(TryGetError::Closed),
            Err(_) => Err(TryGetError::AllInUse),
        }
    }

    /// Lends a resource; waits for its turn at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up; and as [`get`](ResourcePool::get).
    ///
    /// # Panics
    ///
    /// As `get`.
    #[track_caller]
    #[doc(alias = "get_timeout")]
    pub fn get_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<Pooled<T>, GetError<E>> {
        let core = self.core();
        let (turn, waited) = match core.try_turn() {
            Ok(turn) => (turn, None),
            Err(TryAcquireError::Closed) => return Err(GetError::Closed),
            Err(_) => {
                let queued = core.queue();
                let permit = core.turns.acquire_within(limit);
                queued.ended(permit.map(Permit::forget))?
            }
        };
        Ok(Core::lend(turn, waited, &*self.shared.factory)?)
    }

    /// Lends a resource without blocking a thread while all are in use.
    ///
    /// Making one, if none is idle, and checking one block the task's thread as long as they take. Dropping the future
    /// gives up; what was on its way goes to the next in line. The future is a handle of the pool.
    ///
    /// # Errors
    ///
    /// As [`get`](ResourcePool::get).
    ///
    /// # Panics
    ///
    /// As `get`.
    #[track_caller]
    pub fn get_async(&self) -> impl Future<Output = Result<Pooled<T>, GetError<E>>> + use<T, E> {
        let pool = self.clone();
        let permit = self.core().turn_async();
        async move {
            let core = pool.core();
            let (turn, waited) = match core.try_turn() {
                Ok(turn) => (turn, None),
                Err(TryAcquireError::Closed) => return Err(GetError::Closed),
                Err(_) => {
                    let queued = core.queue();
                    let permit = permit.await;
                    queued.ended(permit.map(OwnedPermit::forget))?
                }
            };
            Ok(Core::lend(turn, waited, &*pool.shared.factory)?)
        }
    }

    /// Drops idle resources that are too old or have been idle for too long, as the [`Builder`] says, and then makes
    /// some until [`min_idle`](Builder::min_idle) are idle; whoever waits for a resource comes first.
    ///
    /// Once after the pool is made it connects in advance. A timer does it regularly:
    ///
    /// ```
    /// use latchwork::pool::ResourcePool;
    /// use latchwork::time::Timer;
    /// use std::time::Duration;
    ///
    /// let pool: ResourcePool<String> =
    ///     ResourcePool::builder(8, || Ok(String::new())).max_idle(Duration::from_secs(60)).min_idle(2).build();
    /// assert_eq!(pool.maintain()?.made, 2);
    ///
    /// let maintained = pool.clone();
    /// let timer = Timer::every(Duration::from_secs(30)).run(move |tick| {
    ///     if maintained.maintain().is_err() || maintained.is_closed() {
    ///         tick.stop();
    ///     }
    /// });
    /// # drop(timer.cancel());
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the function that makes resources has failed with. Those that it had made before are idle.
    #[doc(alias = "reap")]
    #[doc(alias = "retain")]
    pub fn maintain(&self) -> Result<Maintained, E> {
        let core = self.core();
        let dropped = core.drop_stale(usize::MAX);
        let made = core.fill(core.policy.min_idle, &*self.shared.factory)?;
        Ok(Maintained { dropped, made })
    }

    /// Lends nothing from now on: all calls fail with `Closed`, those that wait included. Drops what is idle, in this
    /// call; what is lent can be used on, and is dropped as it comes back.
    ///
    /// Whether this call did it. Wait for the end with [`join`](ResourcePool::join).
    #[doc(alias = "dispose")]
    pub fn close(&self) -> bool {
        self.core().close()
    }

    /// Was it closed?
    pub fn is_closed(&self) -> bool {
        self.core().is_closed()
    }

    /// Blocks until none of its resources is alive, lent, idle or being made, or was at some moment since this
    /// call: after [`close`](ResourcePool::close), until the last one has come back and is dropped. One that was
    /// [detached](Pooled::detach) is not waited for. Who holds one itself waits for ever.
    #[track_caller]
    pub fn join(&self) {
        self.core().alive.wait();
    }

    /// Is none of its resources alive?
    pub fn try_join(&self) -> bool {
        self.core().alive.try_wait()
    }

    /// As [`join`](ResourcePool::join), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.core().alive.wait_within(limit)
    }

    /// As [`join`](ResourcePool::join), without blocking a thread.
    #[track_caller]
    pub fn join_async(&self) -> impl Future<Output = ()> {
        self.core().alive.wait_async()
    }

    /// How many resources may be alive.
    pub fn capacity(&self) -> usize {
        self.core().capacity()
    }

    /// What it has, and what has happened to it. Copies the histogram of waits, about a kilobyte.
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }
}

impl<T, E> Drop for Shared<T, E> {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl<T, E> Clone for ResourcePool<T, E> {
    fn clone(&self) -> Self {
        ResourcePool {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T, E> fmt::Debug for ResourcePool<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_use, idle, waiting, is_closed) = self.core().sight();
        f.debug_struct("ResourcePool")
            .field("capacity", &self.capacity())
            .field("in_use", &in_use)
            .field("idle", &idle)
            .field("waiting", &waiting)
            .field("is_closed", &is_closed)
            .finish()
    }
}
