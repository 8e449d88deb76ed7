//! What [`parallel`](super::parallel()) can be told, and what it tells: [`Jobs`], [`Batch`], [`Progress`], [`ParallelError`].

use crate::GaveUp;
use crate::panic::Panicked;
use crate::platform::cpus;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// How many items are worked on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// So many. With one it is a plain loop in the calling thread.
    N(usize),
    /// One for each processor that this process may use; joblib's -1.
    All,
    /// All but so many, but at least one; joblib's -2 is `AllBut(1)`.
    AllBut(usize),
}

impl Jobs {
    /// The number.
    ///
    /// # Panics
    ///
    /// For `N(0)`.
    #[doc(alias = "effective_n_jobs")]
    pub fn resolve(self) -> usize {
        match self {
            Jobs::N(n) => {
                assert!(n > 0, "no job does nothing");
                n
            }
            Jobs::All => cpus(),
            Jobs::AllBut(n) => cpus().saturating_sub(n).max(1),
        }
    }
}

/// How many items are done in one go, between two looks at what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// As many as take so long: one at first, then as measured. What is less than two of these in all is not worth a thread.
    Auto {
        /// How long.
        target: Duration,
    },
    /// So many; 0 is 1.
    N(usize),
}

impl Batch {
    /// One millisecond: some twenty times what it costs to wake a thread.
    pub const AUTO: Batch = Batch::Auto {
        target: Duration::from_millis(1),
    };
}

/// How far it is, after some more items have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Items that have been done.
    pub done: usize,
    /// Batches that they were done in.
    pub batches: usize,
    /// Of how many, if the input knows.
    pub total: Option<usize>,
    /// Since the beginning.
    pub elapsed: Duration,
}

/// Why there is no result, with the number of the item that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParallelError {
    /// The function panicked.
    Panicked {
        /// Which item, from 0.
        index: usize,
        /// The panic.
        panic: Panicked,
    },
    /// The whole took too long, or was cancelled. The first item without a result.
    GaveUp {
        /// Which item, from 0.
        index: usize,
        /// Why.
        why: GaveUp,
    },
    /// This item took longer than one may.
    TooLong {
        /// Which item, from 0.
        index: usize,
    },
}

impl fmt::Display for ParallelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParallelError::Panicked { index, panic } => write!(f, "item {index}: {panic}"),
            ParallelError::GaveUp { index, why } => {
                write!(f, "before item {index} was done: {why}")
            }
            ParallelError::TooLong { index } => write!(f, "item {index} took too long"),
        }
    }
}

impl Error for ParallelError {}
