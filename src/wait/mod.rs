//! Engine 1: how a thread (or a task) waits for another thread.
//!
//! The protocol, and why it loses nothing, is written down in `README.md` beside this file. In one
//! paragraph: a primitive is a word. What it means to want something from that word is a
//! [`Request`]; the engine turns one request into all four faces of an operation ([`wait`] and
//! [`WaitFuture`]). Waiters are nodes on their own stacks, linked into the [`lot`] under the word's
//! address, and exactly one compare-and-swap on a node decides whether its wait ended in a grant,
//! a time-out or a cancellation.

pub(crate) mod asleep;
mod cancel;
pub(crate) mod deadlock;
pub(crate) mod decision;
mod future;
mod limit;
pub(crate) mod lot;
mod mapped;
pub(crate) mod report;
mod request;
pub(crate) mod spin;
pub(crate) mod time;
mod waiter;

pub use cancel::CancelToken;
#[cfg(loom)]
pub(crate) use cancel::Canceller;
pub(crate) use future::{TASK, WaitFuture};
pub use limit::Limit;
pub(crate) use limit::OwnedLimit;
pub(crate) use mapped::Mapped;
pub(crate) use request::{Request, wait, wait_for_ever};
pub(crate) use spin::{Awaited, Spin};
pub(crate) use waiter::{Kind, Ticket, Waiter};
