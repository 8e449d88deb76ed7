//! [`Shared`]: what those have in common who work on one [`parallel`](super::parallel()): items to do, and who does them.
//!
//! Items wait in the order of the input. A runner is a task that takes batches until there are none; each one that finds more to do
//! than it takes has the next one started, so that the caller wakes one thread and not all. Who works holds a slot, of which there
//! are as many as jobs; a runner that has not begun holds one, too, and loses it to whoever cancels it.

use crate::executor::{Handed, Home};
use crate::panic::{Panicked, catch, contain};
use crate::platform::yield_now;
use crate::queue::Queue;
use crate::sync::Lock;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// See the head of this file.
pub(super) struct Shared<T, R, F> {
    f: F,
    home: Home,
    jobs: usize,
    /// How long a batch is to take; nothing for a fixed size.
    target: Option<Duration>,
    /// Items in a batch.
    size: AtomicUsize,
    /// Nothing is begun any more.
    is_over: AtomicBool,
    /// The pool takes no task any more.
    is_refused: AtomicBool,
    /// Does the first panic end it?
    fails_fast: bool,
    work: Lock<Work<T>>,
    pub(super) ended: Queue<Ended<R>>,
}

struct Work<T> {
    waiting: VecDeque<T>,
    /// The number of the first of them.
    first: usize,
    /// Slots that are taken.
    running: usize,
    /// Those that may not have ended.
    runners: Vec<Handed>,
    /// The batches that are being worked on, and since when.
    begun: Vec<(usize, Instant)>,
}

/// A batch that has ended. If it was stopped there are fewer results than items.
pub(super) struct Ended<R> {
    pub(super) first: usize,
    pub(super) results: Vec<Result<R, Panicked>>,
}

impl<T: Send, R: Send, F: Fn(T) -> R + Send + Sync> Shared<T, R, F> {
    pub(super) fn new(
        f: F,
        home: Home,
        jobs: usize,
        size: usize,
        target: Option<Duration>,
        fails_fast: bool,
    ) -> Shared<T, R, F> {
        Shared {
            f,
            home,
            jobs,
            target,
            size: AtomicUsize::new(size),
            is_over: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            fails_fast,
            work: Lock::new(Work {
                waiting: VecDeque::new(),
                first: 0,
                running: 0,
                runners: Vec::new(),
                begun: Vec::new(),
            }),
            ended: Queue::unbounded(),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    /// More to do.
    pub(super) fn enter(&self, items: &mut Vec<T>) {
        self.work.lock().waiting.extend(items.drain(..));
    }

    /// Has one more runner started, if there is something for it and a slot.
    ///
    /// # Safety
    ///
    /// What the types borrow stands until `stop` and `wait_for_runners` have returned.
    pub(super) unsafe fn start_one(self: &Arc<Self>) {
        let mut work = self.work.lock();
        let has_slot = work.running < self.jobs && !self.is_refused();
        if self.is_over() || work.waiting.is_empty() || !has_slot {
            return;
        }
        let slot = Slot(Some(Arc::clone(self)));
        let run = Box::new(move || {
            if let Some(shared) = slot.take() {
                // SAFETY: by the promise to whoever has started this one.
                while unsafe { shared.work_once(true) } {}
            }
        });
        work.runners.retain(|runner| !runner.is_done());
        work.running += 1;
        drop(work);
        // With nothing locked: a refused runner gives its slot up.
        // SAFETY: by the caller's promise.
        match unsafe { self.home.hand(run) } {
            Some(runner) => self.work.lock().runners.push(runner),
            None => self.is_refused.store(true, Ordering::Relaxed),
        }
    }

    /// The caller works on one batch, if there is one, and a slot. False if not.
    ///
    /// # Safety
    ///
    /// As for `start_one`.
    pub(super) unsafe fn help(self: &Arc<Self>) -> bool {
        let mut work = loop {
            let mut work = self.work.lock();
            if work.waiting.is_empty() || self.is_over() {
                return false;
            }
            if work.running < self.jobs {
                break work;
            }
            let mut runners = mem::take(&mut work.runners);
            drop(work);
            // With nothing locked: it gives its slot up.
            let cancelled = runners.iter().rposition(Handed::cancel);
            if let Some(runner) = cancelled {
                runners.swap_remove(runner);
            }
            self.work.lock().runners.append(&mut runners);
            if cancelled.is_none() {
                return false;
            }
        };
        work.running += 1;
        drop(work);
        // SAFETY: by the caller's promise.
        if unsafe { self.work_once(false) } {
            self.work.lock().running -= 1;
        }
        true
    }

    /// Takes a batch and does it. If there is none, gives the slot up and returns false.
    ///
    /// # Safety
    ///
    /// As for `start_one`.
    unsafe fn work_once(self: &Arc<Self>, is_runner: bool) -> bool {
        let (first, batch, is_more) = {
            let mut work = self.work.lock();
            let size = self.size().min(work.waiting.len());
            if size == 0 || self.is_over() {
                work.running -= 1;
                return false;
            }
            let batch: Vec<T> = work.waiting.drain(..size).collect();
            let first = work.first;
            work.first += size;
            work.begun.push((first, Instant::now()));
            (first, batch, !work.waiting.is_empty())
        };
        if is_more && is_runner {
            // SAFETY: by the caller's promise. Who cannot be started is not missed: this one goes on.
            unsafe { self.start_one() };
        }
        let size = batch.len();
        let start = Instant::now();
        let mut results = Vec::with_capacity(size);
        let mut items = batch.into_iter();
        while !self.is_over()
            && let Some(item) = items.next()
        {
            let result = catch(|| (self.f)(item));
            if result.is_err() && self.fails_fast {
                self.is_over.store(true, Ordering::Relaxed);
            }
            results.push(result);
        }
        // The caller waits for what is told below, whatever these do as they are dropped.
        contain(|| drop(items));
        if let Some(target) = self.target
            && results.len() == size
        {
            self.learn(size, start.elapsed(), target);
        }
        self.work.lock().begun.retain(|begun| begun.0 != first);
        // Never refused: nobody shuts it down, and it has no bound.
        let _ = self.ended.put(Ended { first, results });
        true
    }

    /// The next batches take as long as they should, if items stay as they are.
    fn learn(&self, size: usize, took: Duration, target: Duration) {
        let one = (took.as_nanos() / size as u128).max(1);
        let new = usize::try_from(target.as_nanos() / one).unwrap_or(usize::MAX);
        self.size.store(new.clamp(1, 1 << 20), Ordering::Relaxed);
    }

    /// The batch that was begun first of those that are being worked on.
    pub(super) fn oldest(&self) -> Option<(usize, Instant)> {
        let work = self.work.lock();
        work.begun.iter().copied().min_by_key(|begun| begun.1)
    }

    /// Nothing is begun any more; what waits is dropped. Does not unwind: whoever calls this has then to wait.
    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        let (waiting, mut runners) = {
            let mut work = self.work.lock();
            (mem::take(&mut work.waiting), mem::take(&mut work.runners))
        };
        contain(|| drop(waiting));
        runners.retain(|runner| !runner.cancel());
        self.work.lock().runners.append(&mut runners);
    }

    /// After `stop`: returns when nobody else has anything of this any more.
    pub(super) fn wait_for_runners(self: &mut Arc<Self>) {
        // Else there is nobody else.
        while !self.home.is_left_behind() {
            let runner = self.work.lock().runners.pop();
            match runner {
                Some(runner) => runner.end(),
                // One that is just being started, or that its pool cancels, has it for another moment.
                None if Arc::get_mut(self).is_none() => yield_now(),
                None => return,
            }
        }
    }
}

/// What a runner has before it begins. If it never does, it gives its slot up.
struct Slot<T: Send, R: Send, F: Fn(T) -> R + Send + Sync>(Option<Arc<Shared<T, R, F>>>);

impl<T: Send, R: Send, F: Fn(T) -> R + Send + Sync> Slot<T, R, F> {
    fn take(mut self) -> Option<Arc<Shared<T, R, F>>> {
        self.0.take()
    }
}

impl<T: Send, R: Send, F: Fn(T) -> R + Send + Sync> Drop for Slot<T, R, F> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.work.lock().running -= 1;
            // The caller looks who is to go on.
            let _ = shared.ended.put(Ended {
                first: 0,
                results: Vec::new(),
            });
        }
    }
}
