//! [`GroupError`]: why a task of a group has no value.

use crate::GaveUp;
use crate::executor::{Panicked, TaskError};
use std::error::Error;
use std::fmt;

/// Why a task of a [`Group`](super::Group) has no value, and with it perhaps the whole group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError<E> {
    /// It returned this error.
    Failed(E),
    /// It panicked.
    Panicked(Panicked),
    /// It had not started when the group was over: another task had decided it, or the body panicked.
    Cancelled,
    /// The group's limit was reached before it had started, or, of the whole group, before all had ended.
    GaveUp(GaveUp),
    /// The pool did not run it: it was shut down, or broke.
    NotRun(TaskError),
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupError::Failed(error) => error.fmt(f),
            GroupError::Panicked(panic) => panic.fmt(f),
            GroupError::Cancelled => f.write_str("the group was over before the task started"),
            GroupError::GaveUp(why) => why.fmt(f),
            GroupError::NotRun(why) => write!(f, "the task was not run: {why}"),
        }
    }
}

impl<E: Error + 'static> Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Its own text is that of the error itself.
            GroupError::Failed(error) => error.source(),
            GroupError::NotRun(why) => Some(why),
            _ => None,
        }
    }
}
