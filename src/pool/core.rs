//! [`Core`]: who may have a resource, which are idle, and why there are never too many.
//!
//! There are as many **turns** as resources may be alive. Whoever lends, makes, or drops one has a turn
//! while it does, and returns it afterwards; an idle one needs none. The rule that keeps the bound:
//!
//! > Whoever begins to make one holds more turns than resources are idle at that moment.
//!
//! Say it holds k of n turns, and i < k are idle. Every other living resource is lent, being made or being
//! dropped on a turn of somebody else's, so there are at most n - k of them: n - 1 in all, and the new one fits. A
//! get holds one turn and finds none idle; filling up takes a turn for each idle one, and one more.
//!
//! Turns are permits of a semaphore, which brings fairness, limits, cancellation and closing. What is idle is under a
//! lock that is held for a few instructions: nothing of the user's runs meanwhile, resources are not dropped
//! in it either. A close takes effect in the moment in which that lock is held: what is lent after it is not.
//!
//! Used by `ResourcePool`, and by the guard that returns.

use super::Pooled;
use super::builder::{AfterPanic, Reuse};
use super::error::Refused;
use super::policy::Policy;
use super::resource::{Resource, discard};
use super::stats::{Retired, Stats, Tally, Why};
use super::turn::Turn;
use crate::panic::report;
use crate::sync::{Lock, OwnedWaitToken, Semaphore, WaitGroup};
use crate::time::now;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Core<T> {
    /// How many may be alive, and so how many turns there are.
    capacity: usize,
    pub(super) turns: Arc<Semaphore>,
    pub(super) state: Lock<State<T>>,
    /// A token for each resource, from before it is made until it has been dropped.
    pub(super) alive: Arc<WaitGroup>,
    pub(super) policy: Policy<T>,
}

pub(super) struct State<T> {
    /// The front has been idle for longest.
    pub(super) idle: VecDeque<Resource<T>>,
    pub(super) is_closed: bool,
    in_use: usize,
    pub(super) waiting: usize,
    pub(super) tally: Tally,
}

/// What there is for somebody whose turn it is.
enum Found<T> {
    Idle(Resource<T>),
    /// Nothing: make one, under this token.
    Room(OwnedWaitToken),
}

impl<T> Core<T> {
    pub(super) fn new(capacity: usize, is_fair: bool, policy: Policy<T>) -> Core<T> {
        let turns = match is_fair {
            true => Semaphore::fair(capacity),
            false => Semaphore::new(capacity),
        };
        Core {
            capacity,
            turns: Arc::new(turns),
            state: Lock::new(State {
                idle: VecDeque::new(),
                is_closed: false,
                in_use: 0,
                waiting: 0,
                tally: Tally::new(),
            }),
            alive: Arc::new(WaitGroup::new()),
            policy,
        }
    }

    /// Lends one to somebody whose turn it is; `waited` says how long it took until then.
    pub(super) fn lend<E>(
        turn: Turn<T>,
        waited: Option<Duration>,
        factory: &dyn Fn() -> Result<T, E>,
    ) -> Result<Pooled<T>, Refused<E>> {
        let core = turn.core();
        let now = core.policy.clock();
        let (mut resource, is_new) = loop {
            let mut resource = match core.find()? {
                Found::Idle(resource) => resource,
                Found::Room(alive) => break (core.make(factory, alive)?, true),
            };
            match catch_unwind(AssertUnwindSafe(|| core.vet(&mut resource, now))) {
                Ok(Ok(())) => break (resource, false),
                Ok(Err(why)) => core.retire(resource, why),
                Err(panic) => {
                    core.retire(resource, Why::FailedCheck);
                    resume_unwind(panic)
                }
            }
        };
        resource.lent += 1;
        let mut state = core.state.lock();
        if state.is_closed {
            drop(state);
            core.retire(resource, Why::Closed);
            return Err(Refused::Closed);
        }
        state.in_use += 1;
        state.tally.recycled += u64::from(!is_new);
        state.tally.waits.add(waited);
        drop(state);
        Ok(Pooled::new(resource, turn))
    }

    /// One that is idle, or room for a new one. The caller has one turn.
    fn find<E>(&self) -> Result<Found<T>, Refused<E>> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        let idle = match self.policy.reuse {
            Reuse::Newest => state.idle.pop_back(),
            Reuse::Oldest => state.idle.pop_front(),
        };
        Ok(match idle {
            Some(resource) => Found::Idle(resource),
            // Under the lock, so that who joins after a close knows of it.
            None => Found::Room(self.alive.add_owned()),
        })
    }

    pub(super) fn make<E>(
        &self,
        factory: &dyn Fn() -> Result<T, E>,
        alive: OwnedWaitToken,
    ) -> Result<Resource<T>, Refused<E>> {
        match factory() {
            Ok(value) => {
                let now = now();
                self.state.lock().tally.created += 1;
                Ok(Resource {
                    value,
                    made_at: now,
                    idle_since: now,
                    lent: 0,
                    _alive: alive,
                })
            }
            Err(error) => {
                self.state.lock().tally.failed_to_make += 1;
                Err(Refused::Factory(error))
            }
        }
    }

    /// May it be lent again?
    fn vet(&self, resource: &mut Resource<T>, now: Option<Instant>) -> Result<(), Why> {
        if let Some(why) = self.policy.is_stale(resource, now) {
            return Err(why);
        }
        match &self.policy.check {
            Some(check) if !check(&mut resource.value) => Err(Why::FailedCheck),
            _ => Ok(()),
        }
    }

    /// Takes one back from whoever had it. Says whether there is a stale one now.
    pub(super) fn take_back(&self, mut resource: Resource<T>, by_panic: bool) -> bool {
        let verdict = self.reset(&mut resource.value, by_panic);
        let now = self.policy.clock();
        if let Some(now) = now {
            resource.idle_since = now;
        }
        let verdict = verdict.and_then(|()| match self.policy.is_stale(&resource, now) {
            Some(why) => Err(why),
            None => Ok(()),
        });
        let (dropped, is_one_stale) = {
            let mut state = self.state.lock();
            state.in_use -= 1;
            let verdict = if state.is_closed {
                Err(Why::Closed)
            } else {
                verdict
            };
            let dropped = state.shelve(resource, verdict);
            let stale = |oldest| self.policy.is_stale(oldest, now).is_some();
            (dropped, state.idle.front().is_some_and(stale))
        };
        discard(dropped);
        is_one_stale
    }

    fn reset(&self, value: &mut T, by_panic: bool) -> Result<(), Why> {
        if by_panic && self.policy.after_panic == AfterPanic::Discard {
            return Err(Why::AfterPanic);
        }
        // Not worth the trouble if it is dropped anyway.
        let reset = self
            .policy
            .reset
            .as_ref()
            .filter(|_| !self.turns.is_closed());
        let Some(reset) = reset else { return Ok(()) };
        let mut is_clean = false;
        report("what resets a pool's resource", || is_clean = reset(value));
        is_clean.then_some(()).ok_or(Why::FailedReset)
    }

    /// One that was lent is the user's from now on.
    pub(super) fn detach(&self, resource: Resource<T>) -> T {
        let mut state = self.state.lock();
        state.in_use -= 1;
        state.tally.detached += 1;
        drop(state);
        resource.value
    }

    /// Drops one that was lent.
    pub(super) fn throw_away(&self, resource: Resource<T>) {
        self.state.lock().in_use -= 1;
        self.retire(resource, Why::Discarded);
    }

    pub(super) fn retire(&self, resource: Resource<T>, why: Why) {
        self.state.lock().tally.retire(why, 1);
        discard(Some(resource));
    }

    /// Lends nothing from now on. Whether this call did it.
    pub(super) fn close(&self) -> bool {
        let idle = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.is_closed, true) {
                return false;
            }
            let idle = std::mem::take(&mut state.idle);
            state.tally.retire(Why::Closed, idle.len());
            idle
        };
        // Before the idle ones are dropped, which may take a while.
        self.turns.close();
        idle.into_iter().for_each(|one| discard(Some(one)));
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn stats(&self) -> Stats {
        let state = self.state.lock();
        let Tally {
            created,
            recycled,
            failed_to_make,
            ref retired,
            detached,
            timed_out,
            cancelled,
            ref waits,
        } = state.tally;
        Stats {
            capacity: self.capacity,
            in_use: state.in_use,
            idle: state.idle.len(),
            waiting: state.waiting,
            created,
            recycled,
            failed_to_make,
            retired: Retired { ..*retired },
            detached,
            timed_out,
            cancelled,
            waits: waits.clone(),
        }
    }

    /// In use, idle, waiting, closed.
    pub(super) fn sight(&self) -> (usize, usize, usize, bool) {
        let state = self.state.lock();
        let idle = state.idle.len();
        (state.in_use, idle, state.waiting, state.is_closed)
    }
}

impl<T> State<T> {
    /// Makes it idle, or counts why not and hands it back to be dropped with nothing locked.
    pub(super) fn shelve(
        &mut self,
        resource: Resource<T>,
        verdict: Result<(), Why>,
    ) -> Option<Resource<T>> {
        match verdict {
            Ok(()) => {
                self.idle.push_back(resource);
                None
            }
            Err(why) => {
                self.tally.retire(why, 1);
                Some(resource)
            }
        }
    }
}
