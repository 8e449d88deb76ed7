//! [`TaskFuture`]: the side of a task that waits for it.

use super::helping;
use super::task::{Core, Finished, Hook, Outcome};
use super::{SharedFuture, TaskError, TaskId, TaskState};
use crate::wait::Request;
use crate::{GaveUp, Limit};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::Location;
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
/// One allocation a task, which has its closure in it. A waiter that sleeps is one parked thread.
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
    task: Arc<dyn Outcome<R>>,
}

impl<R> TaskFuture<R> {
    pub(super) fn new(task: Arc<dyn Outcome<R>>) -> TaskFuture<R> {
        TaskFuture { task }
    }

    pub(super) fn core(&self) -> &Core<R> {
        self.task.core()
    }

    pub(super) fn task(&self) -> &Arc<dyn Outcome<R>> {
        &self.task
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.core().id()
    }

    /// Blocks until the task has ended and returns what came of it.
    ///
    /// Called by a task of the same pool, it runs the other one here if that has not started.
    ///
    /// # Errors
    ///
    /// Why there is no result.
    ///
    /// # Panics
    ///
    /// If the future has been awaited to its end before.
    #[track_caller]
    pub fn result(self) -> Result<R, TaskError> {
        if !self.core().is_done() {
            helping::wait(&self.task, &Limit::none(), Location::caller()).expect("without a limit");
        }
        self.take()
    }

    /// What came of the task if it has ended, else the future back; never blocks.
    ///
    /// # Errors
    ///
    /// The future, when the task has not ended.
    ///
    /// # Panics
    ///
    /// As [`result`](TaskFuture::result).
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
    ///
    /// # Panics
    ///
    /// As [`result`](TaskFuture::result).
    #[track_caller]
    #[doc(alias = "result_timeout")]
    pub fn result_within<'l>(
        self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<R, TaskError>, NotDone<R>> {
        match helping::wait(&self.task, &limit.into(), Location::caller()) {
            Ok(()) => Ok(self.take()),
            Err(why) => Err(NotDone { future: self, why }),
        }
    }

    /// Blocks until the task has ended, and leaves the result where it is.
    #[track_caller]
    pub fn wait(&self) {
        helping::wait(&self.task, &Limit::none(), Location::caller()).expect("without a limit");
    }

    /// As [`wait`](TaskFuture::wait), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        helping::wait(&self.task, &limit.into(), Location::caller())
    }

    /// Resolves when the task has ended, and leaves the result where it is.
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = ()> {
        self.core().end().wait_async(Location::caller())
    }

    /// Blocks until the task has ended and lends what came of it, as often as one likes.
    ///
    /// # Errors
    ///
    /// Why there is no result.
    ///
    /// # Panics
    ///
    /// If the future has been awaited to its end before.
    #[track_caller]
    pub fn get(&self) -> Result<&R, &TaskError>
    where
        R: Sync,
    {
        helping::wait(&self.task, &Limit::none(), Location::caller()).expect("without a limit");
        self.lend()
    }

    /// As [`get`](TaskFuture::get) if the task has ended; never blocks.
    ///
    /// # Panics
    ///
    /// As [`get`](TaskFuture::get).
    pub fn try_get(&self) -> Option<Result<&R, &TaskError>>
    where
        R: Sync,
    {
        self.is_done().then(|| self.lend())
    }

    /// As [`get`](TaskFuture::get), at most as long as `limit` says. Giving up does not cancel the task.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    ///
    /// # Panics
    ///
    /// As [`get`](TaskFuture::get).
    #[track_caller]
    pub fn get_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<&R, &TaskError>, GaveUp>
    where
        R: Sync,
    {
        helping::wait(&self.task, &limit.into(), Location::caller())?;
        Ok(self.lend())
    }

    /// As [`get`](TaskFuture::get), for tasks.
    ///
    /// # Panics
    ///
    /// As [`get`](TaskFuture::get).
    #[track_caller]
    pub fn get_async(&self) -> impl Future<Output = Result<&R, &TaskError>>
    where
        R: Sync,
    {
        let place = Location::caller();
        async move {
            self.core().end().wait_async(place).await;
            self.lend()
        }
    }

    /// Makes it one that can be cloned. Costs an allocation.
    pub fn share(self) -> SharedFuture<R>
    where
        R: Sync,
    {
        SharedFuture::new(self)
    }

    /// Cancels the task if it has not started; it is done at once, as [`TaskError::Cancelled`].
    ///
    /// Returns whether the task is cancelled now. Callbacks run in the calling thread, and what the task had
    /// captured is dropped in it, after its end has been told. A promise that has begun learns that it was
    /// [called in vain](super::RunningPromise::is_cancel_requested).
    pub fn cancel(&self) -> bool {
        let is_cancelled = self.task.drop_with(TaskError::Cancelled) || self.is_cancelled();
        if !is_cancelled {
            self.task.ask_to_stop();
        }
        is_cancelled
    }

    /// How far it has come.
    pub fn state(&self) -> TaskState {
        self.core().state()
    }

    /// Was it cancelled?
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        self.core().is_cancelled()
    }

    /// Is it running right now?
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        self.core().is_running()
    }

    /// Has it ended, in whatever way?
    #[doc(alias = "done")]
    #[doc(alias = "is_finished")]
    pub fn is_done(&self) -> bool {
        self.core().is_done()
    }

    /// Blocks until the task has ended and says why it has no result, if it has none.
    ///
    /// Python's `exception()` waits, too; [`error`](TaskFuture::error) does not.
    #[track_caller]
    pub fn exception(&self) -> Option<&TaskError> {
        self.wait();
        self.error()
    }

    /// As [`exception`](TaskFuture::exception), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn exception_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Option<&TaskError>, GaveUp> {
        self.wait_within(limit)?;
        Ok(self.error())
    }

    /// Why it has no result, if it has ended without one; `None` too while it has not ended. Never blocks.
    #[doc(alias = "peek")]
    pub fn error(&self) -> Option<&TaskError> {
        self.core().error()
    }

    /// Calls `callback` once when the task has ended; at once, here, if it has.
    ///
    /// Callbacks run in the order in which they were added, in the thread that ends the task, after
    /// those who wait have been woken, and with nothing locked; one that is added after the end runs
    /// in the thread that adds it, perhaps beside earlier ones. A panic in one is printed, and the
    /// next one runs.
    #[doc(alias = "add_done_callback")]
    pub fn on_done(&self, callback: impl FnOnce(&Finished) + Send + 'static) {
        if let Some(Hook::Callback(callback)) = self.core().hook(Hook::Callback(Box::new(callback)))
        {
            Finished::new(self.id(), self.error().cloned()).tell(callback);
        }
    }

    /// What a wait for the task's end wants.
    pub(crate) fn end_request(&self) -> impl Request<Output = ()> {
        self.core().end().request()
    }

    /// What is there. The task has ended.
    fn lend(&self) -> Result<&R, &TaskError>
    where
        R: Sync,
    {
        debug_assert!(self.is_done());
        // SAFETY: it has ended, and what takes the value has the future for itself, by value or by `&mut`.
        let value = unsafe { self.core().value() };
        match (value, self.error()) {
            (Some(value), _) => Ok(value),
            (None, Some(error)) => Err(error),
            (None, None) => panic!("the result of {} has been taken before", self.id()),
        }
    }

    /// Takes what is there, once. The task has ended.
    pub(super) fn take(self) -> Result<R, TaskError> {
        self.take_in_place()
    }

    fn take_in_place(&self) -> Result<R, TaskError> {
        debug_assert!(self.is_done());
        // SAFETY: it has ended; nobody else can call this, since there is one future for a task, and whoever calls
        // this has that for itself, by value or by `&mut`: so nothing is lent out of it.
        unsafe { self.core().take() }
    }
}

/// Awaiting a task. Like any future it must not be polled again after it was ready.
impl<R> Future for TaskFuture<R> {
    type Output = Result<R, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_done() {
            return Poll::Ready(self.take_in_place());
        }
        match self.core().hook(Hook::Waker(cx.waker().clone())) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(self.take_in_place()),
        }
    }
}

/// By the task: a future is equal to nothing but itself.
impl<R> PartialEq for TaskFuture<R> {
    fn eq(&self, other: &TaskFuture<R>) -> bool {
        self.id() == other.id()
    }
}

impl<R> Eq for TaskFuture<R> {}

impl<R> Hash for TaskFuture<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<R> fmt::Debug for TaskFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TaskFuture");
        debug.field("id", &self.id()).field("state", &self.state());
        match self.error() {
            Some(error) if *error != TaskError::Cancelled => debug.field("error", error).finish(),
            _ => debug.finish(),
        }
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
