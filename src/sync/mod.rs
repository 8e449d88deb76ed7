//! Primitives for the threads (and tasks) of one process.
//!
//! Each is one word (a barrier also keeps its size and its action, a [`Once`] its value), is made by a
//! `const` constructor, allocates nothing and needs no `Drop` but a value's own. Each
//! blocking operation has four faces: `op()` blocks, `try_op()` never does, `op_within(limit)`
//! blocks at most so long, and `op_async()` is a future for any runtime. A call that gives up has
//! changed nothing.

mod barrier;
pub(crate) mod completion;
mod condition;
mod countdown;
mod event;
mod latch;
mod lazy;
mod lock;
mod lock_all;
mod once;
mod rlock;
mod rwlock;
mod semaphore;
mod shared_iter;
mod tee;
mod wait_group;

pub use barrier::{Barrier, BarrierAction, BarrierError, BarrierWait, BrokenBarrier, NoAction};
pub use condition::{Condition, ConditionGuard};
pub use event::Event;
pub use latch::{CountTooSmall, Latch};
pub use lazy::Lazy;
pub use lock::{
    ByTask, ByThread, Holder, Lock, LockGuard, MappedLockGuard, MappedTaskLockGuard, NotLocked,
    OwnedLockGuard, OwnedTaskLockGuard, TaskLockGuard,
};
pub use lock_all::{LockSet, lock_all, lock_all_async, lock_all_within, try_lock_all};
pub use once::{Once, SetError};
pub use rlock::{MappedRLockGuard, NotOwner, OnlyLevel, OwnedRLockGuard, RLock, RLockGuard};
pub use rwlock::{
    MappedTaskWriteGuard, MappedWriteGuard, OwnedReadGuard, OwnedWriteGuard, Policy, ReadGuard,
    RwLock, TaskWriteGuard, UpgradableGuard, UpgradeError, WriteGuard,
};
pub(crate) use semaphore::acquire_request;
pub use semaphore::{
    AcquireError, AnySemaphore, BoundedSemaphore, OwnedPermit, Permit, Semaphore, TooManyPermits,
    TooManyReleases, TryAcquireError,
};
pub use shared_iter::{NextError, SharedIter};
pub use tee::{Tee, tee};
pub use wait_group::{OwnedWaitToken, WaitGroup, WaitToken};

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
    assert!(size_of::<Barrier>() <= 24);
    assert!(size_of::<Latch>() == size_of::<usize>());
    assert!(size_of::<WaitGroup>() == size_of::<usize>());
    assert!(size_of::<Once<()>>() == size_of::<u32>());
};
