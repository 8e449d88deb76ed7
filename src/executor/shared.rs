//! [`SharedFuture`]: one result for many.

use super::{TaskError, TaskFuture};
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

/// A future that can be cloned; from [`TaskFuture::share`].
///
/// It has every method of [`TaskFuture`] that leaves the result where it is: [`get`](TaskFuture::get) lends it, as
/// often as one likes and to as many threads as one likes. The result goes with the last clone.
///
/// # Source
///
/// Python's `Future`, every reference to which can ask for the result; C++'s `std::shared_future`.
///
/// ```
/// use latchwork::executor::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let prices = pool.spawn(|| vec![3, 5]).unwrap().share();
/// let also = prices.clone();
/// let sum = pool.spawn(move || also.get().unwrap().iter().sum::<i32>()).unwrap();
/// assert_eq!(prices.get().unwrap().len(), 2);
/// assert_eq!(sum.result(), Ok(8));
/// ```
pub struct SharedFuture<R> {
    future: Arc<TaskFuture<R>>,
}

impl<R> SharedFuture<R> {
    pub(super) fn new(future: TaskFuture<R>) -> SharedFuture<R> {
        SharedFuture {
            future: Arc::new(future),
        }
    }

    /// Blocks until the task has ended and returns a copy of what came of it.
    ///
    /// # Errors
    ///
    /// Why there is no result.
    #[track_caller]
    pub fn result(&self) -> Result<R, TaskError>
    where
        R: Clone + Sync,
    {
        self.get().cloned().map_err(TaskError::clone)
    }

    /// As [`result`](SharedFuture::result), for tasks.
    #[track_caller]
    pub fn result_async(&self) -> impl Future<Output = Result<R, TaskError>>
    where
        R: Clone + Sync,
    {
        let place = Location::caller();
        async move {
            self.core().end().wait_async(place).await;
            self.get().cloned().map_err(TaskError::clone)
        }
    }

    /// The future, if this is the last clone.
    ///
    /// # Errors
    ///
    /// This one, when there are others.
    pub fn unshare(self) -> Result<TaskFuture<R>, SharedFuture<R>> {
        Arc::try_unwrap(self.future).map_err(|future| SharedFuture { future })
    }
}

impl<R> Deref for SharedFuture<R> {
    type Target = TaskFuture<R>;

    fn deref(&self) -> &TaskFuture<R> {
        &self.future
    }
}

impl<R> Clone for SharedFuture<R> {
    fn clone(&self) -> SharedFuture<R> {
        SharedFuture {
            future: Arc::clone(&self.future),
        }
    }
}

impl<R> From<TaskFuture<R>> for SharedFuture<R> {
    fn from(future: TaskFuture<R>) -> SharedFuture<R> {
        SharedFuture::new(future)
    }
}

impl<R> PartialEq for SharedFuture<R> {
    fn eq(&self, other: &SharedFuture<R>) -> bool {
        self.id() == other.id()
    }
}

impl<R> Eq for SharedFuture<R> {}

impl<R> Hash for SharedFuture<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<R> fmt::Debug for SharedFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.future.fmt(f)
    }
}
