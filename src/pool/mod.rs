//! Resources that are lent and come back: [`ResourcePool`], for connections and whatever else is costly to make.
//!
//! There is no waiting of its own in here: a pool is a [`Semaphore`](crate::sync::Semaphore), whose permits are turns, and a
//! [`Lock`](crate::sync::Lock) around what is idle. `core.rs` says why that is enough.

mod builder;
mod core;
mod error;
mod guard;
mod policy;
mod resource;
mod resource_pool;
mod stats;
mod turn;
mod upkeep;
mod verdict;
mod wait_times;

pub use builder::{AfterPanic, Builder, Reuse};
pub use error::{GetError, TryGetError};
pub use guard::Pooled;
pub use resource_pool::{Maintained, ResourcePool};
pub use stats::{Retired, Stats};
pub use verdict::Verdict;
pub use wait_times::WaitTimes;
