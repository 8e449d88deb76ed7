//! Why one element of an array was not replaced.

use super::{LockError, OutOfBounds};
use std::error::Error;
use std::fmt;

/// Why a write to an [`Array`](super::Array) was not done. The elements are as they were.
#[non_exhaustive]
#[must_use]
pub enum ElementError<G> {
    /// The array has no such element. It was not even locked.
    #[doc(alias = "IndexError")]
    OutOfBounds(OutOfBounds),
    /// The array was not simply locked. If an owner died, the guard is in here, and what was to be
    /// written is not.
    Lock(LockError<G>),
}

impl<G> ElementError<G> {
    /// The guard, if the array is locked.
    pub fn into_guard(self) -> Option<G> {
        match self {
            ElementError::OutOfBounds(_) => None,
            ElementError::Lock(error) => error.into_guard(),
        }
    }
}

impl<G> From<OutOfBounds> for ElementError<G> {
    fn from(error: OutOfBounds) -> Self {
        ElementError::OutOfBounds(error)
    }
}

impl<G> From<LockError<G>> for ElementError<G> {
    fn from(error: LockError<G>) -> Self {
        ElementError::Lock(error)
    }
}

impl<G> fmt::Debug for ElementError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElementError::OutOfBounds(error) => error.fmt(f),
            ElementError::Lock(error) => error.fmt(f),
        }
    }
}

impl<G> fmt::Display for ElementError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElementError::OutOfBounds(error) => error.fmt(f),
            ElementError::Lock(error) => error.fmt(f),
        }
    }
}

impl<G> Error for ElementError<G> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ElementError::OutOfBounds(_) => None,
            ElementError::Lock(error) => error.source(),
        }
    }
}
