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
use super::stats::{Retired, Stats, Tally, Why};
use crate::panic::report;
use crate::sync::{
    AcquireError, Lock, OwnedPermit, OwnedWaitToken, Semaphore, TryAcquireError, WaitGroup,
};
use crate::time::now;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// False: drop it.
type Judge<T> = Box<dyn Fn(&mut T) -> bool + Send + Sync>;

/// What a pool does besides lending.
pub(super) struct Policy<T> {
    pub check: Option<Judge<T>>,
    pub reset: Option<Judge<T>>,
    pub max_age: Option<Duration>,
    pub max_idle: Option<Duration>,
    pub min_idle: usize,
    pub reuse: Reuse,
    pub after_panic: AfterPanic,
}

impl<T> Default for Policy<T> {
    fn default() -> Policy<T> {
        Policy {
            check: None,
            reset: None,
            max_age: None,
            max_idle: None,
            min_idle: 0,
            reuse: Reuse::default(),
            after_panic: AfterPanic::default(),
        }
    }
}

impl<T> Policy<T> {
    /// What time it is, if that matters for idle ones.
    fn clock(&self) -> Option<Instant> {
        (self.max_age.is_some() || self.max_idle.is_some()).then(now)
    }

    fn is_stale(&self, resource: &Resource<T>, now: Option<Instant>) -> Option<Why> {
        let exceeds = |since, most: Option<Duration>| {
            let passed = now?.saturating_duration_since(since);
            (passed > most?).then_some(())
        };
        let too_old = exceeds(resource.made_at, self.max_age).map(|()| Why::TooOld);
        too_old.or_else(|| exceeds(resource.idle_since, self.max_idle).map(|()| Why::IdleTooLong))
    }
}

impl<T> fmt::Debug for Policy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("checks", &self.check.is_some())
            .field("resets", &self.reset.is_some())
            .field("max_age", &self.max_age)
            .field("max_idle", &self.max_idle)
            .field("min_idle", &self.min_idle)
            .field("reuse", &self.reuse)
            .field("after_panic", &self.after_panic)
            .finish()
    }
}

pub(super) struct Resource<T> {
    pub value: T,
    pub made_at: Instant,
    /// Since when it has been idle, if it is and the policy asks for it.
    idle_since: Instant,
    /// How often it was lent.
    pub lent: u64,
    /// The last field: `join` waits until the value is gone.
    _alive: OwnedWaitToken,
}

impl<T> Resource<T> {
    /// Takes it out of the pool's reach.
    pub(super) fn into_value(self) -> T {
        self.value
    }
}

pub(super) struct Core<T> {
    /// How many may be alive, and so how many turns there are.
    capacity: usize,
    turns: Arc<Semaphore>,
    state: Lock<State<T>>,
    /// A token for each resource, from before it is made until it has been dropped.
    pub(super) alive: Arc<WaitGroup>,
    pub(super) policy: Policy<T>,
}

struct State<T> {
    /// The front has been idle for longest.
    idle: VecDeque<Resource<T>>,
    is_closed: bool,
    in_use: usize,
    waiting: usize,
    tally: Tally,
}

/// The right to have, make or drop one resource. Returned when dropped.
pub(super) struct Turn<T> {
    core: Arc<Core<T>>,
}

impl<T> Turn<T> {
    pub(super) fn core(&self) -> &Core<T> {
        &self.core
    }

    /// Returns it, and lets go on with the core.
    pub(super) fn give_back(self) -> Arc<Core<T>> {
        Arc::clone(&self.core)
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let returned = self.core.turns.release(1);
        debug_assert!(returned.is_ok(), "a turn that was never taken");
    }
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

    /// A turn at once, or none.
    pub(super) fn try_turn(self: &Arc<Self>) -> Result<Turn<T>, TryAcquireError> {
        let permit = self.turns.try_acquire()?;
        permit.forget();
        Ok(Turn {
            core: Arc::clone(self),
        })
    }

    /// What becomes a turn when it is waited for.
    #[track_caller]
    pub(super) fn turn_async(
        &self,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> + use<T> {
        self.turns.acquire_owned_async()
    }

    pub(super) fn turns(&self) -> &Semaphore {
        &self.turns
    }

    /// Counts a caller as waiting from now on.
    pub(super) fn queue(self: &Arc<Self>) -> Queued<T> {
        self.state.lock().waiting += 1;
        Queued {
            core: Arc::clone(self),
            since: now(),
            came_to: Err(AcquireError::Cancelled),
        }
    }

    /// Lends one to somebody whose turn it is; `waited` says how long it took until then.
    pub(super) fn lend<E>(
        turn: Turn<T>,
        waited: Option<Duration>,
        factory: &dyn Fn() -> Result<T, E>,
    ) -> Result<Pooled<T>, Refused<E>> {
        let core = &turn.core;
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

    fn make<E>(
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
        resource.into_value()
    }

    /// Drops one that was lent.
    pub(super) fn throw_away(&self, resource: Resource<T>) {
        self.state.lock().in_use -= 1;
        self.retire(resource, Why::Discarded);
    }

    fn retire(&self, resource: Resource<T>, why: Why) {
        self.state.lock().tally.retire(why, 1);
        discard(Some(resource));
    }

    /// Drops up to so many stale ones, as long as nobody waits for a turn.
    pub(super) fn drop_stale(self: &Arc<Self>, most: usize) -> usize {
        let now = self.policy.clock();
        let mut dropped = 0;
        while dropped < most
            && let Ok(_turn) = self.try_turn()
            && let Some((resource, why)) = self.take_stale(now)
        {
            self.retire(resource, why);
            dropped += 1;
        }
        dropped
    }

    fn take_stale(&self, now: Option<Instant>) -> Option<(Resource<T>, Why)> {
        let mut state = self.state.lock();
        let mut verdicts = state.idle.iter().map(|it| self.policy.is_stale(it, now));
        let (place, why) = verdicts
            .by_ref()
            .enumerate()
            .find_map(|(place, why)| Some((place, why?)))?;
        drop(verdicts);
        Some((state.idle.remove(place)?, why))
    }

    /// Makes resources until so many are idle, as long as there are turns to be had; returns how many.
    pub(super) fn fill<E>(
        self: &Arc<Self>,
        wanted: usize,
        factory: &dyn Fn() -> Result<T, E>,
    ) -> Result<usize, E> {
        let (mut turns, mut made) = (Vec::new(), 0);
        loop {
            let alive = {
                let state = self.state.lock();
                if state.is_closed || state.idle.len() >= wanted {
                    return Ok(made);
                }
                // The rule at the head of this file.
                (turns.len() > state.idle.len()).then(|| self.alive.add_owned())
            };
            let Some(alive) = alive else {
                match self.try_turn() {
                    Ok(turn) => turns.push(turn),
                    Err(_) => return Ok(made),
                }
                continue;
            };
            let resource = match self.make(factory, alive) {
                Ok(resource) => resource,
                Err(Refused::Factory(error)) => return Err(error),
                Err(Refused::Closed) => return Ok(made),
            };
            let dropped = {
                let mut state = self.state.lock();
                let verdict = state.is_closed.then_some(Why::Closed).map_or(Ok(()), Err);
                state.shelve(resource, verdict)
            };
            discard(dropped);
            made += 1;
        }
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
    fn shelve(&mut self, resource: Resource<T>, verdict: Result<(), Why>) -> Option<Resource<T>> {
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

/// Drops a resource. A panic of its own drop must neither take the turn's way out nor end an unwinding thread.
fn discard<T>(resource: Option<Resource<T>>) {
    if let Some(resource) = resource {
        report("the drop of a pool's resource", || drop(resource));
    }
}

/// Somebody who waits for a turn; what it came to is counted when this is dropped, also with a future.
pub(super) struct Queued<T> {
    core: Arc<Core<T>>,
    since: Instant,
    came_to: Result<(), AcquireError>,
}

impl<T> Queued<T> {
    /// The wait is over, and a permit that came of it has been forgotten: it is the turn now.
    pub(super) fn ended(
        mut self,
        came_to: Result<(), AcquireError>,
    ) -> Result<(Turn<T>, Option<Duration>), AcquireError> {
        self.came_to = came_to;
        came_to?;
        let core = Arc::clone(&self.core);
        let waited = now().saturating_duration_since(self.since);
        Ok((Turn { core }, Some(waited)))
    }
}

impl<T> Drop for Queued<T> {
    fn drop(&mut self) {
        let mut state = self.core.state.lock();
        state.waiting -= 1;
        match self.came_to {
            Err(AcquireError::TimedOut) => state.tally.timed_out += 1,
            Err(AcquireError::Cancelled) => state.tally.cancelled += 1,
            _ => {}
        }
    }
}
