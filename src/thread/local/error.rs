//! Why a thread has no value, and why none was made.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

/// Why a thread has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LocalError {
    /// It has made none.
    Empty,
    /// It is making it: this is its initialiser, or was called by it.
    Initialising,
    /// It has dropped its values, because it ends.
    Ended,
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LocalError::Empty => "this thread has made no value",
            LocalError::Initialising => "this thread's value is wanted while it is made",
            LocalError::Ended => "this thread ends and has dropped its values",
        })
    }
}

impl Error for LocalError {}

/// Why no value was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InitError<E> {
    /// What the initialiser said.
    Failed(E),
    /// The initialiser was not asked.
    Local(LocalError),
}

impl From<InitError<Infallible>> for LocalError {
    fn from(error: InitError<Infallible>) -> LocalError {
        match error {
            InitError::Failed(never) => match never {},
            InitError::Local(error) => error,
        }
    }
}

impl<E> fmt::Display for InitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::Failed(_) => f.write_str("the initialiser of this thread's value failed"),
            InitError::Local(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for InitError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            InitError::Failed(error) => Some(error),
            InitError::Local(_) => None,
        }
    }
}
