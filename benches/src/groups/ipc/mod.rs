//! Between processes. `mutexes` are those who exclude, for both groups; the rest is a file a question:
//! `lock`, `handover` and `death` for the group `ipc-lock`, `value`, `counters` and `bytes` for `ipc-value`.
//!
//! The processes are forks of this one (see `shared`), pinned nowhere. Everything that a contender
//! needs is made before they are forked.

mod bytes;
mod counters;
mod death;
mod handover;
pub mod lock;
mod mutexes;
pub mod value;
