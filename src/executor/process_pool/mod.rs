//! [`ProcessPoolExecutor`]: tasks on a bounded number of processes.
//!
//! Three parts, each with one job: submitters put tasks on the [`Desk`]; the [`Reactor`]'s thread
//! owns every process and socket; [`dispatch`] decides, and can be tested without either.

mod desk;
mod dispatch;
mod job;
mod reactor;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use self::desk::Desk;
use self::job::Job;
use self::reactor::Reactor;
use super::{Executor, Portable, SubmitError, SubmitRefusal, TaskError, TaskFuture};
use crate::{GaveUp, Limit, Shutdown};

/// Runs tasks in other processes of this program, which are started as they are needed and kept.
///
/// A task is a function of the program itself and an argument; a closure that captures nothing is
/// such a function. The argument travels to the worker and the result back through
/// [`serde`]. The program needs no preparation: a worker never runs its `main`
/// (see [`process`](crate::process)), and so has nothing that `main` sets up.
///
/// A new worker is started only when a task waits, no worker is idle and there are fewer than
/// `max_workers`. Each worker is given one task at a time, so a task that waits can be cancelled
/// until the moment a worker is free for it. The pool is for tasks that are worth the way: see
/// *Cost*.
///
/// # Errors
///
/// What can go wrong is the matter of one task, whose future says so:
///
/// * [`TaskError::Panicked`]: with the message, the place and the worker's name. The worker goes on.
/// * [`TaskError::WorkerDied`]: the process ended while it had this task: killed, crashed, aborted,
///   or through [`std::process::exit`]. Others are not affected, and the process is replaced when a
///   task needs it. Whether and how far the task ran is not known, so it is not run again; one that its
///   worker had not even read goes to the next, up to three times. How the process ended is unknown in a program that
///   ignores `SIGCHLD` or waits for all its children itself.
/// * [`TaskError::Decode`]: the argument could not be decoded in the worker, or the result here.
/// * [`TaskError::Encode`]: the worker could not encode the result.
///
/// An argument that cannot be encoded is refused at once by [`submit`](Executor::submit), and so is
/// a function that is not in the main program but in a shared library.
///
/// When workers die before they are ready, or cannot be started at all, the pool tries again, ever
/// more slowly. After five attempts in a row without success, and with no worker left that
/// works, it is broken: tasks that wait end with [`TaskError::Broken`], later ones are refused.
///
/// # Panics
///
/// `submit` panics if the argument's `Serialize` does. No panic in a task, in code that decodes, or
/// in a callback harms the pool. In a program built with `panic = "abort"`, a task's panic ends its
/// worker and is a `WorkerDied`; one in code that decodes a result, or in a callback, ends the program.
///
/// # Fairness
///
/// Tasks start in the order in which they were submitted, and end in any. The queue has no bound.
///
/// # Death
///
/// When this process ends, in whatever way, its workers end too, even in the middle of a task, and
/// their own pools' workers with them. Nothing is left that would need to be cleaned up. A worker
/// that sends what makes no sense is killed.
///
/// # Shutdown
///
/// Dropping the executor runs every task it has accepted, ends its workers and waits for that;
/// dropped by one of its own callbacks, it does not wait. Results are decoded, and callbacks of the
/// futures run, on the pool's one thread, beside which no other result arrives: keep them short, and
/// do not [`join`](Executor::join) in them. A worker that was told to leave gets five seconds for its exit
/// handlers before it is killed.
///
/// # Nesting
///
/// A task may have a pool of its own. Pools nested more than eight deep are refused by
/// [`build`](Builder::build).
///
/// # Cost
///
/// Starting a worker takes about as long as starting the program. A task costs two copies of its
/// argument and of its result through a socket and, when everybody sleeps, four wake-ups: submitter
/// to pool to worker and back. An idle pool uses no processor time; it has one thread and two
/// descriptors, and two more descriptors for each worker.
///
/// # Source
///
/// Python's [`concurrent.futures.ProcessPoolExecutor`](https://docs.python.org/3/library/concurrent.futures.html#processpoolexecutor),
/// with two differences: a dead worker costs its own task, not the pool, and a task that waits is
/// never counted as running.
///
/// ```
/// use latchwork::executor::{Executor, ProcessPoolExecutor, TaskError};
///
/// let pool = ProcessPoolExecutor::new(2)?;
///
/// let elsewhere = pool.submit(|()| std::process::id(), ()).unwrap();
/// assert_ne!(elsewhere.result().unwrap(), std::process::id());
///
/// let squares = pool.map(|n: u64| n * n, 1..=4).unwrap();
/// assert_eq!(squares.map(Result::unwrap).collect::<Vec<_>>(), [1, 4, 9, 16]);
///
/// // A crash costs the task that crashed, and nothing else.
/// let crash = pool.submit(|()| -> u8 { std::process::abort() }, ()).unwrap();
/// assert!(matches!(crash.result(), Err(TaskError::WorkerDied(_))));
/// assert_eq!(pool.submit(|word: String| word.len(), "fine".into()).unwrap().result(), Ok(4));
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "ProcessPool")]
#[doc(alias = "multiprocessing")]
pub struct ProcessPoolExecutor {
    desk: Arc<Desk>,
    max_workers: usize,
    /// The process it was built in, where its thread is.
    owner: u32,
    /// `None` only while it is being dropped.
    reactor: Option<JoinHandle<()>>,
}

/// Settings of a [`ProcessPoolExecutor`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    max_workers: Option<NonZeroUsize>,
}

impl Builder {
    /// The most processes at a time. By default as many as can run at once.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0.
    pub fn max_workers(mut self, max_workers: usize) -> Builder {
        self.max_workers = Some(NonZeroUsize::new(max_workers).expect("a pool needs a worker"));
        self
    }

    /// A pool without any worker yet.
    ///
    /// # Errors
    ///
    /// When this process is itself a worker nested too deep, or when the system has no descriptor or
    /// thread left for the pool.
    pub fn build(self) -> io::Result<ProcessPoolExecutor> {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        crate::process::spawn::check_depth()?;
        // Only the number's uniqueness matters.
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        let max_workers = self
            .max_workers
            .map_or_else(crate::platform::cpus, NonZeroUsize::get);
        let desk = Arc::new(Desk::new()?);
        let prefix = format!("pool-{number}-worker-");
        let reactor = Reactor::new(Arc::clone(&desk), max_workers, prefix)?;
        let at_desk = Arc::clone(&desk);
        let reactor = std::thread::Builder::new()
            .name(format!("latchwork-pool-{number}"))
            .spawn(move || run(reactor, &at_desk))?;
        Ok(ProcessPoolExecutor {
            desk,
            max_workers,
            owner: std::process::id(),
            reactor: Some(reactor),
        })
    }
}

/// The reactor's thread.
fn run(mut reactor: Reactor, desk: &Desk) {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| reactor.run()));
    if ran.is_err() {
        // The hook has reported it. What waits must not wait for ever.
        let reason = "the pool's thread panicked".into();
        for job in desk.break_down(&reason) {
            job.fail(TaskError::Broken(reason.clone()));
        }
    }
    // Its descriptors are closed, and what it held is completed, before anybody hears of the end.
    drop(reactor);
    desk.ended.set();
}

impl ProcessPoolExecutor {
    /// A pool of at most `max_workers` processes.
    ///
    /// # Errors
    ///
    /// As for [`Builder::build`].
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0.
    pub fn new(max_workers: usize) -> io::Result<ProcessPoolExecutor> {
        ProcessPoolExecutor::builder()
            .max_workers(max_workers)
            .build()
    }

    /// Settings, to be changed before the pool is built.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// In the child of a `fork` there is neither the pool's thread nor a worker of its own.
    fn check_owner(&self) -> Result<(), SubmitRefusal> {
        if std::process::id() == self.owner {
            return Ok(());
        }
        let why = "this pool belongs to the process that was forked";
        Err(SubmitRefusal::Broken(why.into()))
    }

    /// The process ids of the workers that there are now, those that are starting or ending
    /// included, in no order.
    pub fn worker_pids(&self) -> Vec<u32> {
        self.desk.status().pids
    }
}

impl Executor for ProcessPoolExecutor {
    fn submit<A: Portable, R: Portable>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> Result<TaskFuture<R>, SubmitError<A>> {
        // Before the encoding too: it may be long, and would be for nothing.
        let accepted = self.check_owner().and_then(|()| {
            self.desk.check()?;
            let (job, future) = Job::new(function, &argument)?;
            self.desk.submit(job)?;
            Ok(future)
        });
        accepted.map_err(|reason| SubmitError::new(argument, reason))
    }

    fn shutdown(&self, pending: Shutdown) {
        if self.check_owner().is_ok() {
            self.desk.shut_down(pending);
        }
    }

    fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        match self.check_owner() {
            Ok(()) => self.desk.ended.wait_within(limit),
            Err(_) => Ok(()),
        }
    }
}

impl Drop for ProcessPoolExecutor {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Drain);
        let Some(reactor) = self.reactor.take() else {
            return;
        };
        if self.check_owner().is_err() {
            // That thread is in the process that was forked.
            std::mem::forget(reactor);
            return;
        }
        // A callback that drops the pool runs on the very thread that would be waited for.
        if reactor.thread().id() != std::thread::current().id() {
            reactor.join().expect("the reactor's panics are caught");
        }
    }
}

impl fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.desk.status();
        f.debug_struct("ProcessPoolExecutor")
            .field("state", &self.desk.gate())
            .field("max_workers", &self.max_workers)
            .field("workers", &status.pids)
            .field("queued", &status.queued)
            .field("running", &status.running)
            .field("done", &status.done)
            .finish()
    }
}
