//! [`Builder`]: the settings of a pool, and the pool that is made of them.

use super::ThreadPoolExecutor;
use super::crew::MOST_WORKERS;
use super::pool::{Pool, Settings};
use crate::exit;
use crate::thread::{StackSizeError, stack_size};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Python's default: enough threads for work that waits, without one for each of 64 cores.
const MOST_BY_DEFAULT: usize = 32;
/// Spare workers, unless the builder says otherwise.
const SPARE_BY_DEFAULT: usize = 256;

/// Settings of a [`ThreadPoolExecutor`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    max_workers: Option<NonZeroUsize>,
    least: usize,
    keep_alive: Option<Duration>,
    prefix: Option<String>,
    stack_size: Option<usize>,
    spare: Option<usize>,
    replaces_all: bool,
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
                .unwrap_or_else(|| format!("ThreadPoolExecutor-{number}")),
            stack_size: self
                .stack_size
                .unwrap_or_else(|| stack_size(None).expect("the default is valid")),
            most_spare: self.spare.unwrap_or(SPARE_BY_DEFAULT),
            replaces_all: self.replaces_all,
            keep_alive: self.keep_alive,
            least: self.least,
            most_forking: match self.max_workers {
                Some(_) => most,
                None => crate::platform::cpus(),
            },
        };
        let pool = Arc::new(Pool::new(settings, most));
        // Whole by now: the program's end does not find one that is still being made.
        let entered: Weak<Pool> = Arc::downgrade(&pool);
        if !exit::pools::enter(entered) {
            pool.crew.shut();
        }
        ThreadPoolExecutor { pool }
    }
}
