//! [`TaskState`]: how far a task has come.

/// How far a task has come; from [`TaskFuture::state`](super::TaskFuture::state). It only goes down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It has not started and can be cancelled.
    Pending,
    /// It is being run.
    Running,
    /// It was cancelled before it started.
    #[doc(alias = "CANCELLED_AND_NOTIFIED")]
    Cancelled,
    /// It has returned, or has ended in another way.
    Finished,
}

impl TaskState {
    /// Is this the end of it?
    pub fn is_done(self) -> bool {
        matches!(self, TaskState::Cancelled | TaskState::Finished)
    }
}
