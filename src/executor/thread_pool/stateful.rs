//! [`StatefulPool`]: a pool whose workers keep something for their tasks.

use super::start::{self, Start};
use super::{ThreadPoolExecutor, worker};
use crate::executor::task::Work;
use crate::executor::{SubmitError, TaskError, TaskFuture};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

/// A [`ThreadPoolExecutor`] in which each worker has a value of type `W` of its own, which it lends to its tasks: a
/// connection, a parser, a random generator, a buffer. From [`Builder::worker_state`](super::Builder::worker_state).
///
/// `W` need not be [`Send`]: it is made in the worker's thread before the first task, and dropped there when the worker goes.
/// An error or a panic in making it breaks the pool, as one of an [initializer](super::Builder::initializer) does.
///
/// A task that panics with the value drops it; the worker makes another one for the next task. While a task that has the
/// value waits for another task, that is not run on top of it but by another worker, with a value of its own. A
/// task that [runs in its submitter](super::Rejection::CallerRuns) has a value made for it alone.
///
/// All else is the pool's, to which it dereferences.
///
/// # Source
///
/// In Python an `initializer` that sets a `threading.local`.
///
/// ```
/// use latchwork::executor::ThreadPoolExecutor;
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// let pool = ThreadPoolExecutor::builder()
///     .max_workers(1)
///     .worker_state(|| Ok::<_, std::io::Error>(Rc::new(Cell::new(0))));
/// let count = |n: &mut Rc<Cell<u32>>| { n.set(n.get() + 1); n.get() };
/// assert_eq!(pool.spawn_with(count).unwrap().result(), Ok(1));
/// assert_eq!(pool.spawn_with(count).unwrap().result(), Ok(2));
/// ```
pub struct StatefulPool<W> {
    pool: ThreadPoolExecutor,
    _lends: PhantomData<fn(&mut W)>,
}

impl<W: 'static> StatefulPool<W> {
    pub(super) fn new(pool: ThreadPoolExecutor) -> StatefulPool<W> {
        StatefulPool {
            pool,
            _lends: PhantomData,
        }
    }

    /// Accepts a closure as a task that is lent the value of the worker that runs it.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure, as for [`ThreadPoolExecutor::spawn`].
    #[track_caller]
    #[doc(alias = "submit_with")]
    pub fn spawn_with<F, R>(&self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce(&mut W) -> R + Send + 'static,
        R: Send + 'static,
    {
        let pool = &self.pool.pool;
        let into_work = |function| WithState {
            function,
            start: Arc::clone(&pool.settings.start),
            pool: pool.address(),
            _borrows: PhantomData,
        };
        self.pool.accept(function, into_work, |work| work.function)
    }
}

/// A closure that borrows what its worker keeps.
struct WithState<F, W> {
    function: F,
    start: Arc<Start>,
    pool: usize,
    _borrows: PhantomData<fn(&mut W)>,
}

impl<F, W, R> Work for WithState<F, W>
where
    F: FnOnce(&mut W) -> R + Send,
    W: 'static,
    R: Send,
{
    type Output = R;

    fn work(self) -> Result<R, TaskError> {
        let borrow = |state: &mut start::State| {
            let state = state.downcast_mut();
            (self.function)(state.expect("one pool, one type"))
        };
        worker::with_kept(self.pool, &self.start, borrow).map_err(TaskError::Broken)
    }
}

impl<W> Deref for StatefulPool<W> {
    type Target = ThreadPoolExecutor;

    fn deref(&self) -> &ThreadPoolExecutor {
        &self.pool
    }
}

impl<W> fmt::Debug for StatefulPool<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}
