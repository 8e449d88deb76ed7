//! [`ShortLock`]: mutual exclusion for a few dozen instructions.
//!
//! Unlocking is a plain store, so a pair costs one read-modify-write, half of what a lock costs that
//! knows of sleepers. In return nobody can be woken: who finds it taken stays awake, first with pauses, then by
//! giving up the processor, at last with naps, so that a holder that was preempted gets to run
//! whatever its priority is.
//!
//! The whole lock is one byte, nothing about it lies elsewhere, and the byte names the process that holds it by
//! its generation (`platform::forked`). So a forked child can let go of what its own thread held, and whoever
//! finds a lock held in an earlier generation knows that nobody will ever let go of it.
//!
//! The growing pauses are what makes it fast when two cores work with it: the one that has the cache
//! line does dozens of operations meanwhile, and moving the line costs more than they do.

use super::atomic::{AtomicU8, Ordering};
use super::{UnsafeCell, const_fn, forked, nap, spin_hint, yield_now};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// The first look comes after so many pauses, of about 10 ns each; then it is twice as many each time.
const FIRST: u32 = if cfg!(loom) { 1 } else { 16 };
/// With so many pauses the doubling ends, and each look is preceded by a yield.
const MOST: u32 = if cfg!(loom) { 2 } else { 512 };
/// So many yields, then naps.
const YIELDS: u32 = if cfg!(loom) { 1 } else { 1000 };

const FREE: u8 = 0;

/// The byte comes first, so that a value that begins with what is written most has that on the same cache
/// line.
#[repr(C)]
pub(crate) struct ShortLock<T> {
    /// [`FREE`], or the generation of the process whose thread holds it.
    held_in: AtomicU8,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached through a guard, and there is one at a time.
unsafe impl<T: Send> Sync for ShortLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for ShortLock<T> {}

/// The only way to the value; unlocks when dropped.
pub(crate) struct ShortGuard<'a, T> {
    lock: &'a ShortLock<T>,
}

impl<T> ShortLock<T> {
    const_fn! {
        pub(crate) fn new(value: T) -> ShortLock<T> {
            ShortLock {
                held_in: AtomicU8::new(FREE),
                value: UnsafeCell::new(value),
            }
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> ShortGuard<'_, T> {
        if !self.try_take() {
            self.take();
        }
        ShortGuard { lock: self }
    }

    /// Acquire pairs with the Release of the last guard.
    #[inline]
    fn try_take(&self) -> bool {
        let generation = forked::generation();
        self.held_in
            .compare_exchange(FREE, generation, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn take(&self) {
        let mut pauses = FIRST;
        let mut yields = 0;
        loop {
            (0..pauses).for_each(|_| spin_hint());
            let held_in = self.held_in.load(Ordering::Relaxed);
            if held_in == FREE && self.try_take() {
                return;
            }
            if pauses < MOST {
                pauses *= 2;
            } else if yields < YIELDS {
                yields += 1;
                yield_now();
            } else {
                forked::expect_alive(held_in);
                nap();
            }
        }
    }
}

#[cfg(not(loom))]
impl<T> ShortLock<T> {
    /// Takes it for good, without a guard. Paired with `let_go`.
    pub(crate) fn hold(&self) {
        std::mem::forget(self.lock());
    }

    /// What it guards, for whoever holds it.
    pub(crate) fn get(&self) -> *mut T {
        self.value.with_mut(|value| value)
    }

    /// Ends what `hold` began, in this process or in the one that was forked meanwhile.
    ///
    /// # Safety
    ///
    /// The calling thread holds it by `hold`, and what `get` gave is not used any more.
    pub(crate) unsafe fn let_go(&self) {
        self.held_in.store(FREE, Ordering::Release);
    }
}

impl<T> fmt::Debug for ShortLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShortLock").finish_non_exhaustive()
    }
}

impl<T> Deref for ShortGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: while the guard lives nobody else has one.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for ShortGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: while the guard lives nobody else has one.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for ShortGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.held_in.store(FREE, Ordering::Release);
    }
}
