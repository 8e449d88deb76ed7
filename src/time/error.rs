//! Why a timer has nothing to return.

use crate::panic::Panicked;
use std::error::Error;
use std::fmt;

/// Why there is nothing that a timer's function has returned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TimerError {
    /// It was cancelled before it was called, or told not to be called again.
    Cancelled,
    /// It panicked.
    Panicked(Panicked),
    /// It was never called, or not again: its clock was gone, or the pool that it was given to has dropped it.
    Lost,
}

impl fmt::Display for TimerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimerError::Cancelled => f.write_str("the timer was cancelled"),
            TimerError::Panicked(panic) => panic.fmt(f),
            TimerError::Lost => f.write_str("the timer was lost before its time had come"),
        }
    }
}

impl Error for TimerError {}
