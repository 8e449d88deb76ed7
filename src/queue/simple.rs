//! [`SimpleQueue`]: first in, first out, without a bound and without a lock.
//!
//! The items are in crossbeam's segmented queue. Those who find it empty wait in the lot, under one word.
//! A wake-up is a call to try again; who tries again and fails goes to the front.
//!
//! # Why no wake-up is lost
//!
//! Nothing but the word connects a put with a getter that goes to sleep. Each of them does something, and
//! then looks at what the other does:
//!
//! ```text
//!   put                                         getter, its bucket locked
//!   1. push the item                            1. word = MARK
//!   2. a fence                                  2. a fence
//!   3. is the word marked? then call            3. is the queue empty? only then, sleep
//! ```
//!
//! Sequentially consistent fences have an order. If the put's is the earlier one, the getter's look sees the
//! push. If it is the later one, the put sees the mark, or that it has been taken off; that is done
//! under the bucket's lock and with nobody in the line, and who marks again has a fence of their own.
//! Nothing is asked of the push but that it happens before the fence, and of the look but that it is not
//! older than it.
//!
//! The fence is about a quarter of what a put costs. A push that ends in a read-modify-write has made it already on x86; but
//! that is crossbeam's affair, which may change. A read-modify-write of the
//! word instead of the fence would take the word's cache line away from all who are about to wait, with every
//! put: half as fast with one getter.
//!
//! While the bucket is free, whoever is in the line has therefore looked after every push that found no
//! mark, and every other push calls one of the line, if the item is still there. That is as many as can be
//! of use: a put brings one item. So a call that is answered and finds the queue empty owes nobody
//! anything. One that is not answered, since its future is dropped, is passed on.

use crate::GaveUp;
use crate::platform::SegQueue;
use crate::platform::atomic::{AtomicUsize, Ordering, fence};
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, WaitFuture, wait, wait_for_ever};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

/// Somebody is parked. Set and cleared under the bucket's lock only.
const MARK: usize = 1;

/// A first-in, first-out queue without a bound, whose `put` never waits. Clones are handles to the same
/// queue.
///
/// It does one thing: items go in at one end and come out at the other. There is no bound, no shutdown
/// and no account of tasks. If you need one of them, take a [`Queue`](super::Queue), bounded or not, which
/// has them all, and which is the faster one as a rule.
///
/// What this one has in return: a put is never kept waiting by another thread that was preempted in the
/// middle of an operation, but for the instant in which a new block is linked. So it is for those who must
/// not be held up, and for destructors and the like, which may run anywhere.
///
/// # Re-entrancy
///
/// `put` holds nothing while it runs code that is not its own: it may be called from a destructor, a
/// waker, or wherever else the thread has got to inside a call of this same queue. It is *not*
/// async-signal-safe, unlike what Python's may look like from a handler there: it allocates, and
/// waking a getter takes a lock of the table of waiters. In a signal handler, write to a pipe.
///
/// # Fairness
///
/// Items leave in the order in which they entered. Getters are woken oldest first, one for each item;
/// a newcomer may be quicker than the one who was woken, who then goes back to the front of the line.
///
/// # Panics
///
/// An item whose destructor panics does no harm to the queue. Dropped with the last handle, the others
/// are dropped all the same.
///
/// # Cost
///
/// `put` with nobody waiting: two read-modify-writes, one load to see that nobody waits, and an
/// allocation for every 31 items; no lock, no system call.
/// `get` of what is there: two read-modify-writes. Memory is given back as the items leave.
///
/// # Source
///
/// Python's [`queue.SimpleQueue`](https://docs.python.org/3/library/queue.html#simplequeue-objects).
///
/// ```
/// use latchwork::queue::SimpleQueue;
///
/// let queue = SimpleQueue::new();
/// std::thread::scope(|s| {
///     s.spawn(|| (1..=100).for_each(|n| queue.put(n)));
///     assert_eq!((0..100).map(|_| queue.get()).sum::<i32>(), 5050);
/// });
/// assert_eq!(queue.try_get(), None);
/// ```
#[doc(alias = "SegQueue")]
#[doc(alias = "channel")]
pub struct SimpleQueue<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    items: SegQueue<T>,
    /// Where getters wait: 0, or MARK while somebody does.
    ///
    /// Behind `items`, which end with a cache line of their own, so no other core writes near it but
    /// those that put.
    getters: AtomicUsize,
}

impl<T> SimpleQueue<T> {
    /// An empty queue. Allocates for items when there are some.
    pub fn new() -> SimpleQueue<T> {
        SimpleQueue {
            shared: Arc::new(Shared {
                items: SegQueue::new(),
                getters: AtomicUsize::new(0),
            }),
        }
    }

    /// Puts an item at the end. Never waits and never fails, so it has one face only.
    ///
    /// It is free of locks in the plain sense, not in the theorist's: when its block is full, those who
    /// put at that instant stay awake until one of them has linked the next, which was allocated before.
    #[inline]
    #[doc(alias = "send")]
    #[doc(alias = "push")]
    #[doc(alias = "put_nowait")]
    pub fn put(&self, item: T) {
        self.shared.items.push(item);
        self.shared.has_put();
    }

    /// Takes the first item; blocks while there is none.
    ///
    /// An item whose `put` is under way may be waited for awake, as long as writing it takes.
    #[inline]
    #[track_caller]
    #[doc(alias = "recv")]
    #[doc(alias = "pop")]
    pub fn get(&self) -> T {
        match self.try_get() {
            Some(item) => item,
            None => wait_for_ever(&mut self.request(), Location::caller()),
        }
    }

    /// Takes the first item if there is one; never blocks.
    #[inline]
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Option<T> {
        self.shared.items.pop()
    }

    /// Takes the first item; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up. No item is lost, and a deadline that has passed still takes what is there.
    #[inline]
    #[track_caller]
    #[doc(alias = "recv_timeout")]
    pub fn get_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<T, GaveUp> {
        match self.try_get() {
            Some(item) => Ok(item),
            None => wait(&mut self.request(), &limit.into(), Location::caller()),
        }
    }

    /// Takes the first item without blocking a thread; for any runtime.
    ///
    /// Dropping the future gives up; no item is lost, and a wake-up that was meant for it goes to the
    /// next.
    #[track_caller]
    pub fn get_async(&self) -> impl Future<Output = T> {
        WaitFuture::new(self.request())
    }

    /// How many items are in it; exact at some instant during the call.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.shared.items.len()
    }

    /// Is nothing in it? Exact at some instant during the call.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        // Not the storage's own, which may say no for an instant after the last item of a block has left.
        self.len() == 0
    }

    /// Takes items until there is none; never blocks. It may go on for as long as others put.
    ///
    /// There is no iterator that waits, since nothing would ever end it: that is
    /// `std::iter::repeat_with(|| queue.get())`.
    ///
    /// ```
    /// let queue = latchwork::queue::SimpleQueue::new();
    /// (1..=3).for_each(|n| queue.put(n));
    /// assert!(queue.try_iter().eq([1, 2, 3]));
    /// ```
    pub fn try_iter(&self) -> SimpleTryIter<'_, T> {
        SimpleTryIter { queue: self }
    }

    /// Takes as many items as are in it now, first one first; never blocks, and comes to an end even while
    /// others put.
    ///
    /// They are taken one by one, so what others get meanwhile is missing between them.
    ///
    /// ```
    /// let queue = latchwork::queue::SimpleQueue::new();
    /// (1..=3).for_each(|n| queue.put(n));
    /// assert_eq!(queue.drain(), [1, 2, 3]);
    /// assert!(queue.is_empty());
    /// ```
    #[must_use = "these are the items that nobody else will get"]
    pub fn drain(&self) -> Vec<T> {
        self.try_iter().take(self.len()).collect()
    }

    /// What a get wants.
    pub(crate) fn request(&self) -> impl Request<Output = T> {
        GetRequest {
            shared: &self.shared,
        }
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> SimpleQueue<T> {
        SimpleQueue {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Default for SimpleQueue<T> {
    fn default() -> SimpleQueue<T> {
        SimpleQueue::new()
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue")
            .field("len", &self.len())
            .finish()
    }
}

/// Takes items until there is none. From [`SimpleQueue::try_iter`].
pub struct SimpleTryIter<'a, T> {
    queue: &'a SimpleQueue<T>,
}

impl<T> fmt::Debug for SimpleTryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimpleTryIter").field(self.queue).finish()
    }
}

impl<T> Iterator for SimpleTryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.try_get()
    }
}

impl<T> Shared<T> {
    fn address(&self) -> usize {
        ptr::from_ref(&self.getters).expose_provenance()
    }

    /// Calls a getter for an item that has been pushed, if one is parked: see the head of this file.
    #[inline]
    fn has_put(&self) {
        fence(Ordering::SeqCst);
        if self.getters.load(Ordering::Relaxed) != 0 {
            self.call_next();
        }
    }

    /// Calls the front getter to try again, unless the item it would come for has been taken. One that has
    /// given up is passed over.
    #[cold]
    fn call_next(&self) {
        lot::line(self.address(), |line| {
            while !self.items.is_empty() && !line.grant_front(0) && !line.is_empty() {}
            self.unmark_if_empty(line);
        });
    }

    fn unmark_if_empty(&self, line: &Line<'_>) {
        if line.is_empty() {
            self.getters.store(0, Ordering::Relaxed);
        }
    }
}

/// Items are dropped one by one: when a destructor panics, the storage's own drop goes on with the rest.
impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        while let Some(item) = self.items.pop() {
            drop(item);
        }
    }
}

/// Wants an item.
struct GetRequest<'a, T> {
    shared: &'a Shared<T>,
}

static GET: Kind = Kind {
    name: "SimpleQueue::get",
    owner: None,
};

impl<T> Request for GetRequest<'_, T> {
    type Output = T;
    const KIND: &'static Kind = &GET;

    fn address(&self) -> usize {
        self.shared.address()
    }

    fn attempt(&mut self) -> Option<T> {
        self.shared.items.pop()
    }

    fn crowded(&self) -> bool {
        self.shared.getters.load(Ordering::Relaxed) != 0
    }

    /// Marks first and looks second: see the head of this file.
    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        self.shared.getters.store(MARK, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.shared.items.is_empty() {
            return Some(0);
        }
        self.shared.unmark_if_empty(line);
        None
    }

    fn granted(&mut self, _token: usize) -> Option<T> {
        self.attempt()
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.shared.unmark_if_empty(line);
    }

    /// Called to get an item and not getting it: the next in line is called instead.
    fn decline(&mut self, _token: usize) {
        self.shared.call_next();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    /// A mark that stays would cost every put a bucket's lock.
    #[test]
    fn the_mark_goes_with_the_last_getter() {
        let queue = SimpleQueue::new();
        let word = || queue.shared.getters.load(Ordering::Relaxed);
        let mut context = Context::from_waker(Waker::noop());
        {
            let (mut first, mut second) = (pin!(queue.get_async()), pin!(queue.get_async()));
            assert!(first.as_mut().poll(&mut context).is_pending());
            assert!(second.as_mut().poll(&mut context).is_pending());
            assert_eq!(word(), MARK);
            queue.put(1);
            assert_eq!(word(), MARK, "one still waits");
            assert!(first.as_mut().poll(&mut context).is_ready());
            queue.put(2);
            assert_eq!(word(), 0, "called");
        }
        assert_eq!(queue.try_get(), Some(2));
        assert!(queue.get_within(Duration::from_millis(1)).is_err());
        assert_eq!(word(), 0, "gave up");
        queue.put(3);
        lot::line(queue.shared.address(), |line| {
            assert!(queue.request().enlist(line).is_none());
        });
        assert_eq!(word(), 0, "marked and saw that it need not wait");
    }
}
