//! Items as work: who has finished what, and waiting until all is finished.

use super::core::{Shared, is_before};
use super::{BlockingQueue, Discipline, GetError, TaskDoneError};
use crate::wait::lot::Line;
use crate::wait::{Kind, Request, WaitFuture, wait, wait_for_ever};
use crate::{GaveUp, Limit};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

/// # Items as work
///
/// A queue counts the items that were put and not yet acknowledged. Whoever has got an item and is done
/// with it says so with [`task_done`](Self::task_done), or gets it as a [`Task`], which says it when it is
/// dropped. [`join`](Self::join) waits until everything is done. A program that never joins
/// need not acknowledge anything.
impl<D: Discipline> BlockingQueue<D> {
    /// Acknowledges one item.
    ///
    /// # Errors
    ///
    /// When every item has been acknowledged already; nothing is changed then.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut state = self.shared().lock();
        if state.unfinished == 0 {
            return Err(TaskDoneError);
        }
        state.count_finished(1);
        Ok(())
    }

    /// How many items have been put and not been acknowledged.
    #[doc(alias = "unfinished_tasks")]
    pub fn unfinished(&self) -> usize {
        self.shared().lock().unfinished
    }

    /// Blocks until every item that was put has been acknowledged; not just until the queue is empty.
    ///
    /// It returns at once if nothing is unfinished, and as soon as the count reaches zero, even if an item
    /// is put right after. A shutdown does not end it, unless it takes out what was unfinished.
    #[track_caller]
    pub fn join(&self) {
        let mut request = JoinRequest::new(self.shared());
        if request.attempt().is_none() {
            wait_for_ever(&mut request, Location::caller());
        }
    }

    /// Is everything acknowledged? Never blocks.
    pub fn try_join(&self) -> bool {
        self.unfinished() == 0
    }

    /// As [`join`](Self::join), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        let mut request = JoinRequest::new(self.shared());
        match request.attempt() {
            Some(()) => Ok(()),
            None => wait(&mut request, &limit.into(), Location::caller()),
        }
    }

    /// Resolves when every item that was put has been acknowledged.
    #[track_caller]
    pub fn join_async(&self) -> impl Future<Output = ()> {
        WaitFuture::new(JoinRequest::new(self.shared()))
    }

    /// Gets an item that is acknowledged when the result is dropped, also by a panic.
    ///
    /// ```
    /// use latchwork::queue::Queue;
    ///
    /// let orders = Queue::unbounded();
    /// orders.put("soup").unwrap();
    /// std::thread::scope(|s| {
    ///     s.spawn(|| {
    ///         let order = orders.get_task().unwrap();
    ///         assert_eq!(*order, "soup");
    ///     });
    ///     orders.join();
    /// });
    /// assert_eq!(orders.unfinished(), 0);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get`](BlockingQueue::get).
    #[track_caller]
    pub fn get_task(&self) -> Result<Task<D>, GetError> {
        self.get().map(|item| Task::new(self, item))
    }

    /// As [`get_task`](Self::get_task); never blocks.
    ///
    /// # Errors
    ///
    /// As [`try_get`](BlockingQueue::try_get).
    pub fn try_get_task(&self) -> Result<Task<D>, GetError> {
        self.try_get().map(|item| Task::new(self, item))
    }

    /// As [`get_task`](Self::get_task); blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// As [`get_within`](BlockingQueue::get_within).
    #[track_caller]
    pub fn get_task_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<Task<D>, GetError> {
        self.get_within(limit).map(|item| Task::new(self, item))
    }

    /// As [`get_task`](Self::get_task), without blocking a thread.
    ///
    /// # Errors
    ///
    /// As [`get_async`](BlockingQueue::get_async).
    #[track_caller]
    pub fn get_task_async(&self) -> impl Future<Output = Result<Task<D>, GetError>> {
        let getting = self.get_async();
        async move { getting.await.map(|item| Task::new(self, item)) }
    }
}

/// An item that is acknowledged when this is dropped. From [`BlockingQueue::get_task`].
#[must_use = "the item is acknowledged when this is dropped"]
pub struct Task<D: Discipline> {
    // Dropped in this order, the second even if the first panics.
    item: D::Item,
    acknowledgement: Acknowledgement<D>,
}

struct Acknowledgement<D: Discipline>(BlockingQueue<D>);

impl<D: Discipline> Drop for Acknowledgement<D> {
    fn drop(&mut self) {
        // If somebody has acknowledged it besides, there is nothing more to do.
        let _ = self.0.task_done();
    }
}

impl<D: Discipline> Task<D> {
    fn new(queue: &BlockingQueue<D>, item: D::Item) -> Task<D> {
        Task {
            item,
            acknowledgement: Acknowledgement(queue.clone()),
        }
    }

    /// Acknowledges the item and returns it.
    pub fn finish(self) -> D::Item {
        let Task {
            item,
            acknowledgement,
        } = self;
        drop(acknowledgement);
        item
    }
}

impl<D: Discipline> Deref for Task<D> {
    type Target = D::Item;

    fn deref(&self) -> &D::Item {
        &self.item
    }
}

impl<D: Discipline> DerefMut for Task<D> {
    fn deref_mut(&mut self) -> &mut D::Item {
        &mut self.item
    }
}

impl<D: Discipline> fmt::Debug for Task<D>
where
    D::Item: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.item).finish()
    }
}

static JOIN: Kind = Kind {
    name: "Queue::join",
    owner: None,
};

/// Wants everything to be acknowledged, or to have been since it was made.
struct JoinRequest<'a, D: Discipline> {
    shared: &'a Shared<D>,
    /// How often everything had been by then.
    began: usize,
}

impl<'a, D: Discipline> JoinRequest<'a, D> {
    fn new(shared: &'a Shared<D>) -> JoinRequest<'a, D> {
        JoinRequest {
            shared,
            began: shared.lock().finishes,
        }
    }
}

impl<D: Discipline> Request for JoinRequest<'_, D> {
    type Output = ();
    const KIND: &'static Kind = &JOIN;

    fn address(&self) -> usize {
        self.shared.joining()
    }

    fn attempt(&mut self) -> Option<()> {
        let state = self.shared.lock();
        (state.unfinished == 0 || is_before(self.began, state.finishes)).then_some(())
    }

    /// Whoever spins takes nothing from those who are parked.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let mut state = self.shared.lock_bare();
        if state.unfinished == 0 || is_before(self.began, state.finishes) {
            return None;
        }
        self.shared.mark_joiner(&mut state);
        Some(self.began)
    }

    /// Given: it is over, whatever is put from now on.
    fn granted(&mut self, _token: usize) -> Option<()> {
        Some(())
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.shared.joiner_has_left(line);
    }

    /// Being told is not a thing that can be passed on: everybody else is told too.
    fn decline(&mut self, _token: usize) {}
}
