//! A lock's word and a depth: how a thread enters what it holds already, and leaves it again.
//!
//! Invariant: `extra` is touched only by the thread that the word names, and is 0 whenever the word
//! names nobody. So it needs no atomics: the lock itself orders one owner's accesses before the next
//! one's, and taking or freeing an only level does not touch it at all.
//!
//! Ownership is a comparison of thread ids, and ids are given out again. Two threads with one id
//! would be one owner, so all this rests on what the platform promises: an id goes to another thread
//! only after the last code of the thread that had it, destructors of thread-locals included, and
//! what that code did happens before. Then a guard that was forgotten by a thread which has ended is
//! harmless: whoever has the id by now is taken for the owner and gets a `&T` that nobody else has,
//! after all that the first thread did with it. That is `T` moved to another thread, which `T: Send`
//! allows. (A `&T` that the first thread leaked died with it, or was shared, which takes `T: Sync`.)

use crate::GaveUp;
use crate::platform::{UnsafeCell, const_fn, thread_id};
use crate::sync::lock::RawLock;
use crate::wait::Limit;
use std::marker::PhantomData;
use std::panic::Location;

/// The most levels beyond the first; depths fit a `u32` and a `usize`.
const MAX_EXTRA: u32 = u32::MAX - 1;

pub(in crate::sync) struct RawRLock {
    lock: RawLock,
    /// The owner's levels beyond the first.
    extra: UnsafeCell<u32>,
}

// SAFETY: `extra` is touched only by the thread that holds `lock`, whose acquisition orders it after
// the last one that did.
unsafe impl Sync for RawRLock {}

impl RawRLock {
    const_fn! {
        pub(super) fn new() -> RawRLock {
            RawRLock { lock: RawLock::new(), extra: UnsafeCell::new(0) }
        }
    }

    /// Who holds it; 0 when nobody does.
    pub(super) fn owner(&self) -> u32 {
        self.lock.owner()
    }

    /// Only this thread writes its own id, or has it written while it waits in `lock`; so what it
    /// reads about itself is never old.
    #[inline]
    pub(super) fn is_owned(&self) -> bool {
        self.lock.owner() == thread_id()
    }

    /// The current thread's own levels.
    pub(super) fn depth(&self) -> usize {
        if !self.is_owned() {
            return 0;
        }
        // SAFETY: the current thread is the owner.
        unsafe { self.extra() as usize + 1 }
    }

    /// Safety: the current thread is the owner.
    #[inline]
    unsafe fn extra(&self) -> u32 {
        // SAFETY: by the caller's promise, and the owner is one thread.
        self.extra.with(|extra| unsafe { *extra })
    }

    /// Safety: the current thread is the owner.
    #[inline]
    unsafe fn set_extra(&self, levels: u32) {
        // SAFETY: by the caller's promise, and the owner is one thread.
        self.extra.with_mut(|extra| unsafe { *extra = levels });
    }

    #[inline]
    pub(super) fn lock(&self, place: &'static Location<'static>) -> Level<'_> {
        let owner = thread_id();
        if self.lock.owner() == owner {
            return self.again(owner);
        }
        self.lock.lock(owner, place);
        Level::new(self, owner)
    }

    #[inline]
    pub(super) fn try_lock(&self) -> Option<Level<'_>> {
        let owner = thread_id();
        if self.lock.owner() == owner {
            return Some(self.again(owner));
        }
        self.lock.try_lock(owner).then(|| Level::new(self, owner))
    }

    /// The owner is not asked for the time: its limit may have passed.
    #[inline]
    pub(super) fn lock_within(
        &self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<Level<'_>, GaveUp> {
        let owner = thread_id();
        if self.lock.owner() == owner {
            return Ok(self.again(owner));
        }
        self.lock.lock_within(owner, limit, place)?;
        Ok(Level::new(self, owner))
    }

    /// One level more for `owner`, the current thread.
    #[inline]
    fn again(&self, owner: u32) -> Level<'_> {
        // SAFETY: the callers have seen that the current thread is the owner.
        unsafe {
            let extra = self.extra();
            if extra == MAX_EXTRA {
                too_deep();
            }
            self.set_extra(extra + 1);
        }
        Level::new(self, owner)
    }

    /// As `try_lock`, for reports: never panics.
    pub(super) fn look(&self) -> Option<Level<'_>> {
        // SAFETY: asked only of the owner.
        let is_full = self.is_owned() && unsafe { self.extra() } == MAX_EXTRA;
        if is_full { None } else { self.try_lock() }
    }

    /// One level less for `owner`, the current thread. False when it isn't the owner.
    #[inline]
    pub(super) fn leave(&self, owner: u32) -> bool {
        if self.lock.owner() != owner {
            return false;
        }
        // SAFETY: the current thread is the owner.
        match unsafe { self.extra() } {
            0 => self.lock.unlock(owner),
            // SAFETY: as above.
            extra => unsafe { self.set_extra(extra - 1) },
        }
        true
    }

    /// Whether `owner`, the current thread, is at its first level.
    #[track_caller]
    pub(super) fn is_at_first_level(&self, owner: u32) -> bool {
        self.assert_owner(owner);
        // SAFETY: the current thread is the owner, as it has just been asserted.
        unsafe { self.extra() == 0 }
    }

    /// Gives up all levels of `owner`, the current thread, and says what [`restore`](Self::restore)
    /// needs to know. Called with a waiter in a line, so it must not panic.
    ///
    /// Python's `_release_save`. With a `T` that is not `Sync` the caller sees to it that no borrow
    /// of the value is left (see [`OnlyLevel`](super::OnlyLevel)).
    ///
    /// Safety: `owner` is the owner and the current thread.
    pub(in crate::sync) unsafe fn release_all(&self, owner: u32) -> Levels {
        // SAFETY: by the caller's promise.
        let extra = unsafe {
            let extra = self.extra();
            self.set_extra(0);
            extra
        };
        self.lock.unlock(owner);
        Levels { extra }
    }

    /// Takes the lock again, as deep as it was; never panics. Python's `_acquire_restore`.
    pub(in crate::sync) fn restore(
        &self,
        owner: u32,
        levels: Levels,
        place: &'static Location<'static>,
    ) {
        self.lock.lock_again(owner, place);
        // SAFETY: the current thread has just become the owner.
        unsafe { self.set_extra(levels.extra) };
    }

    /// Takes one level for a guard that `owner`, the current thread, still has.
    pub(super) fn come_back(&self, owner: u32, place: &'static Location<'static>) {
        if self.lock.owner() == owner {
            self.again(owner).keep();
        } else {
            self.lock.lock_again(owner, place);
        }
    }

    /// Panics unless `owner`, the current thread, holds the lock. Only the guards of an `RLock<()>` can
    /// fail here: it may be released by hand under them.
    #[track_caller]
    pub(in crate::sync) fn assert_owner(&self, owner: u32) {
        assert!(
            self.lock.owner() == owner,
            "an RLock was released by hand under a guard that is still in use"
        );
    }
}

#[cold]
#[inline(never)]
fn too_deep() -> ! {
    panic!("an RLock was locked more than {} times", u32::MAX)
}

/// How deep a thread was that has given up all its levels.
pub(in crate::sync) struct Levels {
    extra: u32,
}

/// One level of a thread that holds the lock; dropping it leaves.
///
/// Levels are alike: which of them goes first does not matter, only how many are left.
pub(super) struct Level<'a> {
    raw: &'a RawRLock,
    owner: u32,
    /// Keeps it, and all guards, in the thread that the lock names.
    _of_this_thread: PhantomData<*const ()>,
}

impl<'a> Level<'a> {
    #[inline]
    fn new(raw: &'a RawRLock, owner: u32) -> Level<'a> {
        Level {
            raw,
            owner,
            _of_this_thread: PhantomData,
        }
    }

    /// The lock and its owner, the thread of this level.
    pub(super) fn raw(&self) -> (&'a RawRLock, u32) {
        (self.raw, self.owner)
    }

    /// Leaves the level to whoever calls [`RawRLock::leave`] for this owner.
    pub(super) fn keep(self) -> u32 {
        let owner = self.owner;
        std::mem::forget(self);
        owner
    }
}

impl Drop for Level<'_> {
    #[inline]
    fn drop(&mut self) {
        self.raw.leave(self.owner);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Row T72. Here, because nobody locks four thousand million times to get there.
    #[test]
    fn one_level_too_many_panics_and_changes_nothing() {
        let raw = RawRLock::new();
        let place = Location::caller();
        let first = raw.lock(place);
        // SAFETY: this thread is the owner.
        unsafe { raw.set_extra(MAX_EXTRA - 1) };
        let last = raw.lock(place);
        assert_eq!(raw.depth(), u32::MAX as usize);
        let tries: [&dyn Fn(); 3] = [&|| drop(raw.lock(place)), &|| drop(raw.try_lock()), &|| {
            drop(raw.lock_within(&Limit::none(), place))
        }];
        for attempt in tries {
            let panic = catch_unwind(AssertUnwindSafe(attempt)).unwrap_err();
            let message = panic.downcast_ref::<String>().unwrap();
            assert!(message.contains("locked more than 4294967295 times"));
            assert_eq!(raw.depth(), u32::MAX as usize);
        }
        assert!(raw.look().is_none(), "a report is no reason to panic");
        drop(last);
        assert_eq!(raw.depth(), u32::MAX as usize - 1);
        // SAFETY: as above.
        unsafe { raw.set_extra(0) };
        drop(first);
        assert_eq!(raw.owner(), 0);
    }
}
