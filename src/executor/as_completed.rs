//! [`as_completed`]: futures in the order in which they end.

use super::TaskFuture;
use crate::queue::{GetError, Queue};
use crate::wait::OwnedLimit;
use crate::{GaveUp, Limit};
use std::iter::FusedIterator;

/// Gives the futures back in the order in which their tasks end; those that have ended come first.
///
/// `limit` counts from this call and covers the whole iteration. When it is reached, the next item
/// is why, and the iteration ends; [`AsCompleted::remaining`] has the rest.
///
/// ```
/// use latchwork::{Limit, executor::{ThreadPoolExecutor, as_completed}};
///
/// let pool = ThreadPoolExecutor::new(2);
/// let futures: Vec<_> = (1..=3).map(|n| pool.spawn(move || n * n).unwrap()).collect();
/// let mut squares: Vec<i32> = as_completed(futures, Limit::none())
///     .map(|future| future.unwrap().result().unwrap())
///     .collect();
/// squares.sort();
/// assert_eq!(squares, [1, 4, 9]);
/// ```
pub fn as_completed<'l, R>(
    futures: impl IntoIterator<Item = TaskFuture<R>>,
    limit: impl Into<Limit<'l>>,
) -> AsCompleted<R> {
    let limit = OwnedLimit::new(limit.into());
    let ended = Queue::unbounded();
    let waiting: Vec<_> = futures.into_iter().map(Some).collect();
    for (index, future) in waiting.iter().flatten().enumerate() {
        let ended = ended.clone();
        future.on_done(move |_| {
            // Never refused: nobody shuts this queue down, and it has no bound.
            let _ = ended.put(index);
        });
    }
    AsCompleted {
        left: waiting.len(),
        waiting,
        ended,
        limit,
    }
}

/// Futures in the order in which they end. From [`as_completed`].
#[must_use = "iterators are lazy"]
#[derive(Debug)]
pub struct AsCompleted<R> {
    /// By position; gone once given back.
    waiting: Vec<Option<TaskFuture<R>>>,
    left: usize,
    /// Positions of those that have ended, in order.
    ended: Queue<usize>,
    limit: OwnedLimit,
}

impl<R> AsCompleted<R> {
    /// The futures that have not been given back, in the order in which they came.
    pub fn remaining(self) -> Vec<TaskFuture<R>> {
        self.waiting.into_iter().flatten().collect()
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = Result<TaskFuture<R>, GaveUp>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let why = match self.ended.get_within(self.limit.borrowed()) {
            Ok(index) => {
                self.left -= 1;
                return self.waiting[index].take().map(Ok);
            }
            Err(GetError::Cancelled) => GaveUp::Cancelled,
            Err(_) => GaveUp::TimedOut,
        };
        self.left = 0;
        Some(Err(why))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left > 0), Some(self.left))
    }
}

impl<R> FusedIterator for AsCompleted<R> {}
