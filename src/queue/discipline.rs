//! [`Discipline`]: in which order items leave. The two simplest are here, [`Fifo`] and [`Lifo`].

use std::collections::VecDeque;
use std::time::Instant;

/// What a [`BlockingQueue`](super::BlockingQueue) keeps its items in: it decides which one leaves next.
///
/// Its methods run under the queue's own short lock, so they should be quick and must not use the same queue.
/// `push`, `pop` and `take_all` may panic: the panic reaches the caller of the operation, and the queue goes on
/// with whatever the discipline then contains. An item that is dropped by the panic is dropped under the lock,
/// so its destructor must not use the same queue either. A `get_many` in which a `pop` panics loses what it has
/// taken by then, a `put_many` what it has not put yet.
///
/// The others must not panic: they are asked whenever the lock is released. If one does, those who wait
/// may not be woken, or the process aborts. `len` must not change but by `push` and `pop`.
///
/// ```
/// use latchwork::queue::{BlockingQueue, Discipline};
///
/// /// Gives every item to the next one who asks, over and over.
/// struct Carousel(std::collections::VecDeque<u8>);
///
/// impl Discipline for Carousel {
///     type Item = u8;
///     fn push(&mut self, item: u8) {
///         self.0.push_back(item);
///     }
///     fn pop(&mut self) -> Option<u8> {
///         self.0.rotate_left(1);
///         self.0.back().copied()
///     }
///     fn len(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// let queue = BlockingQueue::with_discipline(Carousel([1, 2].into()), None);
/// assert_eq!((queue.get(), queue.get(), queue.get()), (Ok(1), Ok(2), Ok(1)));
/// ```
pub trait Discipline {
    /// What it orders.
    type Item;

    /// Does what there is to be had depend on time? Then the queue looks again at the instant of
    /// [`next_due`](Discipline::next_due).
    const IS_TIMED: bool = false;

    /// Takes an item in.
    fn push(&mut self, item: Self::Item);

    /// Gives the next item out; `None` if there is none to be had now.
    fn pop(&mut self) -> Option<Self::Item>;

    /// How many items are in it.
    fn len(&self) -> usize;

    /// Is nothing in it?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Would `pop` give an item? Not the same as having one: it may not be due yet.
    fn is_ready(&self) -> bool {
        !self.is_empty()
    }

    /// When will `pop` give an item, if it gives none now and nothing is changed? Only asked of a discipline that
    /// [`is timed`](Discipline::IS_TIMED). From that instant on `is_ready` has to be true.
    fn next_due(&self) -> Option<Instant> {
        None
    }

    /// The item that `pop` would give, if it can be looked at.
    fn peek(&self) -> Option<&Self::Item> {
        None
    }

    /// Adds everything to `all` that is in it, in the order in which it would have left, due or not.
    fn take_all(&mut self, all: &mut Vec<Self::Item>) {
        all.reserve(self.len());
        all.extend(std::iter::from_fn(|| self.pop()));
    }
}

/// First in, first out: the discipline of [`Queue`](super::Queue).
#[derive(Clone, Debug)]
pub struct Fifo<T>(pub(super) VecDeque<T>);

impl<T> Fifo<T> {
    /// Without items, and with memory for so many.
    pub fn with_capacity(capacity: usize) -> Fifo<T> {
        Fifo(VecDeque::with_capacity(capacity))
    }
}

impl<T> Discipline for Fifo<T> {
    type Item = T;

    #[inline]
    fn push(&mut self, item: T) {
        self.0.push_back(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }

    fn peek(&self) -> Option<&T> {
        self.0.front()
    }

    fn take_all(&mut self, all: &mut Vec<T>) {
        all.extend(std::mem::take(&mut self.0));
    }
}

/// Last in, first out: the discipline of [`LifoQueue`](super::LifoQueue).
#[derive(Clone, Debug)]
pub struct Lifo<T>(Vec<T>);

impl<T> Lifo<T> {
    /// Without items, and with memory for so many.
    pub fn with_capacity(capacity: usize) -> Lifo<T> {
        Lifo(Vec::with_capacity(capacity))
    }
}

impl<T> Discipline for Lifo<T> {
    type Item = T;

    #[inline]
    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }

    fn peek(&self) -> Option<&T> {
        self.0.last()
    }
}
