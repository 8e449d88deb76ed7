//! [`Map`]: the results of many tasks, in the order of their arguments.

use super::chunk::{CallEnd, result_of};
use super::{TaskError, TaskFuture};
use crate::Limit;
use crate::wait::OwnedLimit;
use std::collections::VecDeque;
use std::iter::FusedIterator;

/// Results in the order in which the tasks were submitted; from
/// [`Executor::map`](super::Executor::map).
///
/// Each item has its own success or error, and an error does not end the iteration, unless it is
/// [to](Map::fail_fast). Dropping it cancels the tasks that have not started. What has been given out is kept nowhere.
///
/// ```
/// use latchwork::executor::{Executor, ThreadPoolExecutor};
/// use std::time::Duration;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let halves = pool.map(|n: u32| 60 / n, 1..=3).unwrap().within(Duration::from_secs(60));
/// assert_eq!(halves.collect::<Result<Vec<_>, _>>().unwrap(), [60, 30, 20]);
/// assert!(pool.map(|n: u32| assert!(n < 3), 1..=3).unwrap().all_ok().is_err());
/// ```
#[must_use = "dropping it cancels the tasks that have not started"]
#[derive(Debug)]
pub struct Map<R> {
    tasks: VecDeque<Part<R>>,
    /// Those of the first chunk that have not been given out.
    unpacked: VecDeque<Result<R, TaskError>>,
    /// How many results there are in both.
    left: usize,
    limit: OwnedLimit,
    ends_early: bool,
}

/// A task, and how many items it has.
#[derive(Debug)]
enum Part<R> {
    One(TaskFuture<R>),
    Chunk(TaskFuture<Vec<CallEnd<R>>>, usize),
    /// What was not accepted: each of its items has this error.
    Refused(TaskError, usize),
}

impl<R> Part<R> {
    fn cancel(&self) {
        match self {
            Part::One(future) => future.cancel(),
            Part::Chunk(future, _) => future.cancel(),
            Part::Refused(..) => false,
        };
    }
}

impl<R> Map<R> {
    pub(super) fn new(limit: OwnedLimit, ends_early: bool) -> Map<R> {
        Map {
            tasks: VecDeque::new(),
            unpacked: VecDeque::new(),
            left: 0,
            limit,
            ends_early,
        }
    }

    pub(super) fn push(&mut self, future: TaskFuture<R>) {
        self.tasks.push_back(Part::One(future));
        self.left += 1;
    }

    pub(super) fn push_chunk(&mut self, future: TaskFuture<Vec<CallEnd<R>>>, len: usize) {
        self.tasks.push_back(Part::Chunk(future, len));
        self.left += len;
    }

    pub(super) fn push_refused(&mut self, why: TaskError, len: usize) {
        self.tasks.push_back(Part::Refused(why, len));
        self.left += len;
    }

    /// Calls `f` with the number of items of each task when it has ended.
    #[cfg(feature = "progress")]
    pub(super) fn on_each_end(&self, f: impl Fn(usize) + Clone + Send + 'static) {
        for task in &self.tasks {
            let f = f.clone();
            match task {
                Part::One(future) => future.on_done(move |_| f(1)),
                Part::Chunk(future, len) => {
                    let len = *len;
                    future.on_done(move |_| f(len));
                }
                Part::Refused(_, len) => f(*len),
            }
        }
    }

    /// How many results have not been given out.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Puts one limit over the whole iteration, counted from this call. When it is reached, the next item is
    /// [`TaskError::GaveUp`], what has not started is cancelled, and the iteration ends.
    ///
    /// [`MapBuilder::within`](super::MapBuilder::within) counts from before the first task is submitted.
    #[doc(alias = "timeout")]
    pub fn within<'l>(mut self, limit: impl Into<Limit<'l>>) -> Map<R> {
        self.limit = OwnedLimit::new(limit.into());
        self
    }

    /// Ends the iteration with the first error; what has not started then is cancelled.
    pub fn fail_fast(mut self) -> Map<R> {
        self.ends_early = true;
        self
    }

    /// Waits for all of them, and says what was wrong with the first that has no result. After
    /// [`fail_fast`](Map::fail_fast), it does so as soon as it comes to it.
    ///
    /// # Errors
    ///
    /// That error; if the limit is reached, [`TaskError::GaveUp`].
    #[doc(alias = "map_for_each")]
    pub fn all_ok(self) -> Result<(), TaskError> {
        let mut first = Ok(());
        for result in self {
            first = first.and(result.map(drop));
        }
        first
    }

    #[track_caller]
    fn wait_for(&mut self, part: Part<R>) -> Result<R, TaskError> {
        let late = match part {
            Part::Refused(why, len) => {
                self.unpacked.extend((1..len).map(|_| Err(why.clone())));
                return Err(why);
            }
            Part::One(future) => match future.result_within(self.limit.borrowed()) {
                Ok(result) => return result,
                Err(late) => {
                    late.future.cancel();
                    late.why
                }
            },
            Part::Chunk(future, len) => match future.result_within(self.limit.borrowed()) {
                Ok(ends) => {
                    match ends {
                        Ok(ends) => self.unpacked.extend(ends.into_iter().map(result_of)),
                        Err(error) => self.unpacked.extend((0..len).map(|_| Err(error.clone()))),
                    }
                    let first = self.unpacked.pop_front();
                    return first.unwrap_or(Err(TaskError::Lost));
                }
                Err(late) => {
                    late.future.cancel();
                    late.why
                }
            },
        };
        self.cancel_rest();
        Err(TaskError::GaveUp(late))
    }

    pub(super) fn cancel_rest(&mut self) {
        self.unpacked.clear();
        self.left = 0;
        // From the end, so that none starts because one before it was cancelled.
        while let Some(part) = self.tasks.pop_back() {
            part.cancel();
        }
    }
}

impl<R> Iterator for Map<R> {
    type Item = Result<R, TaskError>;

    #[track_caller]
    fn next(&mut self) -> Option<Result<R, TaskError>> {
        let result = match self.unpacked.pop_front() {
            Some(result) => result,
            None => {
                let part = self.tasks.pop_front()?;
                self.wait_for(part)
            }
        };
        // Nothing is left after the limit.
        self.left = self.left.saturating_sub(1);
        if self.ends_early && result.is_err() {
            self.cancel_rest();
        }
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left > 0), Some(self.left))
    }
}

impl<R> FusedIterator for Map<R> {}

impl<R> Drop for Map<R> {
    fn drop(&mut self) {
        self.cancel_rest();
    }
}
