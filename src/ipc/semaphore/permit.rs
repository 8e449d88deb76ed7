//! The guard: permits that go back when it is dropped.

use crate::ipc::AccessError;
use crate::shm::ledger::Corrupt;
use crate::shm::monitor::Home;
use crate::shm::object::Object;
use crate::shm::protocol::semaphore::Permits;
use crate::shm::word::Owner;
use std::fmt;
use std::ptr;

/// Permits taken from a [`Semaphore`](super::Semaphore) or a
/// [`BoundedSemaphore`](super::BoundedSemaphore). Gives them back when dropped.
///
/// They are this process's: if it is killed, they come back. The guard may be sent to and dropped by
/// another thread of the process. In the child of a fork it does nothing.
#[must_use = "the permits are given back when this is dropped"]
pub struct Permit<'a> {
    of: &'a Object<Permits>,
    by: Owner,
    n: u32,
}

impl<'a> Permit<'a> {
    /// `n` permits that process `by` has just taken.
    #[inline]
    pub(super) fn new(of: &'a Object<Permits>, by: Owner, n: u32) -> Permit<'a> {
        Permit { of, by, n }
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.n
    }

    /// Lets the permits exist no more: the semaphore has so many fewer from now on, until somebody
    /// calls `release`.
    ///
    /// This is how one process takes what another gives: `acquire()?.forget()?` here, `release(1)` there.
    /// What is forgotten is nobody's, so it does not come back if this process is killed.
    /// (If it is killed before `forget` has returned, it does, or does not.)
    ///
    /// # Errors
    ///
    /// The [error](AccessError) says why the semaphore is of no use any more. In the child of a fork
    /// nothing happens, and that is no error.
    pub fn forget(mut self) -> Result<(), AccessError> {
        let n = std::mem::take(&mut self.n);
        if n == 0 || !self.is_ours() {
            return Ok(());
        }
        Permits::forget(self.of.enter()?, n).map_err(|Corrupt| AccessError::Corrupt)
    }

    /// Takes `n` of these permits out into a guard of their own; `None`, and nothing has changed, if
    /// there are fewer.
    pub fn split(&mut self, n: u32) -> Option<Permit<'a>> {
        self.n = self.n.checked_sub(n)?;
        Some(Permit::new(self.of, self.by, n))
    }

    /// Adds the permits of `other` to these.
    ///
    /// # Errors
    ///
    /// `other`, unchanged, if it is of another semaphore, or was taken before a fork and these after it.
    pub fn merge(&mut self, mut other: Permit<'a>) -> Result<(), Permit<'a>> {
        if !self.is_like(&other) {
            return Err(other);
        }
        match self.n.checked_add(other.n) {
            Some(n) => self.n = n,
            None => return Err(other),
        }
        other.n = 0;
        Ok(())
    }

    /// Is `other` of the same semaphore, in the same life of the same block, and of the same process?
    fn is_like(&self, other: &Permit<'_>) -> bool {
        let (mine, others) = (self.of.handle(), other.of.handle());
        ptr::eq(mine.word(), others.word())
            && mine.generation() == others.generation()
            && self.by == other.by
    }

    /// The child of a fork inherits the guards of its parent, but not the permits.
    fn is_ours(&self) -> bool {
        self.of.roster().current() == Some(self.by)
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.n > 0
            && self.is_ours()
            && let Ok(inside) = self.of.enter()
        {
            // If it is corrupt, there is nothing to be given back to.
            let _ = Permits::give_back(inside, self.n);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("count", &self.n)
            .finish_non_exhaustive()
    }
}
