//! The pipeline: threads download, processes shrink, the caller saves, all at the same time.
//!
//! ```text
//!  download threads --> fetched: Queue --> feed --> worker processes --> ended: Queue --> collect
//!     (blocked while      (bounded)     (one slot      (shrink)         (names only)    (saves, and
//!      it is full)                      a picture)                                 frees the slot)
//! ```
//!
//! Keeps two promises. *Bounded memory*: a picture's bytes are in a download thread's hands, in the
//! bounded queue, in the feeder's hands, or under one of a fixed number of slots, whatever the size
//! of the folder. *Each picture ends once*: every one that was planned comes out of `ended` exactly
//! once, whichever way it took, so the collector just counts.

use crate::counters::Counters;
use crate::pictures::Name;
use crate::run::{Plan, Run, Tally};
use crate::steps::{Failure, Shrunk, shrink};
use latchwork::executor::{Executor, TaskError, TaskFuture, TaskId, ThreadPoolExecutor};
use latchwork::queue::Queue;
use latchwork::sync::{Lock, Permit, Semaphore};
use latchwork::{CancelToken, Shutdown};
use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

/// Slots of the compute stage, for each worker: one picture is worked on, one is on its way there,
/// one on its way back.
const SLOTS_PER_WORKER: usize = 3;

/// The sizes of the pipeline's parts.
pub struct Sizes {
    pub threads: usize,
    pub workers: usize,
    pub queue: usize,
}

/// A downloaded picture that waits for a worker.
struct Fetched {
    name: Name,
    file: Vec<u8>,
    took: Duration,
    since: Instant,
}

/// How a picture came to its end, and how long each part of its way took.
enum Ended {
    /// Before it was computed.
    Failed(Name, Failure, Duration),
    NotTried,
    /// In the compute stage: its task is over, well or not.
    Computed(TaskId),
}

/// A picture in the compute stage.
struct Computing<'s> {
    name: Name,
    download: Duration,
    queue: Duration,
    since: Instant,
    future: TaskFuture<Result<Shrunk, Failure>>,
    /// Given back when the result has been saved.
    _slot: Permit<'s>,
}

/// What the stages tell each other by.
struct Stages {
    fetched: Queue<Fetched>,
    /// Not bounded in itself: there is one small entry for a picture.
    ended: Queue<Ended>,
    slots: Semaphore,
}

/// Runs the plan with `workers`, which may be any executor, and shuts it down.
pub fn run(
    plan: &Plan,
    sizes: &Sizes,
    workers: &(impl Executor + Sync),
) -> Result<Run, Box<dyn Error>> {
    let counters = Counters::new()?;
    let mut tally = Tally::start("pipeline", plan);
    let stages = Stages {
        fetched: Queue::bounded(sizes.queue),
        ended: Queue::unbounded(),
        slots: Semaphore::new(sizes.workers * SLOTS_PER_WORKER),
    };
    let computing = Lock::new(HashMap::new());
    let threads = ThreadPoolExecutor::builder()
        .max_workers(sizes.threads)
        .thread_name_prefix("download")
        .build();
    let all_ended = CancelToken::new();

    thread::scope(|scope| {
        scope.spawn(|| feed(plan, &stages, &counters, workers, &computing));
        scope.spawn(|| {
            if plan.stop.wait_within(&all_ended).is_ok() {
                threads.shutdown(Shutdown::Immediate);
                workers.shutdown(Shutdown::Immediate);
            }
        });
        for name in &plan.names {
            download(plan, &stages, &threads, name);
        }
        collect(plan, &stages, &computing, &mut tally);
        all_ended.cancel();
        // Empty, since every picture has ended; this is what ends the feeder.
        let left = stages.fetched.shutdown(Shutdown::Drain);
        debug_assert!(left.is_empty());
    });
    threads.shutdown(Shutdown::Drain);
    workers.shutdown(Shutdown::Drain);
    threads.join();
    workers.join();
    Ok(tally.finish(&counters)?)
}

/// First stage: has a thread download a picture and put it into the queue.
fn download(plan: &Plan, stages: &Stages, threads: &ThreadPoolExecutor, name: &Name) {
    let (client, stop, name) = (plan.client.clone(), plan.stop.clone(), name.clone());
    let (fetched, ended) = (stages.fetched.clone(), stages.ended.clone());
    let failed_name = name.clone();
    let task = threads.spawn(move || {
        let start = Instant::now();
        let file = client.download(&name);
        let took = start.elapsed();
        let end = match file {
            Ok(file) => {
                let since = Instant::now();
                let picture = Fetched {
                    name,
                    file,
                    took,
                    since,
                };
                // Blocks while the queue is full: no download runs far ahead of the workers.
                match fetched.put_within(picture, &stop) {
                    Ok(()) => return,
                    Err(_) => Ended::NotTried,
                }
            }
            // The server is closing down too.
            Err(_) if stop.is_cancelled() => Ended::NotTried,
            Err(failure) => Ended::Failed(name, failure, took),
        };
        tell(&ended, end);
    });
    let ended = stages.ended.clone();
    match task {
        // A task that did not return has told nobody.
        Ok(task) => task.on_done(move |task| match task.error() {
            None => {}
            Some(TaskError::Cancelled) => tell(&ended, Ended::NotTried),
            Some(error) => {
                let failure = Failure::from(error.clone());
                tell(&ended, Ended::Failed(failed_name, failure, Duration::ZERO));
            }
        }),
        Err(_) if plan.stop.is_cancelled() => tell(&ended, Ended::NotTried),
        Err(refused) => {
            let failure = Failure::NoResult(refused.reason.to_string());
            tell(&ended, Ended::Failed(failed_name, failure, Duration::ZERO));
        }
    }
}

/// Second stage: hands pictures from the queue to the workers, as many as there are slots.
fn feed<'s>(
    plan: &Plan,
    stages: &'s Stages,
    counters: &Counters,
    workers: &impl Executor,
    computing: &Lock<HashMap<TaskId, Computing<'s>>>,
) {
    for picture in &stages.fetched {
        let Ok(slot) = stages.slots.acquire_within(&plan.stop) else {
            tell(&stages.ended, Ended::NotTried);
            continue;
        };
        let Fetched {
            name, file, took, ..
        } = picture;
        let since = Instant::now();
        let queue = since - picture.since;
        let job = plan.job(&name, file, counters);
        // Held until the entry is complete: the collector may hear of the end before that.
        let mut computing = computing.lock();
        match workers.submit(shrink, job) {
            Ok(future) => {
                let ended = stages.ended.clone();
                future.on_done(move |task| tell(&ended, Ended::Computed(task.id())));
                let entry = Computing {
                    name,
                    download: took,
                    queue,
                    since,
                    future,
                    _slot: slot,
                };
                computing.insert(entry.future.id(), entry);
            }
            Err(_) if plan.stop.is_cancelled() => tell(&stages.ended, Ended::NotTried),
            Err(refused) => {
                let failure = Failure::NoResult(refused.reason.to_string());
                tell(&stages.ended, Ended::Failed(name, failure, took));
            }
        }
    }
}

/// Last stage: takes pictures as they end, in whatever order, until all have.
fn collect(
    plan: &Plan,
    stages: &Stages,
    computing: &Lock<HashMap<TaskId, Computing<'_>>>,
    tally: &mut Tally,
) {
    for ended in stages.ended.iter().take(plan.names.len()) {
        let task = match ended {
            Ended::Computed(task) => task,
            Ended::NotTried => {
                tally.not_tried += 1;
                continue;
            }
            Ended::Failed(name, failure, download) => {
                tally.spent.download += download;
                tally.fail(name, failure);
                continue;
            }
        };
        let entry = computing.lock().remove(&task);
        let entry = entry.expect("the feeder enters a task before it lets go of the lock");
        tally.spent.download += entry.download;
        tally.spent.queue += entry.queue;
        let in_stage = entry.since.elapsed();
        match entry.future.result() {
            Ok(Ok(shrunk)) => {
                tally.spent.transit += in_stage.saturating_sub(shrunk.took);
                tally.save(&plan.output, entry.name, &shrunk.file);
            }
            Ok(Err(failure)) => tally.fail(entry.name, failure),
            Err(TaskError::Cancelled) => tally.not_tried += 1,
            Err(error) => tally.fail(entry.name, error.into()),
        }
    }
}

fn tell(ended: &Queue<Ended>, end: Ended) {
    // Never refused: it has no bound, and nobody shuts it down.
    let _ = ended.put(end);
}
