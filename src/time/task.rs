//! [`Task`]: what rings for a timer: a function to be called once, or again and again.
//!
//! Whoever claims the stage has it to itself until the task has ended, or is free again for its next time:
//!
//! ```text
//!            claimed by whoever is first: the call that begins, a cancellation, the end of time
//!   free ------------------------------------------------------------------------> claimed
//!     ^                                                                               |
//!     +------ to be called again: the stage is `Waiting`, then it is free, then armed -+
//!                                                                                     |
//!                                                    ended: the stage stays as it is <-+
//! ```
//!
//! So it makes no difference whether the alarm is in the wheel, just out of it, or has been handed to a
//! pool: a cancellation that claims has prevented the call. One that finds it claimed leaves word (`is_stopped`),
//! and the claimer looks after it has set it free: both write the same flag, so one of them sees the other.

use super::{Place, TimerError};
use crate::panic::{Panicked, catch, report};
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::{UnsafeCell, thread_id};
use crate::sync::completion::{Completion, Ending, worker_at};
use crate::wait::Kind;
use crate::wait::time::{Alarm, Clock, Ring};
use std::sync::Arc;
use std::time::Instant;

pub(super) struct TimerEnding;

impl Ending for TimerEnding {
    const KIND: &'static Kind = &Kind {
        name: "Timer",
        owner: Some(worker_at),
    };
}

/// What is called when its time has come.
pub(super) trait Course: Send + Sized + 'static {
    type Output: Send + 'static;
    /// Is it called once?
    const IS_SINGLE: bool;

    /// `tick` is what it was set for, by its clock.
    fn call(self, tick: u64) -> Next<Self>;
}

pub(super) enum Next<C: Course> {
    /// To be called again at this instant, by this clock.
    Again(C, Instant, Clock),
    End(C::Output),
}

enum Stage<C: Course> {
    Waiting(C),
    /// Being called, or its outcome has been taken.
    Away,
    Returned(C::Output),
    Panicked(Box<Panicked>),
    Cancelled,
    Lost,
}

pub(super) struct Task<C: Course, P> {
    /// Complete once the stage is final.
    ended: Completion<TimerEnding>,
    is_claimed: AtomicBool,
    /// Not to be called again.
    is_stopped: AtomicBool,
    place: P,
    /// Belongs to who has claimed it; once it is complete, to the handle.
    stage: UnsafeCell<Stage<C>>,
}

// SAFETY: the stage is reached by one at a time (see above), which needs what is in it to be `Send`: the function
// and its output are, by the bounds of `Course`.
unsafe impl<C: Course, P: Sync> Sync for Task<C, P> {}
// SAFETY: as above.
unsafe impl<C: Course, P: Send> Send for Task<C, P> {}

/// A timer's end, seen from outside.
pub(super) trait Control: Send + Sync {
    fn ended(&self) -> &Completion<TimerEnding>;

    /// Not again. True if this has prevented the call that was to come.
    fn cancel(&self) -> bool;

    /// Was its end that it was prevented? Once it is complete, and before the outcome is taken.
    fn was_cancelled(&self) -> bool;
}

/// As [`Control`], with what the function returns.
pub(super) trait Job<R>: Control {
    /// What has become of it. Called once, by the handle, after it is complete.
    fn take(&self) -> Result<R, TimerError>;
}

impl<C: Course, P: Place> Task<C, P> {
    pub(super) fn new(course: C, place: P) -> Task<C, P> {
        Task {
            ended: Completion::new(),
            is_claimed: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            place,
            stage: UnsafeCell::new(Stage::Waiting(course)),
        }
    }

    /// A swap, and not a compare-and-swap, so that one that comes too late releases what it did before to the
    /// claimer's `set_free`.
    fn claim(&self) -> bool {
        !self.is_claimed.swap(true, Ordering::AcqRel)
    }

    /// The stage, which the caller has claimed.
    fn replace(&self, stage: Stage<C>) -> Stage<C> {
        // SAFETY: there is one claimer at a time, and before the end nobody else looks.
        self.stage
            .with_mut(|it| unsafe { std::mem::replace(&mut *it, stage) })
    }

    /// Ends it with the final stage, for who has claimed it.
    fn end(&self, stage: Stage<C>) {
        let before = self.replace(stage);
        // What had been captured is gone before the end can be seen.
        report("what a timer had captured", || drop(before));
        self.ended.complete();
        // After it: whom this wakes finds that the timer has ended.
        self.place.ended();
    }

    /// Calls the function, unless somebody has claimed it before.
    fn call(this: &Arc<Alarm<Task<C, P>>>) {
        let task = &this.body;
        if !task.claim() {
            return;
        }
        let Stage::Waiting(course) = task.replace(Stage::Away) else {
            unreachable!("what is free is waiting");
        };
        if C::IS_SINGLE {
            task.ended.is_up_to(thread_id());
        }
        // SAFETY: whoever is here has what rang, and only the claimer sets it again.
        let tick = unsafe { this.rung_for() };
        match catch(|| course.call(tick)) {
            Ok(Next::End(output)) => task.end(Stage::Returned(output)),
            Ok(Next::Again(course, at, clock)) => Task::again(this, course, at, &clock),
            Err(panic) => task.end(Stage::Panicked(Box::new(panic))),
        }
    }

    fn again(this: &Arc<Alarm<Task<C, P>>>, course: C, at: Instant, clock: &Clock) {
        let task = &this.body;
        task.replace(Stage::Waiting(course));
        // Before it is armed: it may ring at once. Pairs with the swap of a cancellation that came too late.
        task.is_claimed.swap(false, Ordering::AcqRel);
        clock.timeline().arm(Arc::clone(this), at);
        // Relaxed: it was left before that swap, or whoever leaves it now claims for itself.
        if task.is_stopped.load(Ordering::Relaxed) && task.claim() {
            task.end(Stage::Cancelled);
        }
        if task.ended.is_done() {
            // Somebody has prevented it meanwhile and may have found it unarmed.
            clock.timeline().disarm(this);
        }
    }

    /// Without the handle this may be the last of it. What the function has returned and what it takes to call it
    /// are the user's, and a panic as they are dropped must not end the thread that turns the wheel.
    fn let_go(this: Arc<Alarm<Task<C, P>>>) {
        if let Some(last) = Arc::into_inner(this) {
            report("what a timer has returned", || drop(last));
        }
    }
}

impl<C: Course, P: Place> Ring for Task<C, P> {
    fn ring(this: Arc<Alarm<Task<C, P>>>) {
        let due = Due(Some(this));
        let place = due.place();
        P::run(place, move || due.call());
    }

    fn lost(this: Arc<Alarm<Task<C, P>>>) {
        if this.body.claim() {
            this.body.end(Stage::Lost);
        }
        Task::let_go(this);
    }

    /// A function is called in one process.
    const SURVIVES_FORK: bool = false;

    /// What it has captured is the parent's.
    fn left_behind(this: Arc<Alarm<Task<C, P>>>) {
        if this.body.claim() {
            std::mem::forget(this.body.replace(Stage::Lost));
            this.body.ended.complete();
        }
    }
}

/// A call whose time has come. Dropped instead, by a pool that has been shut down, it is lost.
struct Due<C: Course, P: Place>(Option<Arc<Alarm<Task<C, P>>>>);

impl<C: Course, P: Place> Due<C, P> {
    fn place(&self) -> P::Elsewhere {
        let task = self.0.as_ref().expect("not called yet");
        task.body.place.elsewhere()
    }

    fn call(mut self) {
        let task = self.0.take().expect("called once");
        Task::call(&task);
        Task::let_go(task);
    }
}

impl<C: Course, P: Place> Drop for Due<C, P> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            Task::lost(task);
        }
    }
}

impl<C: Course, P: Place> Control for Task<C, P> {
    fn ended(&self) -> &Completion<TimerEnding> {
        &self.ended
    }

    /// What has ended stays claimed.
    fn cancel(&self) -> bool {
        // Released by the swap that follows.
        self.is_stopped.store(true, Ordering::Relaxed);
        let prevents = self.claim();
        if prevents {
            self.end(Stage::Cancelled);
        }
        prevents
    }

    fn was_cancelled(&self) -> bool {
        debug_assert!(self.ended.is_done());
        // SAFETY: complete, so nobody writes but the handle as it takes the outcome, and that is its end.
        self.stage
            .with(|stage| matches!(unsafe { &*stage }, Stage::Cancelled))
    }
}

impl<C: Course, P: Place> Job<C::Output> for Task<C, P> {
    fn take(&self) -> Result<C::Output, TimerError> {
        match self.replace(Stage::Away) {
            Stage::Returned(output) => Ok(output),
            Stage::Panicked(panic) => Err(TimerError::Panicked(*panic)),
            Stage::Cancelled => Err(TimerError::Cancelled),
            Stage::Lost => Err(TimerError::Lost),
            Stage::Waiting(_) | Stage::Away => unreachable!("it has ended, and is taken once"),
        }
    }
}

#[cfg(all(test, target_pointer_width = "64", not(loom)))]
mod tests {
    use super::super::place::Here;
    use super::super::timer::Single;
    use super::*;

    /// The two counts of its `Arc` included.
    fn taken<F: FnOnce() + Send + 'static>(_: &F) -> usize {
        size_of::<Alarm<Task<Single<F>, Here>>>() + 2 * size_of::<usize>()
    }

    #[test]
    fn a_timer_takes_64_bytes_beyond_what_its_function_has_captured() {
        let word = 7_usize;
        assert_eq!(
            taken(&move || drop(Box::new(word))),
            64 + size_of::<usize>()
        );
        let words = [7_usize; 5];
        assert_eq!(
            taken(&move || drop(Box::new(words))),
            64 + size_of_val(&words)
        );
        // A pointer's worth for what it may return.
        assert_eq!(taken(&|| ()), 64 + size_of::<usize>());
    }
}
