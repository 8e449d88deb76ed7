//! [`Queue`]: first in, first out, bounded or not, many producers and many consumers.
//!
//! The items and the shutdown flag are under one short mutex. Those who find it full or empty wait
//! in the lot, putters under one word and getters under another. A word is marked under the mutex
//! by a waiter that has just seen why it must wait, so whoever changes that under the mutex next
//! sees the mark. A wake-up is a call to try again; who tries again and fails goes to the front.
//!
//! Locks nest bucket, then mutex; nobody asks for a bucket with the mutex held.

use super::{GetError, PutError};
use crate::Shutdown;
use crate::platform::Mutex;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, WaitFuture, wait, wait_for_ever};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

/// Somebody is parked. Set under the bucket's lock and the mutex, cleared under the bucket's lock.
const MARK: usize = 1;

/// The most a bounded queue allocates for before it has items.
const PREALLOCATED: usize = 1024;

/// A first-in, first-out queue for any number of producers and consumers. Clones are handles to
/// the same queue.
///
/// # Shutting down
///
/// After [`shutdown`](Queue::shutdown) nothing can be put. With [`Shutdown::Drain`] what is in the
/// queue can still be got, then `get` fails with [`GetError::ShutDown`]; with
/// [`Shutdown::Immediate`] what is in the queue is handed to the caller. Everybody who waits is
/// woken either way. An item that was accepted is got by somebody or handed back; one that was
/// refused comes back in the error.
///
/// # Fairness
///
/// Items leave in the order in which they entered. Waiters are woken oldest first, one for each
/// item or free place; a newcomer may be quicker than the one who was woken, who then goes back to
/// the front of the line.
///
/// # Cost
///
/// One short mutex for each operation; no system call unless somebody sleeps. A put wakes at most
/// one getter, a get at most one putter.
///
/// # Source
///
/// Python's [`queue.Queue`](https://docs.python.org/3/library/queue.html). There, `maxsize=0` means
/// no bound; here that is [`Queue::unbounded`].
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
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    /// Where those wait who found nothing: 0 or MARK.
    getters: AtomicUsize,
    /// Where those wait who found no room.
    putters: AtomicUsize,
}

struct State<T> {
    items: VecDeque<T>,
    is_shut: bool,
}

impl<T> Queue<T> {
    /// A queue with room for `capacity` items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> Queue<T> {
        assert!(
            capacity > 0,
            "a bounded queue needs room for at least one item"
        );
        Queue::with_capacity(capacity, capacity.min(PREALLOCATED))
    }

    /// A queue that is never full: put never waits, memory is the bound.
    #[doc(alias = "maxsize")]
    pub fn unbounded() -> Queue<T> {
        Queue::with_capacity(usize::MAX, 0)
    }

    fn with_capacity(capacity: usize, preallocated: usize) -> Queue<T> {
        Queue {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    items: VecDeque::with_capacity(preallocated),
                    is_shut: false,
                }),
                capacity,
                getters: AtomicUsize::new(0),
                putters: AtomicUsize::new(0),
            }),
        }
    }

    /// Puts an item at the end; blocks while there is no room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`] with the item.
    #[track_caller]
    #[doc(alias = "send")]
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        let mut request = self.put_request(item);
        match request.attempt() {
            Some(done) => done,
            None => wait_for_ever(&mut request, Location::caller()),
        }
        .map_err(PutError::ShutDown)
    }

    /// Puts an item at the end if there is room; never blocks.
    ///
    /// # Errors
    ///
    /// `Full` or `ShutDown`, with the item.
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        let mut request = self.put_request(item);
        match request.attempt() {
            Some(done) => done.map_err(PutError::ShutDown),
            None => Err(PutError::Full(request.into_item())),
        }
    }

    /// Puts an item at the end; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// `TimedOut`, `Cancelled` or `ShutDown`, with the item.
    #[track_caller]
    #[doc(alias = "send_timeout")]
    pub fn put_within<'l>(&self, item: T, limit: impl Into<Limit<'l>>) -> Result<(), PutError<T>> {
        let mut request = self.put_request(item);
        let done = match request.attempt() {
            Some(done) => Ok(done),
            None => wait(&mut request, &limit.into(), Location::caller()),
        };
        match done {
            Ok(done) => done.map_err(PutError::ShutDown),
            Err(why) => Err(PutError::gave_up(why, request.into_item())),
        }
    }

    /// Puts an item at the end without blocking a thread.
    ///
    /// Dropping the future before it resolves drops the item: it has not been put.
    #[track_caller]
    pub fn put_async(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> {
        let waiting = WaitFuture::new(self.put_request(item));
        async move { waiting.await.map_err(PutError::ShutDown) }
    }

    /// Takes the first item; blocks while there is none.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`] when there is none and none will come.
    #[track_caller]
    #[doc(alias = "recv")]
    pub fn get(&self) -> Result<T, GetError> {
        let mut request = self.get_request();
        match request.attempt() {
            Some(done) => done,
            None => wait_for_ever(&mut request, Location::caller()),
        }
        .map_err(|ShutDown| GetError::ShutDown)
    }

    /// Takes the first item if there is one; never blocks.
    ///
    /// # Errors
    ///
    /// `Empty` or `ShutDown`.
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, GetError> {
        match self.get_request().attempt() {
            Some(done) => done.map_err(|ShutDown| GetError::ShutDown),
            None => Err(GetError::Empty),
        }
    }

    /// Takes the first item; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// `TimedOut`, `Cancelled` or `ShutDown`. No item is lost.
    #[track_caller]
    #[doc(alias = "recv_timeout")]
    pub fn get_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<T, GetError> {
        let mut request = self.get_request();
        let done = match request.attempt() {
            Some(done) => done,
            None => wait(&mut request, &limit.into(), Location::caller())?,
        };
        done.map_err(|ShutDown| GetError::ShutDown)
    }

    /// Takes the first item without blocking a thread. Dropping the future gives up; no item is lost.
    #[track_caller]
    pub fn get_async(&self) -> impl Future<Output = Result<T, GetError>> {
        let waiting = WaitFuture::new(self.get_request());
        async move { waiting.await.map_err(|ShutDown| GetError::ShutDown) }
    }

    /// Takes nothing more, wakes everybody who waits, and says what becomes of the items.
    ///
    /// With [`Shutdown::Drain`] they stay, to be got; the result is empty. With
    /// [`Shutdown::Immediate`] they are returned, first one first. It may be called again: the
    /// second kind after the first empties the queue.
    #[must_use = "with Shutdown::Immediate these are the items that nobody has got"]
    #[doc(alias = "close")]
    pub fn shutdown(&self, how: Shutdown) -> Vec<T> {
        let left = {
            let mut state = self.shared.state.lock();
            state.is_shut = true;
            match how {
                Shutdown::Drain => VecDeque::new(),
                Shutdown::Immediate => std::mem::take(&mut state.items),
            }
        };
        // Everybody looks again and finds out for themselves.
        for word in [&self.shared.getters, &self.shared.putters] {
            lot::line(address(word), |line| {
                line.grant_where(|_| Some(0));
                unmark_if_empty(word, line);
            });
        }
        left.into()
    }

    /// Has it been shut down?
    pub fn is_shutdown(&self) -> bool {
        self.shared.state.lock().is_shut
    }

    /// How many items are in it; exact at some instant during the call.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.shared.state.lock().items.len()
    }

    /// Is nothing in it?
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Would a put have to wait?
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.len() >= self.shared.capacity
    }

    /// How many items it has room for; `None` if there is no bound.
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        (self.shared.capacity != usize::MAX).then_some(self.shared.capacity)
    }

    /// Gets items, waiting for each, until the queue has been shut down and is empty.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { queue: self }
    }

    pub(crate) fn put_request(&self, item: T) -> PutRequest<'_, T> {
        PutRequest {
            shared: &self.shared,
            item: Some(item),
        }
    }

    pub(crate) fn get_request(&self) -> GetRequest<'_, T> {
        GetRequest {
            shared: &self.shared,
        }
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, is_shut) = {
            let state = self.shared.state.lock();
            (state.items.len(), state.is_shut)
        };
        f.debug_struct("Queue")
            .field("len", &len)
            .field("capacity", &self.capacity())
            .field("is_shutdown", &is_shut)
            .finish()
    }
}

/// Gets items until the queue has been shut down and is empty. From [`Queue::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.get().ok()
    }
}

impl<'a, T> IntoIterator for &'a Queue<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// Nothing there and nothing will come.
pub(crate) struct ShutDown;

fn address(word: &AtomicUsize) -> usize {
    ptr::from_ref(word).expose_provenance()
}

fn unmark_if_empty(word: &AtomicUsize, line: &Line<'_>) {
    if line.is_empty() {
        word.store(0, Ordering::Relaxed);
    }
}

/// Calls the front waiter of `word` to try again, if anybody is marked there.
///
/// Relaxed: a waiter marks the word under the queue's mutex, which the caller has held since.
fn call_next(word: &AtomicUsize) {
    if word.load(Ordering::Relaxed) != 0 {
        lot::line(address(word), |line| {
            while !line.grant_front(0) && !line.is_empty() {}
            unmark_if_empty(word, line);
        });
    }
}

/// Wants an item.
pub(crate) struct GetRequest<'a, T> {
    shared: &'a Shared<T>,
}

static GET: Kind = Kind {
    name: "Queue::get",
    owner: None,
};

impl<T> Request for GetRequest<'_, T> {
    type Output = Result<T, ShutDown>;
    const KIND: &'static Kind = &GET;

    fn address(&self) -> usize {
        address(&self.shared.getters)
    }

    fn attempt(&mut self) -> Option<Result<T, ShutDown>> {
        let mut state = self.shared.state.lock();
        match state.items.pop_front() {
            Some(item) => {
                drop(state);
                call_next(&self.shared.putters);
                Some(Ok(item))
            }
            None => state.is_shut.then_some(Err(ShutDown)),
        }
    }

    fn crowded(&self) -> bool {
        self.shared.getters.load(Ordering::Relaxed) != 0
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let state = self.shared.state.lock();
        if !state.items.is_empty() || state.is_shut {
            return None;
        }
        self.shared.getters.store(MARK, Ordering::Relaxed);
        Some(0)
    }

    fn granted(&mut self, _token: usize) -> Option<Result<T, ShutDown>> {
        self.attempt()
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        unmark_if_empty(&self.shared.getters, line);
    }

    /// Called to get an item and not getting it: the next in line is called instead.
    fn decline(&mut self, _token: usize) {
        call_next(&self.shared.getters);
    }
}

/// Wants to put its item.
pub(crate) struct PutRequest<'a, T> {
    shared: &'a Shared<T>,
    /// Gone once it has been put or given back.
    item: Option<T>,
}

// The item is moved, never pointed at.
impl<T> Unpin for PutRequest<'_, T> {}

impl<T> PutRequest<'_, T> {
    /// The item, if it is still here.
    pub(crate) fn take_item(&mut self) -> Option<T> {
        self.item.take()
    }

    fn into_item(self) -> T {
        self.item.expect("an item that was not put is still here")
    }
}

static PUT: Kind = Kind {
    name: "Queue::put",
    owner: None,
};

impl<T> Request for PutRequest<'_, T> {
    type Output = Result<(), T>;
    const KIND: &'static Kind = &PUT;

    fn address(&self) -> usize {
        address(&self.shared.putters)
    }

    fn attempt(&mut self) -> Option<Result<(), T>> {
        let mut state = self.shared.state.lock();
        if state.is_shut {
            return self.item.take().map(Err);
        }
        if state.items.len() >= self.shared.capacity {
            return None;
        }
        state.items.extend(self.item.take());
        drop(state);
        call_next(&self.shared.getters);
        Some(Ok(()))
    }

    fn crowded(&self) -> bool {
        self.shared.putters.load(Ordering::Relaxed) != 0
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let state = self.shared.state.lock();
        if state.items.len() < self.shared.capacity || state.is_shut {
            return None;
        }
        self.shared.putters.store(MARK, Ordering::Relaxed);
        Some(0)
    }

    fn granted(&mut self, _token: usize) -> Option<Result<(), T>> {
        self.attempt()
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        unmark_if_empty(&self.shared.putters, line);
    }

    /// Called to fill a free place and not filling it: the next in line is called instead.
    fn decline(&mut self, _token: usize) {
        call_next(&self.shared.putters);
    }
}
