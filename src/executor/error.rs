//! What can become of a task, and why one was not accepted.

use super::{Failure, TaskId};
use crate::GaveUp;
use crate::panic::Panicked;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// The task panicked; its worker goes on.
    Panicked(Panicked),
    /// It returned an error, and its future is one of what it returns when it succeeds.
    Failed(Failure),
    /// It was cancelled before it started.
    Cancelled,
    /// It was given up before it started, for another one in a full queue.
    Discarded,
    /// Whoever was to run it went away without saying anything.
    Lost,
    /// The process that ran it died.
    WorkerDied(WorkerDied),
    /// Its result could not be encoded to be sent back.
    Encode(Arc<str>),
    /// Its argument, or its result, could not be decoded where it arrived.
    Decode(Arc<str>),
    /// The executor can run nothing any more.
    Broken(Arc<str>),
    /// A worker of its pool waited for it and had no stack left to run it, all others waited, too, and there
    /// could be no more of them.
    WouldDeadlock,
    /// An iterator over results gave up waiting for this one.
    GaveUp(GaveUp),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(panic) => panic.fmt(f),
            TaskError::Failed(failure) => fmt::Display::fmt(failure, f),
            TaskError::Cancelled => f.write_str("the task was cancelled before it started"),
            TaskError::Discarded => {
                f.write_str("the task was given up, because the queue was full")
            }
            TaskError::Lost => f.write_str("the task was dropped by its executor"),
            TaskError::WorkerDied(death) => death.fmt(f),
            TaskError::Encode(why) => write!(f, "the result could not be encoded: {why}"),
            TaskError::Decode(why) => write!(f, "what was sent could not be decoded: {why}"),
            TaskError::Broken(why) => write!(f, "the executor is broken: {why}"),
            TaskError::WouldDeadlock => f.write_str(
                "all workers wait for tasks of their pool, and nobody is left to run this one",
            ),
            TaskError::GaveUp(why) => why.fmt(f),
        }
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Its own text is that of the error itself.
            TaskError::Failed(failure) => failure.get().source(),
            _ => None,
        }
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> TaskError {
        TaskError::Failed(failure)
    }
}

/// The death of a worker process in the middle of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerDied {
    /// The task it was running; the only one that is lost.
    pub task: TaskId,
    /// The dead process.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
}

impl WorkerDied {
    #[cfg(all(feature = "process", target_os = "linux", not(loom)))]
    pub(crate) fn new(task: TaskId, pid: u32, exit: Exit) -> WorkerDied {
        WorkerDied { task, pid, exit }
    }
}

impl fmt::Display for WorkerDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "worker process {} {} while it ran {}",
            self.pid, self.exit, self.task
        )
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// By a signal.
    Signal(i32),
    /// By itself, with this code.
    Code(i32),
    /// Nobody could tell.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Unknown => f.write_str("ended"),
        }
    }
}

/// A task that was not accepted; what it was to work on comes back.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmitError<A> {
    /// The argument, or the closure.
    pub value: A,
    /// Why.
    pub reason: SubmitRefusal,
}

impl<A> SubmitError<A> {
    pub(crate) fn new(value: A, reason: SubmitRefusal) -> SubmitError<A> {
        SubmitError { value, reason }
    }
}

impl<A> fmt::Debug for SubmitError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<A> fmt::Display for SubmitError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<A> Error for SubmitError<A> {}

/// Why a task was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitRefusal {
    /// The executor has been shut down.
    ShutDown,
    /// As many tasks wait as may.
    Full,
    /// There was no place for it in time.
    TimedOut,
    /// The submission was cancelled before there was a place for it.
    Cancelled,
    /// The executor can run nothing any more, or could not start its first worker.
    Broken(Arc<str>),
    /// The argument could not be encoded.
    Encode(Arc<str>),
    /// The function cannot be named in another process.
    NotPortable(Arc<str>),
}

impl fmt::Display for SubmitRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitRefusal::ShutDown => f.write_str("the executor has been shut down"),
            SubmitRefusal::Full => f.write_str("as many tasks wait as may"),
            SubmitRefusal::TimedOut => GaveUp::TimedOut.fmt(f),
            SubmitRefusal::Cancelled => GaveUp::Cancelled.fmt(f),
            SubmitRefusal::Broken(why) => write!(f, "the executor is broken: {why}"),
            SubmitRefusal::Encode(why) => write!(f, "the argument could not be encoded: {why}"),
            SubmitRefusal::NotPortable(why) => {
                write!(f, "the function cannot be named in another process: {why}")
            }
        }
    }
}
