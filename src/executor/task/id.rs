//! [`TaskId`]: a number for each task of the process.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells tasks of one process apart; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u64);

/// A thread takes so many numbers at a time, so that submitters do not meet at the counter.
const BLOCK: u64 = 256;

impl TaskId {
    pub(in crate::executor) fn next() -> TaskId {
        // Not modelled: only the number's uniqueness matters.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        std::thread_local! {
            /// The last number that this thread has used; its block ends before the next multiple.
            static LAST: Cell<u64> = const { Cell::new(BLOCK - 1) };
        }
        LAST.with(|last| {
            let mut next = last.get() + 1;
            if next.is_multiple_of(BLOCK) {
                // The first block is nobody's, so that no task has number 0.
                next = BLOCK + NEXT.fetch_add(BLOCK, Ordering::Relaxed);
            }
            last.set(next);
            TaskId(next)
        })
    }
}

#[cfg(feature = "tracing")]
impl TaskId {
    pub(in crate::executor) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}
