//! How an operation on a queue waits: one [`Request`] for all of them.

use super::Discipline;
use super::core::{CALLED, Held, Shared, Side};
use crate::GaveUp;
use crate::panic::contain;
use crate::platform::spin_hint;
use crate::wait::lot::Line;
use crate::wait::{Awaited, Kind, Limit, Request, wait, wait_for_ever};
use std::panic::Location;

/// Something that is done under the short lock as soon as the queue's state allows it.
pub(super) trait Operation<D: Discipline>: Sized {
    type Output;
    const KIND: &'static Kind;
    const SIDE: Side;

    /// Does it. `None` when that cannot be done now.
    fn run(&mut self, queue: &mut Held<'_, D>) -> Option<Self::Output>;

    /// Would `run` do it?
    fn is_possible(&self, queue: &Held<'_, D>) -> bool;

    /// How often could it be done, as far as can be seen without the lock? Wrong only for a moment.
    fn things_in_sight(&self, queue: &Shared<D>) -> usize;

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

/// So many pauses, of about 10 ns each, are given to the other side to come up with more.
const PATIENCE: usize = 32;

/// An operation and how it stands with the side it belongs to.
pub(super) struct QueueRequest<'a, D: Discipline, O: Operation<D>> {
    shared: &'a Shared<D>,
    pub(super) operation: O,
    /// Whether it is counted among those awake.
    is_awake: bool,
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
        }
    }

    /// The attempt of a caller that does not wait yet.
    #[inline]
    pub(super) fn try_run(&mut self) -> Option<O::Output> {
        self.operation.run(&mut self.shared.lock())
    }

    /// Does it now or not at all.
    #[inline]
    pub(super) fn try_to(mut self) -> O::Output {
        match self.try_run() {
            Some(output) => output,
            None => self.operation.refuse(),
        }
    }

    /// Does it, waiting as long as it takes. The caller has tried already.
    #[cold]
    #[inline(never)]
    pub(super) fn run(mut self, place: &'static Location<'static>) -> O::Output {
        wait_for_ever(&mut self, place)
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

    /// Says that it is awake, if there is anybody who might be woken in its stead.
    fn wake_up(&mut self) {
        if !self.is_awake && self.shared.is_marked(O::SIDE) {
            self.is_awake = true;
            self.shared.wake_up(O::SIDE);
        }
    }

    /// True if it was awake.
    fn fall_asleep(&mut self) -> bool {
        let was_awake = std::mem::take(&mut self.is_awake);
        if was_awake {
            self.shared.fall_asleep(O::SIDE);
        }
        was_awake
    }
}

impl<D: Discipline, O: Operation<D>> Request for QueueRequest<'_, D, O> {
    type Output = O::Output;
    const KIND: &'static Kind = O::KIND;
    const AWAITED: Awaited = Awaited::Traffic;

    fn address(&self) -> usize {
        self.shared.address(O::SIDE)
    }

    fn attempt(&mut self) -> Option<O::Output> {
        self.wake_up();
        let mut queue = self.shared.lock();
        let done = self.operation.run(&mut queue);
        if done.is_some() {
            // Before the release, which calls who has been passed over because of us.
            self.fall_asleep();
        }
        done
    }

    /// While the other side is busy, it is left alone until there is a good deal to do: to take the lines
    /// from its core for every single item would slow down both.
    fn looks_good(&mut self) -> bool {
        self.wake_up();
        let things = self.operation.things_in_sight(self.shared);
        let good_deal = self.shared.good_deal();
        if things == 0 || things >= good_deal {
            return things > 0;
        }
        (0..PATIENCE).for_each(|_| spin_hint());
        let later = self.operation.things_in_sight(self.shared);
        later <= things || later >= good_deal
    }

    /// Whoever spins takes nothing from those who are parked.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let mut queue = self.shared.lock();
        let is_possible = self.operation.is_possible(&queue);
        if !is_possible {
            queue.mark(O::SIDE);
            self.fall_asleep();
        }
        queue.release_quietly();
        if is_possible {
            return None;
        }
        Some(self.operation.tag())
    }

    /// What will be due is only known to be waited for from now on: releasing the lock sets the alarm.
    ///
    /// It asks the discipline, whose panic must not get out: the node is in the line.
    fn parked(&mut self) {
        if D::IS_TIMED && O::SIDE == Side::Getters {
            contain(|| drop(self.shared.lock()));
        }
    }

    /// Releasing the lock calls whoever there is something to do for.
    fn mend(&mut self) {
        contain(|| drop(self.shared.lock()));
    }

    fn granted(&mut self, token: usize) -> Option<O::Output> {
        self.is_awake = token == CALLED;
        self.attempt()
    }

    fn resign(&mut self) {
        if self.fall_asleep() {
            // Whoever is to be called instead is called by the release.
            drop(self.shared.lock());
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.shared.has_left(O::SIDE, line);
    }

    /// Called and not coming: releasing the lock calls the next.
    fn decline(&mut self, token: usize) {
        if token == CALLED {
            self.shared.fall_asleep(O::SIDE);
        }
        drop(self.shared.lock());
    }
}

impl<D: Discipline, O: Operation<D>> Drop for QueueRequest<'_, D, O> {
    #[inline]
    fn drop(&mut self) {
        self.operation.withdraw(self.shared);
        // Still counted if the discipline has panicked in an attempt: somebody else is to be called.
        if self.is_awake {
            self.resign();
        }
    }
}
