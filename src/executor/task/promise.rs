//! [`Promise`]: a task that is brought to its end by hand.
//!
//! Invariant: the claim, once it has been made by a promise, is that promise's alone, which ends the task or is
//! dropped. The process pool's tasks are such, and everybody's that work without a pool.

use super::{Core, DROPPED, Job, Outcome, STARTED};
use crate::executor::{TaskError, TaskFuture, TaskId};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A task that is nothing but what all tasks have.
struct Bare<R>(Core<R>);

impl<R: Send> Job for Bare<R> {
    /// Whoever has the promise runs it.
    fn run(&self) -> bool {
        false
    }

    fn drop_with(&self, error: TaskError) -> bool {
        self.0.drop_with(error)
    }

    fn is_claimed(&self) -> bool {
        self.0.is_claimed()
    }

    fn ask_to_stop(&self) {
        self.0.ask_to_stop();
    }

    fn home(&self) -> usize {
        0
    }
}

impl<R: Send> Outcome<R> for Bare<R> {
    fn core(&self) -> &Core<R> {
        &self.0
    }
}

/// A task without an executor: whoever has the promise gives its result, and the other end is a [`TaskFuture`] like any.
///
/// A future of a promise that has not been [started](Promise::start) can be cancelled; afterwards it cannot, as with
/// every task. Each of the calls that end it takes the promise, so that no result is given twice. One that is dropped
/// without any is [`TaskError::Lost`].
///
/// # Cost
///
/// One allocation, shared with the future.
///
/// # Source
///
/// Python's [`Future.set_running_or_notify_cancel`, `set_result` and `set_exception`](https://docs.python.org/3/library/concurrent.futures.html#concurrent.futures.Future.set_running_or_notify_cancel),
/// whose `InvalidStateError` does not compile here; C++'s `std::promise`.
///
/// ```
/// use latchwork::executor::{TaskError, promise};
///
/// let (promise, future) = promise();
/// let worker = std::thread::spawn(move || {
///     let running = promise.start().expect("nobody has cancelled it");
///     running.complete(6 * 7);
/// });
/// assert_eq!(future.result(), Ok(42));
/// # worker.join().unwrap();
///
/// let (promise, future) = latchwork::executor::promise();
/// assert!(future.cancel());
/// assert_eq!(promise.complete("too late"), Err("too late"));
///
/// let (promise, future) = latchwork::executor::promise::<u8>();
/// drop(promise);
/// assert_eq!(future.result(), Err(TaskError::Lost));
/// ```
#[doc(alias = "set_result")]
#[doc(alias = "set_exception")]
#[must_use = "dropping it loses the task"]
pub struct Promise<R> {
    task: Arc<Bare<R>>,
}

/// A promise whose task has begun: it cannot be cancelled any more, only be asked to stop. From [`Promise::start`].
#[must_use = "dropping it loses the task"]
pub struct RunningPromise<R> {
    promise: Promise<R>,
}

/// The task was cancelled before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled before it started")
    }
}

impl Error for Cancelled {}

/// A new task: who gives its result, and who waits for it.
#[doc(alias = "oneshot")]
#[doc(alias = "Future")]
pub fn promise<R: Send + 'static>() -> (Promise<R>, TaskFuture<R>) {
    let task = Arc::new(Bare(Core::new()));
    let future = TaskFuture::new(Arc::clone(&task) as _);
    (Promise { task }, future)
}

impl<R> Promise<R> {
    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.core().id
    }

    /// The task begins: from now on it cannot be cancelled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`], when it has been.
    #[doc(alias = "set_running_or_notify_cancel")]
    pub fn start(self) -> Result<RunningPromise<R>, Cancelled> {
        match self.begin() {
            true => Ok(RunningPromise { promise: self }),
            false => Err(Cancelled),
        }
    }

    /// Ends the task with a result, without its having been seen to run.
    ///
    /// Callbacks run in this call.
    ///
    /// # Errors
    ///
    /// The value, when the task has been cancelled.
    pub fn complete(self, value: R) -> Result<(), R> {
        match self.begin() {
            true => {
                self.core().finish(Ok(value));
                Ok(())
            }
            false => Err(value),
        }
    }

    /// Ends the task without a result.
    ///
    /// # Errors
    ///
    /// The error, when the task has been cancelled.
    pub fn fail(self, error: impl Into<TaskError>) -> Result<(), TaskError> {
        let error = error.into();
        match self.begin() {
            true => {
                self.core().finish(Err(error));
                Ok(())
            }
            false => Err(error),
        }
    }

    /// Has the task been cancelled? Nobody needs its result then.
    pub fn is_cancelled(&self) -> bool {
        self.core().is_cancelled()
    }

    fn core(&self) -> &Core<R> {
        &self.task.0
    }

    /// The right and the duty to end it. False when it has been cancelled.
    pub(crate) fn begin(&self) -> bool {
        self.core().start_elsewhere()
    }

    /// Ends it, whether it has begun or not; one that has been cancelled stays so.
    pub(crate) fn end(self, result: Result<R, TaskError>) {
        self.end_if_ours(result);
    }

    fn end_if_ours(&self, result: Result<R, TaskError>) {
        let core = self.core();
        // What has been started and not dropped has been started by this promise.
        let is_ours = core.start_elsewhere() || core.end.marks() & (STARTED | DROPPED) == STARTED;
        if is_ours {
            core.finish(result);
        }
    }
}

impl<R> RunningPromise<R> {
    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.promise.id()
    }

    /// Ends the task with a result. Callbacks run in this call.
    pub fn complete(self, value: R) {
        self.promise.end(Ok(value));
    }

    /// Ends the task without a result.
    pub fn fail(self, error: impl Into<TaskError>) {
        self.promise.end(Err(error.into()));
    }

    /// Has somebody called [`TaskFuture::cancel`], in vain, since the task began? Whoever runs it may want to stop.
    pub fn is_cancel_requested(&self) -> bool {
        self.promise.core().is_asked_to_stop()
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.end_if_ours(Err(TaskError::Lost));
    }
}

impl<R> fmt::Debug for Promise<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise")
            .field("id", &self.id())
            .field("state", &self.core().state())
            .finish()
    }
}

impl<R> fmt::Debug for RunningPromise<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningPromise")
            .field("id", &self.id())
            .field("is_cancel_requested", &self.is_cancel_requested())
            .finish()
    }
}
