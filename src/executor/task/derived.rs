//! [`Derived`]: a task that ends when others do.
//!
//! It has the futures of the others, its sources, and each of these tells it of its end by a hook, so no thread waits and
//! nobody polls. What is to become of the ends is its [`Plan`]. Invariant: the plan is taken out once, by whoever ends
//! the task or finds that it has been ended; whoever takes it out lets go of the sources.

use super::{Core, Job, Outcome, Step, Watch, aside, relay};
use crate::executor::TaskError;
use crate::panic::{catch, report};
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

    /// Ends it by what `result` does here, unless it has been cancelled. A panic is its end, too: a source may have been
    /// awaited before, and then there is nothing to be taken out of it.
    pub(crate) fn end_by(&self, result: impl FnOnce() -> Result<P::Output, TaskError>) {
        if !self.core.start() {
            return drop_unused(result);
        }
        let result = match catch(result) {
            Ok(result) => result,
            Err(panic) => Err(TaskError::Panicked(panic)),
        };
        self.core.finish(result);
    }

    fn sources(&self) -> Sources {
        let plan = self.plan.lock();
        plan.as_ref().map(P::sources).unwrap_or_default()
    }

    /// Looks at the tasks with work of their own that it is made of, in order, until `is_it` says so; does it ever? Not by
    /// recursion, because a chain may be long.
    fn look_at_parts(&self, mut is_it: impl FnMut(&dyn Job, bool) -> bool) -> bool {
        let in_order = |sources: Sources, is_needed| {
            let parts = sources.into_iter().rev();
            parts.map(move |part| (part, is_needed))
        };
        let mut left: Vec<_> = in_order(self.sources(), P::NEEDS_ALL).collect();
        while let Some((part, is_needed)) = left.pop() {
            match part.parts() {
                Some((parts, needs_all)) => left.extend(in_order(parts, is_needed && needs_all)),
                None if is_it(&*part, is_needed) => return true,
                None => {}
            }
        }
        false
    }

    /// Cancels what nobody needs any more, from the end, so that none starts because one before it was cancelled.
    pub(crate) fn let_go(plan: P) {
        let sources = plan.sources();
        drop_unused(plan);
        relay(Step::CancelAll(sources));
    }
}

/// Drops what there is of the user's in a plan.
fn drop_unused<T>(unused: T) {
    report("what a task that never ran had captured", || {
        aside(|| drop(unused))
    });
}

impl<P: Plan> Watch for Derived<P> {
    fn ended(self: Arc<Self>, number: usize, _error: Option<&TaskError>) {
        P::ended(&self, number);
    }
}

impl<P: Plan> Job for Derived<P> {
    /// Runs what has not started of its own pool that it needs, one after the other, and what comes of that.
    fn run(&self) -> bool {
        let mut has_run = false;
        loop {
            let mut goes_on = false;
            self.look_at_parts(|part, is_needed| {
                if is_needed && part.home() == self.home && !part.is_claimed() {
                    goes_on |= part.run();
                }
                false
            });
            has_run |= goes_on;
            if !goes_on {
                return has_run;
            }
        }
    }

    fn parts(&self) -> Option<(Sources, bool)> {
        Some((self.sources(), P::NEEDS_ALL))
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
        self.core.is_claimed()
            || !self.look_at_parts(|part, _| part.home() != 0 && !part.is_claimed())
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
