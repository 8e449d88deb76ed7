//! [`CancelOnDrop`]: a task's future that cancels the task when nobody awaits it any more.

use super::{TaskError, TaskFuture};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<R> TaskFuture<R> {
    /// The same future, but its drop cancels the task: as when the await of an `asyncio` future is cancelled.
    ///
    /// A task that has not started is not run then. One that is running goes on, and nobody hears of its end; if it
    /// is a [`LocalExecutor`](super::LocalExecutor)'s it is dropped where it waits.
    ///
    /// ```
    /// use latchwork::executor::{ThreadPoolExecutor, block_on};
    /// use latchwork::time::timeout;
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// let (release, released) = mpsc::channel::<()>();
    /// let busy = pool.spawn(move || released.recv()).unwrap();
    /// let never = pool.spawn(|| unreachable!("given up before it could start")).unwrap();
    /// let gave_up = block_on(timeout(Duration::from_millis(1), never.cancel_on_drop()));
    /// assert!(gave_up.is_err());
    /// release.send(())?;
    /// assert!(busy.result()?.is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel_on_drop(self) -> CancelOnDrop<R> {
        CancelOnDrop(Some(self))
    }
}

/// A task's future that cancels the task when it is dropped before the end. From
/// [`TaskFuture::cancel_on_drop`].
///
/// # Source
///
/// Python's [`asyncio.wrap_future`](https://docs.python.org/3/library/asyncio-future.html#asyncio.wrap_future), whose
/// cancellation cancels the job.
#[must_use = "dropping it cancels the task"]
#[doc(alias = "wrap_future")]
pub struct CancelOnDrop<R>(
    /// Gone only in `keep`.
    Option<TaskFuture<R>>,
);

impl<R> CancelOnDrop<R> {
    /// The task's future, whose drop cancels nothing.
    pub fn keep(mut self) -> TaskFuture<R> {
        self.0.take().expect("taken once")
    }

    /// To ask, and to wait without awaiting.
    pub fn future(&self) -> &TaskFuture<R> {
        self.0.as_ref().expect("taken at its end")
    }
}

/// Like any future it must not be polled again after it was ready.
impl<R> Future for CancelOnDrop<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(self.0.as_mut().expect("taken at its end")).poll(cx)
    }
}

impl<R> Drop for CancelOnDrop<R> {
    fn drop(&mut self) {
        // What has ended is not changed by this.
        if let Some(future) = self.0.take() {
            future.cancel();
        }
    }
}

impl<R> fmt::Debug for CancelOnDrop<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(self.future()).finish()
    }
}
