//! [`ScheduledTask`]: a timer whose outcome is that of a task.

use crate::executor::TaskError;
use crate::time::{Cancel, NotRung, Timer, TimerError};
use crate::{GaveUp, Limit};
use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, Instant};

/// What a [`ScheduledExecutor`](super::ScheduledExecutor) is to call, to wait for or to call off. For what repeats it is
/// the whole of it, and the result is its end.
///
/// Dropping it cancels nothing.
///
/// # Source
///
/// Java's `ScheduledFuture`.
#[must_use = "the result, or the error, is lost if nobody asks for it"]
#[doc(alias = "ScheduledFuture")]
pub struct ScheduledTask<R = ()> {
    timer: Timer<R>,
}

impl<R: Send + 'static> ScheduledTask<R> {
    pub(super) fn new(timer: Timer<R>) -> ScheduledTask<R> {
        ScheduledTask { timer }
    }

    /// Calls it off: says whether that has prevented the call, or it is on its way, or it was too late.
    ///
    /// A call that waits for a thread of the pool can be prevented still. Once this says `Prevented`, what the function
    /// had captured is gone, too. What repeats is not called again after a call that is running.
    pub fn cancel(&self) -> Cancel {
        self.timer.cancel()
    }

    /// When it is to be called next, if it is waiting for that: to 4 microseconds.
    #[doc(alias = "getDelay")]
    pub fn due(&self) -> Option<Instant> {
        self.timer.due()
    }

    /// Has it called `delay` from now instead. False, and nothing has changed, if its time has come already, or it was
    /// cancelled. What repeats goes on from there.
    pub fn reset(&self, delay: Duration) -> bool {
        self.timer.reset(delay)
    }

    /// Has it ended: returned, panicked, or been cancelled?
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        self.timer.is_finished()
    }

    /// Blocks until it has ended, and leaves the result where it is.
    #[track_caller]
    pub fn wait(&self) {
        self.timer.wait();
    }

    /// As [`wait`](ScheduledTask::wait), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.timer.wait_within(limit)
    }

    /// As [`wait`](ScheduledTask::wait), without blocking a thread.
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = ()> {
        self.timer.wait_async()
    }

    /// Blocks until it has ended and returns what came of it. From within the function itself this never returns.
    ///
    /// # Errors
    ///
    /// Why there is no result; `Cancelled` for what repeats and was ended from outside.
    #[track_caller]
    pub fn result(self) -> Result<R, TaskError> {
        self.timer.join().map_err(task_error)
    }

    /// What came of it if it has ended; never blocks.
    ///
    /// # Errors
    ///
    /// The task, if it has not ended.
    pub fn try_result(self) -> Result<Result<R, TaskError>, ScheduledTask<R>> {
        let ended = self.timer.try_join().map_err(ScheduledTask::new)?;
        Ok(ended.map_err(task_error))
    }

    /// As [`result`](ScheduledTask::result), at most as long as `limit` says. Giving up cancels nothing.
    ///
    /// # Errors
    ///
    /// The task, and why it gave up.
    #[track_caller]
    pub fn result_within<'l>(
        self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<R, TaskError>, NotYet<R>> {
        match self.timer.join_within(limit) {
            Ok(ended) => Ok(ended.map_err(task_error)),
            Err(NotRung { timer, why }) => Err(NotYet {
                task: ScheduledTask::new(timer),
                why,
            }),
        }
    }

    /// As [`result`](ScheduledTask::result), without blocking a thread. Dropping the future cancels nothing.
    #[track_caller]
    pub fn result_async(self) -> impl Future<Output = Result<R, TaskError>> {
        let ended = self.timer.join_async();
        async move { ended.await.map_err(task_error) }
    }
}

fn task_error(error: TimerError) -> TaskError {
    match error {
        TimerError::Cancelled => TaskError::Cancelled,
        TimerError::Panicked(panic) => TaskError::Panicked(panic),
        TimerError::Lost => TaskError::Lost,
    }
}

/// `task.await` is [`result_async`](ScheduledTask::result_async), in a box.
impl<R: Send + 'static> IntoFuture for ScheduledTask<R> {
    type Output = Result<R, TaskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.result_async())
    }
}

impl<R: Send + 'static> fmt::Debug for ScheduledTask<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduledTask")
            .field("timer", &self.timer)
            .finish()
    }
}

/// The task had not ended when the call gave up. It is in here.
#[non_exhaustive]
pub struct NotYet<R = ()> {
    /// To wait again, or to cancel.
    pub task: ScheduledTask<R>,
    /// Why the call gave up.
    pub why: GaveUp,
}

impl<R: Send + 'static> fmt::Debug for NotYet<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotYet")
            .field("task", &self.task)
            .field("why", &self.why)
            .finish()
    }
}

impl<R> fmt::Display for NotYet<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<R: Send + 'static> Error for NotYet<R> {}
