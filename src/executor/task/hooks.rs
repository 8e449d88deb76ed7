//! Who is told of a task's end beside those who wait: who awaits it, and callbacks.

use super::TaskId;
use crate::executor::TaskError;
use crate::panic::{contain, report};
use smallvec::SmallVec;
use std::task::Waker;

pub(crate) type Callback = Box<dyn FnOnce(&Finished) + Send>;

/// One of them.
pub(crate) enum Hook {
    /// There is one future, so the last waker counts.
    Waker(Waker),
    Callback(Callback),
}

/// In the order in which they came. A task without any has one null pointer.
#[derive(Default)]
pub(super) struct Hooks(Option<Box<List>>);

#[derive(Default)]
struct List {
    waker: Option<Waker>,
    callbacks: SmallVec<[Callback; 2]>,
}

impl Hooks {
    pub(super) fn none() -> Hooks {
        Hooks(None)
    }

    pub(super) fn take(&mut self) -> Hooks {
        std::mem::take(self)
    }

    /// Returns the waker that is not needed any more.
    pub(super) fn add(&mut self, hook: Hook) -> Option<Waker> {
        let list = self.0.get_or_insert_default();
        match hook {
            Hook::Waker(waker) => list.waker.replace(waker),
            Hook::Callback(callback) => {
                list.callbacks.push(callback);
                None
            }
        }
    }

    /// Tells all of them. Called with nothing locked.
    pub(super) fn run(self, id: TaskId, error: Option<&TaskError>) {
        let Some(list) = self.0 else { return };
        if let Some(waker) = list.waker {
            contain(|| waker.wake());
        }
        if list.callbacks.is_empty() {
            return;
        }
        let finished = Finished::new(id, error.cloned());
        for callback in list.callbacks {
            finished.tell(callback);
        }
    }
}

/// What a callback is told about a task that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    id: TaskId,
    error: Option<TaskError>,
}

impl Finished {
    pub(crate) fn new(id: TaskId, error: Option<TaskError>) -> Finished {
        Finished { id, error }
    }

    /// Which task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Why it has no result, if it has none.
    pub fn error(&self) -> Option<&TaskError> {
        self.error.as_ref()
    }

    pub(crate) fn tell(&self, callback: Callback) {
        report("a callback of a finished task", || callback(self));
    }
}
