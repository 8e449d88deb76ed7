//! Who is told of a task's end beside those who wait: who awaits it, who watches several, callbacks, and the task
//! that is made of this one.

use super::{Step, TaskId, aside, relay};
use crate::executor::TaskError;
use crate::panic::{contain, report};
use smallvec::SmallVec;
use std::sync::Arc;
use std::task::Waker;

pub(crate) type Callback = Box<dyn FnOnce(&Finished) + Send>;

/// Whoever is told of the ends of tasks, and knows which is which by numbers of its own.
///
/// Called with nothing locked; several may be told at a time.
pub trait Watch: Send + Sync {
    /// The task that was given to it under this number has ended.
    fn ended(self: Arc<Self>, number: usize, error: Option<&TaskError>);
}

/// One of them.
pub enum Hook {
    /// There is one future, so the last waker counts.
    Waker(Waker),
    /// Can be taken away again. Told before the callbacks.
    Watcher(Arc<dyn Watch>, usize),
    /// In the order in which they came.
    Callback(Callback),
    /// Has the future, so there is one, and nothing is added after it. Told last.
    Heir(Arc<dyn Watch>, usize),
}

/// A task without any has one null pointer.
#[derive(Default)]
pub(super) struct Hooks(Option<Box<List>>);

#[derive(Default)]
struct List {
    waker: Option<Waker>,
    watchers: SmallVec<[(Arc<dyn Watch>, usize); 1]>,
    callbacks: SmallVec<[Callback; 2]>,
    heir: Option<(Arc<dyn Watch>, usize)>,
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
            Hook::Waker(waker) => return list.waker.replace(waker),
            Hook::Watcher(watcher, number) => list.watchers.push((watcher, number)),
            Hook::Callback(callback) => list.callbacks.push(callback),
            Hook::Heir(heir, number) => list.heir = Some((heir, number)),
        }
        None
    }

    /// Takes a watcher out, if it is there.
    pub(super) fn remove(&mut self, watcher: *const ()) -> Option<Arc<dyn Watch>> {
        let list = self.0.as_mut()?;
        let is_it =
            |(other, _): &(Arc<dyn Watch>, usize)| Arc::as_ptr(other).cast::<()>() == watcher;
        let place = list.watchers.iter().position(is_it)?;
        Some(list.watchers.remove(place).0)
    }

    /// Tells all of them. Called with nothing locked.
    pub(super) fn run(self, id: TaskId, error: Option<&TaskError>) {
        let Some(list) = self.0 else { return };
        let List {
            waker,
            watchers,
            callbacks,
            heir,
        } = *list;
        if let Some(waker) = waker {
            contain(|| aside(|| waker.wake()));
        }
        for (watcher, number) in watchers {
            contain(|| watcher.ended(number, error));
        }
        if !callbacks.is_empty() {
            let finished = Finished::new(id, error.cloned());
            aside(|| {
                for callback in callbacks {
                    finished.tell(callback);
                }
            });
        }
        if let Some((heir, number)) = heir {
            relay(Step::Ended(heir, number));
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
