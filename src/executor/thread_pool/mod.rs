//! [`ThreadPoolExecutor`]: tasks on a bounded number of threads.
//!
//! One lock guards the pending tasks and the head count; idle workers wait on one condition. A
//! submitter that finds an idle worker claims it by counting it out under the lock, and notifies;
//! since notifications are exact, every claim reaches a worker. A claimed worker that finds its
//! task taken by one that has just become free counts itself in again.

use super::task::{Promise, pair};
use super::{Executor, Portable, SubmitError, SubmitRefusal, TaskError, TaskFuture};
use crate::exit;
use crate::panic::{catch, report};
use crate::platform::{forked, spawn_thread, thread_local};
use crate::sync::{Condition, Lock};
use crate::{GaveUp, Limit, Shutdown};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Python's default: enough threads for work that waits, without one for each of 64 cores.
const MOST_BY_DEFAULT: usize = 32;

thread_local! {
    /// The pool whose worker this thread is, by address; 0 elsewhere.
    static WORKER_OF: Cell<usize> = const { Cell::new(0) };
}

/// A task as the pool sees it: run it, or cancel it.
trait Job: Send {
    fn run(self: Box<Self>);
    fn cancel(self: Box<Self>);
}

struct Call<F, R> {
    function: F,
    promise: Promise<R>,
}

impl<F: FnOnce() -> R + Send, R: Send> Job for Call<F, R> {
    fn run(self: Box<Self>) {
        if self.promise.start() {
            // The function, with all it captured, is gone before the result is there.
            let result = catch(self.function).map_err(TaskError::Panicked);
            self.promise.complete(result);
        }
    }

    fn cancel(self: Box<Self>) {
        self.promise.cancel();
    }
}

struct Pool {
    prefix: String,
    max_workers: usize,
    /// The generation of the process that has its workers.
    generation: u8,
    state: Lock<State>,
    /// For idle workers: there may be a task, or the end.
    work: Condition,
    /// For those who join: a worker has gone, or stepped aside.
    ended: Condition,
}

struct State {
    pending: VecDeque<Box<dyn Job>>,
    /// Workers that wait and have not been claimed.
    idle: usize,
    /// Workers that have been started and have not ended.
    workers: usize,
    /// Workers started ever; the next one's number.
    started: usize,
    /// Workers whose task waits for the program's end, which therefore does not wait for them.
    aside: usize,
    is_shut: bool,
    /// Somebody has found it so. Final, whatever those do who were aside.
    was_drained: bool,
}

impl State {
    fn has_ended(&self) -> bool {
        self.is_shut && self.workers == 0
    }

    /// Is there nothing that the program's end has to wait for?
    fn is_drained(&mut self) -> bool {
        self.was_drained |= self.is_shut && self.pending.is_empty() && self.workers == self.aside;
        self.was_drained
    }
}

impl Pool {
    /// Has this process been forked from the one with the workers? Then the lock may be held for ever, too.
    fn is_left_behind(&self) -> bool {
        self.generation != forked::generation()
    }

    fn is_of_this_worker(&self) -> bool {
        WORKER_OF.with(|of| of.get() == std::ptr::from_ref(self).addr())
    }

    /// Stops accepting tasks; those that have not started are the caller's to cancel, if it says so.
    fn shut(&self, pending: Shutdown) -> VecDeque<Box<dyn Job>> {
        let mut state = self.state.lock();
        state.is_shut = true;
        // All of them are woken below, so all are claimed.
        state.idle = 0;
        self.ended.notify_all();
        let cancelled = match pending {
            Shutdown::Drain => VecDeque::new(),
            Shutdown::Immediate => std::mem::take(&mut state.pending),
        };
        drop(state);
        self.work.notify_all();
        cancelled
    }
}

impl exit::pools::Pool for Pool {
    fn refuse(&self) {
        self.shut(Shutdown::Drain);
    }

    fn drain(&self, limit: &Limit<'_>) -> Result<(), GaveUp> {
        let mut state = self.state.lock();
        let is_aside = self.is_of_this_worker();
        if is_aside {
            // What only this worker could do is done here.
            while let Some(job) = state.pending.pop_front() {
                drop(state);
                report("what a task left behind", || job.run());
                if self.is_left_behind() {
                    // As in `work`.
                    return Ok(());
                }
                state = self.state.lock();
            }
            state.aside += 1;
            self.ended.notify_all();
        }
        let drained = self
            .ended
            .wait_while_within(&mut state, |state| !state.is_drained(), *limit);
        state.aside -= usize::from(is_aside);
        drained
    }

    fn remains(&self) -> Option<String> {
        let mut state = self.state.lock();
        (!state.is_drained()).then(|| {
            format!(
                "{} with {} of {} threads at work and {} tasks to come",
                self.prefix,
                state.workers - state.idle,
                self.max_workers,
                state.pending.len()
            )
        })
    }
}

/// Runs tasks on threads that are started as they are needed and kept.
///
/// A new worker is started only when a task comes, no worker is idle and there are fewer than
/// `max_workers`. Tasks start in the order in which they came. A task's panic comes back in its
/// future and the worker goes on.
///
/// Dropping the executor runs every task it has accepted and then ends its workers; dropped by one of
/// its own tasks, it does not wait for them.
///
/// # Limits
///
/// A task that waits for another task of the same pool occupies its worker while it waits; when all
/// workers do so, nobody is left to run what they wait for.
///
/// # Cost
///
/// A task costs two allocations, one lock each to enter and to leave, and a wake-up if a worker
/// sleeps.
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

/// Settings of a [`ThreadPoolExecutor`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    max_workers: Option<NonZeroUsize>,
    prefix: Option<String>,
}

impl Builder {
    /// The most threads at a time. By default four more than can run at once, but at most 32.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0.
    pub fn max_workers(mut self, max_workers: usize) -> Builder {
        self.max_workers = Some(NonZeroUsize::new(max_workers).expect("a pool needs a worker"));
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

    /// A pool without any thread yet.
    pub fn build(self) -> ThreadPoolExecutor {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        let pool = Arc::new(Pool {
            prefix: self
                .prefix
                .unwrap_or_else(|| format!("ThreadPoolExecutor-{number}")),
            max_workers: self.max_workers.map_or_else(
                || (crate::platform::cpus() + 4).min(MOST_BY_DEFAULT),
                NonZeroUsize::get,
            ),
            generation: forked::generation(),
            state: Lock::new(State {
                pending: VecDeque::new(),
                idle: 0,
                workers: 0,
                started: 0,
                aside: 0,
                is_shut: false,
                was_drained: false,
            }),
            work: Condition::new(),
            ended: Condition::new(),
        });
        // Whole by now: the program's end does not find one that is still being made.
        let entered: Weak<Pool> = Arc::downgrade(&pool);
        if !exit::pools::enter(entered) {
            pool.state.lock().is_shut = true;
        }
        ThreadPoolExecutor { pool }
    }
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
        self.accept(function, |function| function)
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
        self.accept(argument, move |argument| move || function(argument))
    }

    /// Enters `value`, as the closure that `into_function` makes of it once it is sure to be taken.
    fn accept<V, F, R>(
        &self,
        value: V,
        into_function: impl FnOnce(V) -> F,
    ) -> Result<TaskFuture<R>, SubmitError<V>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let pool = &self.pool;
        if pool.is_left_behind() {
            let why = "its threads did not come along when the process was forked";
            return Err(SubmitError::new(value, SubmitRefusal::Broken(why.into())));
        }
        let mut state = pool.state.lock();
        if state.is_shut {
            return Err(SubmitError::new(value, SubmitRefusal::ShutDown));
        }
        let claimed = state.idle > 0;
        if claimed {
            state.idle -= 1;
        } else if state.workers < pool.max_workers
            && let Err(error) = start_worker(pool, &mut state)
            && state.workers == 0
        {
            let why = format!("cannot start a thread: {error}");
            return Err(SubmitError::new(value, SubmitRefusal::Broken(why.into())));
        }
        let (promise, future) = pair();
        let function = into_function(value);
        state
            .pending
            .push_back(Box::new(Call { function, promise }));
        drop(state);
        if claimed {
            pool.work.notify_one();
        }
        Ok(future)
    }
}

fn start_worker(pool: &Arc<Pool>, state: &mut State) -> io::Result<()> {
    let name = format!("{}_{}", pool.prefix, state.started);
    let worker = Arc::clone(pool);
    spawn_thread(name, move || work(&worker))?;
    state.started += 1;
    state.workers += 1;
    Ok(())
}

/// A worker's life.
fn work(pool: &Arc<Pool>) {
    WORKER_OF.with(|of| of.set(Arc::as_ptr(pool).addr()));
    let mut state = pool.state.lock();
    loop {
        if let Some(job) = state.pending.pop_front() {
            drop(state);
            // The task's own panic is its result; what it leaves behind may panic when dropped.
            report("what a task left behind", || job.run());
            if pool.is_left_behind() {
                // The task has forked, and this is the child: what is pending is its parent's.
                return;
            }
            state = pool.state.lock();
        } else if state.is_shut {
            break;
        } else {
            state.idle += 1;
            // Whoever wakes us has counted us out.
            pool.work.wait(&mut state);
        }
    }
    state.workers -= 1;
    if state.is_shut {
        pool.ended.notify_all();
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
        if self.pool.is_left_behind() {
            return;
        }
        // With nothing locked: a cancelled task runs its callbacks here.
        for job in self.pool.shut(pending) {
            report("what a cancelled task left behind", || job.cancel());
        }
    }

    fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        if self.pool.is_left_behind() {
            return Ok(());
        }
        let mut state = self.pool.state.lock();
        self.pool
            .ended
            .wait_while_within(&mut state, |state| !state.has_ended(), limit)
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Drain);
        if !self.pool.is_of_this_worker() {
            self.join();
        }
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pool.is_left_behind() {
            return f.write_str("ThreadPoolExecutor(left behind by a fork)");
        }
        let (workers, idle, pending, is_shut) = {
            let state = self.pool.state.lock();
            (
                state.workers,
                state.idle,
                state.pending.len(),
                state.is_shut,
            )
        };
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &self.pool.max_workers)
            .field("workers", &workers)
            .field("idle", &idle)
            .field("pending", &pending)
            .field("is_shutdown", &is_shut)
            .finish()
    }
}
