//! Who holds a lock: [`ByThread`] or [`ByTask`], the two ways in which every guard exists.
//!
//! The word of a lock names its holder, and [`RawLock::unlock`] wants that name back, so a guard
//! carries it. That is all in which the guards of threads and of tasks differ: one generic guard
//! serves both, and the compiler derives from the holder whether it may change threads.
//!
//! Only `sync` can make a holder, and no public function gives one away: whoever has one has taken,
//! or is about to take, what it makes a guard of.

use super::RawLock;
use crate::platform::thread_id;
use crate::wait::TASK;
use std::fmt;
use std::marker::PhantomData;

/// Who holds a lock: [`ByThread`] or [`ByTask`].
pub trait Holder: Copy + sealed::Id {}

/// Held by the thread that took it: the lock names it as its owner, so the guard stays there.
#[derive(Clone, Copy)]
pub struct ByThread {
    id: u32,
    /// Not `Send`, and so no guard that contains it.
    _stays: PhantomData<*const ()>,
}

// SAFETY: it is a number that never changes; `PhantomData` is there to forbid `Send` only.
unsafe impl Sync for ByThread {}

/// Held by a task, which has no thread of its own: the guard may cross an `.await`, change threads,
/// and be dropped in any of them.
#[derive(Clone, Copy)]
pub struct ByTask {
    _unforgeable: (),
}

impl ByTask {
    pub(in crate::sync) const HOLDER: ByTask = ByTask { _unforgeable: () };
}

impl ByThread {
    /// The calling thread.
    #[inline]
    pub(in crate::sync) fn current() -> ByThread {
        ByThread {
            id: thread_id(),
            _stays: PhantomData,
        }
    }
}

pub(in crate::sync) mod sealed {
    pub trait Id {
        /// As the word of a lock has it.
        fn id(&self) -> u32;
    }
}
pub(in crate::sync) use sealed::Id;

impl Id for ByThread {
    #[inline]
    fn id(&self) -> u32 {
        self.id
    }
}

impl Id for ByTask {
    #[inline]
    fn id(&self) -> u32 {
        TASK
    }
}

impl Holder for ByThread {}
impl Holder for ByTask {}

impl fmt::Debug for ByThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::debug::Owner(self.id()).fmt(f)
    }
}

impl fmt::Debug for ByTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::debug::Owner(self.id()).fmt(f)
    }
}

/// A word that is held; dropping it frees the word.
///
/// For what must outlive the type of the value: a guard that has been mapped.
pub(super) struct Held<'a, H: Holder> {
    raw: &'a RawLock,
    by: H,
}

impl<'a, H: Holder> Held<'a, H> {
    /// Of a word that is `by`'s, and whose guard will not be dropped.
    #[inline]
    pub(super) fn new(raw: &'a RawLock, by: H) -> Held<'a, H> {
        Held { raw, by }
    }
}

impl<H: Holder> Drop for Held<'_, H> {
    #[inline]
    fn drop(&mut self) {
        self.raw.unlock(self.by.id());
    }
}
