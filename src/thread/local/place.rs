//! Where the values of a [`Local`](super::Local) lie: a place for each living thread.
//!
//! The places are in a `thread_local::ThreadLocal`, which finds a thread's by a number that it gives to the
//! next thread as soon as a thread ends. So a place may be shared, for a moment, by a thread whose last
//! destructors run and one that has just begun; each value therefore carries the number of its thread,
//! which is never given again ([`table`](super::table)).
//!
//! A value belongs to its place, and leaves it once: with its thread, or with the `Local`. The place's lock
//! decides, and whoever has taken the value out drops it, with nothing locked.

use super::table::Leave;
use crate::panic::contain;
use crate::platform::Mutex;
use smallvec::SmallVec;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::Arc;

#[cfg(loom)]
pub(super) use loom::sync::Arc as Share;
#[cfg(not(loom))]
pub(super) use std::sync::Arc as Share;

#[cfg(not(loom))]
pub(super) type Places<T> = thread_local::ThreadLocal<Arc<Place<T>>>;
#[cfg(loom)]
pub(super) type Places<T> = super::modelled::ThreadLocal<Arc<Place<T>>>;

/// The value has left its place and lives as long as somebody refers to it.
const LEFT: usize = 1 << (usize::BITS - 1);

/// A value, and how many [`LocalRef`](super::LocalRef)s its thread has.
pub(super) struct Value<T> {
    /// Only its thread touches it. Beside the count: `LEFT`.
    references: Cell<usize>,
    value: UnsafeCell<T>,
}

// SAFETY: `references` is for the value's thread alone. The value is reached by others through a
// `LocalValue`, which asks for `T: Sync`, or a `LocalMut`, which comes from `&mut Local`; and whoever has the
// last share drops it, which takes `T: Send`.
unsafe impl<T: Send> Send for Value<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Value<T> {}

impl<T> Value<T> {
    pub(super) fn new(value: T) -> Value<T> {
        Value {
            references: Cell::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Safety: nobody has a `&mut` to it as long as the result lives.
    #[inline]
    pub(super) unsafe fn shared(&self) -> &T {
        // SAFETY: by the caller's promise.
        unsafe { &*self.value.get() }
    }

    /// Safety: nobody else has a reference to it as long as the result lives.
    #[expect(clippy::mut_from_ref, reason = "the caller promises to be alone")]
    pub(super) unsafe fn unique(&self) -> &mut T {
        // SAFETY: by the caller's promise.
        unsafe { &mut *self.value.get() }
    }

    pub(super) fn into_inner(self) -> T {
        self.value.into_inner()
    }

    /// One more reference. Called in the value's thread.
    #[inline]
    pub(super) fn refer(&self) {
        self.references.set(self.references.get() + 1);
    }

    /// One reference less.
    ///
    /// Safety: called in the value's thread, once for each `refer`, with a pointer that a `Share` has lent.
    #[inline]
    pub(super) unsafe fn let_go(this: NonNull<Value<T>>) {
        // SAFETY: what is referred to is alive: in its place, or kept by `retire`.
        let references = unsafe { &this.as_ref().references };
        let left = references.get() - 1;
        references.set(left);
        if left == LEFT {
            // SAFETY: the share that `retire` has left behind, and this was the last who could want it.
            drop(unsafe { Share::from_raw(this.as_ptr()) });
        }
    }

    /// The value's thread ends. It is dropped now, or with the last reference to it: one may be in a
    /// thread-local of std that is destroyed later.
    fn retire(this: Share<Value<T>>) {
        let references = this.references.get();
        if references != 0 {
            this.references.set(references | LEFT);
            let _ = Share::into_raw(this);
        }
    }
}

/// Values, each with the number of its thread.
type Held<T> = SmallVec<[(usize, Share<Value<T>>); 1]>;

/// The values of the threads that have the same number in `ThreadLocal`.
pub(super) struct Place<T> {
    held: Mutex<Held<T>>,
}

impl<T> Place<T> {
    pub(super) fn new() -> Place<T> {
        Place {
            held: Mutex::new(SmallVec::new()),
        }
    }

    pub(super) fn put(&self, thread: usize, value: Share<Value<T>>) {
        self.held.lock().push((thread, value));
    }

    /// The values that are here now.
    pub(super) fn values(&self) -> SmallVec<[Share<Value<T>>; 1]> {
        let held = self.held.lock();
        held.iter().map(|(_, value)| Share::clone(value)).collect()
    }

    /// Takes all values out.
    pub(super) fn empty(&self) -> Held<T> {
        std::mem::take(&mut *self.held.lock())
    }
}

impl<T: Send> Leave for Place<T> {
    fn leave(&self, thread: usize) {
        let value = {
            let mut held = self.held.lock();
            let position = held.iter().position(|(owner, _)| *owner == thread);
            position.map(|position| held.swap_remove(position).1)
        };
        // The `Local` may have been quicker. A panic here would end the process.
        match value {
            // What a model finds is a panic.
            Some(value) if cfg!(loom) => Value::retire(value),
            Some(value) => contain(|| Value::retire(value)),
            None => {}
        }
    }
}
