//! [`as_completed`]: futures in the order in which their tasks end.
//!
//! Each task pushes the number of its future's slot when it ends. Invariant: a number is pushed once for each time a
//! future is put into that slot, which is not used again before the number has been popped.

use super::TaskId;
use super::arrivals::Arrivals;
use super::helping::help_one;
use super::waitable::Waitable;
use crate::platform::forked;
use crate::time::timeout;
use crate::wait::OwnedLimit;
use crate::{GaveUp, Limit};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Gives the futures back in the order in which their tasks end; those that have ended come first, in the order
/// in which they are given here. A task that is cancelled has ended at once. One that is given twice comes once.
///
/// `limit` counts from this call and covers the whole iteration. When it is reached, the next item
/// is [`Unfinished`], and the iteration ends; [`AsCompleted::remaining`] has the rest. Nothing is cancelled by it.
///
/// Dropping the iterator takes back all that it has left with the tasks. More futures can be
/// [pushed](AsCompleted::push) during the iteration.
///
/// Called by a task of the same pool and without a limit, `next` runs those here that have not started, in order. So
/// they must not wait for what their iterator is to do after another one's end.
///
/// # Cost
///
/// A hook and a number for each future. What has been given back is kept nowhere.
///
/// # Source
///
/// Python's [`concurrent.futures.as_completed`](https://docs.python.org/3/library/concurrent.futures.html#concurrent.futures.as_completed),
/// whose time-out counts from the first `next`.
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
pub fn as_completed<'l, F: Waitable>(
    futures: impl IntoIterator<Item = F>,
    limit: impl Into<Limit<'l>>,
) -> AsCompleted<F> {
    let mut completed = AsCompleted {
        slots: Vec::new(),
        free: Vec::new(),
        waiting: HashSet::new(),
        given: 0,
        total: 0,
        first_pending: 0,
        arrivals: Arc::new(Arrivals::new()),
        limit: OwnedLimit::new(limit.into()),
        is_over: false,
    };
    completed.extend(futures);
    completed
}

/// Futures in the order in which their tasks end. From [`as_completed`].
///
/// After the last one, `next` gives `None` until more are pushed.
#[must_use = "iterators are lazy"]
pub struct AsCompleted<F: Waitable> {
    /// With their positions among all that have ever been given.
    slots: Vec<Option<(usize, F)>>,
    free: Vec<usize>,
    /// Those in the slots.
    waiting: HashSet<TaskId>,
    /// How many have been given to it, and how many of them are new.
    given: usize,
    total: usize,
    /// Those in the slots before this one have started, or are new in their slots.
    first_pending: usize,
    arrivals: Arc<Arrivals>,
    limit: OwnedLimit,
    is_over: bool,
}

impl<F: Waitable> AsCompleted<F> {
    /// One more, which comes when its task ends.
    pub fn push(&mut self, future: F) {
        if let Some(slot) = self.place(future) {
            self.watch(slot);
        }
    }

    /// Puts it into a slot, unless it is in one.
    fn place(&mut self, future: F) -> Option<usize> {
        let position = self.given;
        self.given += 1;
        if !self.waiting.insert(future.id()) {
            return None;
        }
        self.total += 1;
        let content = Some((position, future));
        Some(match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = content;
                self.first_pending = self.first_pending.min(slot);
                slot
            }
            None => {
                self.slots.push(content);
                self.slots.len() - 1
            }
        })
    }

    fn watch(&self, slot: usize) {
        let Some((_, future)) = &self.slots[slot] else {
            return;
        };
        if !future.watch(Arc::clone(&self.arrivals) as _, slot) {
            self.arrivals.push(slot);
        }
    }

    /// The futures that have not been given back, in the order in which they came.
    pub fn remaining(mut self) -> Vec<F> {
        self.end().into_iter().map(|(_, future)| future).collect()
    }

    #[cfg(feature = "progress")]
    pub(super) fn futures(&self) -> impl Iterator<Item = &F> {
        self.slots.iter().flatten().map(|(_, future)| future)
    }

    /// How many futures are left.
    pub fn unfinished(&self) -> usize {
        self.waiting.len()
    }

    /// With the position of each among all that were given to this iterator, duplicates counted.
    #[doc(alias = "enumerate")]
    pub fn indexed(self) -> Indexed<F> {
        Indexed(self)
    }

    /// The next one, for tasks; as [`Iterator::next`]. Dropping the future before it is ready loses nothing.
    ///
    /// # Panics
    ///
    /// As [`time::timeout`](crate::time::timeout), if the limit has a deadline.
    ///
    /// # Source
    ///
    /// Python's [`asyncio.as_completed`](https://docs.python.org/3/library/asyncio-task.html#asyncio.as_completed)
    /// as an asynchronous iterator.
    #[track_caller]
    pub fn next_async(&mut self) -> impl Future<Output = Option<Result<F, Unfinished>>> {
        let place = Location::caller();
        async move {
            if self.is_at_end() {
                return None;
            }
            let first = self.arrivals.pop();
            if first.is_none() {
                self.look_behind();
            }
            let popped = match first {
                Some(slot) => Ok(slot),
                None if self.limit.borrowed().is_none() => Ok(self.arrivals.pop_async(place).await),
                None => timeout(self.limit.borrowed(), self.arrivals.pop_async(place)).await,
            };
            Some(self.give(popped).map(|(_, future)| future))
        }
    }

    /// From now on it is this limit.
    pub(super) fn set_limit(&mut self, limit: Limit<'_>) {
        self.limit = OwnedLimit::new(limit);
    }

    /// Ends it: the futures that have not been given back, with their positions, in the order in which they came.
    pub(super) fn end(&mut self) -> Vec<(usize, F)> {
        self.unwatch();
        self.is_over = true;
        self.waiting.clear();
        let mut left: Vec<_> = self.slots.drain(..).flatten().collect();
        left.sort_by_key(|(position, _)| *position);
        left
    }

    #[track_caller]
    pub(super) fn next_with_position(&mut self) -> Option<Result<(usize, F), Unfinished>> {
        if self.is_at_end() {
            return None;
        }
        let popped = match self.arrivals.pop() {
            Some(slot) => Ok(slot),
            None => self.wait(Location::caller()),
        };
        Some(self.give(popped))
    }

    fn is_at_end(&self) -> bool {
        self.is_over || self.waiting.is_empty()
    }

    fn wait(&mut self, place: &'static Location<'static>) -> Result<usize, GaveUp> {
        let limit = self.limit.borrowed();
        let mut expecting = None;
        if limit.is_none() {
            let has_started = |slot: &&Option<(usize, F)>| match slot {
                Some((_, future)) => future.job().is_claimed(),
                None => true,
            };
            let from = &self.slots[self.first_pending..];
            self.first_pending += from.iter().take_while(has_started).count();
            let from = self.slots[self.first_pending..].iter().flatten();
            expecting = help_one(from.map(|(_, future)| future.job()));
        }
        self.look_behind();
        let popped = self.arrivals.pop_within(&limit, place);
        drop(expecting);
        popped
    }

    /// In a forked child, what the parent was to run ends as it is looked at.
    fn look_behind(&self) {
        if forked::is_child() {
            self.slots.iter().flatten().for_each(|(_, future)| {
                future.is_done();
            });
        }
    }

    fn give(&mut self, popped: Result<usize, GaveUp>) -> Result<(usize, F), Unfinished> {
        match popped {
            Ok(slot) => {
                let (position, future) = self.slots[slot].take().expect("its task ends once");
                self.free.push(slot);
                self.waiting.remove(&future.id());
                Ok((position, future))
            }
            Err(why) => {
                self.is_over = true;
                Err(Unfinished {
                    why,
                    unfinished: self.waiting.len(),
                    total: self.total,
                })
            }
        }
    }

    fn unwatch(&self) {
        let watcher = Arc::as_ptr(&self.arrivals).cast::<()>();
        for (_, future) in self.slots.iter().flatten() {
            future.unwatch(watcher);
        }
    }
}

impl<F: Waitable> Iterator for AsCompleted<F> {
    type Item = Result<F, Unfinished>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_with_position()?;
        Some(next.map(|(_, future)| future))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.is_at_end() {
            true => (0, Some(0)),
            // A limit that is reached is one item, and the last.
            false => (1, Some(self.waiting.len())),
        }
    }
}

/// Those that have ended come first, in the order in which they are given.
impl<F: Waitable> Extend<F> for AsCompleted<F> {
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        let slots: Vec<_> = futures
            .into_iter()
            .filter_map(|future| self.place(future))
            .collect();
        let is_done = |slot: &usize| {
            let future = self.slots[*slot].as_ref();
            future.is_some_and(|(_, future)| future.is_done())
        };
        let (done, pending): (Vec<_>, Vec<_>) = slots.into_iter().partition(is_done);
        for slot in done {
            self.arrivals.push(slot);
        }
        for slot in pending {
            self.watch(slot);
        }
    }
}

impl<F: Waitable> Drop for AsCompleted<F> {
    fn drop(&mut self) {
        self.unwatch();
    }
}

impl<F: Waitable> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("unfinished", &self.waiting.len())
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// Futures as their tasks end, with their positions. From [`AsCompleted::indexed`].
#[must_use = "iterators are lazy"]
#[derive(Debug)]
pub struct Indexed<F: Waitable>(AsCompleted<F>);

impl<F: Waitable> Iterator for Indexed<F> {
    type Item = Result<(usize, F), Unfinished>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_with_position()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// The limit of [`as_completed`] was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// Why it gave up.
    pub why: GaveUp,
    /// How many futures had not been given back.
    pub unfinished: usize,
    /// Of so many.
    pub total: usize,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unfinished {
            why,
            unfinished,
            total,
        } = self;
        write!(f, "{unfinished} of {total} tasks have not ended: {why}")
    }
}

impl Error for Unfinished {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{TaskFuture, promise};
    use super::*;

    /// Row F94.
    #[test]
    fn nothing_is_left_with_the_tasks() {
        let (_promise, future): (_, TaskFuture<u8>) = promise();
        let dropped = as_completed([&future], Limit::none());
        let arrivals = Arc::downgrade(&dropped.arrivals);
        drop(dropped);
        assert!(arrivals.upgrade().is_none());
        let taken_apart = as_completed([&future], Limit::none());
        let arrivals = Arc::downgrade(&taken_apart.arrivals);
        assert_eq!(taken_apart.remaining().len(), 1);
        assert!(arrivals.upgrade().is_none());
    }
}
