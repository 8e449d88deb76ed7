//! How an operation on a queue waits: one [`Request`] for all of them.

use super::Discipline;
use super::core::{CALLED, Shared, Side, Sight, State};
use crate::GaveUp;
use crate::wait::lot::Line;
use crate::wait::{Kind, Limit, Request, wait, wait_for_ever};
use std::panic::Location;

/// Something that is done under the short lock as soon as the queue's state allows it.
pub(super) trait Operation<D: Discipline>: Sized {
    type Output;
    const KIND: &'static Kind;
    const SIDE: Side;

    /// Does it. `None` when that cannot be done now.
    fn run(&mut self, state: &mut State<D>) -> Option<Self::Output>;

    /// Would `run` do it?
    fn is_possible(&self, state: &State<D>) -> bool;

    /// Would it perhaps, as far as can be seen without the lock? Wrong only for a moment.
    fn looks_possible(&self, sight: &Sight) -> bool;

    /// What whoever tells waiters apart has to know.
    fn tag(&self) -> usize {
        0
    }

    /// What it comes to when it cannot be done now, and is not to wait.
    fn refuse(&mut self) -> Self::Output;

    /// What it comes to when it has waited in vain.
    fn give_up(&mut self, shared: &Shared<D>, why: GaveUp) -> Self::Output;

    /// Takes back what the queue has of it. Called at its end, however that comes.
    fn withdraw(&mut self, _shared: &Shared<D>) {}
}

/// An operation and how it stands with the side it belongs to.
pub(super) struct QueueRequest<'a, D: Discipline, O: Operation<D>> {
    shared: &'a Shared<D>,
    pub(super) operation: O,
    /// Whether it is counted among those awake.
    is_awake: bool,
    /// Whether there are enough of those.
    is_crowded: bool,
}

// The operation is moved, never pointed at.
impl<D: Discipline, O: Operation<D>> Unpin for QueueRequest<'_, D, O> {}

impl<'a, D: Discipline, O: Operation<D>> QueueRequest<'a, D, O> {
    #[inline]
    pub(super) fn new(shared: &'a Shared<D>, operation: O) -> Self {
        QueueRequest {
            shared,
            operation,
            is_awake: false,
            is_crowded: false,
        }
    }

    /// The attempt of a caller that does not wait yet.
    #[inline]
    pub(super) fn try_run(&mut self) -> Option<O::Output> {
        let mut state = self.shared.lock();
        self.operation.run(&mut state)
    }

    /// Does it now or not at all.
    #[inline]
    pub(super) fn try_to(mut self) -> O::Output {
        match self.try_run() {
            Some(output) => output,
            None => self.operation.refuse(),
        }
    }

    /// Does it, waiting as long as it takes.
    #[inline]
    pub(super) fn run(mut self, place: &'static Location<'static>) -> O::Output {
        match self.try_run() {
            Some(output) => output,
            None => wait_for_ever(&mut self, place),
        }
    }

    /// Does it, waiting at most as long as `limit` says.
    pub(super) fn run_within(
        mut self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> O::Output {
        if let Some(output) = self.try_run() {
            return output;
        }
        match wait(&mut self, limit, place) {
            Ok(output) => output,
            Err(why) => self.operation.give_up(self.shared, why),
        }
    }

    fn try_awake(&mut self) -> Option<O::Output> {
        let mut state = self.shared.lock();
        let done = self.operation.run(&mut state);
        if done.is_some() && self.is_awake {
            state.fall_asleep(O::SIDE);
            self.is_awake = false;
        } else if done.is_none() && !self.is_awake && state.is_marked(O::SIDE) {
            self.is_crowded = state.wake_up(O::SIDE);
            self.is_awake = true;
        }
        done
    }
}

impl<D: Discipline, O: Operation<D>> Request for QueueRequest<'_, D, O> {
    type Output = O::Output;
    const KIND: &'static Kind = O::KIND;

    fn address(&self) -> usize {
        self.shared.address(O::SIDE)
    }

    fn attempt(&mut self) -> Option<O::Output> {
        let sight = &self.shared.sight;
        let looks_possible = self.operation.looks_possible(sight);
        // Whoever tries while others are parked says so, lest one of them be woken for the same thing.
        if !looks_possible && (self.is_awake || !sight.is_marked(O::SIDE)) {
            return None;
        }
        self.try_awake()
    }

    fn crowded(&self) -> bool {
        self.is_crowded
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let mut state = self.shared.lock_bare();
        if self.operation.is_possible(&state) {
            return None;
        }
        self.shared.mark(&mut state, O::SIDE);
        if std::mem::take(&mut self.is_awake) {
            state.fall_asleep(O::SIDE);
        }
        Some(self.operation.tag())
    }

    fn granted(&mut self, token: usize) -> Option<O::Output> {
        self.is_awake = token == CALLED;
        self.try_awake()
    }

    fn resign(&mut self) {
        if std::mem::take(&mut self.is_awake) {
            self.shared.lock().fall_asleep(O::SIDE);
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.shared.has_left(O::SIDE, line);
    }

    /// Called and not coming: releasing the lock calls the next.
    fn decline(&mut self, token: usize) {
        let mut state = self.shared.lock();
        if token == CALLED {
            state.fall_asleep(O::SIDE);
        }
    }
}

impl<D: Discipline, O: Operation<D>> Drop for QueueRequest<'_, D, O> {
    #[inline]
    fn drop(&mut self) {
        self.operation.withdraw(self.shared);
    }
}
