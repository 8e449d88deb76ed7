//! [`Map`]: the results of many tasks, in the order of their arguments.

use super::{TaskError, TaskFuture};
use crate::Limit;
use crate::wait::OwnedLimit;
use std::collections::VecDeque;
use std::iter::FusedIterator;

/// Results in the order in which the tasks were submitted; from
/// [`Executor::map`](super::Executor::map).
///
/// Each item has its own success or error, and an error does not end the iteration. Dropping it
/// cancels the tasks that have not started.
#[must_use = "dropping it cancels the tasks that have not started"]
#[derive(Debug)]
pub struct Map<R> {
    futures: VecDeque<TaskFuture<R>>,
    limit: OwnedLimit,
}

impl<R> Map<R> {
    pub(super) fn new() -> Map<R> {
        Map {
            futures: VecDeque::new(),
            limit: OwnedLimit::new(Limit::none()),
        }
    }

    pub(super) fn push(&mut self, future: TaskFuture<R>) {
        self.futures.push_back(future);
    }

    /// Puts one limit over the whole iteration. When it is reached, the next item is
    /// [`TaskError::GaveUp`], what has not started is cancelled, and the iteration ends.
    #[doc(alias = "timeout")]
    pub fn within<'l>(mut self, limit: impl Into<Limit<'l>>) -> Map<R> {
        self.limit = OwnedLimit::new(limit.into());
        self
    }

    fn cancel_rest(&mut self) {
        // From the end, so that none starts because one before it was cancelled.
        while let Some(future) = self.futures.pop_back() {
            future.cancel();
        }
    }
}

impl<R> Iterator for Map<R> {
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Result<R, TaskError>> {
        let future = self.futures.pop_front()?;
        match future.result_within(self.limit.borrowed()) {
            Ok(result) => Some(result),
            Err(late) => {
                late.future.cancel();
                self.cancel_rest();
                Some(Err(TaskError::GaveUp(late.why)))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (
            usize::from(!self.futures.is_empty()),
            Some(self.futures.len()),
        )
    }
}

impl<R> FusedIterator for Map<R> {}

impl<R> Drop for Map<R> {
    fn drop(&mut self) {
        self.cancel_rest();
    }
}
