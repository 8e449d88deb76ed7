//! `SharedSlice`: plain elements in memory that other processes write at the same time.
//!
//! Invariant: for its lifetime the memory is mapped, aligned for `T`, and long enough; whoever makes a
//! slice promises that. The elements are never borrowed, except as atomics or by `unsafe`: they are copied
//! in and out by `ipc::racy`. Used by whatever shows shared memory without a lock around it.

use super::integer::Integer;
use super::racy;
use bytemuck::Pod;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Bound, RangeBounds};
use std::ptr::NonNull;

/// A view of elements in shared memory, without a lock.
///
/// Other threads and processes may read and write the same elements at the same time. That is why there is
/// no `&[T]` of them: elements are copied in and out. It is a view, like `&[T]`: copying it copies no
/// element, and writing needs no `&mut`.
///
/// * **Tearing.** An element of 1, 2, 4 or 8 bytes that is aligned to its size (any integer or float but
///   those of 128 bits) is read and written as a whole: what is read was written by somebody. A bigger one
///   may be read as part of one write and part of another, and so may the pair of two neighbours.
/// * **Order.** None: another process may see later writes before earlier ones. Whoever needs an order
///   uses a lock ([`ipc::Lock`](super::Lock)), or [`atomic`](SharedSlice::atomic) with orderings.
/// * **Death.** Nothing is held here, so nothing is lost. Of a long write, any part may have been done.
/// * **Cost.** A load or a store an element; long copies go by words of eight bytes.
///
/// ```
/// use latchwork::ipc::RawArray;
///
/// # fn main() -> std::io::Result<()> {
/// let array = RawArray::from_slice(&[1_u32, 2, 3, 4])?;
/// let (head, tail) = array.elements().split_at(1).unwrap();
/// tail.write_from(1, &[30, 40]).unwrap();
/// assert_eq!(tail.iter().sum::<u32>(), 72);
/// assert!(tail.write_from(2, &[0, 0]).is_err());
/// assert_eq!((head.get(0), head.get(1)), (Some(1), None));
///
/// let bytes = head.cast::<u8>().unwrap();
/// assert_eq!(bytes.to_vec(), 1_u32.to_ne_bytes());
/// # Ok(())
/// # }
/// ```
///
/// Python: `SharedMemory.buf`, a writable `memoryview`.
#[doc(alias = "memoryview")]
#[doc(alias = "buf")]
pub struct SharedSlice<'a, T: Pod> {
    first: NonNull<T>,
    len: usize,
    _memory: PhantomData<&'a [T]>,
}

// SAFETY: every element is accessed atomically, from whatever thread; they are copied to where the view
// is used, for which `Send` is what is needed.
unsafe impl<T: Pod + Send> Send for SharedSlice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Pod + Send> Sync for SharedSlice<'_, T> {}

/// An element, or a part, was asked for that is not there. Nothing was read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[doc(alias = "IndexError")]
pub struct OutOfBounds {
    /// How many elements there are.
    pub len: usize,
}

/// Why memory cannot be seen as elements of a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Misfit {
    /// The bytes do not divide into whole elements.
    Size,
    /// The first byte is not where such an element may begin.
    Alignment,
}

impl<'a, T: Pod> SharedSlice<'a, T> {
    /// The `len` elements from `first` on.
    ///
    /// # Safety
    ///
    /// `first` is aligned, and for `'a` the elements are mapped readable and writable, and accessed by
    /// atomics only, in this process: through slices like this one.
    pub(crate) unsafe fn from_raw(first: NonNull<T>, len: usize) -> SharedSlice<'a, T> {
        debug_assert!(first.is_aligned());
        SharedSlice {
            first,
            len,
            _memory: PhantomData,
        }
    }

    /// The elements that `bytes` bytes from `first` on are.
    ///
    /// # Safety
    ///
    /// As for [`from_raw`](SharedSlice::from_raw), except that alignment is checked.
    pub(crate) unsafe fn from_bytes(
        first: NonNull<u8>,
        bytes: usize,
    ) -> Result<SharedSlice<'a, T>, Misfit> {
        let size = mem::size_of::<T>();
        if size == 0 || !bytes.is_multiple_of(size) {
            return Err(Misfit::Size);
        }
        if !first.cast::<T>().is_aligned() {
            return Err(Misfit::Alignment);
        }
        // SAFETY: aligned (just checked), the rest by the caller's promise.
        Ok(unsafe { SharedSlice::from_raw(first.cast(), bytes / size) })
    }

    /// How many elements there are. It never changes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Are there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of element `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        let place = self.place(index)?;
        // SAFETY: an element of this slice.
        Some(unsafe { racy::load(place) })
    }

    /// Replaces element `index`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if there is no such element.
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<(), OutOfBounds> {
        let place = self.place(index).ok_or(self.out_of_bounds())?;
        // SAFETY: an element of this slice.
        unsafe { racy::store(place, value) };
        Ok(())
    }

    /// Copies the elements from `offset` on into `target`, all of it.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if there are not so many.
    pub fn read_into(&self, offset: usize, target: &mut [T]) -> Result<(), OutOfBounds> {
        let part = self.part(offset, target.len())?;
        // SAFETY: elements of this slice; `target` is as long, and exclusively ours.
        unsafe {
            racy::copy_out(
                part.first.cast(),
                target.as_mut_ptr().cast(),
                size_of_val(target),
            )
        };
        Ok(())
    }

    /// Replaces the elements from `offset` on by those of `source`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if there are not so many.
    pub fn write_from(&self, offset: usize, source: &[T]) -> Result<(), OutOfBounds> {
        let part = self.part(offset, source.len())?;
        // SAFETY: elements of this slice; `source` is as long.
        unsafe {
            racy::copy_in(
                source.as_ptr().cast(),
                part.first.cast(),
                size_of_val(source),
            )
        };
        Ok(())
    }

    /// Copies of all elements.
    pub fn to_vec(&self) -> Vec<T> {
        let mut copies = Vec::<T>::with_capacity(self.len);
        // SAFETY: the capacity is that of all elements, each of which is written, and any bytes are a `T`.
        unsafe {
            let bytes = self.len * mem::size_of::<T>();
            racy::copy_out(self.first.cast(), copies.as_mut_ptr().cast(), bytes);
            copies.set_len(self.len);
        }
        copies
    }

    /// Replaces every element by `value`.
    #[doc(alias = "memset")]
    pub fn fill(&self, value: T) {
        for index in 0..self.len {
            // SAFETY: an element of this slice.
            unsafe { racy::store(self.first.add(index), value) };
        }
    }

    /// A part of the elements, if all of it is there.
    ///
    /// The bounds are those of a range of `usize`: `slice.range(2..7)`, `slice.range(4..)`.
    #[doc(alias = "slice")]
    pub fn range(&self, range: impl RangeBounds<usize>) -> Option<SharedSlice<'a, T>> {
        let begin = match range.start_bound() {
            Bound::Included(&begin) => begin,
            Bound::Excluded(&before) => before.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.checked_add(1)?,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len,
        };
        self.part(begin, end.checked_sub(begin)?).ok()
    }

    /// The first `middle` elements and the others, if there are so many.
    pub fn split_at(&self, middle: usize) -> Option<(SharedSlice<'a, T>, SharedSlice<'a, T>)> {
        Some((self.range(..middle)?, self.range(middle..)?))
    }

    /// The same memory as elements of another type.
    ///
    /// # Errors
    ///
    /// A [`Misfit`] if it does not divide into such elements.
    pub fn cast<U: Pod>(&self) -> Result<SharedSlice<'a, U>, Misfit> {
        // SAFETY: the memory of this slice, for as long.
        unsafe { SharedSlice::from_bytes(self.first.cast(), self.len * mem::size_of::<T>()) }
    }

    /// Copies of the elements, one after another, each as it is when its turn comes.
    pub fn iter(&self) -> SharedIter<'a, T> {
        SharedIter(*self)
    }

    /// Where the elements are. Other processes write there.
    pub fn as_ptr(&self) -> *mut T {
        self.first.as_ptr()
    }

    /// Borrows the elements.
    ///
    /// # Safety
    ///
    /// For `'a` nobody writes them: no thread of this process, and no other process.
    pub unsafe fn as_slice(&self) -> &'a [T] {
        // SAFETY: mapped, aligned and initialised; not written, by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }

    /// Borrows the elements for writing.
    ///
    /// # Safety
    ///
    /// For `'a` nobody else reads or writes them: no thread of this process, and no other process.
    pub unsafe fn as_mut_slice(&self) -> &'a mut [T] {
        // SAFETY: mapped, aligned and initialised; not accessed otherwise, by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }

    fn place(&self, index: usize) -> Option<NonNull<T>> {
        // SAFETY: within the elements.
        (index < self.len).then(|| unsafe { self.first.add(index) })
    }

    fn part(&self, offset: usize, len: usize) -> Result<SharedSlice<'a, T>, OutOfBounds> {
        match offset.checked_add(len) {
            // SAFETY: within the elements of this slice, for as long.
            Some(end) if end <= self.len => unsafe {
                Ok(SharedSlice::from_raw(self.first.add(offset), len))
            },
            _ => Err(self.out_of_bounds()),
        }
    }

    fn out_of_bounds(&self) -> OutOfBounds {
        OutOfBounds { len: self.len }
    }
}

impl<'a, T: Integer> SharedSlice<'a, T> {
    /// Element `index` as an atomic, if there is one: for counters, flags, and orderings.
    #[inline]
    pub fn atomic(&self, index: usize) -> Option<&'a T::Atomic> {
        self.atomics().get(index)
    }

    /// The elements as atomics.
    #[inline]
    pub fn atomics(&self) -> &'a [T::Atomic] {
        // SAFETY: an integer's memory may be borrowed as its atomic (`Integer` is sealed), and all other
        // accesses are atomic.
        unsafe { std::slice::from_raw_parts(self.first.cast().as_ptr(), self.len) }
    }
}

impl<T: Pod> Clone for SharedSlice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Pod> Copy for SharedSlice<'_, T> {}

/// Shows the elements as they are while it goes along.
impl<T: Pod + fmt::Debug> fmt::Debug for SharedSlice<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The elements of a [`SharedSlice`], by value. Made by [`iter`](SharedSlice::iter).
#[derive(Clone, Debug)]
pub struct SharedIter<'a, T: Pod>(SharedSlice<'a, T>);

impl<T: Pod> Iterator for SharedIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.nth(0)
    }

    fn nth(&mut self, n: usize) -> Option<T> {
        let element = self.0.get(n);
        let rest = n.saturating_add(1).min(self.0.len);
        self.0 = self.0.range(rest..)?;
        element
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len, Some(self.0.len))
    }
}

impl<T: Pod> DoubleEndedIterator for SharedIter<'_, T> {
    fn next_back(&mut self) -> Option<T> {
        let last = self.0.len.checked_sub(1)?;
        let element = self.0.get(last);
        self.0 = self.0.range(..last)?;
        element
    }
}

impl<T: Pod> ExactSizeIterator for SharedIter<'_, T> {}

impl<'a, T: Pod> IntoIterator for SharedSlice<'a, T> {
    type Item = T;
    type IntoIter = SharedIter<'a, T>;

    fn into_iter(self) -> SharedIter<'a, T> {
        self.iter()
    }
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of the bounds of {} shared elements", self.len)
    }
}

impl Error for OutOfBounds {}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Misfit::Size => "the memory does not divide into whole elements",
            Misfit::Alignment => "the memory is not aligned for such elements",
        })
    }
}

impl Error for Misfit {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;
    use std::sync::atomic::Ordering;

    /// Memory that may be written through a shared reference, at addresses that are multiples of 8.
    struct Memory(UnsafeCell<[u64; 4]>);

    // SAFETY: accessed through slices only.
    unsafe impl Sync for Memory {}

    impl Memory {
        fn new() -> Memory {
            Memory(UnsafeCell::new([0; 4]))
        }

        fn bytes(&self) -> SharedSlice<'_, u8> {
            // SAFETY: 32 bytes that nobody accesses otherwise.
            unsafe { SharedSlice::from_raw(NonNull::new(self.0.get().cast()).unwrap(), 32) }
        }
    }

    #[test]
    fn elements_are_within_their_bounds() {
        let memory = Memory::new();
        let words = memory.bytes().cast::<u16>().unwrap();
        assert_eq!(words.len(), 16);
        words.write_from(0, &Vec::from_iter(0..16)).unwrap();
        assert_eq!(words.get(15), Some(15));
        assert_eq!(words.get(16), None);
        assert_eq!(words.set(16, 1), Err(OutOfBounds { len: 16 }));
        let mut four = [9; 4];
        assert!(words.read_into(13, &mut four).is_err());
        assert!(words.read_into(usize::MAX, &mut four).is_err());
        assert_eq!(four, [9; 4]);
        words.read_into(12, &mut four).unwrap();
        assert_eq!(four, [12, 13, 14, 15]);
        assert!(words.write_from(13, &four).is_err());
        assert_eq!(words.to_vec(), Vec::from_iter(0..16));
    }

    #[test]
    fn parts_are_views_of_the_whole() {
        let memory = Memory::new();
        let bytes = memory.bytes();
        bytes.range(2..=3).unwrap().fill(7);
        let (head, tail) = bytes.split_at(3).unwrap();
        assert_eq!((head.to_vec(), tail.len()), (vec![0, 0, 7], 29));
        assert_eq!(tail.get(0), Some(7));
        assert_eq!(bytes.range(32..).unwrap().len(), 0);
        assert!(bytes.split_at(33).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "must not be taken for a part")]
        let reversed = bytes.range(3..2);
        assert!(reversed.is_none());
        assert!(bytes.range(..=usize::MAX).is_none());
        assert!(bytes.range(1..34).is_none());
    }

    #[test]
    fn memory_is_seen_as_what_fits() {
        let memory = Memory::new();
        let bytes = memory.bytes();
        assert_eq!(
            bytes.range(1..17).unwrap().cast::<u64>().err(),
            Some(Misfit::Alignment)
        );
        assert_eq!(
            bytes.range(8..17).unwrap().cast::<u64>().err(),
            Some(Misfit::Size)
        );
        assert_eq!(bytes.cast::<()>().err(), Some(Misfit::Size));
        let floats = bytes.range(8..24).unwrap().cast::<f64>().unwrap();
        floats.set(1, 0.5).unwrap();
        assert_eq!(format!("{floats:?}"), "[0.0, 0.5]");
        let triples = bytes.range(1..31).unwrap().cast::<[u8; 3]>().unwrap();
        triples.set(9, [1, 2, 3]).unwrap();
        assert_eq!(bytes.range(28..).unwrap().to_vec(), [1, 2, 3, 0]);
        assert_eq!(triples.get(9), Some([1, 2, 3]));
    }

    #[test]
    fn iteration_is_by_value_and_from_both_ends() {
        let memory = Memory::new();
        let numbers = memory.bytes().cast::<u64>().unwrap();
        numbers.write_from(0, &[1, 2, 3, 4]).unwrap();
        assert!(numbers.iter().rev().eq([4, 3, 2, 1]));
        let mut some = numbers.into_iter();
        assert_eq!(
            (some.nth(1), some.next_back(), some.len()),
            (Some(2), Some(4), 1)
        );
        assert_eq!(
            (some.next(), some.next(), some.next_back()),
            (Some(3), None, None)
        );
        assert_eq!(numbers.iter().nth(usize::MAX), None);
    }

    #[test]
    fn threads_count_through_atomics_and_never_see_half_a_word() {
        let memory = Memory::new();
        let words = memory.bytes().cast::<u64>().unwrap();
        let halves = |value: u64| (value >> 32, value & 0xFFFF_FFFF);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for n in 0..2000_u64 {
                        words.atomic(0).unwrap().fetch_add(1, Ordering::Relaxed);
                        words.write_from(1, &[n << 32 | n; 3]).unwrap();
                        for value in words.range(1..).unwrap() {
                            let (high, low) = halves(value);
                            assert_eq!(high, low);
                        }
                    }
                });
            }
        });
        assert_eq!(words.get(0), Some(4000));
        assert!(words.atomic(4).is_none());
    }
}
