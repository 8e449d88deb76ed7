//! [`SharedIter`]: one iterator, advanced by many threads, each item going to one of them.
//!
//! The iterator lies in a [`Lock`] and is advanced with the lock held, which is what the callers of one
//! iterator want from each other: turns. The invariant: whoever has advanced it to its end, or into a panic,
//! has taken it out, so nobody advances it again.

use super::lock::{Holder, Lock, LockGuard};
use crate::panic::{Panicked, catch, contain};
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::{Mutex, thread_id};
use crate::{GaveUp, Limit};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;

/// An iterator that many threads advance: each item goes to one of them.
///
/// A shared reference is the iterator: `for item in &shared` in every thread. The inner iterator runs in
/// whichever thread comes, one at a time, under a lock; what it does not do fast, the others wait for.
/// When it has ended it is dropped, and it stays ended.
///
/// # Panics of the inner iterator
///
/// The iterator has ended then, for everybody, since it cannot be known to be whole; nobody hangs. The faces
/// with errors say [`NextError::Panicked`] from then on. [`Iterator::next`] goes on with the panic in the
/// thread that was advancing the iterator (the payload is the message), and is `None` for the others, who can
/// tell it from a real end by [`panicked`](SharedIter::panicked).
///
/// An inner iterator that advances the `SharedIter` it is in would wait for itself; it gets
/// [`NextError::Reentrant`], or a panic from [`Iterator::next`], which has no errors to give.
///
/// # Fairness
///
/// That of [`Lock`].
///
/// # Cost
///
/// A lock and its release for each item. For items that are cheap to make and to be worked on by many
/// threads, let the items be chunks.
///
/// # Source
///
/// Python's [`threading.serialize_iterator`](https://docs.python.org/3.15/library/threading.html) and
/// `synchronized_iterator`.
///
/// ```
/// use latchwork::sync::SharedIter;
///
/// let numbers = SharedIter::new(1..=100);
/// let sum: i32 = std::thread::scope(|s| {
///     let threads = [(); 4].map(|()| s.spawn(|| numbers.iter().sum::<i32>()));
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum()
/// });
/// assert_eq!(sum, 5050);
/// ```
#[doc(alias = "serialize_iterator")]
#[doc(alias = "synchronized_iterator")]
pub struct SharedIter<I> {
    inner: Lock<Option<I>>,
    /// The thread that is advancing it, or 0. Written with the lock held; a thread that finds itself here
    /// has written it.
    advancing: AtomicU32,
    panicked: Mutex<Option<Panicked>>,
}

/// What came of a turn.
enum Turn<T> {
    Item(Option<T>),
    /// It has just panicked in this thread.
    Panics(Panicked),
    HasPanicked(Panicked),
}

impl<T> Turn<T> {
    fn or_error(self) -> Result<Option<T>, NextError> {
        match self {
            Turn::Item(item) => Ok(item),
            Turn::Panics(panic) | Turn::HasPanicked(panic) => Err(NextError::Panicked(panic)),
        }
    }
}

impl<I: Iterator> SharedIter<I> {
    /// Shares an iterator.
    pub fn new(iter: impl IntoIterator<IntoIter = I>) -> SharedIter<I> {
        SharedIter {
            inner: Lock::new(Some(iter.into_iter())),
            advancing: AtomicU32::new(0),
            panicked: Mutex::new(None),
        }
    }

    /// The iterator, as an object of its own: a shared reference.
    pub fn iter(&self) -> &SharedIter<I> {
        self
    }

    /// The next item, or `None` at the end, if nobody else is advancing the iterator; never waits for
    /// others.
    ///
    /// # Errors
    ///
    /// `Busy`, `Reentrant`, `Panicked`.
    pub fn try_next(&self) -> Result<Option<I::Item>, NextError> {
        self.refuse_reentry()?;
        let inner = self.inner.try_lock().ok_or(NextError::Busy)?;
        self.advance(inner).or_error()
    }

    /// The next item, or `None` at the end. Waits at most as long as `limit` says for those who are
    /// advancing the iterator; how long it takes to make the item is the inner iterator's affair.
    ///
    /// # Errors
    ///
    /// `GaveUp`, and no item is lost; `Reentrant`, `Panicked`.
    #[track_caller]
    pub fn next_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Option<I::Item>, NextError> {
        self.turn(&limit.into())?.or_error()
    }

    /// The next item, or `None` at the end, without blocking a thread while others are advancing the
    /// iterator. A future that is dropped takes no item.
    ///
    /// # Errors
    ///
    /// `Reentrant`, `Panicked`.
    #[track_caller]
    pub fn next_async(&self) -> impl Future<Output = Result<Option<I::Item>, NextError>> {
        let turn = self.inner.lock_async();
        async move {
            self.refuse_reentry()?;
            let inner = turn.await;
            self.advance(inner).or_error()
        }
    }

    #[track_caller]
    fn turn(&self, limit: &Limit<'_>) -> Result<Turn<I::Item>, NextError> {
        self.refuse_reentry()?;
        let inner = self.inner.lock_within(*limit).map_err(NextError::GaveUp)?;
        Ok(self.advance(inner))
    }

    fn refuse_reentry(&self) -> Result<(), NextError> {
        // Relaxed: only this thread writes its own id, and takes it back.
        if self.advancing.load(Ordering::Relaxed) == thread_id() {
            return Err(NextError::Reentrant);
        }
        Ok(())
    }

    fn advance<H: Holder>(&self, mut inner: LockGuard<'_, Option<I>, H>) -> Turn<I::Item> {
        let Some(iter) = inner.as_mut() else {
            return match self.panicked() {
                Some(panic) => Turn::HasPanicked(panic),
                None => Turn::Item(None),
            };
        };
        self.advancing.store(thread_id(), Ordering::Relaxed);
        let outcome = catch(|| iter.next());
        self.advancing.store(0, Ordering::Relaxed);
        let turn = match outcome {
            Ok(Some(item)) => return Turn::Item(Some(item)),
            Ok(None) => Turn::Item(None),
            Err(panic) => {
                *self.panicked.lock() = Some(panic.clone());
                Turn::Panics(panic)
            }
        };
        // Dropped without the lock: its drop is the user's, and may want it.
        let over = inner.take();
        drop(inner);
        match turn {
            Turn::Panics(_) => contain(|| drop(over)),
            _ => drop(over),
        }
        turn
    }
}

impl<I> SharedIter<I> {
    /// The panic that has ended the iterator, if one has.
    pub fn panicked(&self) -> Option<Panicked> {
        self.panicked.lock().clone()
    }

    /// The inner iterator, if it has not ended.
    pub fn into_inner(self) -> Option<I> {
        self.inner.into_inner()
    }
}

impl<I: Iterator> Iterator for &SharedIter<I> {
    type Item = I::Item;

    /// # Panics
    ///
    /// If the inner iterator does, and if this is called by it.
    #[track_caller]
    fn next(&mut self) -> Option<I::Item> {
        match self.turn(&Limit::none()) {
            Ok(Turn::Item(item)) => item,
            Ok(Turn::HasPanicked(_)) => None,
            // The hook has had it already.
            Ok(Turn::Panics(panic)) => resume_unwind(Box::new(panic.message)),
            Err(why) => panic!("{why}"),
        }
    }
}

impl<I> fmt::Debug for SharedIter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is written to is the user's, and may want the lock.
        let has_ended = self.inner.try_lock().map(|inner| inner.is_none());
        let mut out = f.debug_struct("SharedIter");
        match has_ended {
            Some(has_ended) => out.field("has_ended", &has_ended),
            None => out.field("is_advancing", &true),
        };
        out.field("panicked", &self.panicked()).finish()
    }
}

/// Why there is no answer from a shared iterator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextError {
    /// Somebody else is advancing it.
    Busy,
    /// The limit was reached while others were advancing it.
    GaveUp(GaveUp),
    /// The inner iterator asks for what it is itself to make.
    Reentrant,
    /// The inner iterator has panicked: there is no more.
    Panicked(Panicked),
}

impl fmt::Display for NextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextError::Busy => f.write_str("somebody else is advancing the iterator"),
            NextError::GaveUp(why) => why.fmt(f),
            NextError::Reentrant => f.write_str("an iterator wants the item that it is making"),
            NextError::Panicked(panic) => write!(f, "the iterator has ended: {panic}"),
        }
    }
}

impl Error for NextError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            NextError::GaveUp(why) => Some(why),
            _ => None,
        }
    }
}
