//! [`Promise`]: a task that is brought to its end by hand.

use super::{Core, DROPPED, Job, Outcome, STARTED};
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
use crate::executor::TaskId;
use crate::executor::{TaskError, TaskFuture};
use std::sync::Arc;

/// A task that is nothing but what all tasks have.
pub(super) struct Bare<R>(Core<R>);

impl<R: Send> Job for Bare<R> {
    /// Whoever has the promise runs it.
    fn run(&self) -> bool {
        false
    }

    fn drop_with(&self, error: TaskError) -> bool {
        self.0.drop_with(error)
    }

    fn is_claimed(&self) -> bool {
        self.0.is_claimed()
    }

    fn was_cancelled(&self) -> bool {
        self.0.was_cancelled()
    }

    fn home(&self) -> usize {
        0
    }
}

impl<R: Send> Outcome<R> for Bare<R> {
    fn core(&self) -> &Core<R> {
        &self.0
    }
}

/// The side of a task that runs it. Dropping it without completing it loses the task.
pub(crate) struct Promise<R> {
    task: Arc<Bare<R>>,
}

impl<R> Promise<R> {
    #[cfg(all(feature = "process", target_os = "linux", not(loom)))]
    pub(crate) fn id(&self) -> TaskId {
        self.core().id
    }

    fn core(&self) -> &Core<R> {
        &self.task.0
    }

    /// The task begins to run in this thread. False when it has been cancelled and must not.
    pub(crate) fn start(&self) -> bool {
        self.core().start()
    }

    /// As `start`, in another process.
    pub(crate) fn start_elsewhere(&self) -> bool {
        self.core().start_elsewhere()
    }

    /// The task has come to an end. A task that was cancelled before stays cancelled.
    pub(crate) fn complete(self, result: Result<R, TaskError>) {
        self.end(result);
    }

    fn end(&self, result: Result<R, TaskError>) {
        let core = self.core();
        // What has been started and not dropped has been started by this promise.
        let is_ours = core.start_elsewhere() || core.end.marks() & (STARTED | DROPPED) == STARTED;
        if is_ours {
            core.finish(result);
        }
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.end(Err(TaskError::Lost));
    }
}

/// A new task: who runs it, and who waits for it.
pub(crate) fn pair<R: Send + 'static>() -> (Promise<R>, TaskFuture<R>) {
    let task = Arc::new(Bare(Core::new()));
    let future = TaskFuture::new(Arc::clone(&task) as _);
    (Promise { task }, future)
}
