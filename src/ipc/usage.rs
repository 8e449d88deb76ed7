//! How much memory the objects of a tree take.

use crate::shm::arena::Usage;
use crate::shm::tree;
use std::io;

/// How much shared memory the objects of this process's tree take.
///
/// Objects of processes that were killed count until their room is needed. Cost: a look at every object
/// there ever was at one time.
///
/// # Errors
///
/// As for [`Lock::new`](super::Lock::new).
///
/// ```
/// use latchwork::ipc::{self, Array};
///
/// # fn main() -> std::io::Result<()> {
/// let before = ipc::usage()?;
/// let array = Array::<u8>::zeroed(1 << 20)?;
/// assert!(ipc::usage()?.bytes_used >= before.bytes_used + array.len() as u64);
/// # Ok(())
/// # }
/// ```
pub fn usage() -> io::Result<Usage> {
    tree()?.arena.usage()
}
