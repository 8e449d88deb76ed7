//! [`ThreadPoolExecutor`]: tasks on a bounded number of threads.
//!
//! What its parts are for: `crew.rs` has the word by which a submitter knows whether to wake or to start a worker, and why
//! no task is left lying; `idle.rs` is a worker without a task; `worker.rs` one with, and what it does when the task waits;
//! `pool.rs` what they share, and the end.

mod builder;
mod crew;
mod fork_join;
mod idle;
mod install;
mod pool;
mod worker;

pub use builder::Builder;
#[cfg(loom)]
pub use fork_join::modelled;
pub(crate) use install::{
    Handed, Home, is_worker, join as fork_join_here, keeps_nothing_for_others,
};
pub(super) use worker::help;

use self::pool::Pool;
use super::task::{Apply, Call, Closure, Work};
use super::{Executor, Portable, SubmitError, TaskFuture};
use crate::{GaveUp, Limit, Shutdown};
use std::fmt;
use std::sync::Arc;

/// Runs tasks on threads that are started as they are needed and kept.
///
/// A new worker is started only when a task comes, no worker is idle and there are fewer than
/// `max_workers`. Tasks start in the order in which they came. A task's panic comes back in its
/// future and the worker goes on.
///
/// Dropping the executor runs every task it has accepted and then ends its workers; dropped by one of
/// its own tasks, it does not wait for them.
///
/// # Tasks that wait for tasks
///
/// A task may wait for another one of the same pool, in a pool of one and at any depth. If that has not started, the
/// waiting worker runs it; if it has, the worker sleeps and is replaced for as long, by one of at most 256 spare workers
/// ([`Builder::spare_workers`]). When even these all wait for tasks of the pool, and one of them for a task that
/// nobody could start any more, that one ends with [`TaskError::WouldDeadlock`](super::TaskError::WouldDeadlock).
///
/// A worker that waits for anything else, a lock or a queue, keeps its place: a pool of one runs one task at
/// a time. [`Builder::replace_blocked`] changes that.
///
/// # Cost
///
/// A task costs one allocation, a push and a pop of a queue without a lock, and a wake-up if no worker is awake.
/// A worker without a task stays awake for some 40 microseconds and then sleeps: an idle pool uses no processor time.
///
/// # Source
///
/// Python's [`concurrent.futures.ThreadPoolExecutor`](https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor).
///
/// ```
/// use latchwork::executor::{TaskError, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).thread_name_prefix("fetch").build();
/// let name = String::from("world");
/// let greeting = pool.spawn(move || format!("hello {name}")).unwrap();
/// let broken = pool.spawn(|| -> u8 { panic!("no luck") }).unwrap();
///
/// assert_eq!(greeting.result().unwrap(), "hello world");
/// match broken.result() {
///     Err(TaskError::Panicked(panic)) => assert_eq!(panic.message, "no luck"),
///     other => panic!("{other:?}"),
/// }
/// ```
#[doc(alias = "ThreadPool")]
pub struct ThreadPoolExecutor {
    pool: Arc<Pool>,
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` threads.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0.
    pub fn new(max_workers: usize) -> ThreadPoolExecutor {
        ThreadPoolExecutor::builder()
            .max_workers(max_workers)
            .build()
    }

    /// Settings, to be changed before the pool is built.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Accepts a closure as a task.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure: after shutdown, or when there is no worker and none could be
    /// started.
    pub fn spawn<F, R>(&self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.accept(function, Closure, |closure| closure.0)
    }

    /// Accepts a function and its argument as a task, as [`Executor::submit`] does, without asking
    /// that they can be sent to a process.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the argument, as for [`spawn`](ThreadPoolExecutor::spawn).
    pub fn submit<A, R>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> Result<TaskFuture<R>, SubmitError<A>>
    where
        A: Send + 'static,
        R: Send + 'static,
    {
        let apply = |argument| Apply { function, argument };
        self.accept(argument, apply, |apply| apply.argument)
    }

    /// Enters the work that is made of `value` once it is likely to be taken, and out of which it comes back if it
    /// is not.
    fn accept<V, W>(
        &self,
        value: V,
        into_work: impl FnOnce(V) -> W,
        into_value: impl FnOnce(W) -> V,
    ) -> Result<TaskFuture<W::Output>, SubmitError<V>>
    where
        W: Work + 'static,
        W::Output: 'static,
    {
        let pool = &self.pool;
        if let Err(why) = pool.check() {
            return Err(SubmitError::new(value, why));
        }
        let task = Arc::new(Call::new(into_work(value), pool.address()));
        if let Err(why) = pool.push(Arc::clone(&task) as _) {
            let work = task.take_back();
            pool.tidy(&why);
            if let Some(work) = work {
                return Err(SubmitError::new(into_value(work), why));
            }
        }
        Ok(TaskFuture::new(task as _))
    }
}

impl Executor for ThreadPoolExecutor {
    fn submit<A: Portable, R: Portable>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> Result<TaskFuture<R>, SubmitError<A>> {
        ThreadPoolExecutor::submit(self, function, argument)
    }

    fn shutdown(&self, pending: Shutdown) {
        if !self.pool.is_left_behind() {
            self.pool.shut_down(pending);
        }
    }

    fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        if self.pool.is_left_behind() {
            return Ok(());
        }
        self.pool.ended.wait_within(limit)
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Drain);
        if !worker::is_of(self.pool.address()) {
            self.join();
        }
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pool.is_left_behind() {
            return f.write_str("ThreadPoolExecutor(left behind by a fork)");
        }
        let (workers, most) = {
            let state = self.pool.state.lock();
            (state.workers, state.most)
        };
        let crew = self.pool.crew.read();
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &most)
            .field("workers", &workers)
            .field("idle", &crew.idle())
            .field("pending", &self.pool.queue.len())
            .field("is_shutdown", &crew.is_shut())
            .finish()
    }
}
