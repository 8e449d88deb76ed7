//! Why nobody gets through a barrier between processes.

pub use crate::shm::protocol::barrier::BrokenBarrier;

use crate::GaveUp;
use crate::ipc::AccessError;
use crate::shm::refusal::Refusal;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a call did not get through an [`ipc::Barrier`](super::Barrier).
#[non_exhaustive]
#[derive(Debug)]
pub enum BarrierError {
    /// The barrier is broken, and not by this call; or a reset sent this call away.
    Broken(BrokenBarrier),
    /// This call's limit was reached first. Its arrival is taken back, or the barrier broken, as asked.
    GaveUp(GaveUp),
    /// The barrier's memory holds what no participant can have written.
    Corrupt,
    /// The process that made the barrier has dropped it.
    Gone,
    /// This process cannot take part: the tree has no room for another process, or the system
    /// refused it the record lock by which others would know it alive; or it was forked while its parent
    /// ran the action.
    Unlisted(io::Error),
}

impl BarrierError {
    /// Why the call gave up, if it did.
    pub fn gave_up(&self) -> Option<GaveUp> {
        match self {
            BarrierError::GaveUp(why) => Some(*why),
            _ => None,
        }
    }

    /// Why the barrier is broken, if that is it.
    pub fn broken(&self) -> Option<BrokenBarrier> {
        match self {
            BarrierError::Broken(why) => Some(*why),
            _ => None,
        }
    }

    /// Did this call's deadline pass?
    pub fn is_timed_out(&self) -> bool {
        self.gave_up() == Some(GaveUp::TimedOut)
    }

    /// Was this call cancelled?
    pub fn is_cancelled(&self) -> bool {
        self.gave_up() == Some(GaveUp::Cancelled)
    }

    /// Did somebody else break the barrier?
    pub fn is_broken(&self) -> bool {
        self.broken().is_some()
    }
}

impl From<BrokenBarrier> for BarrierError {
    fn from(why: BrokenBarrier) -> Self {
        BarrierError::Broken(why)
    }
}

impl From<Refusal> for BarrierError {
    fn from(refusal: Refusal) -> Self {
        AccessError::from(refusal).into()
    }
}

impl From<AccessError> for BarrierError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::GaveUp(why) => BarrierError::GaveUp(why),
            AccessError::Corrupt => BarrierError::Corrupt,
            AccessError::Gone => BarrierError::Gone,
            AccessError::Unlisted(error) => BarrierError::Unlisted(error),
        }
    }
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BarrierError::Broken(why) => why.fmt(f),
            BarrierError::GaveUp(why) => why.fmt(f),
            BarrierError::Corrupt => f.write_str("the shared memory of this barrier is corrupt"),
            BarrierError::Gone => {
                f.write_str("the barrier was dropped by the process that made it")
            }
            BarrierError::Unlisted(_) => f.write_str("this process cannot join its tree's roster"),
        }
    }
}

impl Error for BarrierError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BarrierError::Broken(why) => Some(why),
            BarrierError::GaveUp(why) => Some(why),
            BarrierError::Unlisted(error) => Some(error),
            _ => None,
        }
    }
}
