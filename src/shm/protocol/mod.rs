//! What the primitives of `ipc` keep in shared memory, and what one visit does to it.
//!
//! One file a primitive: its state, the turns of its operations, and what a death means for it.
//! Nothing here knows where the state lies, so the loom models run the same code.
pub(crate) mod barrier;
pub(crate) mod condition;
pub(crate) mod event;
pub(crate) mod rlock;
pub(crate) mod rwlock;
pub(crate) mod semaphore;
