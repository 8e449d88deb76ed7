//! What a barrier says when nobody gets through it.

use crate::GaveUp;
use std::error::Error;
use std::fmt;

/// Why a barrier lets nobody through: everybody who waits and everybody who comes is told so, until
/// [`reset`](super::Barrier::reset).
///
/// # Source
///
/// Python's `threading.BrokenBarrierError`, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "BrokenBarrierError")]
#[non_exhaustive]
pub enum BrokenBarrier {
    /// Somebody called [`abort`](super::Barrier::abort).
    Aborted,
    /// Somebody called [`reset`](super::Barrier::reset) while this call waited. Only those who waited
    /// are told: the barrier itself is whole again.
    Reset,
    /// The deadline of a [`wait_within_or_break`](super::Barrier::wait_within_or_break) passed.
    TimedOut,
    /// A [`wait_within_or_break`](super::Barrier::wait_within_or_break) was cancelled.
    Cancelled,
    /// The action panicked; its panic went on in the thread that ran it.
    ActionPanicked,
}

impl From<GaveUp> for BrokenBarrier {
    fn from(why: GaveUp) -> BrokenBarrier {
        match why {
            GaveUp::TimedOut => BrokenBarrier::TimedOut,
            GaveUp::Cancelled => BrokenBarrier::Cancelled,
        }
    }
}

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BrokenBarrier::Aborted => "the barrier was aborted",
            BrokenBarrier::Reset => "the barrier was reset",
            BrokenBarrier::TimedOut => "the barrier was broken by somebody who timed out",
            BrokenBarrier::Cancelled => "the barrier was broken by somebody who was cancelled",
            BrokenBarrier::ActionPanicked => "the barrier was broken by a panic in its action",
        })
    }
}

impl Error for BrokenBarrier {}

/// Why a call with a limit did not get through a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BarrierError {
    /// This call's deadline passed first.
    TimedOut,
    /// This call's cancel token was cancelled first.
    Cancelled,
    /// The barrier is broken, and not by this call.
    Broken(BrokenBarrier),
}

impl BarrierError {
    /// Did this call's deadline pass?
    pub fn is_timed_out(&self) -> bool {
        matches!(self, BarrierError::TimedOut)
    }

    /// Was this call cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, BarrierError::Cancelled)
    }

    /// Did somebody else break the barrier?
    pub fn is_broken(&self) -> bool {
        matches!(self, BarrierError::Broken(_))
    }
}

impl From<GaveUp> for BarrierError {
    fn from(why: GaveUp) -> BarrierError {
        match why {
            GaveUp::TimedOut => BarrierError::TimedOut,
            GaveUp::Cancelled => BarrierError::Cancelled,
        }
    }
}

impl From<BrokenBarrier> for BarrierError {
    fn from(why: BrokenBarrier) -> BarrierError {
        BarrierError::Broken(why)
    }
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BarrierError::TimedOut => GaveUp::TimedOut.fmt(f),
            BarrierError::Cancelled => GaveUp::Cancelled.fmt(f),
            BarrierError::Broken(why) => why.fmt(f),
        }
    }
}

impl Error for BarrierError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BarrierError::Broken(why) => Some(why),
            _ => None,
        }
    }
}
