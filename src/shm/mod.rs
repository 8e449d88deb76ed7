//! Engine 2: shared memory.
//!
//! A segment is memory that several processes map, the roster says which of them are alive, the
//! word is a lock that survives the death of its owner, and the arena hands out blocks that carry
//! such a word. Under loom only the word exists; the rest is system calls.

#[cfg(not(loom))]
pub(crate) mod roster;
#[cfg(not(loom))]
pub(crate) mod segment;
pub(crate) mod word;
