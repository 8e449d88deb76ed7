//! The one vocabulary of errors: what can go wrong means the same thing in every module.

use std::error::Error;
use std::fmt;

/// Why a call under a [`Limit`](crate::Limit) returned without what it asked for.
///
/// A call that gives up has changed nothing: no permit, item, arrival or wake-up is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GaveUp {
    /// The deadline passed first.
    TimedOut,
    /// The cancel token was cancelled first.
    Cancelled,
}

impl GaveUp {
    /// Did the deadline pass?
    pub fn is_timed_out(&self) -> bool {
        matches!(self, GaveUp::TimedOut)
    }

    /// Was the call cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, GaveUp::Cancelled)
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GaveUp::TimedOut => "the deadline passed before the wait was over",
            GaveUp::Cancelled => "the wait was cancelled",
        })
    }
}

impl Error for GaveUp {}

/// What a shutdown does with work that was accepted and has not begun.
///
/// The same two words serve queues (items not yet taken) and executors (tasks not yet started).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "cancel_futures")]
#[doc(alias = "immediate")]
pub enum Shutdown {
    /// Nothing new is accepted; what was accepted is still served.
    Drain,
    /// Nothing new is accepted; what has not begun is handed back or cancelled.
    Immediate,
}
