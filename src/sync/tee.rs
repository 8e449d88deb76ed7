//! [`tee`]: one iterator, read by many, each of whom sees all of it.
//!
//! What the quickest has read and the slowest has not lies in a buffer, under a [`Lock`] that nothing of the
//! user's runs in. Whoever wants the next item takes the iterator out and advances it with nothing locked, so
//! that the others can read on in the buffer; those who want the same item wait for it ([`Condition`]).
//!
//! The invariants: an item is in the buffer as long as somebody has still to read it, and the iterator is
//! advanced only by a reader who is at the end of the buffer, so what it makes is that reader's next item.

use super::shared_iter::NextError;
use super::{Condition, Lock};
use crate::panic::{Panicked, catch, contain};
use crate::platform::thread_id;
use crate::{GaveUp, Limit};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;

/// Splits an iterator into `n` readers, each of which sees every item, from any thread and at its own pace.
///
/// The items that the quickest reader has had and the slowest has not are kept, however many they are; a
/// reader that is dropped keeps nothing back. An item is cloned for all but the last to read it. A reader may
/// be cloned, too: the clone goes on where the reader is.
///
/// The iterator runs in the thread of whichever reader is the first to want an item; those who want the same
/// one wait.
///
/// # Panics of the iterator
///
/// Everybody is told, after the items that were made before it: the faces with errors say
/// [`NextError::Panicked`], [`Iterator::next`] panics. A reader that is advanced by the iterator it reads gets
/// [`NextError::Reentrant`], or a panic from `next`, unless there is something in the buffer for it.
///
/// # Cost
///
/// Each item is an allocation and, for each reader, a lock; `n` readers are looked at when the slowest moves.
///
/// # Source
///
/// Python's [`itertools.tee`](https://docs.python.org/3/library/itertools.html#itertools.tee) and
/// [`threading.concurrent_tee`](https://docs.python.org/3.15/library/threading.html).
///
/// ```
/// use latchwork::sync::tee;
///
/// let words = "to be or not to be".split(' ');
/// let mut readers = tee(words, 2).into_iter();
/// let (count, length) = (readers.next().unwrap(), readers.next().unwrap());
/// std::thread::scope(|s| {
///     let count = s.spawn(|| count.count());
///     assert_eq!(length.map(str::len).sum::<usize>(), 13);
///     assert_eq!(count.join().unwrap(), 6);
/// });
/// ```
#[doc(alias = "concurrent_tee")]
pub fn tee<I: IntoIterator>(iter: I, n: usize) -> Vec<Tee<I::IntoIter>> {
    let shared = Arc::new(Shared {
        state: Lock::new(State {
            buffer: VecDeque::new(),
            first: 0,
            readers: vec![Some(0); n],
            source: Source::Idle(iter.into_iter()),
        }),
        changed: Condition::new(),
    });
    let tee = |reader| Tee {
        shared: Arc::clone(&shared),
        reader,
    };
    (0..n).map(tee).collect()
}

/// One of the readers of an iterator. From [`tee`].
pub struct Tee<I: Iterator> {
    shared: Arc<Shared<I>>,
    /// Its place among the readers.
    reader: usize,
}

struct Shared<I: Iterator> {
    state: Lock<State<I>>,
    /// There is another item, or the end.
    changed: Condition,
}

struct State<I: Iterator> {
    buffer: VecDeque<Arc<I::Item>>,
    /// The number of the first item in the buffer.
    first: u64,
    /// The number of the item that each reader reads next; `None` where there is no reader any more.
    readers: Vec<Option<u64>>,
    source: Source<I>,
}

enum Source<I> {
    Idle(I),
    /// A reader in this thread has taken it out to advance it.
    Advancing(u32),
    Ended(Option<Panicked>),
}

/// What a reader is to do.
enum Step<I: Iterator> {
    Take(Arc<I::Item>),
    Advance(I),
    Wait,
    Stop(Result<(), NextError>),
}

impl<I: Iterator> State<I> {
    fn step(&mut self, reader: usize) -> Step<I> {
        let number = self.readers[reader].expect("a reader has its place as long as it lives");
        if let Some(item) = self.buffer.get((number - self.first) as usize) {
            let item = Arc::clone(item);
            self.readers[reader] = Some(number + 1);
            // At most this one item, which the reader has a share of.
            self.forget_what_all_have_read().for_each(drop);
            return Step::Take(item);
        }
        match &self.source {
            Source::Idle(_) => {
                match std::mem::replace(&mut self.source, Source::Advancing(thread_id())) {
                    Source::Idle(iter) => Step::Advance(iter),
                    _ => unreachable!("it was idle"),
                }
            }
            Source::Advancing(by) if *by == thread_id() => Step::Stop(Err(NextError::Reentrant)),
            Source::Advancing(_) => Step::Wait,
            Source::Ended(None) => Step::Stop(Ok(())),
            Source::Ended(Some(panic)) => Step::Stop(Err(NextError::Panicked(panic.clone()))),
        }
    }

    fn is_to_wait(&self, reader: usize) -> bool {
        let next = self.first + self.buffer.len() as u64;
        self.readers[reader] == Some(next) && matches!(self.source, Source::Advancing(_))
    }

    fn forget_what_all_have_read(&mut self) -> impl Iterator<Item = Arc<I::Item>> {
        let end = self.first + self.buffer.len() as u64;
        let slowest = self.readers.iter().flatten().min().copied().unwrap_or(end);
        let read = (slowest - self.first) as usize;
        self.first = slowest;
        self.buffer.drain(..read)
    }
}

impl<I: Iterator> Shared<I> {
    /// Advances the iterator, puts what it makes into the buffer, and takes the reader's next step.
    fn advance(&self, mut iter: I, reader: usize) -> (Step<I>, Option<I>) {
        let outcome = catch(|| iter.next());
        let mut state = self.state.lock();
        let over;
        (state.source, over) = match outcome {
            Ok(Some(item)) => {
                state.buffer.push_back(Arc::new(item));
                (Source::Idle(iter), None)
            }
            Ok(None) => (Source::Ended(None), Some(iter)),
            Err(panic) => (Source::Ended(Some(panic)), Some(iter)),
        };
        let step = state.step(reader);
        drop(state);
        self.changed.notify_all();
        (step, over)
    }
}

/// What came of a step: an item to be cloned, or the end; and whether it was this thread where it panicked.
struct Outcome<T> {
    item: Result<Option<Arc<T>>, NextError>,
    panics_here: bool,
}

impl<I: Iterator<Item: Clone>> Tee<I> {
    /// The next item, or `None` at the end, unless somebody else is making it; never waits for others.
    ///
    /// # Errors
    ///
    /// `Busy`, `Reentrant`, `Panicked`.
    pub fn try_next(&mut self) -> Result<Option<I::Item>, NextError> {
        let step = self.shared.state.lock().step(self.reader);
        match step {
            Step::Wait => Err(NextError::Busy),
            step => self.finish(step).item.map(own),
        }
    }

    /// The next item, or `None` at the end. Waits at most as long as `limit` says for another who is making
    /// it; how long it takes to make it here is the iterator's affair.
    ///
    /// # Errors
    ///
    /// `GaveUp`, and no item is lost; `Reentrant`, `Panicked`.
    #[track_caller]
    pub fn next_within<'l>(
        &mut self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Option<I::Item>, NextError> {
        let outcome = self.outcome(&limit.into()).map_err(NextError::GaveUp)?;
        outcome.item.map(own)
    }

    /// The next item, or `None` at the end, without blocking a thread while another is making it. A future
    /// that is dropped takes no item.
    ///
    /// # Errors
    ///
    /// `Reentrant`, `Panicked`.
    #[track_caller]
    pub fn next_async(&mut self) -> impl Future<Output = Result<Option<I::Item>, NextError>> {
        let this = &*self;
        let locked = this.shared.state.lock_async();
        async move {
            let mut state = locked.await;
            loop {
                match state.step(this.reader) {
                    Step::Wait => state = this.shared.changed.wait_async(state).await,
                    step => {
                        drop(state);
                        return this.finish(step).item.map(own);
                    }
                }
            }
        }
    }

    #[track_caller]
    fn outcome(&self, limit: &Limit<'_>) -> Result<Outcome<I::Item>, GaveUp> {
        let mut state = self.shared.state.lock();
        loop {
            match state.step(self.reader) {
                Step::Wait => {
                    let waits = |state: &mut State<I>| state.is_to_wait(self.reader);
                    self.shared
                        .changed
                        .wait_while_within(&mut state, waits, *limit)?;
                }
                step => {
                    drop(state);
                    return Ok(self.finish(step));
                }
            }
        }
    }

    /// Does what need not wait.
    fn finish(&self, step: Step<I>) -> Outcome<I::Item> {
        let (step, over, panics_here) = match step {
            Step::Advance(iter) => {
                let (step, over) = self.shared.advance(iter, self.reader);
                let panics_here = matches!(step, Step::Stop(Err(_)));
                (step, over, panics_here)
            }
            step => (step, None, false),
        };
        let item = match step {
            Step::Take(item) => Ok(Some(item)),
            Step::Stop(end) => end.map(|()| None),
            Step::Advance(_) | Step::Wait => {
                unreachable!("who has advanced finds an item, or an end")
            }
        };
        if panics_here {
            contain(|| drop(over));
        }
        Outcome { item, panics_here }
    }
}

/// The item itself for the last who has read it.
fn own<T: Clone>(item: Option<Arc<T>>) -> Option<T> {
    item.map(Arc::unwrap_or_clone)
}

impl<I: Iterator<Item: Clone>> Iterator for Tee<I> {
    type Item = I::Item;

    /// # Panics
    ///
    /// If the iterator has panicked, and if this is called by it.
    #[track_caller]
    fn next(&mut self) -> Option<I::Item> {
        let Ok(outcome) = self.outcome(&Limit::none()) else {
            unreachable!("a wait without a limit gave up");
        };
        match outcome.item {
            Ok(item) => own(item),
            // The hook has had it already.
            Err(NextError::Panicked(panic)) if outcome.panics_here => {
                resume_unwind(Box::new(panic.message))
            }
            Err(why) => panic!("{why}"),
        }
    }
}

impl<I: Iterator> Clone for Tee<I> {
    /// Another reader, which goes on where this one is.
    fn clone(&self) -> Tee<I> {
        let mut state = self.shared.state.lock();
        let next = state.readers[self.reader];
        let reader = match state.readers.iter().position(Option::is_none) {
            Some(free) => {
                state.readers[free] = next;
                free
            }
            None => {
                state.readers.push(next);
                state.readers.len() - 1
            }
        };
        Tee {
            shared: Arc::clone(&self.shared),
            reader,
        }
    }
}

impl<I: Iterator> Drop for Tee<I> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.readers[self.reader] = None;
        let nobodys: Vec<_> = state.forget_what_all_have_read().collect();
        drop(state);
        // The user's drops run without the lock.
        drop(nobodys);
    }
}

impl<I: Iterator> fmt::Debug for Tee<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (buffered, has_ended) = {
            let state = self.shared.state.lock();
            let end = state.first + state.buffer.len() as u64;
            let next = state.readers[self.reader].unwrap_or(end);
            (end - next, matches!(state.source, Source::Ended(_)))
        };
        // What is written to is the user's, and may want the lock.
        f.debug_struct("Tee")
            .field("buffered", &buffered)
            .field("has_ended", &has_ended)
            .finish()
    }
}
