//! [`ThreadPoolExecutor`]: tasks on a bounded number of threads.
//!
//! What its parts are for: `crew.rs` has the word by which a submitter knows whether to wake or to start a worker, and why
//! no task is left lying; `idle.rs` is a worker without a task; `worker.rs` one with, and what it does when the task waits;
//! `pool.rs` what they share; `staff.rs` who comes and goes; `end.rs` the end. The rest is for those who ask for it: `tasks.rs` an order by priority, `bound.rs` a
//! limit to how many wait, `start.rs` and `stateful.rs` what workers do first and keep, `task_builder.rs` and `dressed.rs` what a task
//! has beside its function, `stats.rs` the counts.

mod bound;
mod builder;
mod cancellable;
mod crew;
mod dressed;
mod end;
mod fork_join;
mod histogram;
mod idle;
mod install;
mod pool;
mod scope;
mod staff;
mod start;
mod stateful;
mod stats;
mod task_builder;
mod tasks;
mod traced;
mod worker;

pub use bound::Rejection;
pub use builder::Builder;
#[cfg(loom)]
pub use fork_join::modelled;
pub use histogram::Times;
pub(crate) use install::{
    Handed, Home, is_worker, join as fork_join_here, keeps_nothing_for_others,
};
pub use scope::{Group, GroupBuilder, GroupError, Scope, ScopedFuture};
#[cfg(loom)]
pub(crate) use staff::let_keep_alive_pass;
pub use stateful::StatefulPool;
pub use stats::Stats;
pub use task_builder::TaskBuilder;
pub(super) use worker::{Expecting, expect, help, is_of, name_of, note_ran};

use self::crew::MOST_WORKERS;
use self::pool::Pool;
use super::task::{Apply, Call, Closure, Fallible, Work};
use super::{Executor, Portable, SubmitError, SubmitRefusal, TaskFuture};
use crate::{CancelToken, GaveUp, Limit, Shutdown};
use std::error::Error;
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
    /// If `max_workers` is 0, or more than 16,383.
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
    /// When the queue has a bound that has been reached, what happens is up to the pool's [`Rejection`].
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure: after shutdown, when there is no worker and none could be
    /// started, when a worker's start has failed, or when a bounded queue is full.
    #[track_caller]
    pub fn spawn<F, R>(&self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.accept(function, Closure, |closure| closure.0)
    }

    /// As [`spawn`](ThreadPoolExecutor::spawn), but when the queue is full the task is refused, whatever the pool's
    /// policy; it never blocks.
    ///
    /// # Errors
    ///
    /// As for `spawn`; [`SubmitRefusal::Full`](super::SubmitRefusal::Full).
    #[track_caller]
    pub fn try_spawn<F, R>(&self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.task().trying().spawn(function)
    }

    /// As [`spawn`](ThreadPoolExecutor::spawn), but when the queue is full it waits for a place at most as long as
    /// `limit` says, whatever the pool's policy.
    ///
    /// # Errors
    ///
    /// As for `spawn`; why it gave up, and then the closure has not been touched.
    #[track_caller]
    pub fn spawn_within<'l, F, R>(
        &'l self,
        function: F,
        limit: impl Into<Limit<'l>>,
    ) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.task().within(limit).spawn(function)
    }

    /// As [`spawn`](ThreadPoolExecutor::spawn), but when the queue is full it waits for a place without blocking a
    /// thread. Dropped before, nothing has been submitted.
    ///
    /// # Errors
    ///
    /// As for `spawn`.
    #[track_caller]
    pub fn spawn_async<F, R>(
        &self,
        function: F,
    ) -> impl Future<Output = Result<TaskFuture<R>, SubmitError<F>>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.task().accept_async(function)
    }

    /// Accepts a closure that may fail as a task: its future has the value, or
    /// [`TaskError::Failed`](super::TaskError::Failed) with the error.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure, as for [`spawn`](ThreadPoolExecutor::spawn).
    ///
    /// ```
    /// use latchwork::executor::{TaskError, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// let number = pool.spawn_fallible(|| "12".parse::<u8>()).unwrap();
    /// let none = pool.spawn_fallible(|| "twelve".parse::<u8>()).unwrap();
    /// assert_eq!(number.result(), Ok(12));
    /// assert!(matches!(none.result(), Err(TaskError::Failed(_))));
    /// ```
    #[track_caller]
    pub fn spawn_fallible<F, R, E>(&self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce() -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        self.accept(function, Fallible, |fallible| fallible.0)
    }

    /// Accepts a closure that can be asked to stop while it runs.
    ///
    /// [`TaskFuture::cancel`] cancels the task if it has not started; if it runs, it cancels the token that the closure was
    /// given and returns false, because what comes of the task is for the closure to say. A
    /// [`shutdown`](Executor::shutdown) with [`Shutdown::Immediate`] cancels the tokens of all that run.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure, as for [`spawn`](ThreadPoolExecutor::spawn).
    ///
    /// ```
    /// use latchwork::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// let future = pool.spawn_cancellable(|token| token.wait()).unwrap();
    /// while !future.is_running() {
    ///     std::thread::yield_now();
    /// }
    /// assert!(!future.cancel());
    /// assert_eq!(future.result(), Ok(()));
    /// ```
    #[track_caller]
    pub fn spawn_cancellable<F, R>(&self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce(&CancelToken) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.task().spawn_cancellable(function)
    }

    /// A task with a name, a priority, a context: to be said before it is spawned.
    pub fn task(&self) -> TaskBuilder<'_> {
        TaskBuilder::new(self)
    }

    /// The most workers at a time, without spare ones.
    pub fn max_workers(&self) -> usize {
        match self.pool.is_left_behind() {
            true => 0,
            false => self.pool.state.lock().most,
        }
    }

    /// Changes the most workers at a time. More are started as tasks come; those that are too many go as soon as they
    /// have no task, and their tasks are not cut short.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0, or more than 16,383.
    pub fn set_max_workers(&self, max_workers: usize) {
        assert!(max_workers > 0, "a pool needs a worker");
        assert!(
            max_workers <= MOST_WORKERS,
            "a pool has at most {MOST_WORKERS} workers"
        );
        if !self.pool.is_left_behind() {
            self.pool.set_most(max_workers);
        }
    }

    /// Starts all workers that there may be, and says how many there are: fewer than
    /// [`max_workers`](ThreadPoolExecutor::max_workers) if the system has no more threads.
    ///
    /// # Errors
    ///
    /// Why there is none.
    #[doc(alias = "core_threads")]
    pub fn prestart(&self) -> Result<usize, SubmitRefusal> {
        self.pool.check()?;
        self.pool.fill()
    }

    /// What the pool has done and is doing.
    ///
    /// ```
    /// use latchwork::executor::{Executor, ThreadPoolExecutor};
    /// use latchwork::Shutdown;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).measure_times().build();
    /// assert_eq!(pool.map(|n| n * n, 1..=10).unwrap().count(), 10);
    /// pool.shutdown(Shutdown::Drain);
    /// pool.join();
    /// let stats = pool.stats();
    /// assert_eq!((stats.done, stats.failed, stats.queued), (10, 0, 0));
    /// assert_eq!(stats.run_time.unwrap().count, 10);
    /// ```
    pub fn stats(&self) -> Stats {
        match self.pool.is_left_behind() {
            true => Stats::default(),
            false => self.pool.stats(),
        }
    }

    /// How many tasks wait for a worker. One that was cancelled counts until a worker comes to it.
    #[doc(alias = "qsize")]
    pub fn queue_len(&self) -> usize {
        self.pool.queue.len()
    }

    /// How many workers are in the middle of a task.
    pub fn active(&self) -> usize {
        self.stats().running
    }

    /// Accepts a function and its argument as a task, as [`Executor::submit`] does, without asking
    /// that they can be sent to a process.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the argument, as for [`spawn`](ThreadPoolExecutor::spawn).
    #[track_caller]
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

    #[track_caller]
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
        if !pool.is_plain || traced::is_on() {
            return self.task().accept(value, into_work, into_value);
        }
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
