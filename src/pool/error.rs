//! Why a pool lends nothing.

use crate::GaveUp;
use crate::sync::AcquireError;
use std::error::Error;
use std::fmt;

const CLOSED: &str = "the pool is closed";

/// Why a get returned without a resource.
///
/// `E` is the error of the function that makes resources. What it says is part of this error's message, so that `E`
/// can be anything that can be printed, also a `Box<dyn Error>` or a `String`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError<E> {
    /// The deadline passed first.
    TimedOut,
    /// The cancel token was cancelled first.
    Cancelled,
    /// The pool is closed.
    Closed,
    /// None was idle, and making one failed with this. The next call tries again.
    Factory(E),
}

impl<E> GetError<E> {
    /// Did the deadline pass?
    pub fn is_timed_out(&self) -> bool {
        matches!(self, GetError::TimedOut)
    }

    /// Was the call cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, GetError::Cancelled)
    }

    /// Is the pool closed?
    pub fn is_closed(&self) -> bool {
        matches!(self, GetError::Closed)
    }

    /// What the function that makes resources has failed with, if that is why.
    pub fn into_factory(self) -> Option<E> {
        match self {
            GetError::Factory(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> From<AcquireError> for GetError<E> {
    fn from(why: AcquireError) -> GetError<E> {
        match why {
            AcquireError::TimedOut => GetError::TimedOut,
            AcquireError::Cancelled => GetError::Cancelled,
            AcquireError::Closed => GetError::Closed,
            AcquireError::OverCapacity => unreachable!("a turn is one permit"),
        }
    }
}

impl<E> From<Refused<E>> for GetError<E> {
    fn from(why: Refused<E>) -> GetError<E> {
        match why {
            Refused::Closed => GetError::Closed,
            Refused::Factory(error) => GetError::Factory(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for GetError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::TimedOut => GaveUp::TimedOut.fmt(f),
            GetError::Cancelled => GaveUp::Cancelled.fmt(f),
            GetError::Closed => f.write_str(CLOSED),
            GetError::Factory(error) => not_made(error, f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for GetError<E> {}

/// Why a try returned without a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryGetError<E> {
    /// All that there may be are in use, or kept for somebody who waits.
    AllInUse,
    /// The pool is closed.
    Closed,
    /// None was idle, and making one failed with this.
    Factory(E),
}

impl<E> From<Refused<E>> for TryGetError<E> {
    fn from(why: Refused<E>) -> TryGetError<E> {
        match why {
            Refused::Closed => TryGetError::Closed,
            Refused::Factory(error) => TryGetError::Factory(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for TryGetError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryGetError::AllInUse => f.write_str("all of the pool's resources are in use"),
            TryGetError::Closed => f.write_str(CLOSED),
            TryGetError::Factory(error) => not_made(error, f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for TryGetError<E> {}

fn not_made<E: fmt::Display>(error: &E, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "no resource could be made: {error}")
}

/// Why there is nothing for somebody whose turn it is.
pub(super) enum Refused<E> {
    Closed,
    Factory(E),
}
