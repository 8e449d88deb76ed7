//! What can go wrong with permits.

use crate::GaveUp;
use crate::ipc::AccessError;
use crate::shm::ledger::Corrupt;
use crate::shm::refusal::Refusal;
use std::error::Error;
use std::fmt;

/// Why an acquire returned without permits.
#[non_exhaustive]
#[derive(Debug)]
pub enum AcquireError {
    /// More permits than there can ever be.
    OverCapacity,
    /// The limit was reached, or the semaphore is of no use any more. No permit was taken.
    Access(AccessError),
}

impl AcquireError {
    /// Why the call gave up, if it did.
    pub fn gave_up(&self) -> Option<GaveUp> {
        match self {
            AcquireError::Access(why) => why.gave_up(),
            AcquireError::OverCapacity => None,
        }
    }
}

/// Why a release gave no permits.
#[non_exhaustive]
#[derive(Debug)]
pub enum ReleaseError {
    /// There would be more permits than there may be, those that are out included.
    TooMany,
    /// The semaphore is of no use any more.
    Access(AccessError),
}

impl From<Refusal> for AcquireError {
    fn from(refusal: Refusal) -> AcquireError {
        AcquireError::Access(refusal.into())
    }
}

impl From<Corrupt> for AcquireError {
    fn from(_: Corrupt) -> AcquireError {
        AcquireError::Access(AccessError::Corrupt)
    }
}

impl From<Refusal> for ReleaseError {
    fn from(refusal: Refusal) -> ReleaseError {
        ReleaseError::Access(refusal.into())
    }
}

impl From<Corrupt> for ReleaseError {
    fn from(_: Corrupt) -> ReleaseError {
        ReleaseError::Access(AccessError::Corrupt)
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireError::OverCapacity => f.write_str("more permits than there can ever be"),
            AcquireError::Access(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReleaseError::TooMany => f.write_str("more permits than there may be"),
            ReleaseError::Access(why) => why.fmt(f),
        }
    }
}

impl Error for AcquireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            AcquireError::Access(why) => why.source(),
            AcquireError::OverCapacity => None,
        }
    }
}

impl Error for ReleaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReleaseError::Access(why) => why.source(),
            ReleaseError::TooMany => None,
        }
    }
}
