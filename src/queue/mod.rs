//! Queues between threads, and between tasks.
//!
//! | you want | take |
//! |---|---|
//! | first in, first out | [`Queue`] |
//! | last in, first out | [`LifoQueue`] |
//! | first in, first out, with a put that takes no lock, and nothing else | [`SimpleQueue`] |
//! | the smallest first, or by priority | [`PriorityQueue`] |
//! | each item from an instant on | [`DelayQueue`] |
//! | to be shut down when one side has gone | the [`ends`](BlockingQueue::ends) of any of them but the simple one |
//! | an order of your own | [`BlockingQueue`] with a [`Discipline`] |
//!
//! Python's `maxsize=0` means no bound; here that is `Queue::unbounded()`, and `Queue::bounded(0)` is a
//! rendezvous.

mod blocking;
mod clock;
mod core;
#[cfg(not(loom))]
mod delay;
mod discipline;
mod ends;
mod error;
mod iter;
mod kinds;
mod offers;
mod operations;
mod placing;
mod priority;
mod request;
mod selecting;
mod simple;
mod stats;
mod tasks;

pub use blocking::BlockingQueue;
#[cfg(not(loom))]
pub use delay::{DelayQueue, Delayed, Delays};
pub use discipline::{Discipline, Fifo, Lifo};
pub use ends::{Receiver, ReceiverIter, Sender};
pub use error::{GetError, PutError, TaskDoneError};
pub use iter::{Drain, IntoIter, Iter, TryIter};
pub use kinds::{LifoQueue, Queue};
pub use placing::{AtFront, InTurn, Placing};
pub use priority::{Evicting, Heap, Prioritized, PriorityQueue, Ticket, Ticketed};
pub(crate) use selecting::Giving;
pub use simple::{SimpleQueue, SimpleTryIter};
pub use stats::Stats;
pub use tasks::Task;

/// The most a bounded queue allocates for before it has items.
const PREALLOCATED: usize = 1024;
