//! Shared memory seen as elements of a type.
//!
//! Invariant: a view lies within the bytes of its memory, aligned for its elements, and borrows the
//! handle, so that what it shows is mapped. Called by programs.

use super::SharedMemory;
use crate::ipc::{Misfit, OutOfBounds, SharedSlice};
use bytemuck::Pod;
use std::error::Error;
use std::fmt;
use std::ops::RangeBounds;

/// Why bytes of [`SharedMemory`] cannot be [seen](SharedMemory::slice_of) as elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ViewError {
    /// The memory does not have these bytes.
    OutOfBounds(OutOfBounds),
    /// They are no whole elements, or not aligned.
    Misfit(Misfit),
}

impl SharedMemory {
    /// A view of these bytes as elements that all processes may read and write at the same time.
    ///
    /// The range is in bytes; the memory begins at a page, so any element may begin at a multiple of its own
    /// alignment.
    ///
    /// ```
    /// use latchwork::shm::SharedMemory;
    /// use std::sync::atomic::Ordering;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let memory = SharedMemory::anonymous(4096)?;
    /// let hits = memory.slice_of::<u64>(..64)?;
    /// hits.atomic(0).unwrap().fetch_add(1, Ordering::Relaxed);
    /// let picture = memory.slice_of::<[u8; 3]>(64..364)?;
    /// picture.set(99, [255, 0, 0])?;
    /// assert_eq!((hits.get(0), picture.len()), (Some(1), 100));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ViewError`] if the bytes are not there, do not divide into elements, or are not aligned.
    #[doc(alias = "buf")]
    #[doc(alias = "memoryview")]
    pub fn slice_of<T: Pod>(
        &self,
        range: impl RangeBounds<usize>,
    ) -> Result<SharedSlice<'_, T>, ViewError> {
        let (start, len) = self.bytes();
        // SAFETY: mapped, readable and writable, while `self` is borrowed. Whoever uses the pointer or a
        // borrowed slice instead of a view promises that nothing else is in use meanwhile.
        let bytes = unsafe { SharedSlice::<u8>::from_raw(start, len) };
        let out_of_bounds = ViewError::OutOfBounds(OutOfBounds { len });
        let part = bytes.range(range).ok_or(out_of_bounds)?;
        part.cast().map_err(ViewError::Misfit)
    }
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ViewError::OutOfBounds(_) => "the shared memory is too short",
            ViewError::Misfit(_) => "the bytes cannot be seen as such elements",
        })
    }
}

impl Error for ViewError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            ViewError::OutOfBounds(why) => why,
            ViewError::Misfit(why) => why,
        })
    }
}
