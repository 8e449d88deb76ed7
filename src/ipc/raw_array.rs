//! `ipc::RawArray`: plain elements in shared memory, without a lock.
//!
//! Invariant: as `ipc::array`'s about room, alignment and length, of a pinned block. The elements are
//! reached through a `SharedSlice` that borrows this handle.

use super::array::bytes;
use super::pinned::Pinned;
use super::{Lock, OutOfBounds, SharedSlice, Synchronized};
use crate::shm::handle::Address;
use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;

/// Elements that the processes of a tree share, without a lock.
///
/// Every access is one [`SharedSlice`] operation: see there for what may tear and what order there is.
/// [`elements`](RawArray::elements) is that slice, of all elements. `T` is plain data as for
/// [`Array`](super::Array).
///
/// The memory stays as long as any process that lives has a handle to it. New handles come from the process
/// that made it, as long as that has one: it may drop its own once the others have got theirs. Handles clone
/// and serialise (see the [module](super)).
///
/// * **Death.** Nothing is held, so nothing is lost; of a long write, any part may have been done.
/// * **Fork.** The child of a fork may use what its parent had, unless the parent has dropped it by then:
///   that panics in the child. It takes its [`elements`](RawArray::elements) anew.
/// * **Cost.** An access is a load or a store. The array takes 8 KiB more than its elements, for who has it.
///
/// ```
/// use latchwork::ipc::RawArray;
/// use std::sync::atomic::Ordering;
///
/// # fn main() -> std::io::Result<()> {
/// let frame = RawArray::<u8>::zeroed(64)?;
/// frame.set(9, 200).unwrap();
/// assert_eq!((frame.get(9), frame.get(64)), (Some(200), None));
/// let row = frame.elements().range(8..16).unwrap();
/// assert_eq!(row.to_vec(), [0, 200, 0, 0, 0, 0, 0, 0]);
///
/// let counters = RawArray::from_slice(&[0_u64; 4])?;
/// counters.elements().atomic(3).unwrap().fetch_add(1, Ordering::Relaxed);
/// assert_eq!(counters.get(3), Some(1));
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.RawArray`, `Array(..., lock=False)`.
#[doc(alias = "multiprocessing.RawArray")]
#[doc(alias = "multiprocessing.sharedctypes.RawArray")]
pub struct RawArray<T: Pod> {
    memory: Pinned,
    len: usize,
    _elements: PhantomData<T>,
}

impl<T: Pod> RawArray<T> {
    /// Makes an array of `len` elements whose bytes are all zero.
    ///
    /// # Errors
    ///
    /// As for [`Array::zeroed`](super::Array::zeroed).
    pub fn zeroed(len: usize) -> io::Result<RawArray<T>> {
        let memory = Pinned::zeroed(bytes::<T>(len)?, align_of::<T>())?;
        Ok(RawArray::of(memory, len))
    }

    /// Makes an array of copies of these elements.
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](RawArray::zeroed).
    pub fn from_slice(elements: &[T]) -> io::Result<RawArray<T>> {
        let array = RawArray::zeroed(elements.len())?;
        array.write_from(0, elements).map_err(io::Error::other)?;
        Ok(array)
    }

    fn of(memory: Pinned, len: usize) -> RawArray<T> {
        RawArray {
            memory,
            len,
            _elements: PhantomData,
        }
    }

    /// How many elements there are. It never changes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All elements: to copy many at once, take a part, iterate, or use them as atomics.
    #[inline]
    #[doc(alias = "buf")]
    pub fn elements(&self) -> SharedSlice<'_, T> {
        // SAFETY: `memory` has room for `len` elements, aligned for them, which are pinned and mapped while
        // it is borrowed; every access in this process is by slices like this.
        unsafe { SharedSlice::from_raw(self.memory.payload().cast(), self.len) }
    }

    /// A copy of element `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        self.elements().get(index)
    }

    /// Replaces element `index`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if there is no such element.
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<(), OutOfBounds> {
        self.elements().set(index, value)
    }

    /// Copies the elements from `offset` on into `target`, all of it.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if there are not so many.
    pub fn read_into(&self, offset: usize, target: &mut [T]) -> Result<(), OutOfBounds> {
        self.elements().read_into(offset, target)
    }

    /// Replaces the elements from `offset` on by those of `source`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if there are not so many.
    pub fn write_from(&self, offset: usize, source: &[T]) -> Result<(), OutOfBounds> {
        self.elements().write_from(offset, source)
    }

    /// Copies of all elements.
    pub fn to_vec(&self) -> Vec<T> {
        self.elements().to_vec()
    }

    /// Makes another array, with the same elements. Those that are written meanwhile may be old or new.
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](RawArray::zeroed).
    #[doc(alias = "copy")]
    pub fn duplicate(&self) -> io::Result<RawArray<T>> {
        RawArray::from_slice(&self.to_vec())
    }

    /// Puts the array under `lock`, which may be that of other objects too.
    pub fn synchronized(self, lock: Lock) -> Synchronized<RawArray<T>> {
        Synchronized::new(self, lock)
    }
}

impl<T: Pod> Clone for RawArray<T> {
    fn clone(&self) -> Self {
        RawArray::of(self.memory.clone(), self.len)
    }
}

/// Shows the elements as they are while it goes along.
impl<T: Pod + fmt::Debug> fmt::Debug for RawArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawArray").field(&self.elements()).finish()
    }
}

impl<T: Pod> Serialize for RawArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.memory.address(), self.len as u64).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for RawArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (address, len) = <(Address, u64)>::deserialize(deserializer)?;
        let len = usize::try_from(len).map_err(D::Error::custom)?;
        let memory = bytes::<T>(len).and_then(|bytes| Pinned::at(address, bytes, align_of::<T>()));
        Ok(RawArray::of(memory.map_err(D::Error::custom)?, len))
    }
}
