//! One task's life, shared by the [`Promise`] that runs it and the future that waits for it.
//!
//! ```text
//!   Pending --start--> Running --complete--> Finished
//!      |                                        ^
//!      +--cancel, or the promise is dropped-----+
//! ```
//!
//! The stage changes under a short mutex; whoever makes it `Finished` then completes the completion, wakes the
//! task that awaits, and runs the callbacks, in this order and with nothing locked.

use super::{Finished, TaskError, TaskFuture};
use crate::panic::contain;
use crate::platform::{Mutex, forked, thread_id};
use crate::sync::completion::{Completion, Ending, worker_at};
use crate::wait::Kind;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// Tells tasks of one process apart; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u64);

impl TaskId {
    fn next() -> TaskId {
        // Not modelled: only the number's uniqueness matters.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        TaskId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

pub(super) struct TaskEnding;

impl Ending for TaskEnding {
    const KIND: &'static Kind = &Kind {
        name: "Task",
        owner: Some(worker_at),
    };
}

pub(super) type Callback = Box<dyn FnOnce(&Finished) + Send>;

pub(super) struct Task<R> {
    pub(super) id: TaskId,
    pub(super) state: Mutex<State<R>>,
    /// Complete once the stage is `Finished`.
    pub(super) finished: Completion<TaskEnding>,
    /// The generation of the process that it was made in.
    generation: u8,
}

pub(super) struct State<R> {
    pub(super) stage: Stage<R>,
    pub(super) callbacks: SmallVec<[Callback; 1]>,
    pub(super) waker: Option<Waker>,
}

pub(super) enum Stage<R> {
    Pending,
    Running,
    Finished {
        /// Gone once somebody has taken it.
        value: Option<R>,
        error: Option<TaskError>,
    },
}

impl<R> Task<R> {
    /// Makes it `Finished` unless it is, or unless `may` says no to its stage.
    pub(super) fn finish(
        &self,
        result: Result<R, TaskError>,
        may: impl FnOnce(&Stage<R>) -> bool,
    ) -> bool {
        let (value, error) = match result {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        let report = Finished::new(self.id, error.clone());
        let (callbacks, waker) = {
            let mut state = self.state.lock();
            if matches!(state.stage, Stage::Finished { .. }) || !may(&state.stage) {
                return false;
            }
            state.stage = Stage::Finished { value, error };
            (std::mem::take(&mut state.callbacks), state.waker.take())
        };
        self.finished.complete();
        if let Some(waker) = waker {
            contain(|| waker.wake());
        }
        for callback in callbacks {
            crate::panic::report("a callback of a finished task", || callback(&report));
        }
        true
    }

    /// In a forked child: a task of the parent is lost unless the thread that forked is running it, because
    /// whoever was to run it did not come along. Called before it is waited for or looked at.
    pub(super) fn look_behind(&self) {
        if forked::is_child()
            && self.generation != forked::generation()
            && !self.finished.is_done()
            && self.finished.worker() != thread_id()
        {
            self.finish(Err(TaskError::Lost), |_| true);
        }
    }

    pub(super) fn cancel(&self) -> bool {
        self.finish(Err(TaskError::Cancelled), |stage| {
            matches!(stage, Stage::Pending)
        })
    }
}

/// The side of a task that runs it. Dropping it without completing it loses the task.
pub(crate) struct Promise<R> {
    task: Arc<Task<R>>,
}

impl<R> Promise<R> {
    #[cfg(all(feature = "process", target_os = "linux", not(loom)))]
    pub(crate) fn id(&self) -> TaskId {
        self.task.id
    }

    /// The task begins to run in this thread. False when it has been cancelled and must not.
    pub(crate) fn start(&self) -> bool {
        let may = self.start_elsewhere();
        if may {
            self.task.finished.is_up_to(thread_id());
        }
        may
    }

    /// As `start`, in another process.
    pub(crate) fn start_elsewhere(&self) -> bool {
        let mut state = self.task.state.lock();
        let may = matches!(state.stage, Stage::Pending);
        if may {
            state.stage = Stage::Running;
        }
        may
    }

    /// The task has come to an end. A task that was cancelled before stays cancelled.
    pub(crate) fn complete(self, result: Result<R, TaskError>) {
        self.task.finish(result, |_| true);
    }

    /// As [`TaskFuture::cancel`].
    pub(crate) fn cancel(&self) {
        self.task.cancel();
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.task.finish(Err(TaskError::Lost), |_| true);
    }
}

/// A new task: who runs it, and who waits for it.
pub(crate) fn pair<R>() -> (Promise<R>, TaskFuture<R>) {
    let task = Arc::new(Task {
        id: TaskId::next(),
        state: Mutex::new(State {
            stage: Stage::Pending,
            callbacks: SmallVec::new(),
            waker: None,
        }),
        finished: Completion::new(),
        generation: forked::generation(),
    });
    let promise = Promise {
        task: Arc::clone(&task),
    };
    (promise, TaskFuture::new(task))
}
