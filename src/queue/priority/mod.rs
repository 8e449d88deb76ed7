//! [`Heap`], what a priority queue keeps its items in.

mod heap;
mod shape;
mod ticket;

pub use heap::Heap;
pub use ticket::Ticket;
