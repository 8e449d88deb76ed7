//! What comes back from a place that is taken.

use std::error::Error;
use std::fmt;

/// Why a [`Once`](super::Once) did not take the value that comes back with this.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetError<T> {
    /// There is a value.
    AlreadySet(T),
    /// Somebody is making one.
    Initialising(T),
}

impl<T> SetError<T> {
    /// The value that was not taken.
    pub fn into_inner(self) -> T {
        match self {
            SetError::AlreadySet(value) | SetError::Initialising(value) => value,
        }
    }
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetError::AlreadySet(_) => "AlreadySet(..)",
            SetError::Initialising(_) => "Initialising(..)",
        })
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetError::AlreadySet(_) => "there is a value already",
            SetError::Initialising(_) => "somebody is making the value",
        })
    }
}

impl<T> Error for SetError<T> {}
