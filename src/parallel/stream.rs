//! [`Window`]: the caller's side of a [`parallel`](super::parallel()): it feeds the items, and takes what has been done.
//!
//! Invariant: an item that was taken from the input is waiting, being worked on, or given out as done; so many at most are
//! taken and not given out. [`Stream`] makes an iterator of it.

use super::joblib::Settings;
use super::settings::{Batch, ParallelError, Progress};
use super::shared::{Ended, Shared};
use crate::executor::Home;
use crate::panic::Panicked;
use crate::queue::GetError;
use crate::{GaveUp, Limit};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::mem;
use std::sync::Arc;
use std::time::Instant;

type Done<R> = (usize, Result<R, ParallelError>);

/// See the head of this file.
pub(super) struct Window<'p, I: Iterator, R: Send, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
    items: Fuse<I>,
    shared: Arc<Shared<I::Item, R, F>>,
    settings: Settings<'p>,
    home: Home,
    jobs: usize,
    /// The input has no more.
    is_exhausted: bool,
    taken: usize,
    given: usize,
    /// The items that have no result yet, to name the first.
    done: Ahead,
    ready: VecDeque<Done<R>>,
    spare: Vec<I::Item>,
    /// A panic has been received.
    has_failed: bool,
    /// Nothing comes any more.
    is_over: bool,
    /// Is it to wait for what runs, since that may have borrowed?
    borrows: bool,
    batches: usize,
    total: Option<usize>,
    start: Instant,
}

impl<'p, I: Iterator, R: Send, F> Window<'p, I, R, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
    /// # Safety
    ///
    /// Nothing is borrowed, or `borrows` is true and it is dropped before what is borrowed ends.
    pub(super) unsafe fn new(items: I, f: F, settings: Settings<'p>, borrows: bool) -> Self {
        let home = settings.home();
        let jobs = settings.jobs.resolve();
        let (size, target) = match settings.batch {
            _ if settings.item_limit.is_some() => (1, None),
            // A plain loop has no use for batches.
            _ if jobs == 1 => (1, None),
            Batch::Auto { target } => (1, Some(target)),
            Batch::N(n) => (n.max(1), None),
        };
        let fails_fast = settings.fails_fast;
        let total = match items.size_hint() {
            (least, Some(most)) if least == most => Some(most),
            _ => None,
        };
        Window {
            items: items.fuse(),
            shared: Arc::new(Shared::new(f, home.clone(), jobs, size, target, fails_fast)),
            settings,
            home,
            jobs,
            is_exhausted: false,
            taken: 0,
            given: 0,
            done: Ahead::default(),
            ready: VecDeque::new(),
            spare: Vec::new(),
            has_failed: false,
            is_over: false,
            borrows,
            batches: 0,
            total,
            start: Instant::now(),
        }
    }

    /// Takes from the input what there is room for.
    fn feed(&mut self) {
        let most = self.settings.buffer.unwrap_or_else(|| match self.jobs {
            1 => 1,
            jobs => jobs.saturating_mul(2).saturating_mul(self.shared.size()),
        });
        while !self.is_exhausted && self.taken - self.given < most && !self.shared.is_over() {
            match self.items.next() {
                Some(item) => {
                    self.taken += 1;
                    self.spare.push(item);
                }
                None => self.is_exhausted = true,
            }
        }
        if !self.spare.is_empty() {
            self.shared.enter(&mut self.spare);
        }
        if self.jobs > 1 {
            // SAFETY: by the promise to `new`: the drop stops and waits.
            unsafe { self.shared.start_one() };
        }
    }

    /// Does the calling thread work, too?
    fn helps(&self) -> bool {
        let must = self.jobs == 1 || self.shared.is_refused() || self.home.is_here();
        let has_limit =
            !self.settings.limit.borrowed().is_none() || self.settings.item_limit.is_some();
        // While it works it feeds nobody; but the first item is a probe.
        let may = self.borrows && (self.is_exhausted || self.batches == 0);
        must || may && !has_limit
    }

    /// One more item with its result, or why there is no more.
    pub(super) fn next_done(&mut self) -> Option<Result<Done<R>, ParallelError>> {
        loop {
            if let Some(done) = self.ready.pop_front() {
                self.given += 1;
                return Some(Ok(done));
            }
            if self.is_over {
                return None;
            }
            self.feed();
            let has_ended = self.done.count() == self.taken;
            if has_ended && (self.is_exhausted || self.shared.is_over()) {
                self.is_over = true;
                return None;
            }
            match self.await_batch() {
                Ok(Some(ended)) => self.receive(ended),
                Ok(None) => {}
                Err(error) => {
                    self.is_over = true;
                    self.shared.stop();
                    return Some(Err(error));
                }
            }
        }
    }

    fn await_batch(&mut self) -> Result<Option<Ended<R>>, ParallelError> {
        let limit = self.settings.limit.borrowed();
        if let Err(why) = limit.check() {
            return Err(self.gave_up(why));
        }
        if let Ok(ended) = self.shared.ended.try_get() {
            return Ok(Some(ended));
        }
        // SAFETY: by the promise to `new`.
        if self.helps() && unsafe { self.shared.help() } {
            return Ok(self.shared.ended.try_get().ok());
        }
        assert!(
            !self.home.is_left_behind(),
            "the items that others worked on were left behind when the process was forked"
        );
        let Some(most) = self.settings.item_limit else {
            return match self.shared.ended.get_within(limit) {
                Ok(ended) => Ok(Some(ended)),
                Err(GetError::Cancelled) => Err(self.gave_up(GaveUp::Cancelled)),
                Err(_) => Err(self.gave_up(GaveUp::TimedOut)),
            };
        };
        let now = Instant::now();
        let (late, until) = match self.shared.oldest() {
            Some((index, begun)) => (Some(index), begun + most),
            // Nothing has begun, so nothing is late before that.
            None => (None, now + most),
        };
        if now >= until
            && let Some(index) = late
        {
            return Err(ParallelError::TooLong { index });
        }
        let until = limit
            .deadline()
            .map_or(until, |deadline| deadline.min(until));
        let limit = match limit.token() {
            Some(token) => Limit::until(token, Some(until)),
            None => Limit::from(until),
        };
        match self.shared.ended.get_within(limit) {
            Ok(ended) => Ok(Some(ended)),
            Err(GetError::Cancelled) => Err(self.gave_up(GaveUp::Cancelled)),
            // Whose time it was shows in the next look.
            Err(_) => Ok(None),
        }
    }

    fn gave_up(&self, why: GaveUp) -> ParallelError {
        ParallelError::GaveUp {
            index: self.done.first_missing(),
            why,
        }
    }

    fn receive(&mut self, ended: Ended<R>) {
        self.batches += usize::from(!ended.results.is_empty());
        self.has_failed |= ended.results.iter().any(Result::is_err);
        for (index, result) in (ended.first..).zip(ended.results) {
            let error = |panic: Panicked| ParallelError::Panicked { index, panic };
            self.done.add(index);
            self.ready.push_back((index, result.map_err(error)));
        }
        // Others may have ended between the panic and its being told, without which there would be a gap and no error.
        if self.has_failed && self.shared.is_over() {
            // What was begun is all that there will be; it is waited for by nobody but the drop.
            self.is_over = true;
            while let Ok(ended) = self.shared.ended.try_get() {
                self.receive(ended);
            }
        }
        if let Some(progress) = &mut self.settings.progress {
            progress(Progress {
                done: self.done.count(),
                batches: self.batches,
                total: self.total,
                elapsed: self.start.elapsed(),
            });
        }
    }
}

impl<I: Iterator, R: Send, F> Drop for Window<'_, I, R, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
    fn drop(&mut self) {
        self.shared.stop();
        if self.borrows {
            self.shared.wait_for_runners();
        }
    }
}

/// Numbers from 0 on, which come in any order.
#[derive(Default)]
struct Ahead {
    /// All below have come.
    first_missing: usize,
    /// What has come beyond.
    beyond: BTreeMap<usize, ()>,
}

impl Ahead {
    fn add(&mut self, number: usize) {
        self.beyond.insert(number, ());
        while self.beyond.remove(&self.first_missing).is_some() {
            self.first_missing += 1;
        }
    }

    fn first_missing(&self) -> usize {
        self.first_missing
    }

    fn count(&self) -> usize {
        self.first_missing + self.beyond.len()
    }
}

/// Results as they come, or in the order of the items.
#[must_use = "iterators are lazy"]
pub struct Stream<'p, I: Iterator, R: Send, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
    window: Window<'p, I, R, F>,
    is_ordered: bool,
    next: usize,
    /// What came before its turn.
    early: BTreeMap<usize, Result<R, ParallelError>>,
    is_over: bool,
}

impl<'p, I: Iterator, R: Send, F> Stream<'p, I, R, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
    pub(super) fn new(window: Window<'p, I, R, F>, is_ordered: bool) -> Self {
        Stream {
            window,
            is_ordered,
            next: 0,
            early: BTreeMap::new(),
            is_over: false,
        }
    }

    fn advance(&mut self) -> Option<Result<R, ParallelError>> {
        loop {
            if let Some(result) = self.early.remove(&self.next) {
                self.next += 1;
                self.window.given += 1;
                return Some(result);
            }
            match self.window.next_done() {
                Some(Ok((_, result))) if !self.is_ordered => return Some(result),
                Some(Ok((index, result))) => {
                    self.early.insert(index, result);
                    // It is given out when its turn comes.
                    self.window.given -= 1;
                }
                Some(Err(error)) => return Some(Err(error)),
                // What comes after a gap is not in order, but for the error that has made the gap.
                None => {
                    return mem::take(&mut self.early)
                        .into_values()
                        .find(Result::is_err);
                }
            }
        }
    }
}

impl<I: Iterator, R: Send, F> Iterator for Stream<'_, I, R, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
    type Item = Result<R, ParallelError>;

    fn next(&mut self) -> Option<Result<R, ParallelError>> {
        if self.is_over {
            return None;
        }
        let next = self.advance();
        self.is_over = match &next {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(ParallelError::Panicked { .. })) => self.window.settings.fails_fast,
            Some(Err(_)) => true,
        };
        next
    }
}

impl<I: Iterator, R: Send, F> FusedIterator for Stream<'_, I, R, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
}

impl<I: Iterator, R: Send, F> fmt::Debug for Stream<'_, I, R, F>
where
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("taken", &self.window.taken)
            .field("given", &self.window.given)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
