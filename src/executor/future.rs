//! [`TaskFuture`]: the side of a task that waits for it.

use super::task::{Stage, Task};
use super::{TaskError, TaskId};
use crate::wait::Request;
use crate::{GaveUp, Limit};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The result of a task, now or later.
///
/// The four faces of waiting for it: [`result`](TaskFuture::result) blocks,
/// [`try_result`](TaskFuture::try_result) doesn't, [`result_within`](TaskFuture::result_within)
/// blocks at most so long, and the future itself can be awaited on any runtime, without polling.
///
/// Dropping a future does not cancel its task.
///
/// # Cost
///
/// One allocation a task, plus one for its closure. A waiter that sleeps is one parked thread.
///
/// # Source
///
/// Python's [`concurrent.futures.Future`](https://docs.python.org/3/library/concurrent.futures.html#future-objects).
///
/// ```
/// use latchwork::executor::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let future = pool.spawn(|| 6 * 7).unwrap();
/// assert_eq!(future.result().unwrap(), 42);
/// ```
#[must_use = "the result, or the error, is lost if nobody asks for it"]
#[doc(alias = "Future")]
#[doc(alias = "JoinHandle")]
pub struct TaskFuture<R> {
    task: Arc<Task<R>>,
}

impl<R> TaskFuture<R> {
    pub(super) fn new(task: Arc<Task<R>>) -> TaskFuture<R> {
        TaskFuture { task }
    }

    fn task(&self) -> &Task<R> {
        self.task.look_behind();
        &self.task
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// Blocks until the task has ended and returns what came of it.
    ///
    /// # Errors
    ///
    /// Why there is no result.
    #[track_caller]
    pub fn result(self) -> Result<R, TaskError> {
        self.task().finished.wait();
        self.take()
    }

    /// What came of the task if it has ended, else the future back; never blocks.
    ///
    /// # Errors
    ///
    /// The future, when the task has not ended.
    pub fn try_result(self) -> Result<Result<R, TaskError>, TaskFuture<R>> {
        if !self.is_done() {
            return Err(self);
        }
        Ok(self.take())
    }

    /// As [`result`](TaskFuture::result), at most as long as `limit` says. Giving up does not cancel
    /// the task.
    ///
    /// # Errors
    ///
    /// [`NotDone`], with the future and why it gave up.
    #[track_caller]
    #[doc(alias = "result_timeout")]
    pub fn result_within<'l>(
        self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<R, TaskError>, NotDone<R>> {
        match self.task().finished.wait_within(limit) {
            Ok(()) => Ok(self.take()),
            Err(why) => Err(NotDone { future: self, why }),
        }
    }

    /// Blocks until the task has ended, and leaves the result where it is.
    #[track_caller]
    pub fn wait(&self) {
        self.task().finished.wait();
    }

    /// As [`wait`](TaskFuture::wait), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.task().finished.wait_within(limit)
    }

    /// Cancels the task if it has not started; it is done at once, as [`TaskError::Cancelled`].
    ///
    /// Returns whether the task is cancelled now. Callbacks run in the calling thread. What the task
    /// had captured is dropped when a worker would have come to it.
    pub fn cancel(&self) -> bool {
        self.task.cancel() || self.is_cancelled()
    }

    /// Was it cancelled?
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        self.ended_with(|error| *error == Some(TaskError::Cancelled))
    }

    /// Is it running right now?
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        matches!(self.task().state.lock().stage, Stage::Running)
    }

    /// Has it ended, in whatever way?
    #[doc(alias = "done")]
    #[doc(alias = "is_finished")]
    pub fn is_done(&self) -> bool {
        self.ended_with(|_| true)
    }

    /// Why it has no result, if it has ended without one; `None` too while it has not ended.
    #[doc(alias = "exception")]
    pub fn error(&self) -> Option<TaskError> {
        match &self.task().state.lock().stage {
            Stage::Finished { error, .. } => error.clone(),
            _ => None,
        }
    }

    /// Calls `callback` once when the task has ended; at once, here, if it has.
    ///
    /// Callbacks run in the order in which they were added, in the thread that ends the task, after
    /// those who wait have been woken, and with nothing locked; one that is added after the end runs
    /// in the thread that adds it, perhaps beside earlier ones. A panic in one is printed, and the
    /// next one runs.
    #[doc(alias = "add_done_callback")]
    pub fn on_done(&self, callback: impl FnOnce(&Finished) + Send + 'static) {
        let mut state = self.task().state.lock();
        match &state.stage {
            Stage::Finished { error, .. } => {
                let report = Finished::new(self.task.id, error.clone());
                drop(state);
                crate::panic::report("a callback of a finished task", || callback(&report));
            }
            _ => state.callbacks.push(Box::new(callback)),
        }
    }

    /// What a wait for the task's end wants.
    pub(crate) fn end_request(&self) -> impl Request<Output = ()> {
        self.task().finished.request()
    }

    fn ended_with(&self, which: impl FnOnce(&Option<TaskError>) -> bool) -> bool {
        match &self.task().state.lock().stage {
            Stage::Finished { error, .. } => which(error),
            _ => false,
        }
    }

    /// Takes what is there, once. The task has ended.
    fn take(&self) -> Result<R, TaskError> {
        match &mut self.task().state.lock().stage {
            Stage::Finished { value, error } => match (value.take(), error) {
                (Some(value), _) => Ok(value),
                (None, Some(error)) => Err(error.clone()),
                (None, None) => panic!("the result of {} has been taken before", self.task.id),
            },
            _ => unreachable!("woken before the end of {}", self.task.id),
        }
    }
}

/// Awaiting a task. Like any future it must not be polled again after it was ready.
impl<R> Future for TaskFuture<R> {
    type Output = Result<R, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before and dropped after the task is locked: both are the user's code.
        let waker = cx.waker().clone();
        let replaced = {
            let mut state = self.task().state.lock();
            match state.stage {
                Stage::Finished { .. } => None,
                _ => Some(state.waker.replace(waker)),
            }
        };
        match replaced {
            Some(_) => Poll::Pending,
            None => Poll::Ready(self.take()),
        }
    }
}

impl<R> fmt::Debug for TaskFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.task().state.lock().stage {
            Stage::Pending => "pending",
            Stage::Running => "running",
            Stage::Finished { error: None, .. } => "returned",
            Stage::Finished {
                error: Some(TaskError::Cancelled),
                ..
            } => "cancelled",
            Stage::Finished { error: Some(_), .. } => "failed",
        };
        f.debug_struct("TaskFuture")
            .field("id", &self.task.id)
            .field("stage", &stage)
            .finish()
    }
}

/// What a callback is told about a task that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    id: TaskId,
    error: Option<TaskError>,
}

impl Finished {
    pub(super) fn new(id: TaskId, error: Option<TaskError>) -> Finished {
        Finished { id, error }
    }

    /// Which task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Why it has no result, if it has none.
    pub fn error(&self) -> Option<&TaskError> {
        self.error.as_ref()
    }
}

/// The task had not ended when the call gave up. The future is in here.
#[non_exhaustive]
pub struct NotDone<R> {
    /// To wait again, or to cancel.
    pub future: TaskFuture<R>,
    /// Why the call gave up.
    pub why: GaveUp,
}

impl<R> fmt::Debug for NotDone<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotDone")
            .field("future", &self.future)
            .field("why", &self.why)
            .finish()
    }
}

impl<R> fmt::Display for NotDone<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<R> Error for NotDone<R> {}
