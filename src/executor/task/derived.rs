//! [`Derived`]: a task that ends when others do.
//!
//! It has the futures of the others, its sources, and each of these tells it of its end by a hook, so no thread waits and
//! nobody polls. What is to become of the ends is its [`Plan`]. Invariant: the plan is taken out once, by whoever ends
//! the task or finds that it has been ended; whoever takes it out lets go of the sources.

use super::{Core, Job, Outcome, Step, Watch, aside, relay};
use crate::executor::TaskError;
use crate::panic::report;
use crate::platform::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;

pub(crate) type Sources = SmallVec<[Arc<dyn Job>; 2]>;

/// What is made of the sources' ends.
pub(crate) trait Plan: Send + Sized + 'static {
    type Output: Send + 'static;

    /// Can it be of use to run the sources one after the other? Not if the first end of any is waited for.
    const NEEDS_ALL: bool = true;

    /// Those there are, ended or not.
    fn sources(&self) -> Sources;

    /// One of them has ended.
    fn ended(derived: &Arc<Derived<Self>>, number: usize);
}

/// See the head of this file.
pub(crate) struct Derived<P: Plan> {
    core: Core<P::Output>,
    /// That of the first source that has one.
    home: usize,
    pub(crate) plan: Mutex<Option<P>>,
}

impl<P: Plan> Derived<P> {
    pub(crate) fn new(plan: P) -> Derived<P> {
        let sources = plan.sources();
        let mut homes = sources.iter().map(|source| source.home());
        Derived {
            core: Core::new(),
            home: homes.find(|home| *home != 0).unwrap_or(0),
            plan: Mutex::new(Some(plan)),
        }
    }

    /// Takes the plan out, if it is still to be followed.
    pub(crate) fn take_plan(&self) -> Option<P> {
        self.plan.lock().take()
    }

    /// Ends it by what `result` does here, unless it has been cancelled.
    pub(crate) fn end_by(&self, result: impl FnOnce() -> Result<P::Output, TaskError>) {
        if self.core.start() {
            self.core.finish(result());
        }
    }

    fn sources(&self) -> Sources {
        let plan = self.plan.lock();
        plan.as_ref().map(P::sources).unwrap_or_default()
    }

    /// Cancels what nobody needs any more, from the end, so that none starts because one before it was cancelled.
    pub(crate) fn let_go(plan: P) {
        let sources = plan.sources();
        report("what a task that never ran had captured", || {
            aside(|| drop(plan))
        });
        relay(Step::CancelAll(sources));
    }
}

impl<P: Plan> Watch for Derived<P> {
    fn ended(self: Arc<Self>, number: usize, _error: Option<&TaskError>) {
        P::ended(&self, number);
    }
}

impl<P: Plan> Job for Derived<P> {
    /// Runs the sources of its own pool that have not started, one after the other, and those that come of them.
    fn run(&self) -> bool {
        let home = self.home();
        if !P::NEEDS_ALL || home == 0 {
            return false;
        }
        let mut has_run = false;
        loop {
            let mut goes_on = false;
            for source in self.sources() {
                if source.home() == home && !source.is_claimed() {
                    goes_on |= source.run();
                }
            }
            has_run |= goes_on;
            if !goes_on {
                return has_run;
            }
        }
    }

    fn drop_with(&self, error: TaskError) -> bool {
        let may = self.core.drop_with(error);
        if may && let Some(plan) = self.take_plan() {
            Derived::let_go(plan);
        }
        may
    }

    /// Is there nothing of it that could be started? A promise is nobody's to start.
    fn is_claimed(&self) -> bool {
        let could_start = |source: &Arc<dyn Job>| source.home() != 0 && !source.is_claimed();
        self.core.is_claimed() || !self.sources().iter().any(could_start)
    }

    fn home(&self) -> usize {
        self.home
    }
}

impl<P: Plan> Outcome<P::Output> for Derived<P> {
    fn core(&self) -> &Core<P::Output> {
        &self.core
    }
}
