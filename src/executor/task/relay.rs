//! [`relay`]: what follows from the end of a task, for tasks that are made of it, one after the other.
//!
//! The end of a task may be that of another one, and so on; a chain of any length must not need a stack of that depth. So
//! what follows is put into a queue of the thread, if it is going through one already. The user's code runs
//! [`aside`](aside()) of that: what it brings to an end has followed by the time it goes on.

use super::{Sources, Watch};
use crate::executor::TaskError;
use crate::panic::contain;
use crate::platform::thread_local;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr;
use std::sync::Arc;

/// What follows.
pub(crate) enum Step {
    /// A task that is made of others hears of the end of one of them.
    Ended(Arc<dyn Watch>, usize),
    /// Nobody needs these any more; from the end, so that none starts because one before it was cancelled.
    CancelAll(Sources),
}

type Queue = RefCell<VecDeque<Step>>;

thread_local! {
    /// The one that this thread is going through.
    static QUEUE: Cell<*const Queue> = const { Cell::new(ptr::null()) };
}

/// Does it, and all that follows; or leaves it to who does that beneath.
pub(crate) fn relay(step: Step) {
    let queue = QUEUE.with(Cell::get);
    // SAFETY: it lies in the frame of this function beneath, which takes it out of here before it ends.
    if let Some(queue) = unsafe { queue.as_ref() } {
        queue.borrow_mut().push_back(step);
        return;
    }
    let queue = Queue::default();
    QUEUE.with(|place| place.set(&queue));
    let mut next = Some(step);
    while let Some(step) = next {
        contain(|| step.run());
        next = queue.borrow_mut().pop_front();
    }
    QUEUE.with(|place| place.set(ptr::null()));
}

/// Runs the user's code, in which what follows from an end follows at once.
pub(crate) fn aside<R>(f: impl FnOnce() -> R) -> R {
    let _beneath = Beneath(QUEUE.with(|place| place.replace(ptr::null())));
    f()
}

/// Goes back to it.
struct Beneath(*const Queue);

impl Drop for Beneath {
    fn drop(&mut self) {
        QUEUE.with(|place| place.set(self.0));
    }
}

impl Step {
    fn run(self) {
        match self {
            Step::Ended(derived, number) => derived.ended(number, None),
            Step::CancelAll(tasks) => {
                for task in tasks.into_iter().rev() {
                    // Each by itself: its result may be the last that goes.
                    contain(|| {
                        if !task.drop_with(TaskError::Cancelled) {
                            task.ask_to_stop();
                        }
                        drop(task);
                    });
                }
            }
        }
    }
}
