//! What can go wrong with permits.

use super::raw::TooMany;
use crate::GaveUp;
use std::error::Error;
use std::fmt;

/// Why nobody can have the permits, however long they wait.
pub enum Refused {
    Closed,
    OverCapacity,
}

const CLOSED: &str = "the semaphore is closed";
const OVER_CAPACITY: &str = "more permits than there can ever be";

/// Why an acquire returned without permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The deadline passed first.
    TimedOut,
    /// The cancel token was cancelled first.
    Cancelled,
    /// The semaphore is closed.
    Closed,
    /// More permits than there can be: the capacity is less, or was lowered below it meanwhile.
    OverCapacity,
}

impl AcquireError {
    /// Did the deadline pass?
    pub fn is_timed_out(&self) -> bool {
        matches!(self, AcquireError::TimedOut)
    }

    /// Was the call cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, AcquireError::Cancelled)
    }

    /// Is the semaphore closed?
    pub fn is_closed(&self) -> bool {
        matches!(self, AcquireError::Closed)
    }

    /// Were that more permits than there can be?
    pub fn is_over_capacity(&self) -> bool {
        matches!(self, AcquireError::OverCapacity)
    }
}

impl From<GaveUp> for AcquireError {
    fn from(why: GaveUp) -> AcquireError {
        match why {
            GaveUp::TimedOut => AcquireError::TimedOut,
            GaveUp::Cancelled => AcquireError::Cancelled,
        }
    }
}

impl From<Refused> for AcquireError {
    fn from(why: Refused) -> AcquireError {
        match why {
            Refused::Closed => AcquireError::Closed,
            Refused::OverCapacity => AcquireError::OverCapacity,
        }
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireError::TimedOut => GaveUp::TimedOut.fmt(f),
            AcquireError::Cancelled => GaveUp::Cancelled.fmt(f),
            AcquireError::Closed => f.write_str(CLOSED),
            AcquireError::OverCapacity => f.write_str(OVER_CAPACITY),
        }
    }
}

impl Error for AcquireError {}

/// Why a try returned without permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// Too few permits, or they are kept for somebody who waits.
    NoPermits,
    /// The semaphore is closed.
    Closed,
    /// More permits than there can be.
    OverCapacity,
}

impl From<Refused> for TryAcquireError {
    fn from(why: Refused) -> TryAcquireError {
        match why {
            Refused::Closed => TryAcquireError::Closed,
            Refused::OverCapacity => TryAcquireError::OverCapacity,
        }
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::NoPermits => "too few permits",
            TryAcquireError::Closed => CLOSED,
            TryAcquireError::OverCapacity => OVER_CAPACITY,
        })
    }
}

impl Error for TryAcquireError {}

/// A release would have made more permits than a [`Semaphore`](super::Semaphore) can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPermits;

impl From<TooMany> for TooManyPermits {
    fn from(_: TooMany) -> TooManyPermits {
        TooManyPermits
    }
}

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more permits than a semaphore can count")
    }
}

impl Error for TooManyPermits {}

/// More permits were given back to a [`BoundedSemaphore`](super::BoundedSemaphore) than are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyReleases;

impl From<TooMany> for TooManyReleases {
    fn from(_: TooMany) -> TooManyReleases {
        TooManyReleases
    }
}

impl fmt::Display for TooManyReleases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more permits given back than are out")
    }
}

impl Error for TooManyReleases {}
