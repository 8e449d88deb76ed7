//! The stack of new threads: which sizes there are, and the one that is taken when none is asked for.

use super::error::StackSizeError;
use crate::platform::atomic::{AtomicUsize, Ordering};

/// Less is refused: the runtime and a panic need as much.
pub(super) const LEAST_STACK_SIZE: usize = 32 << 10;
/// More is refused: half of what addresses can be.
const MOST: usize = isize::MAX as usize / 2;

#[cfg(not(loom))]
static DEFAULT: AtomicUsize = AtomicUsize::new(0);
#[cfg(loom)]
loom::lazy_static! {
    static ref DEFAULT: AtomicUsize = AtomicUsize::new(0);
}

/// Sets the stack size, in bytes, of all threads that are started later and whose builder says nothing else.
/// Returns the size before. 0 is the platform's own: 2 MiB, or what `RUST_MIN_STACK` says.
///
/// # Errors
///
/// For more than 0 and less than 32 KiB, and for more than an address space has. Nothing has changed then.
/// A size that this machine's memory cannot serve is an error of the start.
///
/// # Source
///
/// Python's [`threading.stack_size`](https://docs.python.org/3/library/threading.html#threading.stack_size).
///
/// ```
/// use latchwork::thread::{self, StackSizeError};
///
/// assert_eq!(thread::set_default_stack_size(256 << 10), Ok(0));
/// assert_eq!(thread::set_default_stack_size(1), Err(StackSizeError::TooSmall));
/// assert_eq!(thread::set_default_stack_size(0), Ok(256 << 10));
/// ```
#[doc(alias = "stack_size")]
pub fn set_default_stack_size(bytes: usize) -> Result<usize, StackSizeError> {
    Ok(DEFAULT.swap(valid(bytes)?, Ordering::Relaxed))
}

/// The size for a thread that asks for `wanted`, if it does; 0 is the platform's.
pub(crate) fn stack_size(wanted: Option<usize>) -> Result<usize, StackSizeError> {
    match wanted {
        Some(bytes) => valid(bytes),
        None => Ok(DEFAULT.load(Ordering::Relaxed)),
    }
}

fn valid(bytes: usize) -> Result<usize, StackSizeError> {
    match bytes {
        0 => Ok(0),
        1..LEAST_STACK_SIZE => Err(StackSizeError::TooSmall),
        LEAST_STACK_SIZE..=MOST => Ok(bytes),
        _ => Err(StackSizeError::TooBig),
    }
}
