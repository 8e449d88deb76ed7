//! A lock's word and the owner's own note: how a thread enters what it holds already, and leaves it again.
//!
//! Invariant: `held` is written by the thread that the lock's word names and by nobody else, after it
//! has taken the lock and before it frees it; while the lock is free it names nobody.
//!
//! So a thread finds its id in `held` exactly while it holds the lock, though all accesses are relaxed.
//! Its id is written by the thread alone, and what a thread reads is never older than what it wrote
//! itself: once it has taken its id out, it does not find it again. And while it holds the lock it
//! finds what it wrote: what others wrote before was ordered before by taking the lock, and what
//! they write later comes after it has been freed. Why not ask the lock's word? To read it right after
//! the instruction that took the lock waits for that one to end; `held` is beside it and is not locked.
//!
//! Ownership is a comparison of thread ids, and ids are given out again. Two threads with one id
//! would be one owner, so all this rests on what the platform promises: an id goes to another thread
//! only after the last code of the thread that had it, destructors of thread-locals included, and
//! what that code did happens before. Then a guard that was forgotten by a thread which has ended is
//! harmless: whoever has the id by now is taken for the owner and gets a `&T` that nobody else has,
//! after all that the first thread did with it. That is `T` moved to another thread, which `T: Send`
//! allows. (A `&T` that the first thread leaked died with it, or was shared, which takes `T: Sync`.)

use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::{const_fn, thread_id};
use crate::sync::lock::RawLock;
use crate::wait::Limit;
use std::marker::PhantomData;
use std::panic::Location;

/// Where the owner's id begins in `held`, as in the lock's word.
const OWNER: u32 = 5;
/// The low bits of `held` when the levels have taken the place of the id.
const DEEP: u32 = (1 << OWNER) - 1;
/// The most levels beyond the first: so many fit in the place of the id.
const MAX_EXTRA: u32 = u32::MAX >> OWNER;

/// A lock and what its owner knows about itself.
///
/// ```text
///   held
///     0                     free, or just taken and about to be noted
///     owner << 5 | extra    the owner has `extra` levels beyond the first, fewer than 31
///     extra << 5 | 31       31 or more; the lock's word knows who has them
/// ```
pub(in crate::sync) struct RawRLock {
    lock: RawLock,
    held: AtomicU32,
}

impl RawRLock {
    const_fn! {
        pub(super) fn new() -> RawRLock {
            RawRLock { lock: RawLock::new(), held: AtomicU32::new(0) }
        }
    }

    /// Who holds it; 0 when nobody does.
    pub(super) fn owner(&self) -> u32 {
        self.lock.owner()
    }

    pub(super) fn is_owned(&self) -> bool {
        self.extra(thread_id()).is_some()
    }

    /// The current thread's own levels.
    pub(super) fn depth(&self) -> usize {
        self.extra(thread_id())
            .map_or(0, |extra| extra as usize + 1)
    }

    /// The levels beyond the first of `owner`, the current thread, if it has one.
    fn extra(&self, owner: u32) -> Option<u32> {
        let held = self.held.load(Ordering::Relaxed);
        let shallow = held ^ owner << OWNER;
        if shallow < DEEP {
            Some(shallow)
        } else if held & DEEP == DEEP && self.lock.owner() == owner {
            // Only this thread writes its own id there, or has it written while it waits in `lock`.
            Some(held >> OWNER)
        } else {
            None
        }
    }

    /// Notes the levels of `owner`, the current thread, which holds the lock.
    #[inline]
    fn note(&self, owner: u32, extra: u32) {
        let held = if extra < DEEP {
            owner << OWNER | extra
        } else {
            extra << OWNER | DEEP
        };
        self.held.store(held, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn lock(&self, place: &'static Location<'static>) -> Level<'_> {
        let owner = thread_id();
        if !self.enter(owner) {
            self.lock.lock(owner, place);
            self.note(owner, 0);
        }
        Level::new(self, owner)
    }

    #[inline]
    pub(super) fn try_lock(&self) -> Option<Level<'_>> {
        let owner = thread_id();
        self.enter(owner).then(|| Level::new(self, owner))
    }

    /// The owner is not asked for the time: its limit may have passed.
    #[inline]
    pub(super) fn lock_within(
        &self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<Level<'_>, GaveUp> {
        let owner = thread_id();
        if !self.enter(owner) {
            self.lock.lock_within(owner, limit, place)?;
            self.note(owner, 0);
        }
        Ok(Level::new(self, owner))
    }

    /// One level more for `owner`, the current thread, if it need not wait for it.
    #[inline]
    fn enter(&self, owner: u32) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        if held ^ owner << OWNER < DEEP - 1 {
            self.held.store(held + 1, Ordering::Relaxed);
            return true;
        }
        if self.lock.try_lock(owner) {
            self.note(owner, 0);
            return true;
        }
        self.enter_deep(owner)
    }

    /// Far down. Asked last, so that the first level is not kept from its lock by the question.
    #[cold]
    fn enter_deep(&self, owner: u32) -> bool {
        let Some(extra) = self.extra(owner) else {
            return false;
        };
        if extra == MAX_EXTRA {
            too_deep();
        }
        self.note(owner, extra + 1);
        true
    }

    /// As `try_lock`, for reports: never panics.
    pub(super) fn look(&self) -> Option<Level<'_>> {
        let is_full = self.extra(thread_id()) == Some(MAX_EXTRA);
        if is_full { None } else { self.try_lock() }
    }

    /// One level less for `owner`, the current thread. False when it isn't the owner.
    #[inline]
    pub(super) fn leave(&self, owner: u32) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let extra = held ^ owner << OWNER;
        if extra == 0 {
            self.held.store(0, Ordering::Relaxed);
            self.lock.unlock(owner);
        } else if extra < DEEP {
            self.held.store(held - 1, Ordering::Relaxed);
        } else {
            return self.leave_deep(owner);
        }
        true
    }

    #[cold]
    fn leave_deep(&self, owner: u32) -> bool {
        let deep = self.extra(owner);
        if let Some(extra) = deep {
            self.note(owner, extra - 1);
        }
        deep.is_some()
    }

    /// Whether `owner`, the current thread, is at its first level.
    #[track_caller]
    pub(super) fn is_at_first_level(&self, owner: u32) -> bool {
        self.assert_owner(owner);
        self.extra(owner) == Some(0)
    }

    /// Gives up all levels of `owner`, the current thread, and says what [`restore`](Self::restore)
    /// needs to know; `None` and nothing else if it has none. Called with a waiter in a line, so it
    /// never panics.
    ///
    /// Python's `_release_save`. With a `T` that is not `Sync` the caller sees to it that no borrow
    /// of the value is left (see [`OnlyLevel`](super::OnlyLevel)).
    pub(in crate::sync) fn release_all(&self, owner: u32) -> Option<Levels> {
        let extra = self.extra(owner)?;
        self.held.store(0, Ordering::Relaxed);
        self.lock.unlock(owner);
        Some(Levels { extra })
    }

    /// Takes the lock again, as deep as it was; never panics. Python's `_acquire_restore`.
    pub(in crate::sync) fn restore(
        &self,
        owner: u32,
        levels: Levels,
        place: &'static Location<'static>,
    ) {
        self.lock.lock_again(owner, place);
        self.note(owner, levels.extra);
    }

    /// Takes one level for a guard that `owner`, the current thread, still has. A panic would leave
    /// that guard without its level; so there is none, and no return either if it cannot be had.
    pub(super) fn come_back(&self, owner: u32, place: &'static Location<'static>) {
        match self.extra(owner) {
            None => {
                self.lock.lock_again(owner, place);
                self.note(owner, 0);
            }
            Some(MAX_EXTRA) => std::process::abort(),
            Some(extra) => self.note(owner, extra + 1),
        }
    }

    /// Panics unless `owner`, the current thread, holds the lock. Only the guards of an `RLock<()>` can
    /// fail here: it may be released by hand under them.
    #[track_caller]
    pub(in crate::sync) fn assert_owner(&self, owner: u32) {
        assert!(
            self.extra(owner).is_some(),
            "an RLock was released by hand under a guard that is still in use"
        );
    }
}

#[cold]
#[inline(never)]
fn too_deep() -> ! {
    panic!("an RLock was locked more than {} times", MAX_EXTRA + 1)
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

    const MOST: usize = MAX_EXTRA as usize + 1;

    /// Row T72. Here, where the way up can be left out.
    #[test]
    fn one_level_too_many_panics_and_changes_nothing() {
        let raw = RawRLock::new();
        let place = Location::caller();
        let first = raw.lock(place);
        raw.note(thread_id(), MAX_EXTRA - 1);
        let last = raw.lock(place);
        assert_eq!(raw.depth(), MOST);
        let tries: [&dyn Fn(); 3] = [&|| drop(raw.lock(place)), &|| drop(raw.try_lock()), &|| {
            drop(raw.lock_within(&Limit::none(), place))
        }];
        for attempt in tries {
            let panic = catch_unwind(AssertUnwindSafe(attempt)).unwrap_err();
            let message = panic.downcast_ref::<String>().unwrap();
            assert!(message.contains("locked more than 134217728 times"));
            assert_eq!(raw.depth(), MOST);
        }
        assert!(raw.look().is_none(), "a report is no reason to panic");
        std::thread::scope(|s| {
            s.spawn(|| {
                assert!(raw.try_lock().is_none() && !raw.is_owned());
                assert!(!raw.leave(thread_id()), "somebody else's");
            });
        });
        drop(last);
        assert_eq!(raw.depth(), MOST - 1);
        raw.note(thread_id(), 0);
        drop(first);
        assert_eq!((raw.owner(), raw.depth()), (0, 0));
    }

    /// Where the levels take the id's place, and where they give it back.
    #[test]
    fn no_level_is_lost_where_the_note_changes_its_form() {
        let raw = RawRLock::new();
        let place = Location::caller();
        let most = 2 * DEEP as usize + 3;
        let mut levels = Vec::new();
        for depth in 1..=most {
            levels.push(raw.lock(place));
            assert_eq!(raw.depth(), depth);
            assert_eq!(raw.owner(), thread_id());
        }
        let all = raw.release_all(thread_id()).unwrap();
        assert!(raw.release_all(thread_id()).is_none());
        assert_eq!((raw.owner(), raw.depth()), (0, 0));
        raw.restore(thread_id(), all, place);
        for depth in (0..most).rev() {
            assert!(raw.is_owned());
            levels.pop();
            assert_eq!(raw.depth(), depth);
        }
        assert_eq!(raw.owner(), 0);
    }
}
