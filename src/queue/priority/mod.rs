//! The smallest first: [`Heap`], [`Prioritized`], and [`PriorityQueue`](super::PriorityQueue).

mod heap;
mod prioritized;
mod queue;
mod shape;
mod ticket;

pub use heap::Heap;
pub(super) use prioritized::Keyed;
pub use prioritized::Prioritized;
#[cfg(not(loom))]
pub(super) use prioritized::keyed;
pub use queue::{Evicting, PriorityQueue, Ticketed};
pub use ticket::Ticket;
