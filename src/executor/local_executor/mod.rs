//! [`LocalExecutor`]: many futures on one thread.
//!
//! Whatever its thread is to do next lies in one queue, in the order in which it came: coroutines that have been
//! woken, functions to be called, and a nudge for the future that `run` is given. The thread takes one at a time,
//! and sleeps in the queue while it is empty. So who wakes itself goes to the end, behind all others.
//!
//! * [`coroutine`](coroutine): one future with all that its task needs; when it is dropped, and what its end tells.
//! * [`shared`](shared): the queue, and the account of what has been accepted and has not ended.
//! * [`handle`](handle): the way in from other threads.
//!
//! Which states a coroutine's wake-ups and cancellations go through, and that it is in the queue at most once, is
//! async-task's affair. Ours is that nothing comes into the queue that nobody takes out: the executor's drop waits for
//! all that was accepted, and refuses the rest.

mod coroutine;
mod handle;
mod shared;

pub use handle::LocalHandle;

use super::TaskFuture;
use crate::{GaveUp, Limit};
use shared::{Item, MainTurn, Running, Shared};
use std::cell::Cell;
use std::convert::identity;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Runs futures on the thread that made it: any number of them, which need not be `Send`, each when it has been woken.
///
/// They make progress while that thread is in one of the calls that run them: [`run`](LocalExecutor::run), with a
/// future that says for how long, [`join`](LocalExecutor::join) or
/// [`run_until_idle`](LocalExecutor::run_until_idle); in between they rest. Other threads hand futures in by a
/// [`LocalHandle`], and so do the futures themselves.
///
/// * **Order**: first woken, first polled. A future that always wakes itself does not keep others from their turn.
/// * **Results** are [`TaskFuture`]s, which any thread may wait for; this one only by awaiting, since a blocked thread
///   polls nobody.
/// * **A panic** of a future is the error of its task, and the others go on.
/// * **Cancelling** the [`TaskFuture`] works until the end: a future that is waiting is dropped in its thread, where
///   and when its turn comes, and what it had been granted goes to the next in line. One that is being polled right now is
///   dropped after that. [`is_running`](TaskFuture::is_running) is always false.
/// * **A context**: each has the [`Context`](crate::thread::Context) of where it was spawned; what it binds is its own.
/// * **Dropping the executor** drops its futures, in its thread. Their tasks are [`Lost`](super::TaskError::Lost).
///
/// What is run must not block: that holds up all of them. [`to_thread`](super::to_thread) is for what does.
///
/// # Forks
///
/// A child that was forked by this thread has the futures as they were, if it goes on to run them. Tasks that are
/// waited for there are [`Lost`](super::TaskError::Lost), and their futures dropped.
///
/// # Cost
///
/// Three allocations a task, of 0.4 kB together and the future itself; a wake-up is a put into a
/// [`SimpleQueue`](crate::queue::SimpleQueue).
///
/// # Source
///
/// Python's [`asyncio` event loop](https://docs.python.org/3/library/asyncio-eventloop.html); smol's `LocalExecutor` and
/// its crate `async-task`, which this is built on.
///
/// ```
/// use latchwork::executor::LocalExecutor;
/// use latchwork::time::sleep_async;
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let executor = LocalExecutor::new();
/// let awake = Rc::new(Cell::new(0));
/// let naps: Vec<_> = (0..1000)
///     .map(|_| {
///         let awake = Rc::clone(&awake);
///         executor.spawn(async move {
///             sleep_async(Duration::from_millis(5)).await;
///             awake.set(awake.get() + 1);
///         })
///     })
///     .collect();
/// executor.run(async {
///     for nap in naps {
///         nap.await.unwrap();
///     }
/// });
/// assert_eq!(awake.get(), 1000);
/// ```
#[doc(alias = "event_loop")]
#[doc(alias = "LocalSet")]
#[doc(alias = "LocalPool")]
pub struct LocalExecutor {
    shared: Arc<Shared>,
    /// How many calls have begun to run it.
    runs: Cell<usize>,
    /// What it runs stays in this thread.
    _stays: PhantomData<*const ()>,
}

impl LocalExecutor {
    /// One that belongs to the calling thread.
    pub fn new() -> LocalExecutor {
        LocalExecutor {
            shared: Arc::new(Shared::new()),
            runs: Cell::new(0),
            _stays: PhantomData,
        }
    }

    /// Accepts a future as a task. It is polled for the first time when its turn comes.
    #[doc(alias = "create_task")]
    #[doc(alias = "spawn_local")]
    pub fn spawn<F>(&self, future: F) -> TaskFuture<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: an executor stays in its thread.
        match unsafe { coroutine::spawn(&self.shared, future, identity) } {
            Ok(task) => task,
            Err(_) => unreachable!("closed by its drop alone"),
        }
    }

    /// The way in for other threads, and for what is run here.
    pub fn handle(&self) -> LocalHandle {
        LocalHandle::new(Arc::clone(&self.shared))
    }

    /// How many tasks and calls it has accepted that have not ended. One that was cancelled counts until its future has
    /// been dropped.
    pub fn len(&self) -> usize {
        self.shared.accepted()
    }

    /// Has all it has accepted ended?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `main` to its end, and meanwhile all tasks; blocks until then. What has not ended is gone on with by the
    /// next call, or dropped with the executor.
    ///
    /// A server's loop runs what says when to stop: `executor.run(token.wait_async())`.
    ///
    /// # Panics
    ///
    /// With `main`; the executor can be used afterwards.
    ///
    /// # Source
    ///
    /// Python's `asyncio.run(main())` and `loop.run_until_complete`.
    #[track_caller]
    #[doc(alias = "run_until_complete")]
    #[doc(alias = "run_until")]
    #[doc(alias = "block_on")]
    pub fn run<F: Future>(&self, main: F) -> F::Output {
        match self.run_within(main, Limit::none()) {
            Ok(output) => output,
            Err(_) => unreachable!("gave up without a limit"),
        }
    }

    /// As [`run`](LocalExecutor::run), at most as long as `limit` says. `main` is then dropped, unless it was lent, as
    /// for [`block_on_within`](super::block_on_within).
    ///
    /// The limit is looked at between two turns; it does not interrupt one. To run for a while and no more, let
    /// `main` be [`std::future::pending()`].
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn run_within<'l, F: Future>(
        &self,
        main: F,
        limit: impl Into<Limit<'l>>,
    ) -> Result<F::Output, GaveUp> {
        let mut main = pin!(main);
        let turn = MainTurn::new(&self.shared);
        let waker = Waker::from(Arc::clone(&turn));
        let mut context = Context::from_waker(&waker);
        self.turn_until(&limit.into(), |may_have_come| {
            if !may_have_come || !turn.has_come() {
                return None;
            }
            match main.as_mut().poll(&mut context) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        })
    }

    /// Runs until all tasks have ended, also those that are spawned meanwhile; blocks until then. Called by one of
    /// its tasks, it waits for itself.
    #[track_caller]
    pub fn join(&self) {
        let _ = self.join_within(Limit::none());
    }

    /// As [`join`](LocalExecutor::join), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.turn_until(&limit.into(), |_| self.is_empty().then_some(()))
    }

    /// Runs until nobody has been woken that has not had its turn; never blocks. Returns how many tasks have not ended.
    ///
    /// As long as somebody wakes, be it itself, it goes on.
    ///
    /// ```
    /// use latchwork::{executor::LocalExecutor, sync::Event};
    /// use std::sync::Arc;
    ///
    /// let executor = LocalExecutor::new();
    /// let event = Arc::new(Event::new());
    /// let its = Arc::clone(&event);
    /// let task = executor.spawn(async move { its.wait_async().await });
    /// assert_eq!(executor.run_until_idle(), 1);
    /// event.set();
    /// assert_eq!(executor.run_until_idle(), 0);
    /// assert!(task.is_done());
    /// ```
    #[doc(alias = "run_until_stalled")]
    #[doc(alias = "try_tick")]
    pub fn run_until_idle(&self) -> usize {
        let _running = self.begin();
        while let Some(item) = self.shared.queue.try_get() {
            self.shared.take_turn(item);
        }
        self.len()
    }

    fn begin(&self) -> Running {
        self.runs.set(self.runs.get() + 1);
        self.shared.enter()
    }

    /// One turn after the other until `done` says so. It is asked between them, and told whether it was nudged.
    #[track_caller]
    fn turn_until<T>(
        &self,
        limit: &Limit<'_>,
        mut done: impl FnMut(bool) -> Option<T>,
    ) -> Result<T, GaveUp> {
        let _running = self.begin();
        let mut was_nudged = true;
        loop {
            if let Some(done) = done(was_nudged) {
                return Ok(done);
            }
            // Also while there is always a turn to be taken.
            limit.check()?;
            let Ok(item) = self.shared.queue.get_within(*limit) else {
                // The next check says why. Who gives up has a last look.
                was_nudged = true;
                continue;
            };
            was_nudged = matches!(item, Item::Nudge);
            let runs = self.runs.get();
            self.shared.take_turn(item);
            // A run within that turn may have taken our nudge.
            was_nudged |= self.runs.get() != runs;
        }
    }
}

impl Default for LocalExecutor {
    fn default() -> LocalExecutor {
        LocalExecutor::new()
    }
}

impl Drop for LocalExecutor {
    /// Blocks only for threads that are in the middle of a wake-up: what they are about to put into the queue is
    /// dropped here.
    fn drop(&mut self) {
        self.shared.close();
        while !self.is_empty() {
            let item = if self.shared.is_left_behind() {
                // Threads that did not come along bring nothing any more.
                self.shared.queue.try_get()
            } else {
                Some(self.shared.queue.get())
            };
            match item {
                Some(Item::Call(call)) => self.shared.lose(call),
                Some(item) => drop(item),
                None => break,
            }
        }
    }
}

impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor")
            .field("tasks", &self.len())
            .field("turns", &self.shared.queue.len())
            .finish()
    }
}
