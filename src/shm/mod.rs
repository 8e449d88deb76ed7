//! Shared memory: by a name, for processes that have nothing else in common, or by a descriptor.
//!
//! [`SharedMemory`] is bytes that several processes have mapped. [`ShmScope`] owns some that end with
//! it, and [`sweep()`] removes what was left behind by processes that were killed. What makes processes
//! wait for each other is in [`ipc`](crate::ipc), and needs none of this.

// Engine 2, which is not public, is what the primitives of `ipc` are made of. A segment is memory that
// several processes map, the roster says which of them are alive, the word is a lock that survives
// the death of its owner, the arena hands out blocks that carry such a word, a ledger says who has
// how much of something, and a handle is one block as a primitive of `ipc` sees it. How to wait for
// something in one is `wait`; an object whose state only this crate changes is a monitor, and `protocol`
// says what its state is. Under loom that much exists; the rest is system calls.
//
// Of its own this file holds the one `Tree` that a process belongs to. The process that first needs it
// makes it; a worker adopts its parent's. Once there it stays until the process ends, so that
// references into it are `'static` and the roster's descriptor is never closed.

#[cfg(not(loom))]
pub(crate) mod arena;
#[cfg(not(loom))]
pub(crate) mod handle;
#[cfg(not(loom))]
pub(crate) mod holder;
pub(crate) mod ledger;
#[cfg(not(loom))]
mod memory;
pub(crate) mod monitor;
#[cfg(not(loom))]
pub(crate) mod named;
#[cfg(not(loom))]
pub(crate) mod object;
pub(crate) mod protocol;
pub(crate) mod refusal;
#[cfg(not(loom))]
pub(crate) mod roster;
#[cfg(not(loom))]
mod scope;
#[cfg(not(loom))]
pub(crate) mod segment;
pub(crate) mod sequence;
pub(crate) mod sleepers;
#[cfg(not(loom))]
pub(crate) mod space;
#[cfg(not(loom))]
mod sweep;
pub(crate) mod wait;
pub(crate) mod waiting;
pub(crate) mod word;

#[cfg(not(loom))]
pub use memory::{MemoryOptions, SharedMemory, ViewError};
#[cfg(not(loom))]
pub use scope::ShmScope;
#[cfg(not(loom))]
pub use sweep::{Kept, Swept, sweep, sweep_prefix};
#[cfg(not(loom))]
pub(crate) use tree::{Tree, adopt, close, descriptors, is_in_use, tree, tree_of};

#[cfg(not(loom))]
mod tree;

/// What loom-tests sees.
#[cfg(loom)]
#[doc(hidden)]
pub mod models {
    pub use super::protocol::barrier::BrokenBarrier;
    pub use super::protocol::barrier::model::{BarrierModel, Ended};
    pub use super::protocol::condition::model::ConditionModel;
    pub use super::protocol::event::model::EventModel;
    pub use super::protocol::rlock::model::RLockModel;
    pub use super::protocol::rwlock::model::RwLockModel;
    pub use super::protocol::semaphore::model::SemaphoreModel;
    pub use super::sleepers::model as sleepers;
    pub use super::word::model::{Outcome, Tree};
}
