//! [`BlockingQueue`]: what all kinds of queues can do.

use super::core::Shared;
use super::iter::{Drain, Iter, TryIter};
use super::operations::{Get, GetMany, PutMany};
use super::placing::{InTurn, Placing};
use super::request::{Operation, QueueRequest};
use super::{Discipline, GetError, PutError, Stats};
use crate::wait::WaitFuture;
use crate::{Limit, Shutdown};
use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// A queue for any number of producers and consumers, whose [`Discipline`] says which item leaves next.
/// Clones are handles to the same queue.
///
/// [`Queue`](super::Queue), [`LifoQueue`](super::LifoQueue), [`PriorityQueue`](super::PriorityQueue) and
/// [`DelayQueue`](super::DelayQueue) are this with one of the disciplines of this module.
///
/// # Shutting down
///
/// After [`shutdown`](Self::shutdown) nothing can be put. With [`Shutdown::Drain`] what is in the
/// queue can still be got, then `get` fails with [`GetError::ShutDown`]; with
/// [`Shutdown::Immediate`] what is in the queue is handed to the caller. Everybody who waits is
/// woken either way. An item that was accepted is got by somebody or handed back; one that was
/// refused comes back in the error.
///
/// # Fairness
///
/// The discipline orders the items. Waiters are woken oldest first, no more of them than there are items or
/// free places, and than can run. A newcomer, or somebody who has not gone to sleep yet, may be quicker than the
/// one who was woken; that one goes back to the front of the line. One who has been overtaken for
/// half a millisecond is woken even if enough others are awake.
///
/// # Cost
///
/// One short lock for each operation: uncontended, a put or a get is one read-modify-write. No system
/// call unless somebody sleeps. Under the lock are the discipline's own work and, when a
/// queue without bound grows, one allocation.
///
/// Whoever finds the lock taken stays awake until it is free: it is held for a few dozen instructions. If its
/// holder is preempted meanwhile, the others yield to it. So do not use a queue between threads of
/// different real-time priorities.
pub struct BlockingQueue<D: Discipline> {
    shared: Arc<Shared<D>>,
}

impl<D: Discipline> BlockingQueue<D> {
    /// A queue with the order of `discipline` and with what is in it already, with room for
    /// `capacity` items; `None` means no bound.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn with_discipline(discipline: D, capacity: impl Into<Option<usize>>) -> BlockingQueue<D> {
        let capacity = capacity.into().unwrap_or(usize::MAX);
        assert!(
            capacity > 0,
            "a queue of this kind needs room for at least one item"
        );
        BlockingQueue::from_parts(discipline, capacity)
    }

    pub(super) fn from_parts(discipline: D, capacity: usize) -> BlockingQueue<D> {
        BlockingQueue {
            shared: Arc::new(Shared::new(discipline, capacity)),
        }
    }

    #[inline]
    pub(super) fn shared(&self) -> &Shared<D> {
        &self.shared
    }

    #[inline]
    fn in_turn(&self) -> Placing<'_, D, InTurn> {
        Placing::new(self, InTurn)
    }

    #[inline]
    fn request<O: Operation<D>>(&self, operation: O) -> QueueRequest<'_, D, O> {
        QueueRequest::new(&self.shared, operation)
    }

    /// Puts an item; blocks while there is no room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`] with the item.
    #[inline]
    #[track_caller]
    #[doc(alias = "send")]
    pub fn put(&self, item: D::Item) -> Result<(), PutError<D::Item>> {
        self.in_turn().put(item)
    }

    /// Puts an item if there is room; never blocks. At a rendezvous, if a getter waits for it.
    ///
    /// # Errors
    ///
    /// `Full` or `ShutDown`, with the item.
    #[inline]
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, item: D::Item) -> Result<(), PutError<D::Item>> {
        self.in_turn().try_put(item)
    }

    /// Puts an item; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// `TimedOut`, `Cancelled` or `ShutDown`, with the item.
    #[track_caller]
    #[doc(alias = "send_timeout")]
    pub fn put_within<'l>(
        &self,
        item: D::Item,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), PutError<D::Item>> {
        self.in_turn().put_within(item, limit)
    }

    /// Puts an item without blocking a thread.
    ///
    /// Dropping the future before it resolves drops the item: it has not been put. (At a rendezvous it may have
    /// been taken since the last poll; then it has been put.)
    #[track_caller]
    pub fn put_async(
        &self,
        item: D::Item,
    ) -> impl Future<Output = Result<(), PutError<D::Item>>> + use<'_, D> {
        self.in_turn().put_async(item)
    }

    /// Takes the next item; blocks while there is none.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`] when there is none and none will come.
    #[inline]
    #[track_caller]
    #[doc(alias = "recv")]
    pub fn get(&self) -> Result<D::Item, GetError> {
        if let Some(item) = self.shared.get_now() {
            return Ok(item);
        }
        self.request(Get).run(Location::caller())
    }

    /// Takes the next item if there is one; never blocks.
    ///
    /// # Errors
    ///
    /// `Empty` or `ShutDown`.
    #[inline]
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<D::Item, GetError> {
        self.request(Get).try_to()
    }

    /// Takes the next item; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// `TimedOut`, `Cancelled` or `ShutDown`. No item is lost.
    #[track_caller]
    #[doc(alias = "recv_timeout")]
    pub fn get_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<D::Item, GetError> {
        self.request(Get)
            .run_within(&limit.into(), Location::caller())
    }

    /// Takes the next item without blocking a thread. Dropping the future gives up; no item is lost.
    #[track_caller]
    pub fn get_async(&self) -> impl Future<Output = Result<D::Item, GetError>> + use<'_, D> {
        WaitFuture::new(self.request(Get))
    }

    /// Puts all of `items`, first one first; blocks while there is no room for the rest. Takes the lock
    /// once for as many as there is room for; others may put in between.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`] with the items that were not put.
    #[track_caller]
    pub fn put_many(
        &self,
        items: impl IntoIterator<Item = D::Item>,
    ) -> Result<(), PutError<Vec<D::Item>>> {
        self.request(PutMany::new(items))
            .run_within(&Limit::none(), Location::caller())
    }

    /// Puts as many of `items` as there is room for; never blocks. At a rendezvous that is none.
    ///
    /// # Errors
    ///
    /// `Full` or `ShutDown`, with the items that were not put.
    pub fn try_put_many(
        &self,
        items: impl IntoIterator<Item = D::Item>,
    ) -> Result<(), PutError<Vec<D::Item>>> {
        self.request(PutMany::new(items).at_once()).try_to()
    }

    /// Puts all of `items`; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// `TimedOut`, `Cancelled` or `ShutDown`, with the items that were not put.
    #[track_caller]
    pub fn put_many_within<'l>(
        &self,
        items: impl IntoIterator<Item = D::Item>,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), PutError<Vec<D::Item>>> {
        self.request(PutMany::new(items))
            .run_within(&limit.into(), Location::caller())
    }

    /// Puts all of `items` without blocking a thread. Dropping the future drops those that have not been
    /// put.
    #[track_caller]
    pub fn put_many_async<I: IntoIterator<Item = D::Item>>(
        &self,
        items: I,
    ) -> impl Future<Output = Result<(), PutError<Vec<D::Item>>>> + use<'_, D, I> {
        WaitFuture::new(self.request(PutMany::new(items)))
    }

    /// Takes as many items as there are, at most `max`; blocks while there is none.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`] when there is none and none will come.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    #[track_caller]
    pub fn get_many(&self, max: usize) -> Result<Vec<D::Item>, GetError> {
        self.request(GetMany::new(max, &self.shared))
            .run_within(&Limit::none(), Location::caller())
    }

    /// Takes as many items as there are, at most `max`; never blocks.
    ///
    /// # Errors
    ///
    /// `Empty` or `ShutDown`.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    pub fn try_get_many(&self, max: usize) -> Result<Vec<D::Item>, GetError> {
        self.request(GetMany::new(max, &self.shared)).try_to()
    }

    /// Takes as many items as there are, at most `max`; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// `TimedOut`, `Cancelled` or `ShutDown`.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    #[track_caller]
    pub fn get_many_within<'l>(
        &self,
        max: usize,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Vec<D::Item>, GetError> {
        self.request(GetMany::new(max, &self.shared))
            .run_within(&limit.into(), Location::caller())
    }

    /// Takes as many items as there are, at most `max`, without blocking a thread. Dropping the future
    /// gives up; no item is lost.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    #[track_caller]
    pub fn get_many_async(
        &self,
        max: usize,
    ) -> impl Future<Output = Result<Vec<D::Item>, GetError>> + use<'_, D> {
        WaitFuture::new(self.request(GetMany::new(max, &self.shared)))
    }

    /// Takes nothing more, wakes everybody who waits, and says what becomes of the items.
    ///
    /// With [`Shutdown::Drain`] they stay, to be got; the result is empty. With
    /// [`Shutdown::Immediate`] they are returned, the next one first, and count as acknowledged. It may be
    /// called again: the second kind after the first empties the queue.
    #[must_use = "with Shutdown::Immediate these are the items that nobody has got"]
    #[doc(alias = "close")]
    pub fn shutdown(&self, how: Shutdown) -> Vec<D::Item> {
        let mut left = Vec::new();
        // Told even if the discipline panics: it has been shut down.
        let _told = TellAll(&self.shared);
        let mut queue = self.shared.lock();
        queue.shut();
        match how {
            Shutdown::Drain => {}
            Shutdown::Immediate => queue.take_back(&mut left),
        }
        drop(queue);
        left
    }

    /// Has it been shut down?
    pub fn is_shutdown(&self) -> bool {
        self.shared.lock().is_shut()
    }

    /// How many items are in it; exact at some instant during the call.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// Is nothing in it?
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Would a put have to wait?
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.shared.lock().room() == 0
    }

    /// How many items it has room for; `None` if there is no bound.
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        let capacity = self.shared.capacity();
        (capacity != usize::MAX).then_some(capacity)
    }

    /// Has it no room at all, so that items go from hand to hand?
    pub(crate) fn is_rendezvous(&self) -> bool {
        self.shared.capacity() == 0
    }

    /// Gives it room for `capacity` items from now on; `None` means no bound.
    ///
    /// Those who wait for room get what there is more. With less room than there are items nothing is
    /// dropped: puts wait until enough have been got.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0, or if the queue is a rendezvous, which has no room and gets none.
    pub fn set_capacity(&self, capacity: impl Into<Option<usize>>) {
        let capacity = capacity.into().unwrap_or(usize::MAX);
        assert!(capacity > 0, "a queue needs room for at least one item");
        assert!(
            !self.is_rendezvous(),
            "a rendezvous has no capacity to be changed"
        );
        self.shared.lock().set_capacity(capacity);
    }

    /// Shows `see` the item that is the next to leave, if there is one; it stays.
    ///
    /// `see` runs under the queue's lock: it should be quick and must not use this queue.
    pub fn peek<R>(&self, see: impl FnOnce(&D::Item) -> R) -> Option<R> {
        self.shared.lock().items.peek().map(see)
    }

    /// Does something with the items that is more than one operation, while nobody else does anything.
    ///
    /// Whatever `change` puts in counts as put, even beyond the capacity; what it takes out counts as
    /// acknowledged. Waiters are called afterwards. It runs under the queue's lock: it should be quick and must
    /// not use this queue.
    ///
    /// ```
    /// use latchwork::queue::{Discipline, Queue};
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2, 3]).unwrap();
    /// // Turns the first two round.
    /// queue.with_lock(|items| {
    ///     let (a, b) = (items.pop(), items.pop());
    ///     items.push(b.unwrap());
    ///     items.push(a.unwrap());
    /// });
    /// assert_eq!(queue.drain().collect::<Vec<_>>(), [3, 2, 1]);
    /// ```
    #[doc(alias = "mutex")]
    pub fn with_lock<R>(&self, change: impl FnOnce(&mut D) -> R) -> R {
        self.shared.lock().change(change)
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        Stats {
            high_water: self.shared.lock().high_water(),
        }
    }

    /// Gets items, waiting for each, until the queue has been shut down and is empty.
    pub fn iter(&self) -> Iter<'_, D> {
        Iter::new(self)
    }

    /// Gets items as long as there are any, without waiting.
    pub fn try_iter(&self) -> TryIter<'_, D> {
        TryIter::new(self)
    }

    /// Gets everything that is in it at once, the next one first.
    pub fn drain(&self) -> Drain<D> {
        let mut all = Vec::new();
        self.shared.lock().items.take_all(&mut all);
        Drain::new(all)
    }
}

// As std's channels: a panic, be it of the discipline, leaves the queue as it was or changed, and the lock free.
impl<D: Discipline> UnwindSafe for BlockingQueue<D> {}
impl<D: Discipline> RefUnwindSafe for BlockingQueue<D> {}

/// Everybody who waits looks again, once this is dropped.
struct TellAll<'q, D: Discipline>(&'q Shared<D>);

impl<D: Discipline> Drop for TellAll<'_, D> {
    fn drop(&mut self) {
        self.0.tell_all();
    }
}

impl<D: Discipline> Clone for BlockingQueue<D> {
    fn clone(&self) -> BlockingQueue<D> {
        BlockingQueue {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<D: Discipline> fmt::Debug for BlockingQueue<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, is_shut, unfinished) = {
            let queue = self.shared.lock();
            (queue.items.len(), queue.is_shut(), queue.unfinished)
        };
        f.debug_struct("BlockingQueue")
            .field("len", &len)
            .field("capacity", &self.capacity())
            .field("unfinished", &unfinished)
            .field("is_shutdown", &is_shut)
            .finish()
    }
}
