//! `ipc::RawValue`: one plain value in shared memory, without a lock.
//!
//! Invariant: a `RawValue<T>` is only made of pinned memory with room for a `T`, aligned for it, which is
//! accessed by atomics only.

use super::pinned::Pinned;
use super::{Integer, Lock, Synchronized, SynchronizedGuard, racy};
use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A value that the processes of a tree share, without a lock.
///
/// `T` is plain data as for [`Value`](super::Value). One of 1, 2, 4 or 8 bytes that is aligned to its size
/// is read and written as a whole; a bigger one may be read as part of one write and part of another. There
/// is no order between writes to different values, and "read, change, write back" loses what others write
/// in between: for a counter or a flag take [`ipc::Shared`](super::Shared), and for anything bigger a lock.
///
/// The memory stays as long as any process that lives has a handle to it. New handles come from the process
/// that made it, as long as that has one: it may drop its own once the others have got theirs. Handles clone
/// and serialise (see the [module](super)).
///
/// * **Death.** Nothing is held, so nothing is lost.
/// * **Fork.** The child of a fork may use what its parent had, unless the parent has dropped it by then:
///   that panics in the child. It borrows the [`atomic`](RawValue::atomic) and the
///   [pointer](RawValue::as_ptr) anew: those that were borrowed before the fork do not keep the memory.
/// * **Cost.** An access is a load or a store. A value takes 16 KiB of shared memory however small it is,
///   for who has it: many of them are better a [`RawArray`](super::RawArray).
///
/// ```
/// use latchwork::ipc::RawValue;
///
/// # fn main() -> std::io::Result<()> {
/// let temperature = RawValue::new(20.5_f64)?;
/// temperature.set(21.0);
/// assert_eq!(temperature.get(), 21.0);
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.RawValue`, `Value(..., lock=False)`.
#[doc(alias = "multiprocessing.RawValue")]
#[doc(alias = "multiprocessing.sharedctypes.RawValue")]
pub struct RawValue<T: Pod> {
    memory: Pinned,
    _value: PhantomData<T>,
}

impl<T: Pod> RawValue<T> {
    /// Puts `value` into the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// As for [`Value::new`](super::Value::new).
    pub fn new(value: T) -> io::Result<RawValue<T>> {
        let raw = RawValue::zeroed()?;
        raw.set(value);
        Ok(raw)
    }

    /// Makes a value whose bytes are all zero.
    ///
    /// # Errors
    ///
    /// As for [`Value::new`](super::Value::new).
    pub fn zeroed() -> io::Result<RawValue<T>> {
        Pinned::zeroed(size_of::<T>(), align_of::<T>()).map(RawValue::of)
    }

    fn of(memory: Pinned) -> RawValue<T> {
        RawValue {
            memory,
            _value: PhantomData,
        }
    }

    /// A copy of the value.
    #[inline]
    pub fn get(&self) -> T {
        // SAFETY: room for a `T`, aligned for it, mapped and pinned while `self` is there, and accessed by
        // atomics only.
        unsafe { racy::load(self.place()) }
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`.
        unsafe { racy::store(self.place(), value) };
    }

    /// Where the value is. Other processes write there.
    pub fn as_ptr(&self) -> *mut T {
        self.place().as_ptr()
    }

    /// Makes another value with the same contents.
    ///
    /// # Errors
    ///
    /// As for [`Value::new`](super::Value::new).
    #[doc(alias = "copy")]
    pub fn duplicate(&self) -> io::Result<RawValue<T>> {
        RawValue::new(self.get())
    }

    /// Puts the value under `lock`, which may be that of other objects too.
    pub fn synchronized(self, lock: Lock) -> Synchronized<RawValue<T>> {
        Synchronized::new(self, lock)
    }

    fn place(&self) -> NonNull<T> {
        self.memory.payload().cast()
    }
}

impl<T: Integer> RawValue<T> {
    /// The value as an atomic.
    #[inline]
    pub fn atomic(&self) -> &T::Atomic {
        // SAFETY: an integer's memory may be borrowed as its atomic (`Integer` is sealed); as in `get`.
        unsafe { self.place().cast().as_ref() }
    }
}

impl<T: Pod> SynchronizedGuard<'_, RawValue<T>> {
    /// Changes a copy of the value, writes it back, and returns what `change` returns: one step for all
    /// who keep to the lock.
    ///
    /// If `change` panics, the value stays as it was.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.get();
        let result = change(&mut value);
        self.set(value);
        result
    }
}

impl<T: Pod> Clone for RawValue<T> {
    fn clone(&self) -> Self {
        RawValue::of(self.memory.clone())
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for RawValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawValue").field(&self.get()).finish()
    }
}

impl<T: Pod> Serialize for RawValue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.memory.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for RawValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pinned::deserialize(deserializer, size_of::<T>(), align_of::<T>()).map(RawValue::of)
    }
}
