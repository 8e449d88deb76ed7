//! Why a queue said no. A refused item comes back.

use crate::GaveUp;
use std::error::Error;
use std::fmt;

/// Why an item was not put; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "TrySendError")]
pub enum PutError<T> {
    /// No room, and the call was not to wait.
    Full(T),
    /// No room before the deadline.
    TimedOut(T),
    /// Cancelled while waiting for room.
    Cancelled(T),
    /// The queue takes nothing any more. Takes precedence over the others.
    ShutDown(T),
}

impl<T> PutError<T> {
    pub(crate) fn gave_up(why: GaveUp, item: T) -> PutError<T> {
        match why {
            GaveUp::TimedOut => PutError::TimedOut(item),
            GaveUp::Cancelled => PutError::Cancelled(item),
        }
    }

    /// The item that was refused.
    pub fn into_inner(self) -> T {
        match self {
            PutError::Full(item)
            | PutError::TimedOut(item)
            | PutError::Cancelled(item)
            | PutError::ShutDown(item) => item,
        }
    }

    /// The same reason with something else in place of the item.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> PutError<U> {
        match self {
            PutError::Full(item) => PutError::Full(f(item)),
            PutError::TimedOut(item) => PutError::TimedOut(f(item)),
            PutError::Cancelled(item) => PutError::Cancelled(f(item)),
            PutError::ShutDown(item) => PutError::ShutDown(f(item)),
        }
    }

    /// Was there no room, in a call that was not to wait?
    pub fn is_full(&self) -> bool {
        matches!(self, PutError::Full(_))
    }

    /// Did the deadline pass?
    pub fn is_timed_out(&self) -> bool {
        matches!(self, PutError::TimedOut(_))
    }

    /// Was the call cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, PutError::Cancelled(_))
    }

    /// Does the queue take nothing any more?
    pub fn is_shutdown(&self) -> bool {
        matches!(self, PutError::ShutDown(_))
    }

    fn reason(&self) -> &'static str {
        match self {
            PutError::Full(_) => "the queue is full",
            PutError::TimedOut(_) => "the deadline passed before there was room in the queue",
            PutError::Cancelled(_) => "cancelled while waiting for room in the queue",
            PutError::ShutDown(_) => "the queue has been shut down",
        }
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "Full(..)",
            PutError::TimedOut(_) => "TimedOut(..)",
            PutError::Cancelled(_) => "Cancelled(..)",
            PutError::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl<T> Error for PutError<T> {}

/// Why there was no item to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "TryRecvError")]
pub enum GetError {
    /// Nothing there, and the call was not to wait.
    Empty,
    /// Nothing came before the deadline.
    TimedOut,
    /// Cancelled while waiting for an item.
    Cancelled,
    /// Nothing there, and nothing will come. Takes precedence over the others.
    ShutDown,
}

impl GetError {
    /// Was there nothing, in a call that was not to wait?
    pub fn is_empty(&self) -> bool {
        matches!(self, GetError::Empty)
    }

    /// Did the deadline pass?
    pub fn is_timed_out(&self) -> bool {
        matches!(self, GetError::TimedOut)
    }

    /// Was the call cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, GetError::Cancelled)
    }

    /// Will nothing come any more?
    pub fn is_shutdown(&self) -> bool {
        matches!(self, GetError::ShutDown)
    }
}

impl From<GaveUp> for GetError {
    fn from(why: GaveUp) -> GetError {
        match why {
            GaveUp::TimedOut => GetError::TimedOut,
            GaveUp::Cancelled => GetError::Cancelled,
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "the queue is empty",
            GetError::TimedOut => "the deadline passed before there was an item",
            GetError::Cancelled => "cancelled while waiting for an item",
            GetError::ShutDown => "the queue is empty and has been shut down",
        })
    }
}

impl Error for GetError {}

/// More items were acknowledged than have been put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDoneError;

impl fmt::Display for TaskDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than items were put")
    }
}

impl Error for TaskDoneError {}
