//! [`DelayQueue`]: items that can be got from an instant on.
//!
//! The items are in a [`Heap`] by their instants. Nothing happens to the queue when the first becomes due,
//! so nobody would call a getter that has gone to sleep: for that the core sets an alarm, whenever
//! getters are parked and nothing is due (`core.rs`, `Clock`).

use super::placing::{Place, Placing};
use super::priority::{Heap, Ticket, Ticketed, keyed};
use super::{BlockingQueue, Discipline, PREALLOCATED};
use crate::wait::time;
use std::fmt;
use std::time::{Duration, Instant};

/// A time that nobody will live to see the end of, and that can be added to the clock.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// An item that can be got from an instant on. It is compared by that alone.
#[derive(Clone, Copy, Debug)]
pub struct Delayed<T> {
    /// From then on it can be got.
    pub at: Instant,
    /// What it is all about.
    pub item: T,
}

impl<T> Delayed<T> {
    /// `item`, from `at` on.
    pub fn at(at: Instant, item: T) -> Delayed<T> {
        Delayed { at, item }
    }

    /// `item`, after `delay` from now. A delay that is too long for the clock is a hundred years.
    pub fn after(delay: Duration, item: T) -> Delayed<T> {
        let now = time::now();
        Delayed::at(now.checked_add(delay).unwrap_or_else(|| now + NEVER), item)
    }

    /// Can it be got by now?
    pub fn is_due(&self) -> bool {
        self.at <= time::now()
    }
}

keyed!(Delayed<T>, at: Instant);

/// The earliest due first, and not before it is due: the discipline of [`DelayQueue`].
pub struct Delays<T>(Heap<Delayed<T>>);

/// Items become visible at an instant each, the earliest first and the older one among equals; bounded
/// or not. What else it does is described at [`BlockingQueue`].
///
/// * `get` waits until the first item is due; so do its other faces. `try_get` is `Empty` until then.
/// * [`len`](BlockingQueue::len), the capacity and [`drain`](BlockingQueue::drain) are about all items,
///   due or not; [`peek`](BlockingQueue::peek) shows what can be got, [`next_due`](Self::next_due) tells when.
/// * An item that was put with a ticket can be [`reset`](Self::reset) to another instant, or
///   [`cancelled`](Self::cancel).
///
/// # Shutting down
///
/// After [`Shutdown::Drain`](crate::Shutdown::Drain) items that are not due yet stay: getters wait for them, and hear
/// `ShutDown` when the queue is empty. [`Shutdown::Immediate`](crate::Shutdown::Immediate) hands all items
/// back, due or not.
///
/// # Cost
///
/// That of [`Heap`], and the clock is read. While getters are parked and nothing is due, the first item's
/// instant is set as an alarm, of which one thread of the process takes care. An item that becomes due wakes
/// one getter, which is late by two wake-ups: about 100 microseconds.
///
/// # Panics
///
/// A constructor panics if the system refuses the thread, which starts with the first such queue.
///
/// # Source
///
/// Java's `DelayQueue`, tokio's `DelayQueue`. Python has `sched`, and programs that keep a heap of deadlines.
///
/// ```
/// use latchwork::queue::{DelayQueue, Delayed};
/// use std::time::Duration;
///
/// let retries = DelayQueue::unbounded();
/// let minute = Duration::from_secs(60);
/// let soup = retries.ticketed().put(Delayed::after(minute, "soup"))?;
/// let salad = retries.ticketed().put(Delayed::after(minute, "salad"))?;
/// assert!(retries.try_get().is_err());
/// retries.reset(&soup, std::time::Instant::now());
/// assert_eq!(retries.get().unwrap().item, "soup");
/// assert_eq!(retries.cancel(&salad).unwrap().item, "salad");
/// # Ok::<(), latchwork::queue::PutError<Delayed<&str>>>(())
/// ```
#[doc(alias = "sched")]
pub type DelayQueue<T> = BlockingQueue<Delays<T>>;

impl<T> Delays<T> {
    /// Without items, and with memory for so many.
    pub fn with_capacity(capacity: usize) -> Delays<T> {
        Delays(Heap::with_capacity(capacity))
    }
}

impl<T> Discipline for Delays<T> {
    type Item = Delayed<T>;
    const IS_TIMED: bool = true;

    fn push(&mut self, item: Delayed<T>) {
        self.0.push(item);
    }

    fn pop(&mut self) -> Option<Delayed<T>> {
        if self.is_ready() { self.0.pop() } else { None }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_ready(&self) -> bool {
        self.0.peek().is_some_and(Delayed::is_due)
    }

    fn next_due(&self) -> Option<Instant> {
        self.0.peek().map(|first| first.at)
    }

    fn peek(&self) -> Option<&Delayed<T>> {
        self.0.peek().filter(|first| first.is_due())
    }

    fn take_all(&mut self, all: &mut Vec<Delayed<T>>) {
        all.append(&mut self.0.take_all());
    }
}

impl<T> Place<Delays<T>> for Ticketed {
    type Receipt = Ticket;

    fn place(&self, items: &mut Delays<T>, item: Delayed<T>) -> Ticket {
        items.0.push_ticketed(item)
    }
}

impl<T> BlockingQueue<Delays<T>> {
    /// A queue with room for `capacity` items, due or not.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> DelayQueue<T> {
        let items = Delays::with_capacity(capacity.min(PREALLOCATED));
        BlockingQueue::with_discipline(items, capacity)
    }

    /// A queue that is never full: put never waits, memory is the bound.
    pub fn unbounded() -> DelayQueue<T> {
        BlockingQueue::with_discipline(Delays::with_capacity(0), None)
    }

    /// Puts items and returns tickets by which they can be found, with the four faces of `put`.
    pub fn ticketed(&self) -> Placing<'_, Delays<T>, Ticketed> {
        Placing::new(self, Ticketed)
    }

    /// When the first item is or was due, if there is one.
    pub fn next_due(&self) -> Option<Instant> {
        self.shared().lock().items.next_due()
    }

    /// Lets the item of this ticket be due at another instant, and returns the one before; `None` if the item
    /// has left the queue.
    pub fn reset(&self, ticket: &Ticket, at: Instant) -> Option<Instant> {
        self.with_lock(|delays| delays.0.change_key(ticket, at).ok())
    }

    /// Takes the item of this ticket out, due or not, if it is still in the queue. It counts as acknowledged.
    pub fn cancel(&self, ticket: &Ticket) -> Option<Delayed<T>> {
        self.with_lock(|delays| delays.0.remove(ticket))
    }
}

impl<T> fmt::Debug for Delays<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delays")
            .field("len", &self.0.len())
            .field("next_due", &self.next_due())
            .finish()
    }
}
