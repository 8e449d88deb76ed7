//! `ipc::RLock`: a lock between processes that its owner, a thread, may take again.
//!
//! The word is that of `ipc::Lock`; which thread of the owning process it is, and how deep, is in the
//! note of `shm::protocol::rlock`. This file gives them faces.

mod bare;
mod guard;

pub(in crate::ipc) use guard::AllLevels;
pub use guard::RLockGuard;

use super::{Holder, LockError};
use crate::Limit;
use crate::platform::{thread_id, thread_name};
use crate::shm::arena::Request;
use crate::shm::handle::{Handle, Held};
use crate::shm::protocol::rlock::{Note, ThisThread, is_consistent};
use crate::shm::refusal::Refusal;
use crate::shm::{Tree, tree};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;

/// A mutual exclusion lock between processes, for a thread that may hold it already.
///
/// The thread that holds the lock may lock it again, without waiting, and holds it until it has dropped
/// as many guards as it was given, in whatever order. As [`Lock`](super::Lock) it protects what it is
/// agreed to protect.
///
/// * **Ownership.** The owner is a thread of a process. Guards stay in their thread.
/// * **Fairness.** That of [`Lock`](super::Lock): none. The owner never waits, whatever its limit says.
/// * **Death.** As for every lock, see the [module's](super#when-a-process-is-killed) documentation.
///   Whoever is told of a death has the lock at its first level, whatever the dead had. A thread that
///   ends without dropping its guards leaves the lock locked as long as its process lives, but for a later
///   thread of the process that is given its id: that one is the owner then, and may release it.
/// * **Fork.** The child of a fork holds nothing, however deep its parent is. Guards that it inherits do
///   nothing when dropped.
/// * **Async.** There is no async face, because what owns the lock is a thread: two tasks on one thread
///   would both be its owner, and a task that moved on would not be any more. Use
///   [`Lock`](super::Lock) there.
/// * **Cost.** The first level: a compare-and-swap to lock, a swap to unlock, some plain stores. Each
///   further one: some plain loads and one plain store to go in, and as much to leave. No system call.
///
/// Python: `multiprocessing.RLock`, whose `release` by a thread that does not hold the lock is an
/// `AssertionError`. With guards that cannot be written; [`release`](RLock::release) returns
/// [`NotOwner`](crate::sync::NotOwner).
///
/// ```
/// use latchwork::ipc::RLock;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = RLock::new()?;
/// let outer = lock.lock().unwrap();
/// let inner = lock.lock().unwrap();
/// assert_eq!(lock.depth(), 2);
/// std::thread::scope(|s| {
///     s.spawn(|| assert!(lock.try_lock().unwrap().is_none()));
/// });
/// drop(outer); // in any order
/// assert!(lock.is_owned());
/// drop(inner);
/// assert!(!lock.is_locked());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "multiprocessing.RLock")]
#[doc(alias = "ReentrantMutex")]
#[doc(alias = "recursive")]
pub struct RLock(Handle);

type Attempt<'a> = Result<RLockGuard<'a>, LockError<RLockGuard<'a>>>;

impl RLock {
    /// Makes a lock in the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// As for [`Lock::new`](super::Lock::new).
    pub fn new() -> io::Result<RLock> {
        RLock::create(tree()?)
    }

    pub(crate) fn create(tree: &'static Tree) -> io::Result<RLock> {
        let request = Request::new(size_of::<Note>(), align_of::<Note>());
        Handle::new(tree, request, |_| {}).map(RLock)
    }

    /// Locks, waiting as long as it takes; one level deeper if this thread holds the lock.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) holds the guard, on every level until one of the guards
    /// vouches; otherwise nothing was taken and the [error](LockError) says why.
    #[inline]
    pub fn lock(&self) -> Attempt<'_> {
        self.lock_within(Limit::none())
    }

    /// Locks if this thread holds the lock or nobody alive does, and returns `None` otherwise. Never
    /// waits.
    ///
    /// # Errors
    ///
    /// As for [`lock`](RLock::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<Option<RLockGuard<'_>>, LockError<RLockGuard<'_>>> {
        match self.try_take()? {
            Some(is_consistent) => self.granted(is_consistent).map(Some),
            None => Ok(None),
        }
    }

    /// Locks, waiting as long as `limit` says; see [`Lock::lock_within`](super::Lock::lock_within).
    /// Who holds the lock succeeds even if the limit has been reached already.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`lock`](RLock::lock).
    #[inline]
    #[doc(alias = "acquire_timeout")]
    pub fn lock_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Attempt<'_> {
        let is_consistent = self.take(limit.into())?;
        self.granted(is_consistent)
    }

    /// Does somebody hold the lock? The answer may be outdated when it arrives.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Does the current thread hold the lock? The answer is exact.
    #[doc(alias = "_is_owned")]
    pub fn is_owned(&self) -> bool {
        self.depth() > 0
    }

    /// How many levels the current thread has: 0 if it does not hold the lock, whoever else does.
    #[doc(alias = "_recursion_count")]
    pub fn depth(&self) -> usize {
        self.me_if_listed()
            .map_or(0, |me| self.note().depth(me) as usize)
    }

    /// Which process holds the lock, if any that is alive does. The answer may be outdated when it
    /// arrives.
    pub fn holder(&self) -> Option<Holder> {
        self.0.holder()
    }

    /// Takes one level, and says whether what the lock protects is consistent.
    #[inline]
    fn take(&self, limit: Limit<'_>) -> Result<bool, Refusal> {
        let me = self.me()?;
        match self.enter(me)? {
            Some(is_consistent) => Ok(is_consistent),
            None => {
                let held = match self.0.grab() {
                    Some(held) => held,
                    None => self.0.lock(limit)?,
                };
                Ok(self.begin(me, held, 1))
            }
        }
    }

    #[inline]
    fn try_take(&self) -> Result<Option<bool>, Refusal> {
        let me = self.me()?;
        match self.enter(me)? {
            Some(is_consistent) => Ok(Some(is_consistent)),
            None => Ok(self.0.try_lock()?.map(|held| self.begin(me, held, 1))),
        }
    }

    /// One level more, if this thread has one.
    #[inline]
    fn enter(&self, me: ThisThread) -> Result<Option<bool>, Refusal> {
        match self.note().enter(me) {
            Ok(true) => Ok(Some(is_consistent(self.0.word()))),
            Ok(false) => Ok(None),
            Err(_corrupt) => Err(Refusal::Corrupt),
        }
    }

    /// The word was just locked for this thread, which has so many levels from now on.
    #[inline]
    fn begin(&self, me: ThisThread, held: Held<'_>, depth: u32) -> bool {
        self.note().begin(me, depth);
        let is_consistent = held.is_consistent();
        // The last level unlocks it.
        std::mem::forget(held);
        is_consistent
    }

    /// Leaves so many levels, or all if there are fewer; says how many there were.
    #[inline]
    fn leave(&self, levels: u32) -> u32 {
        // In the child of a fork this is nobody, or somebody else.
        let me = self.me_if_listed();
        me.map_or(0, |me| self.note().leave(me, self.0.word(), levels))
    }

    #[inline]
    fn granted(&self, is_consistent: bool) -> Attempt<'_> {
        let guard = RLockGuard::new(self);
        if is_consistent {
            Ok(guard)
        } else {
            Err(LockError::OwnerDied(guard))
        }
    }

    #[inline]
    fn me(&self) -> Result<ThisThread, Refusal> {
        let process = self.0.tree().roster.me().map_err(Refusal::Unlisted)?;
        Ok(ThisThread::new(process, thread_id(), self.0.generation()))
    }

    /// `None` if this process has not made itself known yet, and so holds nothing.
    #[inline]
    fn me_if_listed(&self) -> Option<ThisThread> {
        let process = self.0.tree().roster.current()?;
        Some(ThisThread::new(process, thread_id(), self.0.generation()))
    }

    #[inline]
    fn note(&self) -> &Note {
        // SAFETY: the handle has room for a `Note`, aligned for it, in memory that is never unmapped.
        // A note is made of atomics, so any bytes are one. It is written by who holds the lock alone.
        unsafe { self.0.payload().cast().as_ref() }
    }
}

/// Says which process and thread hold the lock: the thread by name if it is of this process.
impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RLock");
        out.field("state", &self.0);
        let process = self.0.tree().roster.current();
        let thread = process
            .filter(|&process| self.0.word().state().owner() == Some(process))
            .and_then(|process| self.note().thread_of(process));
        if let Some(thread) = thread {
            match thread_name(thread) {
                Some(name) => out.field("thread", &name),
                None => out.field("thread", &thread),
            };
        }
        let depth = self.depth();
        if depth > 0 {
            out.field("depth", &depth);
        }
        out.finish()
    }
}

impl Serialize for RLock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RLock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Handle::deserialize(deserializer, size_of::<Note>(), align_of::<Note>()).map(RLock)
    }
}
