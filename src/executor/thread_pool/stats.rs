//! [`Stats`]: what a pool has done, and what it is doing.
//!
//! Each worker has a [`Tally`] that it alone writes, with plain loads and stores; a reader adds them up. Invariant: under
//! the pool's lock a worker's tally is either in the list or has been added to the past.

use super::histogram::{Histogram, Times, add};
use super::{Pool, worker};
use crate::executor::task::Job;
use crate::platform::Moment;
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one worker has done. Not modelled: nothing depends on a count.
pub(super) struct Tally {
    ran: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    clocks: Option<Box<Clocks>>,
}

struct Clocks {
    wait: Histogram,
    run: Histogram,
    /// In tasks, without those that they ran while they waited; in nanoseconds.
    busy: AtomicU64,
    started: Moment,
    /// Of workers that have gone, in nanoseconds.
    lived: AtomicU64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Tally {
    pub(super) fn new(measures: bool) -> Tally {
        Tally {
            ran: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            clocks: measures.then(|| {
                Box::new(Clocks {
                    wait: Histogram::new(),
                    run: Histogram::new(),
                    busy: AtomicU64::new(0),
                    started: Moment::now(),
                    lived: AtomicU64::new(0),
                })
            }),
        }
    }

    #[inline]
    pub(super) fn ran(&self) {
        add(&self.ran, 1);
    }

    pub(super) fn failed(&self) {
        add(&self.failed, 1);
    }

    pub(super) fn cancelled(&self) {
        add(&self.cancelled, 1);
    }

    /// A task that had waited so long has run for so long, perhaps in the middle of another.
    pub(super) fn took(&self, wait: Duration, run: Duration, is_inner: bool) {
        let Some(clocks) = &self.clocks else { return };
        clocks.wait.note(wait);
        clocks.run.note(run);
        if !is_inner {
            add(&clocks.busy, nanos(run));
        }
    }

    fn merge(&self, other: &Tally) {
        let counters = [
            (&self.ran, &other.ran),
            (&self.failed, &other.failed),
            (&self.cancelled, &other.cancelled),
        ];
        for (mine, its) in counters {
            add(mine, its.load(Ordering::Relaxed));
        }
        if let (Some(mine), Some(its)) = (&self.clocks, &other.clocks) {
            mine.wait.merge(&its.wait);
            mine.run.merge(&its.run);
            add(&mine.busy, its.busy.load(Ordering::Relaxed));
        }
    }

    /// As `merge`, of a worker's.
    fn merge_life(&self, worker: &Tally) {
        self.merge(worker);
        if let (Some(mine), Some(its)) = (&self.clocks, &worker.clocks) {
            add(&mine.lived, nanos(its.started.elapsed()));
        }
    }
}

/// A worker's, on a line of its own.
pub(super) type WorkersTally = Arc<CachePadded<Tally>>;

/// All tallies of a pool, under its lock.
pub(super) struct Tallies {
    /// Of workers that have gone, and of what was done without one.
    pub(super) past: Tally,
    present: Vec<WorkersTally>,
}

impl Tallies {
    pub(super) fn new(measures: bool) -> Tallies {
        Tallies {
            past: Tally::new(measures),
            present: Vec::new(),
        }
    }

    /// A worker begins.
    pub(super) fn enter(&mut self, measures: bool) -> WorkersTally {
        let tally = Arc::new(CachePadded::new(Tally::new(measures)));
        self.present.push(Arc::clone(&tally));
        tally
    }

    /// It has gone.
    pub(super) fn leave(&mut self, tally: &WorkersTally) {
        self.present.retain(|one| !Arc::ptr_eq(one, tally));
        self.past.merge_life(tally);
    }

    fn sum(&self, measures: bool) -> Tally {
        let sum = Tally::new(measures);
        sum.merge(&self.past);
        for tally in &self.present {
            sum.merge_life(tally);
        }
        if let (Some(sum), Some(past)) = (&sum.clocks, &self.past.clocks) {
            add(&sum.lived, past.lived.load(Ordering::Relaxed));
        }
        sum
    }
}

impl Pool {
    /// A task that was taken out of the queue has been claimed by others: cancelled, perhaps.
    #[cold]
    pub(super) fn counts_if_dropped(&self, job: &dyn Job) {
        if job.was_cancelled() {
            self.state.lock().tallies.past.cancelled();
        }
    }

    /// Runs a task in the thread that submitted it.
    pub(super) fn runs_here(&self, job: Arc<dyn Job>) {
        if self.is_mine() {
            worker::run_inside(job);
            return;
        }
        let began = self.settings.measures.then(Moment::now);
        if job.run() {
            let took = began.map(|began| began.elapsed());
            let state = self.state.lock();
            state.tallies.past.ran();
            if let Some(took) = took {
                // It has not waited, and is no part of a worker's life.
                state.tallies.past.took(Duration::ZERO, took, true);
            }
        }
    }

    /// It has not succeeded. What a worker runs, it counts itself.
    pub(super) fn counts_failure_here(&self) {
        if !self.is_mine() {
            self.state.lock().tallies.past.failed();
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let measures = self.settings.measures;
        let (workers, starting, sum, most) = {
            let state = self.state.lock();
            let sum = state.tallies.sum(measures);
            (state.workers, state.starting, sum, state.most)
        };
        let idle = self.crew.read().idle().min(workers);
        let clocks = sum.clocks.as_ref();
        let utilisation = |clocks: &Clocks| {
            let lived = clocks.lived.load(Ordering::Relaxed);
            let busy = clocks.busy.load(Ordering::Relaxed);
            (busy as f64 / lived.max(1) as f64).min(1.0)
        };
        Stats {
            max_workers: most,
            workers,
            idle,
            queued: self.queue.len(),
            running: workers.saturating_sub(idle + starting),
            done: sum.ran.load(Ordering::Relaxed),
            failed: sum.failed.load(Ordering::Relaxed),
            cancelled: sum.cancelled.load(Ordering::Relaxed),
            wait_time: clocks.map(|clocks| clocks.wait.summary()),
            run_time: clocks.map(|clocks| clocks.run.summary()),
            utilisation: clocks.map(|clocks| utilisation(clocks)),
        }
    }
}

/// What a pool has done and is doing, as of a moment; from [`ThreadPoolExecutor::stats`](super::ThreadPoolExecutor::stats).
///
/// While the pool works, the numbers need not fit each other exactly: they are read one after the other, and
/// nobody is stopped for it. Those of tasks are exact once the pool has been joined.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The most workers, without spare ones.
    pub max_workers: usize,
    /// Workers that are there.
    pub workers: usize,
    /// Those of them without a task.
    pub idle: usize,
    /// Tasks that wait for a worker. One that was cancelled is among them until a worker comes to it.
    pub queued: usize,
    /// Workers in the middle of a task, also of one that waits.
    pub running: usize,
    /// Tasks that have run, in whichever way they ended, but for one that is just ending.
    pub done: u64,
    /// Those of them that panicked or returned an error ([`spawn_fallible`](super::ThreadPoolExecutor::spawn_fallible)).
    pub failed: u64,
    /// Tasks that were cancelled or given up before they started, as far as a worker has come to them.
    pub cancelled: u64,
    /// From a task's acceptance to its start, if [the pool measures it](super::Builder::measure_times).
    pub wait_time: Option<Times>,
    /// From a task's start to its end, likewise.
    pub run_time: Option<Times>,
    /// The part of their lives that workers have spent in tasks, from 0 to 1, likewise. A task counts when it has ended. It is
    /// the time on the clock: a task that waits for a disk counts like one that computes.
    pub utilisation: Option<f64>,
}
