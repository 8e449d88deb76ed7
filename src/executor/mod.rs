//! Executors: things that run tasks and hand out futures for their results.
//!
//! [`Executor`] is one trait for threads and processes: changing the type of the pool is the only
//! edit between them. [`ThreadPoolExecutor`] adds [`spawn`](ThreadPoolExecutor::spawn) for closures.

mod as_completed;
mod error;
mod future;
mod helping;
mod map;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
mod process_pool;
mod task;
mod thread_pool;

pub use crate::panic::Panicked;
pub use as_completed::{AsCompleted, as_completed};
pub use error::{Exit, SubmitError, SubmitRefusal, TaskError, WorkerDied};
pub use future::{NotDone, TaskFuture};
pub use map::Map;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
pub use process_pool::{Builder as ProcessPoolBuilder, ProcessPoolExecutor};
pub use task::{Finished, TaskId};
#[cfg(loom)]
pub(crate) use task::{Promise as TaskPromise, pair as task_pair};
#[cfg(loom)]
#[doc(hidden)]
pub use thread_pool::modelled as forks_modelled;
pub use thread_pool::{Builder as ThreadPoolBuilder, ThreadPoolExecutor};
pub(crate) use thread_pool::{Handed, Home, fork_join_here, is_worker, keeps_nothing_for_others};

use crate::{GaveUp, Limit, Shutdown};
use serde::{Serialize, de::DeserializeOwned};

/// What can be an argument or a result of a task on any executor: it can be sent to a thread, and
/// written down for a process.
///
/// Bytes travel to a process faster as [`serde_bytes`](https://docs.rs/serde_bytes) than as a plain
/// `Vec<u8>`, which serde writes number by number.
pub trait Portable: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Portable for T {}

/// Runs functions elsewhere: in another thread, or in another process.
///
/// A task is a function pointer and an argument. A closure that captures nothing is one; a closure
/// that captures something is rejected by the compiler, because it could not be named in another
/// process.
///
/// # Source
///
/// Python's [`concurrent.futures.Executor`](https://docs.python.org/3/library/concurrent.futures.html).
///
/// ```
/// use latchwork::executor::{Executor, ThreadPoolExecutor};
///
/// fn squares(pool: &impl Executor) -> Vec<u64> {
///     pool.map(|n| n * n, 1..=4u64).unwrap().map(Result::unwrap).collect()
/// }
///
/// assert_eq!(squares(&ThreadPoolExecutor::new(2)), [1, 4, 9, 16]);
/// ```
pub trait Executor {
    /// Accepts a task: it will be run, or its future says why not.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the argument, when the task was not accepted.
    fn submit<A: Portable, R: Portable>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> Result<TaskFuture<R>, SubmitError<A>>;

    /// Stops accepting tasks and does not wait for any.
    ///
    /// With [`Shutdown::Drain`] every accepted task is still run; with [`Shutdown::Immediate`] those
    /// that have not started are cancelled, whose callbacks may run in this call. Idempotent;
    /// `Immediate` after `Drain` cancels the rest.
    fn shutdown(&self, pending: Shutdown);

    /// Blocks, at most as long as `limit` says, until the executor has been shut down and the last
    /// worker has finished its last task. Called by a task of the same executor, it waits for itself.
    ///
    /// # Errors
    ///
    /// Why it gave up; the executor goes on ending.
    fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp>;

    /// As [`join_within`](Executor::join_within), without a limit.
    fn join(&self) {
        let _ = self.join_within(Limit::none());
    }

    /// Submits a task for each item, all of them at once, and gives the results in the order of the
    /// items, each with its own success or error.
    ///
    /// Dropping the iterator cancels what has not started.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the first item that was not accepted; those before it are cancelled.
    fn map<A: Portable, R: Portable>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Map<R>, SubmitError<A>> {
        let mut map = Map::new();
        for item in items {
            map.push(self.submit(function, item)?);
        }
        Ok(map)
    }
}
