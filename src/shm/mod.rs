//! Shared memory: by a name, for processes that have nothing else in common, or by a descriptor.
//!
//! [`SharedMemory`] is bytes that several processes have mapped. [`ShmScope`] owns some that end with
//! it, and [`sweep()`] removes what was left behind by processes that were killed. What makes processes
//! wait for each other is in [`ipc`](crate::ipc), and needs none of this.

// Engine 2, which is not public, is what the primitives of `ipc` are made of. A segment is memory that
// several processes map, the roster says which of them are alive, the word is a lock that survives
// the death of its owner, the arena hands out blocks that carry such a word, and a handle is one of
// them as a primitive of `ipc` sees it. Under loom only the word exists; the rest is system calls.
//
// Of its own this file holds the one `Tree` that a process belongs to. The process that first needs it
// makes it; a worker adopts its parent's. Once there it stays until the process ends, so that
// references into it are `'static` and the roster's descriptor is never closed.

#[cfg(not(loom))]
pub(crate) mod arena;
#[cfg(not(loom))]
pub(crate) mod handle;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod named;
#[cfg(not(loom))]
pub(crate) mod roster;
#[cfg(not(loom))]
mod scope;
#[cfg(not(loom))]
pub(crate) mod segment;
#[cfg(not(loom))]
mod sweep;
pub(crate) mod word;

#[cfg(not(loom))]
pub use memory::{MemoryOptions, SharedMemory, ViewError};
#[cfg(not(loom))]
pub use scope::ShmScope;
#[cfg(not(loom))]
pub use sweep::{Kept, Swept, sweep, sweep_prefix};
#[cfg(not(loom))]
pub(crate) use tree::{Tree, adopt, descriptors, tree, tree_if_any};

#[cfg(not(loom))]
mod tree;
