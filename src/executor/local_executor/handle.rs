//! [`LocalHandle`]: the way into a [`LocalExecutor`](super::LocalExecutor) from other threads.

use super::coroutine;
use super::shared::{Item, Shared};
use crate::executor::{SubmitError, SubmitRefusal, TaskFuture};
use crate::thread::Context;
use std::convert::identity;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Hands futures and functions to a [`LocalExecutor`](super::LocalExecutor), from whichever thread. Clones are the
/// same.
///
/// It does not keep the executor: once that is dropped everything is refused.
///
/// # Source
///
/// Python's [`asyncio.run_coroutine_threadsafe`](
/// https://docs.python.org/3/library/asyncio-task.html#asyncio.run_coroutine_threadsafe) and
/// [`loop.call_soon_threadsafe`](
/// https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.call_soon_threadsafe).
///
/// ```
/// use latchwork::{CancelToken, executor::LocalExecutor};
/// use std::{sync::mpsc, thread};
///
/// let stop = CancelToken::new();
/// let (send, handles) = mpsc::channel();
/// let its = stop.clone();
/// let server = thread::spawn(move || {
///     let executor = LocalExecutor::new();
///     send.send(executor.handle()).unwrap();
///     executor.run(its.wait_async());
/// });
/// let handle = handles.recv()?;
/// let task = handle.spawn(async { thread::current().id() })?;
/// assert_eq!(task.result()?, server.thread().id());
/// handle.call_soon(move || drop(stop.cancel())).unwrap();
/// server.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "Spawner")]
pub struct LocalHandle {
    shared: Arc<Shared>,
}

impl LocalHandle {
    pub(super) fn new(shared: Arc<Shared>) -> LocalHandle {
        LocalHandle { shared }
    }

    /// That of the executor which runs the caller: the future that is being polled, or the function that is being
    /// called. `None` elsewhere.
    ///
    /// # Source
    ///
    /// Python's `asyncio.get_running_loop()`.
    #[doc(alias = "get_running_loop")]
    pub fn current() -> Option<LocalHandle> {
        Shared::running().map(LocalHandle::new)
    }

    /// Accepts a future as a task of the executor, to be polled in its thread.
    ///
    /// Cancelling the [`TaskFuture`] has the future dropped there, also while it is waiting.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the future, once the executor is gone.
    #[doc(alias = "run_coroutine_threadsafe")]
    pub fn spawn<F>(&self, future: F) -> Result<TaskFuture<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: it is `Send`.
        unsafe { coroutine::spawn(&self.shared, future, identity) }
    }

    /// As [`spawn`](LocalHandle::spawn), for a future that is not `Send`: `make` is sent, and makes it in the executor's
    /// thread.
    ///
    /// ```
    /// # use latchwork::executor::LocalExecutor;
    /// use std::{cell::Cell, rc::Rc, thread};
    ///
    /// let executor = LocalExecutor::new();
    /// let handle = executor.handle();
    /// let task = thread::spawn(move || {
    ///     handle.spawn_with(|| async {
    ///         let count = Rc::new(Cell::new(1));
    ///         std::future::ready(()).await;
    ///         count.get()
    ///     })
    /// });
    /// assert_eq!(executor.run(task.join().unwrap()?), Ok(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with `make`, once the executor is gone.
    #[doc(alias = "spawn_pinned")]
    pub fn spawn_with<M, F>(&self, make: M) -> Result<TaskFuture<F::Output>, SubmitError<M>>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: before it is polled there is only `make`, which is `Send`.
        unsafe { coroutine::spawn(&self.shared, make, |make| async { make().await }) }
    }

    /// As [`LocalExecutor::spawn`](super::LocalExecutor::spawn), for what runs in the executor's thread and has only
    /// this: a future that spawns others.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the future, while the executor is being dropped.
    ///
    /// # Panics
    ///
    /// In another thread.
    #[doc(alias = "create_task")]
    pub fn spawn_local<F>(&self, future: F) -> Result<TaskFuture<F::Output>, SubmitError<F>>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        assert!(
            self.shared.is_at_home(),
            "a future that is not `Send` can be spawned in its executor's thread alone"
        );
        // SAFETY: this is the executor's thread.
        unsafe { coroutine::spawn(&self.shared, future, identity) }
    }

    /// Has `f` called in the executor's thread, when its turn comes, with the caller's [`Context`]. A panic is printed,
    /// and the executor goes on.
    ///
    /// With an executor that is dropped before, `f` is dropped.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the function, once the executor is gone.
    #[doc(alias = "call_soon_threadsafe")]
    pub fn call_soon<F: FnOnce() + Send + 'static>(&self, f: F) -> Result<(), SubmitError<F>> {
        if self.shared.accept().is_none() {
            return Err(SubmitError::new(f, SubmitRefusal::ShutDown));
        }
        let context = Context::current();
        let call = Item::Call(Box::new(move || context.run(f)));
        self.shared.queue.put(call);
        Ok(())
    }
}

impl fmt::Debug for LocalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle")
            .field("tasks", &self.shared.accepted())
            .finish_non_exhaustive()
    }
}
