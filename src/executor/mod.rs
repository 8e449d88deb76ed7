//! Executors: things that run tasks and hand out futures for their results.
//!
//! [`Executor`] is one trait for threads and processes: changing the type of the pool is the only
//! edit between them. [`ThreadPoolExecutor`] adds [`spawn`](ThreadPoolExecutor::spawn) for closures.

mod arrivals;
mod as_completed;
mod block_on;
mod callable;
mod cancel_on_drop;
mod chunk;
mod error;
mod failure;
mod future;
pub(crate) mod global;
mod helping;
mod join;
mod local_executor;
mod map;
mod map_builder;
mod map_unordered;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
mod process_pool;
#[cfg(all(feature = "progress", not(loom)))]
mod progress;
mod race;
mod scheduled;
mod shared;
mod spawn_map;
mod state;
mod task;
mod then;
mod thread_pool;
mod wait;
mod waitable;

pub use crate::panic::Panicked;
pub use as_completed::{AsCompleted, Indexed, Unfinished, as_completed};
pub use block_on::{block_on, block_on_within};
pub use cancel_on_drop::CancelOnDrop;
pub use error::{Exit, SubmitError, SubmitRefusal, TaskError, WorkerDied};
pub use failure::Failure;
pub use future::{NotDone, TaskFuture};
pub use global::{AlreadyGlobal, global, set_global, shutdown_global_within, to_thread};
pub use join::{join_all, try_join_all};
pub use local_executor::{LocalExecutor, LocalHandle};
pub use map::Map;
pub use map_builder::{Buffered, BufferedMap, MapBuilder};
pub use map_unordered::MapUnordered;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
pub use process_pool::{Builder as ProcessPoolBuilder, ProcessPoolExecutor};
pub use race::{race, race_ok};
pub use scheduled::{NotYet, ScheduledExecutor, ScheduledTask};
pub use shared::SharedFuture;
pub use state::TaskState;
pub use task::{
    Cancelled, CurrentTask, Finished, Promise, RunningPromise, TaskId, current_task, promise,
};
#[cfg(loom)]
pub(crate) use task::{Promise as TaskPromise, promise as task_pair};
#[cfg(loom)]
pub(crate) use thread_pool::let_keep_alive_pass;
#[cfg(loom)]
#[doc(hidden)]
pub use thread_pool::modelled as forks_modelled;
pub use thread_pool::{
    Builder as ThreadPoolBuilder, Group, GroupBuilder, GroupError, Rejection, Scope, ScopedFuture,
    StatefulPool, Stats, TaskBuilder, ThreadPoolExecutor, Times,
};
pub(crate) use thread_pool::{Handed, Home, fork_join_here, is_worker, keeps_nothing_for_others};
pub use wait::{ReturnWhen, Waited, wait, wait_async};
pub use waitable::Waitable;

use self::callable::Callable;
use self::chunk::run_pair;
use crate::wait::OwnedLimit;
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
        self.map_with(function).over(items)
    }

    /// Settings of a map, to be changed before it is [given its items](MapBuilder::over): a limit that counts from now on, chunks
    /// of several items a task, a buffer for endless sources.
    fn map_with<A: Portable, R: Portable>(
        &self,
        function: fn(A) -> R,
    ) -> MapBuilder<'_, Self, A, R> {
        MapBuilder::new(self, function)
    }

    /// As [`map`](Executor::map), with the results in the order in which the tasks end, each with the position of its item.
    ///
    /// # Errors
    ///
    /// As for [`map`](Executor::map).
    #[doc(alias = "imap_unordered")]
    fn map_unordered<A: Portable, R: Portable>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<MapUnordered<R>, SubmitError<A>> {
        let mut map = MapUnordered::new();
        for item in items {
            map.push(self.submit(function, item)?);
        }
        Ok(map)
    }

    /// As [`map`](Executor::map), with a function of two arguments. For more, let the function take a tuple:
    /// `|(a, b, c)| ...`.
    ///
    /// # Errors
    ///
    /// As for [`map`](Executor::map).
    fn starmap<A: Portable, B: Portable, R: Portable>(
        &self,
        function: fn(A, B) -> R,
        items: impl IntoIterator<Item = (A, B)>,
    ) -> Result<Map<R>, SubmitError<(A, B)>> {
        let mut map = Map::new(OwnedLimit::new(Limit::none()), false);
        for (one, two) in items {
            let call = (Callable(function), one, two);
            let submitted = self.submit(run_pair::<A, B, R>, call);
            let future = submitted.map_err(|refused| {
                let (_, one, two) = refused.value;
                SubmitError::new((one, two), refused.reason)
            })?;
            map.push(future);
        }
        Ok(map)
    }

    /// As [`starmap`](Executor::starmap) over pairs of the two, as many as the shorter one has.
    ///
    /// # Errors
    ///
    /// As for [`map`](Executor::map).
    #[doc(alias = "zip")]
    fn map2<A: Portable, B: Portable, R: Portable>(
        &self,
        function: fn(A, B) -> R,
        ones: impl IntoIterator<Item = A>,
        twos: impl IntoIterator<Item = B>,
    ) -> Result<Map<R>, SubmitError<(A, B)>> {
        self.starmap(function, ones.into_iter().zip(twos))
    }

    /// Stops accepting tasks, and blocks, at most as long as `limit` says, until every accepted one has ended.
    ///
    /// # Errors
    ///
    /// Why it gave up; the executor goes on ending.
    fn shutdown_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.shutdown(Shutdown::Drain);
        self.join_within(limit)
    }
}
