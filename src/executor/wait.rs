//! [`wait`]: until one of several tasks has ended, or all of them.
//!
//! Each future tells one [`Gate`] of its task's end; whoever waits sleeps until the gate is open, once, however many
//! there are.

use super::helping::expect_one;
use super::task::{SEVERAL, Watch};
use super::waitable::Waitable;
use super::{TaskError, TaskId};
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::sync::completion::{Completion, Ending, MARKS};
use crate::wait::Kind;
use crate::{GaveUp, Limit};
use std::collections::HashSet;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// What [`wait`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// The first end of a task, in whatever way.
    #[doc(alias = "FIRST_COMPLETED")]
    FirstCompleted,
    /// The first task that ends without a result, unless it was cancelled; otherwise the last end.
    #[doc(alias = "FIRST_EXCEPTION")]
    FirstException,
    /// The last end.
    #[doc(alias = "ALL_COMPLETED")]
    AllCompleted,
}

/// Which tasks have ended, as positions in what was given to [`wait`], in that order; each task once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waited {
    /// Those that have ended, or were cancelled.
    pub done: Vec<usize>,
    /// The others.
    pub not_done: Vec<usize>,
    /// Why it returned earlier than it was asked to, if it did.
    pub gave_up: Option<GaveUp>,
}

/// Blocks until the tasks have ended that `when` speaks of, at most as long as `limit` says, and says which have.
///
/// A limit that is reached is no error, and cancels nothing. A task that is cancelled has ended at once. One that is
/// given twice counts once, and none at all are done already.
///
/// Called by a task of the same pool, as a wait for all it runs those here that have not started, in order; as a wait for the first it
/// sleeps, and its worker is replaced meanwhile.
///
/// # Cost
///
/// A hook for each task that has not ended, which is taken back; one sleep.
///
/// # Source
///
/// Python's [`concurrent.futures.wait`](https://docs.python.org/3/library/concurrent.futures.html#concurrent.futures.wait),
/// without its hang on cancelled futures.
///
/// ```
/// use latchwork::executor::{ReturnWhen, ThreadPoolExecutor, promise, wait};
/// use std::time::Duration;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let (later, never) = promise::<u8>();
/// let futures = [never, pool.spawn(|| 1).unwrap(), pool.spawn(|| 2).unwrap()];
/// let first = wait(&futures, ReturnWhen::FirstCompleted, Duration::MAX);
/// assert!(!first.done.is_empty() && first.not_done.contains(&0));
/// let late = wait(&futures, ReturnWhen::AllCompleted, Duration::from_millis(5));
/// assert!(late.gave_up.is_some());
/// # drop(later);
/// ```
#[track_caller]
pub fn wait<'l, W: Waitable>(
    futures: impl IntoIterator<Item = W>,
    when: ReturnWhen,
    limit: impl Into<Limit<'l>>,
) -> Waited {
    let (limit, place) = (limit.into(), Location::caller());
    let watched = Watching::new(futures, when);
    let waited = watched.wait(&limit, place);
    watched.tell(waited.err())
}

/// As [`wait`]; the future has no limit of its own.
///
/// # Source
///
/// Python's [`asyncio.wait`](https://docs.python.org/3/library/asyncio-task.html#asyncio.wait).
#[track_caller]
pub fn wait_async<W: Waitable>(
    futures: impl IntoIterator<Item = W>,
    when: ReturnWhen,
) -> impl Future<Output = Waited> {
    let watched = Watching::new(futures, when);
    let place = Location::caller();
    async move {
        watched.gate.open.wait_async(place).await;
        watched.tell(None)
    }
}

struct GateEnding;

impl Ending for GateEnding {
    const KIND: &'static Kind = &SEVERAL;
}

/// Somebody is about to open it.
const OPENED: u32 = MARKS[0];

/// Opens once.
struct Gate {
    when: ReturnWhen,
    /// How many have not ended.
    left: AtomicUsize,
    open: Completion<GateEnding>,
}

impl Gate {
    fn pass(&self, error: Option<&TaskError>) {
        // Whoever opens it knows of all the other ends.
        let is_last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        let is_enough = match self.when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => error.is_some_and(|error| *error != TaskError::Cancelled),
            ReturnWhen::AllCompleted => false,
        };
        if is_last || is_enough {
            self.open();
        }
    }

    fn open(&self) {
        if self.open.claim(OPENED, OPENED, 0) {
            self.open.complete();
        }
    }
}

impl Watch for Gate {
    fn ended(self: Arc<Self>, _number: usize, error: Option<&TaskError>) {
        self.pass(error);
    }
}

/// Futures that tell a gate, until this is dropped.
struct Watching<W: Waitable> {
    /// With their positions in what was given.
    futures: Vec<(usize, W)>,
    gate: Arc<Gate>,
}

impl<W: Waitable> Watching<W> {
    fn new(futures: impl IntoIterator<Item = W>, when: ReturnWhen) -> Watching<W> {
        let mut seen = HashSet::<TaskId>::new();
        let mut futures: Vec<_> = futures.into_iter().enumerate().collect();
        futures.retain(|(_, future)| seen.insert(future.id()));
        let gate = Arc::new(Gate {
            when,
            left: AtomicUsize::new(futures.len()),
            open: Completion::new(),
        });
        if futures.is_empty() {
            gate.open();
        }
        // Those that have ended need no hook, and may be enough.
        let (done, pending): (Vec<_>, Vec<_>) = futures
            .iter()
            .map(|(_, future)| future)
            .partition(|future| future.is_done());
        for future in done {
            gate.pass(future.error());
        }
        for future in pending {
            if gate.open.is_done() {
                break;
            }
            if !future.watch(Arc::clone(&gate) as _, 0) {
                gate.pass(future.error());
            }
        }
        Watching { futures, gate }
    }

    fn wait(&self, limit: &Limit<'_>, place: &'static Location<'static>) -> Result<(), GaveUp> {
        if self.gate.open.is_done() {
            return Ok(());
        }
        let mut expecting = None;
        if limit.is_none() {
            let is_all = self.gate.when == ReturnWhen::AllCompleted || self.futures.len() == 1;
            if is_all {
                // Each of them has to end, so the order in which they are waited for does not matter.
                for (_, future) in &self.futures {
                    future.wait_if_ours(place);
                }
            } else {
                let jobs = self.futures.iter().map(|(_, future)| future.job());
                expecting = expect_one(jobs);
            }
        }
        let waited = self.gate.open.wait_at_within(place, limit);
        drop(expecting);
        waited
    }

    fn tell(&self, gave_up: Option<GaveUp>) -> Waited {
        let (mut done, mut not_done) = (Vec::new(), Vec::new());
        for (position, future) in &self.futures {
            match future.is_done() {
                true => done.push(*position),
                false => not_done.push(*position),
            }
        }
        Waited {
            done,
            not_done,
            gave_up,
        }
    }
}

impl<W: Waitable> Drop for Watching<W> {
    fn drop(&mut self) {
        let gate = Arc::as_ptr(&self.gate).cast::<()>();
        for (_, future) in &self.futures {
            future.unwatch(gate);
        }
    }
}
