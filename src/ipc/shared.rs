//! `ipc::Shared`: an atomic in shared memory.
//!
//! Invariant: a `Shared<A>` is only made of pinned memory with room for an `A`, aligned for it.

use super::integer::Atomic;
use super::pinned::Pinned;
use super::racy;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;

/// An atomic integer that the processes of a tree share.
///
/// `A` is one of the standard library's atomic integers, `AtomicU64` or any other, and all of its
/// operations are there, with their orderings: they work between processes as between threads. A counter
/// is one instruction this way, and a process that is killed has counted or has not.
///
/// There is no `Shared<AtomicBool>`, since another process may write any byte and not all are a `bool`: take
/// `AtomicU8`.
///
/// The memory stays as long as any process that lives has a handle to it. New handles come from the process
/// that made it, as long as that has one: it may drop its own once the others have got theirs. Handles clone
/// and serialise (see the [module](super)).
///
/// Fork and cost are those of [`RawValue`](super::RawValue): a forked child borrows the atomic anew, and each takes 16
/// KiB. Many counters are better the
/// [`atomics`](super::SharedSlice::atomics) of one [`RawArray`](super::RawArray).
///
/// ```
/// use latchwork::ipc::Shared;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// # fn main() -> std::io::Result<()> {
/// let served = Shared::<AtomicU64>::new(0)?;
/// served.fetch_add(1, Ordering::Relaxed);
/// assert_eq!(served.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
///
/// Python has a `Value` with its lock for this.
pub struct Shared<A: Atomic> {
    memory: Pinned,
    _atomic: PhantomData<A>,
}

impl<A: Atomic> Shared<A> {
    /// Puts an atomic that holds `value` into the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// As for [`Lock::new`](super::Lock::new).
    pub fn new(value: A::Value) -> io::Result<Shared<A>> {
        let memory = Pinned::zeroed(size_of::<A>(), align_of::<A>())?;
        // SAFETY: room for the value, aligned for it (`Atomic` is sealed: it is like the atomic), pinned
        // and mapped; nobody else knows it yet.
        unsafe { racy::store(memory.payload().cast(), value) };
        Ok(Shared::of(memory))
    }

    fn of(memory: Pinned) -> Shared<A> {
        Shared {
            memory,
            _atomic: PhantomData,
        }
    }
}

impl<A: Atomic> Deref for Shared<A> {
    type Target = A;

    #[inline]
    fn deref(&self) -> &A {
        // SAFETY: room for an `A`, aligned for it, pinned and mapped while `self` is there; any bytes are
        // one, and every access is atomic.
        unsafe { self.memory.payload().cast().as_ref() }
    }
}

impl<A: Atomic> Clone for Shared<A> {
    fn clone(&self) -> Self {
        Shared::of(self.memory.clone())
    }
}

impl<A: Atomic + fmt::Debug> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&**self).finish()
    }
}

impl<A: Atomic> Serialize for Shared<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.memory.serialize(serializer)
    }
}

impl<'de, A: Atomic> Deserialize<'de> for Shared<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pinned::deserialize(deserializer, size_of::<A>(), align_of::<A>()).map(Shared::of)
    }
}
