//! The queues by name: which discipline each one has, and what only it can do.

use super::placing::{AtFront, Placing};
use super::{BlockingQueue, Fifo, Lifo, PREALLOCATED};

/// First in, first out, bounded or not. What it does is described at [`BlockingQueue`].
///
/// # Source
///
/// Python's [`queue.Queue`](https://docs.python.org/3/library/queue.html). There, `maxsize=0` means
/// no bound; here that is [`Queue::unbounded`](BlockingQueue::unbounded), and
/// [`Queue::bounded(0)`](BlockingQueue::bounded) is a rendezvous.
///
/// ```
/// use latchwork::{Shutdown, queue::Queue};
///
/// let queue = Queue::bounded(8);
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         for n in 0..100 {
///             queue.put(n).unwrap();
///         }
///         queue.shutdown(Shutdown::Drain);
///     });
///     assert_eq!(queue.iter().sum::<i32>(), 4950);
/// });
/// ```
#[doc(alias = "channel")]
#[doc(alias = "SynchronousQueue")]
pub type Queue<T> = BlockingQueue<Fifo<T>>;

/// Last in, first out, bounded or not. What it does is described at [`BlockingQueue`].
///
/// # Source
///
/// Python's [`queue.LifoQueue`](https://docs.python.org/3/library/queue.html#queue.LifoQueue).
///
/// ```
/// use latchwork::queue::LifoQueue;
///
/// let stack = LifoQueue::unbounded();
/// stack.put_many([1, 2, 3]).unwrap();
/// assert_eq!(stack.drain().collect::<Vec<_>>(), [3, 2, 1]);
/// ```
#[doc(alias = "stack")]
pub type LifoQueue<T> = BlockingQueue<Lifo<T>>;

impl<T> BlockingQueue<Fifo<T>> {
    /// A queue with room for `capacity` items. With room for none it is a rendezvous.
    ///
    /// At a rendezvous items go from hand to hand: a put returns when a getter has taken the item, a
    /// `try_put` puts only if a getter waits, and nothing is ever in the queue, so that `len` is 0. The longest
    /// waiting putter is served first. (An item that a `try_put` has left for a getter
    /// that gives up in the same moment waits for the next getter.)
    ///
    /// Python's `maxsize=0` is [`unbounded`](Self::unbounded).
    ///
    /// ```
    /// use latchwork::queue::{PutError, Queue};
    ///
    /// let hatch = Queue::bounded(0);
    /// assert_eq!(hatch.try_put("soup"), Err(PutError::Full("soup")));
    /// std::thread::scope(|s| {
    ///     s.spawn(|| hatch.put("soup"));
    ///     assert_eq!(hatch.get(), Ok("soup"));
    /// });
    /// ```
    pub fn bounded(capacity: usize) -> Queue<T> {
        BlockingQueue::from_parts(Fifo::with_capacity(capacity.min(PREALLOCATED)), capacity)
    }

    /// A queue that is never full: put never waits, memory is the bound.
    #[doc(alias = "maxsize")]
    pub fn unbounded() -> Queue<T> {
        BlockingQueue::with_discipline(Fifo::with_capacity(0), None)
    }

    /// Puts items before all that are in the queue, with the four faces of `put`.
    ///
    /// ```
    /// use latchwork::queue::Queue;
    ///
    /// let orders = Queue::bounded(2);
    /// orders.put("soup").unwrap();
    /// orders.at_front().put("water").unwrap();
    /// assert_eq!(orders.get(), Ok("water"));
    /// ```
    #[doc(alias = "put_front")]
    pub fn at_front(&self) -> Placing<'_, Fifo<T>, AtFront> {
        Placing::new(self, AtFront)
    }
}

impl<T> BlockingQueue<Lifo<T>> {
    /// A queue with room for `capacity` items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> LifoQueue<T> {
        BlockingQueue::with_discipline(Lifo::with_capacity(capacity.min(PREALLOCATED)), capacity)
    }

    /// A queue that is never full: put never waits, memory is the bound.
    pub fn unbounded() -> LifoQueue<T> {
        BlockingQueue::with_discipline(Lifo::with_capacity(0), None)
    }
}
