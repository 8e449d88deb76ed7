//! [`PriorityQueue`]: a blocking queue whose smallest item leaves first.

use super::{Heap, Prioritized, Ticket};
use crate::Limit;
use crate::queue::placing::{Exchange, Place, Placing};
use crate::queue::{BlockingQueue, Discipline, PREALLOCATED, PutError};
use std::future::Future;

/// The smallest item first, the older one among equals; bounded or not. What else it does is described
/// at [`BlockingQueue`].
///
/// * A priority beside the item, which then need not be comparable: [`Prioritized`].
/// * An item that was put with a ticket can be taken out, replaced, or given another priority:
///   [`ticketed`](Self::ticketed), [`remove`](Self::remove), [`replace`](Self::replace),
///   [`change_priority`](BlockingQueue::change_priority).
/// * A put into a full queue can wait, or drive the worst item out: [`evicting`](Self::evicting).
///
/// # Panics
///
/// A comparison that panics in an operation leaves the queue as it was and the lock free; an item that was
/// about to be put is dropped with the panic, and still under the lock: its destructor must not use this
/// queue. Of several items at once, what `put_many` had put by then is in, the rest is dropped; what
/// `get_many` had taken by then is dropped.
///
/// # Cost
///
/// That of [`Heap`], under the queue's short lock: comparisons should be quick, and must not use the
/// same queue.
///
/// # Source
///
/// Python's [`queue.PriorityQueue`](https://docs.python.org/3/library/queue.html#queue.PriorityQueue).
///
/// ```
/// use latchwork::queue::{Prioritized, PriorityQueue};
///
/// let jobs = PriorityQueue::unbounded();
/// jobs.put_with_priority(2, "sweep")?;
/// jobs.put_with_priority(1, "cook")?;
/// let dust = jobs.ticketed().put(Prioritized::new(9, "dust"))?;
/// assert_eq!(jobs.change_priority(&dust, 0), Ok(9));
/// let order: Vec<_> = jobs.drain().map(|job| job.item).collect();
/// assert_eq!(order, ["dust", "cook", "sweep"]);
/// # Ok::<(), latchwork::queue::PutError<Prioritized<u32, &str>>>(())
/// ```
pub type PriorityQueue<T> = BlockingQueue<Heap<T>>;

impl<T: Ord> Discipline for Heap<T> {
    type Item = T;

    #[inline]
    fn push(&mut self, item: T) {
        Heap::push(self, item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        Heap::pop(self)
    }

    #[inline]
    fn len(&self) -> usize {
        Heap::len(self)
    }

    fn peek(&self) -> Option<&T> {
        Heap::peek(self)
    }

    fn take_all(&mut self, all: &mut Vec<T>) {
        all.append(&mut Heap::take_all(self));
    }
}

/// Puts, and says by which ticket the item can be found. From
/// [`PriorityQueue::ticketed`](BlockingQueue::ticketed).
#[derive(Clone, Copy, Debug)]
pub struct Ticketed;

impl<T: Ord> Place<Heap<T>> for Ticketed {
    type Receipt = Ticket;

    fn place(&self, items: &mut Heap<T>, item: T) -> Ticket {
        items.push_ticketed(item)
    }
}

/// Puts without waiting for room: the worst item has to go. From
/// [`PriorityQueue::evicting`](BlockingQueue::evicting).
#[derive(Clone, Copy, Debug)]
pub struct Evicting;

impl<T: Ord> Place<Heap<T>> for Evicting {
    /// What had to go.
    type Receipt = Option<T>;
    const WAITS: bool = false;

    fn place(&self, items: &mut Heap<T>, item: T) -> Option<T> {
        items.push(item);
        None
    }

    fn exchange(&self, items: &mut Heap<T>, item: T) -> Exchange<Option<T>, T> {
        match items.push_evicting(item) {
            Ok(worst) => Exchange::Done(Some(worst)),
            Err(item) => Exchange::Refused(item),
        }
    }
}

impl<T: Ord> BlockingQueue<Heap<T>> {
    /// A queue with room for `capacity` items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> PriorityQueue<T> {
        BlockingQueue::with_discipline(Heap::with_capacity(capacity.min(PREALLOCATED)), capacity)
    }

    /// A queue that is never full: put never waits, memory is the bound.
    pub fn unbounded() -> PriorityQueue<T> {
        BlockingQueue::with_discipline(Heap::new(), None)
    }

    /// Puts items and returns tickets by which they can be found, with the four faces of `put`.
    ///
    /// ```
    /// use latchwork::queue::PriorityQueue;
    ///
    /// let queue = PriorityQueue::bounded(8);
    /// let ticket = queue.ticketed().put(5).unwrap();
    /// assert_eq!(queue.replace(&ticket, 3), Ok(5));
    /// assert_eq!(queue.remove(&ticket), Some(3));
    /// assert_eq!(queue.remove(&ticket), None);
    /// ```
    pub fn ticketed(&self) -> Placing<'_, Heap<T>, Ticketed> {
        Placing::new(self, Ticketed)
    }

    /// Puts items that never wait for room, with the four faces of `put`: when the queue is full, the worst
    /// item, which is the largest and among equals the youngest, has to go and is returned.
    ///
    /// If the new item is itself the worst, it comes back as [`PutError::Full`], from all faces. An item that had
    /// to go counts as acknowledged. Where the queue has more items than room, because its capacity was
    /// lowered, each put drives out one.
    ///
    /// A put that drives an item out looks for the worst among three quarters of the items, under the lock.
    ///
    /// ```
    /// use latchwork::queue::{PriorityQueue, PutError};
    ///
    /// let best = PriorityQueue::bounded(2);
    /// assert_eq!(best.evicting().put(30), Ok(None));
    /// assert_eq!(best.evicting().put(10), Ok(None));
    /// assert_eq!(best.evicting().put(20), Ok(Some(30)));
    /// assert_eq!(best.evicting().put(20), Err(PutError::Full(20)));
    /// ```
    pub fn evicting(&self) -> Placing<'_, Heap<T>, Evicting> {
        Placing::new(self, Evicting)
    }

    /// Takes the item of this ticket out, if it is still in the queue. It counts as acknowledged.
    pub fn remove(&self, ticket: &Ticket) -> Option<T> {
        self.with_lock(|heap| heap.remove(ticket))
    }

    /// Puts another item in the place of this ticket's, which is returned; also after a shutdown that
    /// left it in the queue. See [`Heap::replace`].
    ///
    /// # Errors
    ///
    /// The new item, if the old one has left the queue.
    pub fn replace(&self, ticket: &Ticket, item: T) -> Result<T, T> {
        self.with_lock(|heap| heap.replace(ticket, item))
    }
}

impl<P: Ord, T> BlockingQueue<Heap<Prioritized<P, T>>> {
    /// Puts an item with a priority; blocks while there is no room.
    ///
    /// # Errors
    ///
    /// As [`put`](BlockingQueue::put).
    #[track_caller]
    pub fn put_with_priority(
        &self,
        priority: P,
        item: T,
    ) -> Result<(), PutError<Prioritized<P, T>>> {
        self.put(Prioritized::new(priority, item))
    }

    /// Puts an item with a priority if there is room; never blocks.
    ///
    /// # Errors
    ///
    /// As [`try_put`](BlockingQueue::try_put).
    pub fn try_put_with_priority(
        &self,
        priority: P,
        item: T,
    ) -> Result<(), PutError<Prioritized<P, T>>> {
        self.try_put(Prioritized::new(priority, item))
    }

    /// Puts an item with a priority; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// As [`put_within`](BlockingQueue::put_within).
    #[track_caller]
    pub fn put_with_priority_within<'l>(
        &self,
        priority: P,
        item: T,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), PutError<Prioritized<P, T>>> {
        self.put_within(Prioritized::new(priority, item), limit)
    }

    /// Puts an item with a priority without blocking a thread.
    #[track_caller]
    pub fn put_with_priority_async(
        &self,
        priority: P,
        item: T,
    ) -> impl Future<Output = Result<(), PutError<Prioritized<P, T>>>> + use<'_, P, T> {
        self.put_async(Prioritized::new(priority, item))
    }

    /// Gives the item of this ticket another priority and returns the old one. The item keeps its
    /// age: among equals it leaves as if it had come with this priority.
    ///
    /// # Errors
    ///
    /// The new priority, if the item has left the queue.
    pub fn change_priority(&self, ticket: &Ticket, priority: P) -> Result<P, P> {
        self.with_lock(|heap| heap.change_priority(ticket, priority))
    }
}
