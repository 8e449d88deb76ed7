//! [`Builder`]: the settings of a pool, and the pool that is made of them.

use super::bound::{Bound, Rejection};
use super::crew::MOST_WORKERS;
use super::pool::{Pool, Settings};
use super::start::Start;
use super::{StatefulPool, ThreadPoolExecutor};
use crate::thread::{StackSizeError, stack_size};
use crate::{Shutdown, exit};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Python's default: enough threads for work that waits, without one for each of 64 cores.
const MOST_BY_DEFAULT: usize = 32;
/// Spare workers, unless the builder says otherwise.
const SPARE_BY_DEFAULT: usize = 256;

/// Settings of a [`ThreadPoolExecutor`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    max_workers: Option<NonZeroUsize>,
    least: usize,
    keep_alive: Option<Duration>,
    prefix: Option<String>,
    stack_size: Option<usize>,
    spare: Option<usize>,
    replaces_all: bool,
    bound: Option<(usize, Rejection)>,
    by_priority: bool,
    measures: bool,
    start: Start,
}

impl Builder {
    /// The most threads at a time. By default four more than can run at once, but at most 32.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0, or more than 16,383.
    pub fn max_workers(mut self, max_workers: usize) -> Builder {
        assert!(
            max_workers <= MOST_WORKERS,
            "a pool has at most {MOST_WORKERS} workers"
        );
        self.max_workers = Some(NonZeroUsize::new(max_workers).expect("a pool needs a worker"));
        self
    }

    /// How long a worker stays that has nothing to do. By default they all stay until the pool ends, as Python's do.
    pub fn keep_alive(mut self, time: Duration) -> Builder {
        self.keep_alive = Some(time);
        self
    }

    /// So many workers stay even when [`keep_alive`](Builder::keep_alive) is over; by default none. They are still
    /// started one by one, as they are needed.
    pub fn min_workers(mut self, min_workers: usize) -> Builder {
        self.least = min_workers;
        self
    }

    /// What the threads are called: this, an underscore and a number. By default
    /// `ThreadPoolExecutor-` and the pool's number.
    ///
    /// # Panics
    ///
    /// If there is a NUL in it.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Builder {
        let prefix = prefix.into();
        assert!(!prefix.contains('\0'), "a thread's name cannot contain NUL");
        self.prefix = Some(prefix);
        self
    }

    /// The workers' stack, in bytes; 0 is the system's own size, which is also the default unless
    /// [`set_default_stack_size`](crate::thread::set_default_stack_size) has said otherwise.
    ///
    /// # Errors
    ///
    /// For more than 0 and less than 32 KiB, and for more than an address space has.
    pub fn stack_size(mut self, bytes: usize) -> Result<Builder, StackSizeError> {
        self.stack_size = Some(stack_size(Some(bytes))?);
        Ok(self)
    }

    /// How many workers there may be beyond the limit while others wait in the middle of a task. By default 256.
    pub fn spare_workers(mut self, spare: usize) -> Builder {
        self.spare = Some(spare);
        self
    }

    /// Replaces a worker that sleeps in *any* wait of this crate in the middle of a task: for a lock, a queue, an event. By
    /// default only one that waits for a task is replaced, so that `max_workers` bounds how many tasks
    /// are under way. Sleeps (`time::sleep`) and waits that this crate does not know of are never replaced.
    pub fn replace_blocked(mut self, replaces: bool) -> Builder {
        self.replaces_all = replaces;
        self
    }

    /// At most so many tasks wait; one that has started does not count. What becomes of one more is up to
    /// `rejection`. By default there is no bound, as in Python.
    ///
    /// A place is free as soon as its task starts, is cancelled or is given up. What a cancelled task leaves in the
    /// queue is a word or two without what it had captured, until a worker comes to it.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    ///
    /// ```
    /// use latchwork::executor::{Rejection, SubmitRefusal, ThreadPoolExecutor};
    /// use latchwork::sync::Event;
    /// use std::sync::Arc;
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .max_workers(1)
    ///     .queue_capacity(1, Rejection::Reject)
    ///     .build();
    /// let (started, end) = (Arc::new(Event::new()), Arc::new(Event::new()));
    /// let (s, e) = (Arc::clone(&started), Arc::clone(&end));
    /// let _runs = pool.spawn(move || { s.set(); e.wait() }).unwrap();
    /// started.wait();
    /// let _waits = pool.spawn(|| ()).unwrap();
    /// assert_eq!(pool.spawn(|| ()).unwrap_err().reason, SubmitRefusal::Full);
    /// end.set();
    /// ```
    #[doc(alias = "maxsize")]
    pub fn queue_capacity(mut self, capacity: usize, rejection: Rejection) -> Builder {
        assert!(capacity > 0, "a queue without a place would take no task");
        self.bound = Some((capacity, rejection));
        self
    }

    /// Tasks start by their priority, the lowest number first, and among equals in the order in which they
    /// came. It is given by [`TaskBuilder::priority`](super::TaskBuilder::priority), and else 0. By default priorities are
    /// ignored, and the queue needs no lock.
    pub fn by_priority(mut self) -> Builder {
        self.by_priority = true;
        self
    }

    /// Has tasks say how long they wait and run, for [`stats`](ThreadPoolExecutor::stats). It costs four looks at the clock a task.
    pub fn measure_times(mut self) -> Builder {
        self.measures = true;
        self
    }

    /// Each worker calls this before its first task; after those that were given before.
    ///
    /// An error, or a panic, breaks the pool: it is printed once, tasks that have not started end with
    /// [`TaskError::Broken`](crate::executor::TaskError::Broken), submissions are refused with
    /// [`SubmitRefusal::Broken`](crate::executor::SubmitRefusal::Broken), and joins end when the tasks that run have.
    #[doc(alias = "initargs")]
    pub fn initializer<E: fmt::Display>(
        mut self,
        initializer: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Builder {
        self.start.add(initializer);
        self
    }

    /// A pool in which each worker keeps a value of its own for its tasks: see [`StatefulPool`].
    pub fn worker_state<W: 'static, E: fmt::Display>(
        mut self,
        state: impl Fn() -> Result<W, E> + Send + Sync + 'static,
    ) -> StatefulPool<W> {
        self.start.keep(state);
        StatefulPool::new(self.build())
    }

    /// A pool without any thread yet.
    pub fn build(self) -> ThreadPoolExecutor {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        let most = self.max_workers.map_or_else(
            || (crate::platform::cpus() + 4).min(MOST_BY_DEFAULT),
            NonZeroUsize::get,
        );
        let settings = Settings {
            prefix: self
                .prefix
                .unwrap_or_else(|| format!("ThreadPoolExecutor-{number}"))
                .into(),
            stack_size: self
                .stack_size
                .unwrap_or_else(|| stack_size(None).expect("the default is valid")),
            most_spare: self.spare.unwrap_or(SPARE_BY_DEFAULT),
            replaces_all: self.replaces_all,
            keep_alive: self.keep_alive,
            least: self.least,
            start: Arc::new(self.start),
            measures: self.measures,
            by_priority: self.by_priority,
            most_forking: match self.max_workers {
                Some(_) => most,
                None => crate::platform::cpus(),
            },
        };
        let bound = (self.bound).map(|(capacity, rejection)| Bound::new(capacity, rejection));
        let pool = Arc::new(Pool::new(settings, most, bound));
        // Whole by now: the program's end does not find one that is still being made.
        let entered: Weak<Pool> = Arc::downgrade(&pool);
        if !exit::pools::enter(entered) {
            // As the others have been: whoever joins it need not wait.
            pool.shut_down(Shutdown::Drain);
        }
        ThreadPoolExecutor { pool }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("max_workers", &self.max_workers)
            .field("min_workers", &self.least)
            .field("keep_alive", &self.keep_alive)
            .field("thread_name_prefix", &self.prefix)
            .field("stack_size", &self.stack_size)
            .field("spare_workers", &self.spare)
            .field("replace_blocked", &self.replaces_all)
            .field("queue_capacity", &self.bound)
            .field("by_priority", &self.by_priority)
            .field("measure_times", &self.measures)
            .field("initializer", &self.start.is_needed())
            .finish()
    }
}
