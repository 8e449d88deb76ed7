//! Work on all processors.

mod join;
mod pool;

pub use join::join;
