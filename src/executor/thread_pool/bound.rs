//! [`Bound`]: how many tasks of a pool may wait, and what becomes of one more.
//!
//! A task that waits has a permit of a semaphore, in its work: so the permit is back as soon as the task has started,
//! or was cancelled, or given up, whoever did that.

use super::Pool;
use crate::executor::{SubmitRefusal, TaskError};
use crate::panic::contain;
use crate::sync::{AcquireError, OwnedPermit, Semaphore, TryAcquireError};
use crate::{GaveUp, Limit};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a task that is submitted to a pool in which as many wait as may.
///
/// With each of them, nothing that was accepted is lost silently: the future of a task that was given up says
/// [`TaskError::Discarded`].
///
/// # Workers of the same pool
///
/// To a task that submits to its own pool, the bound does not apply under [`Block`](Rejection::Block) and
/// [`Within`](Rejection::Within), nor to `spawn_within` and `spawn_async`: it would wait for the workers, of
/// which it has one. What it submits then waits beyond the bound. The others treat it like everybody.
///
/// # Source
///
/// Java's [`RejectedExecutionHandler`](https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/concurrent/ThreadPoolExecutor.html)s
/// and their names; Python's pool has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The submitter waits for a place.
    #[default]
    Block,
    /// The submitter waits for a place, at most so long; then the task is refused as
    /// [`TimedOut`](SubmitRefusal::TimedOut).
    Within(Duration),
    /// The task is refused as [`Full`](SubmitRefusal::Full).
    #[doc(alias = "AbortPolicy")]
    Reject,
    /// The submitter runs it, before its call returns.
    CallerRuns,
    /// The task that has waited longest is given up, and makes room; in a pool by priority the one that would start last.
    DiscardOldest,
    /// The new task is accepted and given up at once.
    DiscardNewest,
}

/// A place among those that wait.
pub(super) type Place = OwnedPermit;

/// See the head of this file.
pub(super) struct Bound {
    places: Arc<Semaphore>,
    rejection: Rejection,
}

/// How a submitter asks for a place.
#[derive(Clone, Copy)]
pub(super) enum Asks<'l> {
    /// As the pool's policy says.
    ByPolicy,
    Once,
    Within(Limit<'l>),
}

/// What is done with a task.
pub(super) enum Admission {
    /// It is entered, with this place, if it needs one.
    Enter(Option<Place>),
    /// The submitter runs it.
    RunHere,
    /// It is given up at once.
    GiveUp,
}

impl Bound {
    pub(super) fn new(capacity: usize, rejection: Rejection) -> Bound {
        Bound {
            places: Arc::new(Semaphore::new(capacity)),
            rejection,
        }
    }

    /// Nobody waits for a place any more: nothing is accepted.
    pub(super) fn close(&self) {
        self.places.close();
    }

    /// May a task wait?
    #[track_caller]
    pub(super) fn admit(
        &self,
        pool: &Arc<Pool>,
        asks: Asks<'_>,
    ) -> Result<Admission, SubmitRefusal> {
        match self.places.try_acquire_owned() {
            Ok(place) => return Ok(Admission::Enter(Some(place))),
            Err(TryAcquireError::Closed) => return Err(pool.why_shut()),
            Err(_) => {}
        }
        let limit = match (asks, self.rejection) {
            (Asks::Once, _) | (Asks::ByPolicy, Rejection::Reject) => {
                return Err(SubmitRefusal::Full);
            }
            (Asks::Within(limit), _) => limit,
            (Asks::ByPolicy, Rejection::Block) => Limit::none(),
            (Asks::ByPolicy, Rejection::Within(time)) => Limit::from(time),
            (Asks::ByPolicy, Rejection::CallerRuns) => return Ok(Admission::RunHere),
            (Asks::ByPolicy, Rejection::DiscardNewest) => return Ok(Admission::GiveUp),
            (Asks::ByPolicy, Rejection::DiscardOldest) => {
                return match self.take_from_oldest(pool) {
                    Ok(place) => Ok(Admission::Enter(Some(place))),
                    Err(TryAcquireError::Closed) => Err(pool.why_shut()),
                    Err(_) => Ok(Admission::GiveUp),
                };
            }
        };
        if pool.is_mine() {
            return Ok(Admission::Enter(None));
        }
        match self.places.acquire_owned_within(limit) {
            Ok(place) => Ok(Admission::Enter(Some(place))),
            Err(why) => Err(refusal(why, pool)),
        }
    }

    /// As `admit` with `Asks::Within`, without blocking a thread.
    #[track_caller]
    pub(super) fn admit_async(
        &self,
        pool: Arc<Pool>,
    ) -> impl Future<Output = Result<Admission, SubmitRefusal>> + use<> {
        let is_mine = pool.is_mine();
        let acquired = self.places.acquire_owned_async();
        let tried = self.places.try_acquire_owned();
        async move {
            match tried {
                Ok(place) => return Ok(Admission::Enter(Some(place))),
                Err(TryAcquireError::Closed) => return Err(pool.why_shut()),
                Err(_) if is_mine => return Ok(Admission::Enter(None)),
                Err(_) => {}
            }
            match acquired.await {
                Ok(place) => Ok(Admission::Enter(Some(place))),
                Err(why) => Err(refusal(why, &pool)),
            }
        }
    }

    /// Gives up the oldest until there is a place.
    ///
    /// # Errors
    ///
    /// If others take the places as they come; if the pool is shut, and then no more is given up.
    fn take_from_oldest(&self, pool: &Arc<Pool>) -> Result<Place, TryAcquireError> {
        // Scoped tasks have no place, and are not given up for one.
        let mut kept = Vec::new();
        let place = loop {
            let Some(oldest) = pool.queue.pop_least() else {
                break self.places.try_acquire_owned();
            };
            contain(|| {
                oldest.drop_with(TaskError::Discarded);
                match oldest.is_claimed() {
                    // Its result may be the last that goes.
                    true => pool.counts_if_dropped(&*oldest),
                    false => kept.push(oldest),
                }
            });
            match self.places.try_acquire_owned() {
                Ok(place) => break Ok(place),
                Err(TryAcquireError::Closed) => break Err(TryAcquireError::Closed),
                Err(_) => {}
            }
        };
        pool.put_back(kept);
        place
    }
}

fn refusal(why: AcquireError, pool: &Pool) -> SubmitRefusal {
    match why {
        AcquireError::TimedOut => SubmitRefusal::TimedOut,
        AcquireError::Cancelled => SubmitRefusal::Cancelled,
        _ => pool.why_shut(),
    }
}

impl From<GaveUp> for SubmitRefusal {
    fn from(why: GaveUp) -> SubmitRefusal {
        match why {
            GaveUp::TimedOut => SubmitRefusal::TimedOut,
            GaveUp::Cancelled => SubmitRefusal::Cancelled,
        }
    }
}
