//! Primitives for the threads (and tasks) of one process.
//!
//! Each is one word, is made by a `const` constructor, allocates nothing and needs no `Drop`. Each
//! blocking operation has four faces: `op()` blocks, `try_op()` never does, `op_within(limit)`
//! blocks at most so long, and `op_async()` is a future for any runtime. A call that gives up has
//! changed nothing.

pub(crate) mod completion;
mod condition;
mod event;
mod lock;
mod lock_all;
mod rlock;
mod rwlock;
mod semaphore;

pub use condition::{Condition, ConditionGuard};
pub use event::Event;
pub use lock::{
    ByTask, ByThread, Holder, Lock, LockGuard, MappedLockGuard, MappedTaskLockGuard, NotLocked,
    OwnedLockGuard, OwnedTaskLockGuard, TaskLockGuard,
};
pub use lock_all::{LockSet, lock_all, lock_all_async, lock_all_within, try_lock_all};
pub use rlock::{MappedRLockGuard, NotOwner, OnlyLevel, OwnedRLockGuard, RLock, RLockGuard};
pub use rwlock::{
    MappedTaskWriteGuard, MappedWriteGuard, OwnedReadGuard, OwnedWriteGuard, Policy, ReadGuard,
    RwLock, TaskWriteGuard, UpgradableGuard, UpgradeError, WriteGuard,
};
pub use semaphore::{
    AcquireError, AnySemaphore, BoundedSemaphore, OwnedPermit, Permit, Semaphore, TooManyPermits,
    TooManyReleases, TryAcquireError,
};

// A primitive is one small word: it can be a field of anything, in any number.
#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Lock<()>>() == size_of::<u32>());
    assert!(size_of::<RwLock<()>>() == size_of::<usize>());
    assert!(size_of::<Semaphore>() == size_of::<usize>());
    assert!(size_of::<BoundedSemaphore>() == size_of::<usize>());
    assert!(size_of::<Event>() == size_of::<usize>());
    assert!(size_of::<Condition>() == size_of::<u32>());
    assert!(size_of::<RLock<()>>() == 2 * size_of::<u32>());
};
