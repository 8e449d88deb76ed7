//! `ipc::Value`: one plain value in shared memory, with the lock that protects it.

use super::{Holder, Integer, LockError, racy};
use crate::Limit;
use crate::shm::handle::{Handle, Held};
use crate::shm::tree;
use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};

/// A value that the processes of a tree share, under a lock of its own.
///
/// `T` is plain data: any number, array of numbers, or `#[repr(C)]` struct of such that derives
/// [`bytemuck::Pod`], aligned to at most 64 bytes (32 for values of up to 32 bytes, which share a cache
/// line with their lock). No pointers and no padding: a bit pattern that
/// another process wrote must be a `T` whatever it is. The compiler refuses anything else.
///
/// Each operation locks, does its work and unlocks; [`update`](Value::update) is what makes "read,
/// change, write back" one step. Fairness, death, fork and cost are those of
/// [`ipc::Lock`](super::Lock). [`peek`](Value::peek) alone uses no lock. For a number that is changed
/// often there is [`ipc::Shared`](super::Shared), for no lock at all [`RawValue`](super::RawValue), for
/// one lock over several values [`Synchronized`](super::Synchronized).
///
/// A process that is killed in the middle of a change leaves the value as it was at that instruction.
/// For a number of at most eight bytes that is the old value or the new; for anything bigger it may
/// be part of each, which is what [`LockError::OwnerDied`] is about.
///
/// ```
/// use latchwork::ipc::Value;
///
/// # fn main() -> std::io::Result<()> {
/// let hits = Value::new(0_u64)?;
/// hits.update(|n| *n += 1).unwrap();
/// hits.update(|n| *n += 1).unwrap();
/// assert_eq!(hits.get().unwrap(), 2);
/// # Ok(())
/// # }
/// ```
///
/// A structure:
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use latchwork::ipc::Value;
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(C)]
/// struct Position {
///     x: f64,
///     y: f64,
///     steps: u64,
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let robot = Value::<Position>::zeroed()?;
/// let mut guard = robot.lock().unwrap();
/// guard.x += 0.5;
/// guard.steps += 1;
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.Value`, whose `v.value += 1` is two operations and not atomic. Its type
/// codes are these types on 64-bit Linux:
///
/// | code | C | here |
/// |---|---|---|
/// | `'b'`, `'B'` | `signed char`, `unsigned char` | `i8`, `u8` |
/// | `'h'`, `'H'` | `short` | `i16`, `u16` |
/// | `'i'`, `'I'` | `int` | `i32`, `u32` |
/// | `'l'`, `'L'` | `long` | `i64`, `u64` |
/// | `'q'`, `'Q'` | `long long` | `i64`, `u64` |
/// | `'f'`, `'d'` | `float`, `double` | `f32`, `f64` |
/// | `'c'` | `char` | `u8`; of several, [`SharedBytes`](super::SharedBytes) |
/// | `'u'` | `wchar_t` | `u32`, read by [`char::from_u32`] |
///
/// `bool` and `char` are not among them, because not all bytes are one: keep a `u8` and ask whether it
/// is 0.
#[doc(alias = "multiprocessing.Value")]
pub struct Value<T: Pod> {
    handle: Handle,
    _value: PhantomData<T>,
}

/// The value while it is locked. Unlocks it when dropped.
///
/// It may be sent to and dropped by another thread of the process, if `T` may.
#[must_use = "the value is unlocked when the guard is dropped"]
pub struct ValueGuard<'a, T: Pod> {
    pub(super) held: Held<'a>,
    _value: PhantomData<&'a mut T>,
}

type Attempt<'a, T> = Result<ValueGuard<'a, T>, LockError<ValueGuard<'a, T>>>;

impl<T: Pod> Value<T> {
    /// Puts `value` into the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `T` is too big or too strictly aligned, else as for
    /// [`Lock::new`](super::Lock::new).
    pub fn new(value: T) -> io::Result<Value<T>> {
        Handle::holding(tree()?, bytemuck::bytes_of(&value), align_of::<T>())
            .map(Value::from_handle)
    }

    /// Makes a value whose bytes are all zero, without building it elsewhere first.
    ///
    /// # Errors
    ///
    /// As for [`new`](Value::new).
    pub fn zeroed() -> io::Result<Value<T>> {
        Handle::zeroed(tree()?, size_of::<T>(), align_of::<T>()).map(Value::from_handle)
    }

    pub(super) fn from_handle(handle: Handle) -> Value<T> {
        Value {
            handle,
            _value: PhantomData,
        }
    }

    /// A copy of the value.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock); after an owner's death the error's guard shows the value, and
    /// keeps it locked as long as the error lives: repair it through the guard, not by
    /// [`set`](Value::set) beside it, which would wait for the guard for ever.
    #[inline]
    pub fn get(&self) -> Result<T, LockError<ValueGuard<'_, T>>> {
        self.lock().map(|guard| *guard)
    }

    /// Replaces the value.
    ///
    /// A value that is replaced as a whole is consistent again: after an owner's death this
    /// repairs it and is no error.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock), except [`LockError::OwnerDied`].
    #[inline]
    pub fn set(&self, value: T) -> Result<(), LockError<ValueGuard<'_, T>>> {
        let mut guard = match self.lock() {
            Err(LockError::OwnerDied(guard)) => guard,
            other => other?,
        };
        *guard = value;
        guard.mark_consistent();
        Ok(())
    }

    /// Changes the value in place and returns what `change` returns, as one step for all others.
    ///
    /// If `change` panics, the value stays as it was left and is unlocked. It must not use this
    /// same value again: the lock is not recursive.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock); `change` has not run then. After an owner's death the error's
    /// guard shows the value and is the place to repair it.
    #[inline]
    pub fn update<R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, LockError<ValueGuard<'_, T>>> {
        self.lock().map(|mut guard| change(&mut guard))
    }

    /// A copy of the value as it is now, whoever has it locked; `None` if its maker has dropped it.
    ///
    /// For a look from outside: a progress bar, a report, a debugger. A `T` of 1, 2, 4 or 8 bytes that is
    /// aligned to its size is read as a whole; of a bigger one, part may be from before a change and part
    /// from after it, and in the middle of an [`update`](Value::update) anything may be half-done.
    #[doc(alias = "get_obj")]
    pub fn peek(&self) -> Option<T> {
        self.handle.peek(|payload| {
            // SAFETY: the payload of a `Value<T>` is aligned for a `T`, has room for one, and stays
            // mapped. What a guard writes meanwhile is not atomic; what is read then is bytes, any of
            // which are a `T`, and promised to be no more than that.
            unsafe { racy::load(payload.cast()) }
        })
    }

    /// Locks the value, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) holds the guard; otherwise the value is not locked and
    /// the [error](LockError) says why.
    #[inline]
    #[doc(alias = "get_lock")]
    pub fn lock(&self) -> Attempt<'_, T> {
        match self.handle.grab() {
            Some(held) => Ok(ValueGuard::of(held)),
            None => self.lock_slow(Limit::none()),
        }
    }

    /// Locks the value if nobody alive has it locked, and returns `None` otherwise. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<Option<ValueGuard<'_, T>>, LockError<ValueGuard<'_, T>>> {
        match self.handle.grab() {
            Some(held) => Ok(Some(ValueGuard::of(held))),
            None => self.try_lock_slow(),
        }
    }

    #[cold]
    fn try_lock_slow(&self) -> Result<Option<ValueGuard<'_, T>>, LockError<ValueGuard<'_, T>>> {
        match self.handle.try_lock()? {
            Some(held) => granted(held).map(Some),
            None => Ok(None),
        }
    }

    /// Locks the value, waiting as long as `limit` says; see
    /// [`Lock::lock_within`](super::Lock::lock_within).
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`lock`](Value::lock).
    #[inline]
    pub fn lock_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Attempt<'_, T> {
        match self.handle.grab() {
            Some(held) => Ok(ValueGuard::of(held)),
            None => self.lock_slow(limit.into()),
        }
    }

    /// Locks without blocking a thread, on any runtime.
    ///
    /// Fairness, death and cost are those of [`lock`](Value::lock); the waiting is done by one thread of the process
    /// for all its futures. Dropping the future gives up, and loses nobody else's turn.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock).
    pub async fn lock_async(&self) -> Attempt<'_, T> {
        match self.handle.grab() {
            Some(held) => Ok(ValueGuard::of(held)),
            None => granted(self.handle.lock_async().await?),
        }
    }

    #[cold]
    fn lock_slow(&self, limit: Limit<'_>) -> Attempt<'_, T> {
        granted(self.handle.lock(limit)?)
    }

    /// Who has locked the value, if anybody alive has. The answer may be outdated when it arrives.
    pub fn holder(&self) -> Option<Holder> {
        self.handle.holder()
    }

    /// Has somebody locked the value? The answer may be outdated when it arrives.
    pub fn is_locked(&self) -> bool {
        self.handle.is_locked()
    }
}

impl<T: Integer> Value<T> {
    /// Adds to the number, as one step for all others, and returns what it was. Wraps around.
    ///
    /// # Errors
    ///
    /// As for [`update`](Value::update).
    pub fn fetch_add(&self, n: T) -> Result<T, LockError<ValueGuard<'_, T>>> {
        self.update(|value| mem::replace(value, value.wrapping_add(n)))
    }

    /// Subtracts from the number, as one step for all others, and returns what it was. Wraps around.
    ///
    /// # Errors
    ///
    /// As for [`update`](Value::update).
    pub fn fetch_sub(&self, n: T) -> Result<T, LockError<ValueGuard<'_, T>>> {
        self.update(|value| mem::replace(value, value.wrapping_sub(n)))
    }
}

#[inline]
pub(super) fn granted<T: Pod>(held: Held<'_>) -> Attempt<'_, T> {
    let guard = ValueGuard::<T>::of(held);
    if guard.is_consistent() {
        Ok(guard)
    } else {
        Err(LockError::OwnerDied(guard))
    }
}

impl<'a, T: Pod> ValueGuard<'a, T> {
    #[inline]
    fn of(held: Held<'a>) -> ValueGuard<'a, T> {
        ValueGuard {
            held,
            _value: PhantomData,
        }
    }

    /// Vouches for the value, after an [owner's death](LockError::OwnerDied).
    ///
    /// Does nothing if there was none.
    pub fn mark_consistent(&mut self) {
        self.held.mark_consistent();
    }

    /// `false` if an owner died and nobody has vouched for the value since.
    pub fn is_consistent(&self) -> bool {
        self.held.is_consistent()
    }

    /// Makes another value, with the same contents and a lock of its own.
    ///
    /// # Errors
    ///
    /// As for [`Value::new`].
    #[doc(alias = "copy")]
    pub fn duplicate(&self) -> io::Result<Value<T>> {
        Value::new(**self)
    }
}

impl<T: Pod> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a `Value<T>` is only made of a handle with room for a `T`, aligned for it. The
        // lock is held, so no other reference exists in any process that keeps to the protocol,
        // and any bytes are a `T`.
        unsafe { self.held.payload().cast::<T>().as_ref() }
    }
}

impl<T: Pod> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and the guard is borrowed exclusively.
        unsafe { self.held.payload().cast::<T>().as_mut() }
    }
}

impl<T: Pod> Clone for Value<T> {
    fn clone(&self) -> Self {
        Value::from_handle(self.handle.clone())
    }
}

/// Shows the state of the lock, not the value: a `Debug` that waits would be no help.
impl<T: Pod> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.handle).finish()
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueGuard")
            .field("value", &**self)
            .field("consistent", &self.is_consistent())
            .finish()
    }
}

impl<T: Pod> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, size_of::<T>(), align_of::<T>()).map(Value::from_handle)
    }
}
