//! [`Builder`]: what a pool does besides lending.

use super::core::Core;
use super::policy::Policy;
use super::{ResourcePool, Verdict};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which idle resource is lent next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "QueueMode")]
pub enum Reuse {
    /// The one that came back last: its caches are warm, and the others become idle enough to be dropped.
    #[default]
    Newest,
    /// The one that came back first: all are used alike.
    Oldest,
}

/// What becomes of a resource whose user panicked while it was lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AfterPanic {
    /// It comes back as any other: it is [reset](Builder::reset), and [checked](Builder::check) before it is lent
    /// again.
    #[default]
    Return,
    /// It is dropped, since nobody knows what it was in the middle of.
    Discard,
}

/// How a [`ResourcePool`] is to be. From [`ResourcePool::builder`].
///
/// The functions given here are called by whoever gets or returns, with nothing locked, so several of them may run
/// at the same time, for different resources.
///
/// ```
/// use latchwork::pool::{AfterPanic, ResourcePool};
/// use std::net::TcpStream;
/// use std::time::Duration;
///
/// let pool: ResourcePool<TcpStream> = ResourcePool::builder(10, || Ok(TcpStream::connect("[::1]:5432")?))
///     .check(|stream| matches!(stream.take_error(), Ok(None)))
///     .max_age(Duration::from_secs(30 * 60))
///     .max_idle(Duration::from_secs(60))
///     .after_panic(AfterPanic::Discard)
///     .build();
/// assert_eq!(pool.stats().created, 0, "made when the first is asked for");
/// ```
#[must_use = "there is no pool before `build`"]
pub struct Builder<T, E> {
    capacity: usize,
    factory: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
    is_fair: bool,
    policy: Policy<T>,
}

impl<T, E> Builder<T, E> {
    pub(super) fn new(
        capacity: usize,
        factory: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Builder<T, E> {
        assert!(capacity > 0, "a pool for no resources at all");
        Builder {
            capacity,
            factory: Box::new(factory),
            is_fair: true,
            policy: Policy::default(),
        }
    }

    /// Has each idle resource looked at before it is lent: false, or an error, drops it, and the next one is looked at,
    /// or a new one made. A new one is not looked at. A panic drops it, too, and goes on in the caller.
    #[doc(alias = "is_valid")]
    #[doc(alias = "test_on_check_out")]
    pub fn check<V: Verdict>(
        mut self,
        check: impl Fn(&mut T) -> V + Send + Sync + 'static,
    ) -> Self {
        self.policy.check = Some(Box::new(move |resource| check(resource).keeps()));
        self
    }

    /// Has each resource cleaned as it comes back, in the thread that returns it: false, or an error, drops it. So does a
    /// panic, which is printed, and goes no further.
    #[doc(alias = "recycle")]
    #[doc(alias = "has_broken")]
    pub fn reset<V: Verdict>(
        mut self,
        reset: impl Fn(&mut T) -> V + Send + Sync + 'static,
    ) -> Self {
        self.policy.reset = Some(Box::new(move |resource| reset(resource).keeps()));
        self
    }

    /// None is lent, nor kept idle, that is older. One that is in use may become older.
    #[doc(alias = "max_lifetime")]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.policy.max_age = Some(age);
        self
    }

    /// None is lent that has been idle for longer.
    ///
    /// It is dropped when it would be lent, when another one comes back, or by
    /// [`maintain`](ResourcePool::maintain): a pool has no thread of its own.
    #[doc(alias = "idle_timeout")]
    pub fn max_idle(mut self, idle: Duration) -> Self {
        self.policy.max_idle = Some(idle);
        self
    }

    /// [`maintain`](ResourcePool::maintain) makes resources until so many are idle, at most what the capacity
    /// leaves.
    pub fn min_idle(mut self, idle: usize) -> Self {
        self.policy.min_idle = idle;
        self
    }

    /// Which idle resource is lent next. [`Reuse::Newest`] by default.
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.policy.reuse = reuse;
        self
    }

    /// What becomes of a resource whose user panicked. [`AfterPanic::Return`] by default.
    pub fn after_panic(mut self, then: AfterPanic) -> Self {
        self.policy.after_panic = then;
        self
    }

    /// Lets newcomers overtake those who wait, for half a millisecond at most, as
    /// [`Semaphore::new`](crate::sync::Semaphore::new) does. Faster where resources are held for microseconds.
    /// Without it, it is strictly first come, first served.
    pub fn barging(mut self) -> Self {
        self.is_fair = false;
        self
    }

    /// The pool. Makes no resource yet.
    ///
    /// # Panics
    ///
    /// If the capacity is more than [`Semaphore::MAX_PERMITS`](crate::sync::Semaphore::MAX_PERMITS).
    pub fn build(self) -> ResourcePool<T, E> {
        let core = Arc::new(Core::new(self.capacity, self.is_fair, self.policy));
        ResourcePool::with(core, self.factory)
    }
}

impl<T, E> fmt::Debug for Builder<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("capacity", &self.capacity)
            .field("is_fair", &self.is_fair)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
