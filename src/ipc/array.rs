//! `ipc::Array`: plain elements in shared memory, with the lock that protects them.
//!
//! Invariant: an `Array<T>` is only made of a handle whose block has room for `len` elements, aligned for
//! them; `len` is this process's own copy and never read again from shared memory. The elements are
//! borrowed under the block's lock only.

use super::shared_slice::OutOfBounds;
use super::{ElementError, Holder, LockError, racy};
use crate::Limit;
use crate::shm::arena::Request;
use crate::shm::handle::{Address, Handle, Held};
use crate::shm::{Tree, tree};
use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// Elements that the processes of a tree share, under one lock.
///
/// `T` is plain data as for [`Value`](super::Value), and of at least a byte. The number of elements is
/// fixed when the array is made, and may be 0.
///
/// [`get`](Array::get), [`set`](Array::set), [`to_vec`](Array::to_vec) and [`update`](Array::update) lock,
/// do their work and unlock. Whoever does several things locks once: the guard is a slice, `&mut [T]`, to
/// be indexed, iterated, sliced and sorted like any other. Fairness, fork and cost are those of
/// [`ipc::Lock`](super::Lock).
///
/// A process that is killed in the middle of a change leaves the elements as they were at that
/// instruction; the next one that locks them is told by [`LockError::OwnerDied`], whose guard shows them.
///
/// A handle is a few bytes when it is sent to another process, however long the array: the elements stay
/// where they are.
///
/// ```
/// use latchwork::ipc::Array;
///
/// # fn main() -> std::io::Result<()> {
/// let squares = Array::<u64>::zeroed(100)?;
/// squares.update(|squares| {
///     for (n, square) in (0..).zip(squares) {
///         *square = n * n;
///     }
/// }).unwrap();
/// assert_eq!(squares.get(9).unwrap(), Some(81));
/// assert_eq!(squares.get(100).unwrap(), None);
///
/// let mut guard = squares.lock().unwrap();
/// guard[2..5].copy_from_slice(&[0, 0, 0]);
/// assert_eq!(guard[1..6], [1, 0, 0, 0, 25]);
/// assert_eq!(guard.last(), Some(&9801));
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.Array`. Where Python counts from the end by a negative index, a slice has
/// `last()`, `iter().rev()` and `guard[guard.len() - 2]`.
#[doc(alias = "multiprocessing.Array")]
pub struct Array<T: Pod> {
    handle: Handle,
    len: usize,
    _elements: PhantomData<T>,
}

/// The elements while they are locked: a slice. Unlocks them when dropped.
///
/// It may be sent to and dropped by another thread of the process, if `T` may.
#[must_use = "the array is unlocked when the guard is dropped"]
pub struct ArrayGuard<'a, T: Pod> {
    pub(super) held: Held<'a>,
    pub(super) len: usize,
    _elements: PhantomData<&'a mut [T]>,
}

type Attempt<'a, T> = Result<ArrayGuard<'a, T>, LockError<ArrayGuard<'a, T>>>;

impl<T: Pod> Array<T> {
    /// Makes an array of `len` elements whose bytes are all zero.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if they are too many or too strictly aligned, else as for
    /// [`Lock::new`](super::Lock::new).
    pub fn zeroed(len: usize) -> io::Result<Array<T>> {
        Array::create(tree()?, len)
    }

    /// As [`zeroed`](Array::zeroed), in this tree.
    pub(super) fn create(tree: &'static Tree, len: usize) -> io::Result<Array<T>> {
        let handle = Handle::zeroed(tree, bytes::<T>(len)?, align_of::<T>())?;
        Ok(Array::of(handle, len))
    }

    /// Makes an array of copies of these elements.
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](Array::zeroed).
    pub fn from_slice(elements: &[T]) -> io::Result<Array<T>> {
        bytes::<T>(elements.len())?;
        let handle = Handle::holding(tree()?, bytemuck::cast_slice(elements), align_of::<T>())?;
        Ok(Array::of(handle, elements.len()))
    }

    fn of(handle: Handle, len: usize) -> Array<T> {
        Array {
            handle,
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

    /// A copy of element `index`; `None` if there is no such element.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    pub fn get(&self, index: usize) -> Result<Option<T>, LockError<ArrayGuard<'_, T>>> {
        self.lock().map(|guard| guard.get(index).copied())
    }

    /// Replaces element `index`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](ElementError::OutOfBounds) if there is no such element, else as for
    /// [`lock`](Array::lock): one new element does not make the array consistent again.
    pub fn set(&self, index: usize, value: T) -> Result<(), ElementError<ArrayGuard<'_, T>>> {
        if index >= self.len {
            return Err(OutOfBounds { len: self.len }.into());
        }
        self.lock()?[index] = value;
        Ok(())
    }

    /// Replaces all elements, by as many.
    ///
    /// After an owner's death this repairs the array and is no error.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](ElementError::OutOfBounds) if `elements` are more or fewer, else as for
    /// [`lock`](Array::lock), except [`LockError::OwnerDied`].
    pub fn set_all(&self, elements: &[T]) -> Result<(), ElementError<ArrayGuard<'_, T>>> {
        if elements.len() != self.len {
            return Err(OutOfBounds { len: self.len }.into());
        }
        let mut guard = match self.lock() {
            Err(LockError::OwnerDied(guard)) => guard,
            other => other?,
        };
        guard.copy_from_slice(elements);
        guard.mark_consistent();
        Ok(())
    }

    /// Copies of all elements, of one moment.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    pub fn to_vec(&self) -> Result<Vec<T>, LockError<ArrayGuard<'_, T>>> {
        self.lock().map(|guard| guard.to_vec())
    }

    /// Changes the elements in place and returns what `change` returns, as one step for all others.
    ///
    /// If `change` panics, the elements stay as they were left and are unlocked. It must not use this
    /// same array again: the lock is not recursive.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock); `change` has not run then.
    pub fn update<R>(
        &self,
        change: impl FnOnce(&mut [T]) -> R,
    ) -> Result<R, LockError<ArrayGuard<'_, T>>> {
        self.lock().map(|mut guard| change(&mut guard))
    }

    /// A copy of element `index` as it is now, whoever has the array locked. `None` if there is no such
    /// element, or the array's maker has dropped it. See [`Value::peek`](super::Value::peek).
    #[doc(alias = "get_obj")]
    pub fn peek(&self, index: usize) -> Option<T> {
        if index >= self.len {
            return None;
        }
        self.handle.peek(|payload| {
            // SAFETY: the payload is aligned, has room for `len` elements and stays mapped. What a guard
            // writes meanwhile is not atomic; what is read then is bytes, any of which are a `T`, and
            // promised to be no more than that.
            unsafe { racy::load(payload.cast::<T>().add(index)) }
        })
    }

    /// Locks the elements, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) holds the guard; otherwise the array is not locked and the
    /// [error](LockError) says why.
    #[inline]
    #[doc(alias = "get_lock")]
    pub fn lock(&self) -> Attempt<'_, T> {
        match self.handle.grab() {
            Some(held) => Ok(self.guard(held)),
            None => self.lock_slow(Limit::none()),
        }
    }

    /// Locks the elements if nobody alive has them locked, and returns `None` otherwise. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<Option<ArrayGuard<'_, T>>, LockError<ArrayGuard<'_, T>>> {
        match self.handle.grab() {
            Some(held) => Ok(Some(self.guard(held))),
            None => self.try_lock_slow(),
        }
    }

    #[cold]
    fn try_lock_slow(&self) -> Result<Option<ArrayGuard<'_, T>>, LockError<ArrayGuard<'_, T>>> {
        match self.handle.try_lock()? {
            Some(held) => self.granted(held).map(Some),
            None => Ok(None),
        }
    }

    /// Locks the elements, waiting as long as `limit` says; see
    /// [`Lock::lock_within`](super::Lock::lock_within).
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`lock`](Array::lock).
    #[inline]
    pub fn lock_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Attempt<'_, T> {
        match self.handle.grab() {
            Some(held) => Ok(self.guard(held)),
            None => self.lock_slow(limit.into()),
        }
    }

    /// Locks without blocking a thread, on any runtime.
    ///
    /// Fairness, death and cost are those of [`lock`](Array::lock); the waiting is done by one thread of the process
    /// for all its futures. Dropping the future gives up, and loses nobody else's turn.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    pub async fn lock_async(&self) -> Attempt<'_, T> {
        match self.handle.grab() {
            Some(held) => Ok(self.guard(held)),
            None => self.granted(self.handle.lock_async().await?),
        }
    }

    #[cold]
    fn lock_slow(&self, limit: Limit<'_>) -> Attempt<'_, T> {
        self.granted(self.handle.lock(limit)?)
    }

    /// Who has the elements locked, if anybody alive does. The answer may be outdated when it arrives.
    pub fn holder(&self) -> Option<Holder> {
        self.handle.holder()
    }

    /// Has somebody locked the elements? The answer may be outdated when it arrives.
    pub fn is_locked(&self) -> bool {
        self.handle.is_locked()
    }

    #[inline]
    fn guard<'a>(&self, held: Held<'a>) -> ArrayGuard<'a, T> {
        ArrayGuard::of(held, self.len)
    }

    fn granted<'a>(&self, held: Held<'a>) -> Attempt<'a, T> {
        ArrayGuard::granted(held, self.len)
    }
}

/// How many bytes `len` elements are.
pub(super) fn bytes<T: Pod>(len: usize) -> io::Result<usize> {
    const {
        assert!(
            size_of::<T>() != 0,
            "an array's elements are of at least a byte"
        );
    }
    // No more than a slice may have: the arena says no long before that.
    let bytes = len.checked_mul(size_of::<T>());
    bytes
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "more elements than there can be memory for",
            )
        })
}

impl<'a, T: Pod> ArrayGuard<'a, T> {
    #[inline]
    fn of(held: Held<'a>, len: usize) -> ArrayGuard<'a, T> {
        ArrayGuard {
            held,
            len,
            _elements: PhantomData,
        }
    }

    #[inline]
    pub(super) fn granted(held: Held<'a>, len: usize) -> Attempt<'a, T> {
        let guard = ArrayGuard::of(held, len);
        if guard.is_consistent() {
            Ok(guard)
        } else {
            Err(LockError::OwnerDied(guard))
        }
    }
}

impl<T: Pod> ArrayGuard<'_, T> {
    /// Vouches for the elements, after an [owner's death](LockError::OwnerDied).
    ///
    /// Does nothing if there was none.
    pub fn mark_consistent(&mut self) {
        self.held.mark_consistent();
    }

    /// `false` if an owner died and nobody has vouched for the elements since.
    pub fn is_consistent(&self) -> bool {
        self.held.is_consistent()
    }

    /// Makes another array, with the same elements and a lock of its own.
    ///
    /// # Errors
    ///
    /// As for [`Array::zeroed`].
    #[doc(alias = "copy")]
    pub fn duplicate(&self) -> io::Result<Array<T>> {
        Array::from_slice(self)
    }
}

impl<T: Pod> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let first = self.held.payload().cast::<T>().as_ptr();
        // SAFETY: an `Array<T>` is only made of a handle with room for `len` elements, aligned for them.
        // The lock is held, so no other reference exists in any process that keeps to the protocol, and
        // any bytes are a `T`.
        unsafe { std::slice::from_raw_parts(first, self.len) }
    }
}

impl<T: Pod> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let first = self.held.payload().cast::<T>().as_ptr();
        // SAFETY: as in `deref`; and the guard is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(first, self.len) }
    }
}

impl<T: Pod> Clone for Array<T> {
    fn clone(&self) -> Self {
        Array::of(self.handle.clone(), self.len)
    }
}

/// Shows the length and the state of the lock, not the elements: a `Debug` that waits would be no help.
impl<T: Pod> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("len", &self.len)
            .field("lock", &self.handle)
            .finish()
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayGuard")
            .field("elements", &&**self)
            .field("consistent", &self.is_consistent())
            .finish()
    }
}

impl<T: Pod> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.handle.address(), self.len as u64).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (address, len) = <(Address, u64)>::deserialize(deserializer)?;
        let len = usize::try_from(len).map_err(D::Error::custom)?;
        let handle = bytes::<T>(len)
            .and_then(|bytes| Handle::at(address, Request::new(bytes, align_of::<T>())));
        Ok(Array::of(handle.map_err(D::Error::custom)?, len))
    }
}
