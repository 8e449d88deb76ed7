//! [`MapUnordered`]: the results of many tasks, as they come.

use super::{AsCompleted, TaskError, TaskFuture, as_completed};
use crate::Limit;
use std::iter::FusedIterator;

/// Results in the order in which the tasks end, each with the position of its item; from
/// [`Executor::map_unordered`](super::Executor::map_unordered).
///
/// Dropping it cancels the tasks that have not started.
#[must_use = "dropping it cancels the tasks that have not started"]
#[derive(Debug)]
pub struct MapUnordered<R: 'static> {
    futures: AsCompleted<TaskFuture<R>>,
    ends_early: bool,
}

impl<R: 'static> MapUnordered<R> {
    pub(super) fn new() -> MapUnordered<R> {
        MapUnordered {
            futures: as_completed([], Limit::none()),
            ends_early: false,
        }
    }

    pub(super) fn push(&mut self, future: TaskFuture<R>) {
        self.futures.push(future);
    }

    /// Puts one limit over the whole iteration, counted from this call. When it is reached, the next item is
    /// [`TaskError::GaveUp`] of the first that has none, what has not started is cancelled, and the iteration ends.
    #[doc(alias = "timeout")]
    pub fn within<'l>(mut self, limit: impl Into<Limit<'l>>) -> MapUnordered<R> {
        self.futures.set_limit(limit.into());
        self
    }

    /// Ends the iteration with the first error; what has not started then is cancelled.
    pub fn fail_fast(mut self) -> MapUnordered<R> {
        self.ends_early = true;
        self
    }

    #[cfg(feature = "progress")]
    pub(super) fn futures_mut(&mut self) -> &mut AsCompleted<TaskFuture<R>> {
        &mut self.futures
    }

    fn cancel_rest(&mut self) {
        for (_, future) in self.futures.end().into_iter().rev() {
            future.cancel();
        }
    }
}

impl<R> Iterator for MapUnordered<R> {
    type Item = (usize, Result<R, TaskError>);

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        match self.futures.next_with_position()? {
            Ok((position, future)) => {
                let result = future.result();
                if self.ends_early && result.is_err() {
                    self.cancel_rest();
                }
                Some((position, result))
            }
            Err(unfinished) => {
                let left = self.futures.end();
                let first = left.first().map_or(0, |(position, _)| *position);
                for (_, future) in left.into_iter().rev() {
                    future.cancel();
                }
                Some((first, Err(TaskError::GaveUp(unfinished.why))))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.futures.size_hint()
    }
}

impl<R> FusedIterator for MapUnordered<R> {}

impl<R> Drop for MapUnordered<R> {
    fn drop(&mut self) {
        self.cancel_rest();
    }
}
