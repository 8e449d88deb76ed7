//! Everything that makes threads and processes wait for each other, with a pool executor on top.

#![deny(missing_docs)]

mod error;
pub(crate) mod platform;
pub(crate) mod wait;

pub mod debug;
pub mod executor;
pub mod queue;
pub mod sync;

pub use error::{GaveUp, Shutdown};
pub use wait::{CancelToken, Limit};

#[cfg(loom)]
#[doc(hidden)]
pub mod model;

#[cfg(all(feature = "process", not(loom)))]
pub mod ipc;
#[cfg(all(feature = "process", not(loom)))]
pub mod process;
#[cfg(feature = "process")]
pub(crate) mod shm;

#[cfg(all(feature = "process", loom))]
#[doc(hidden)]
pub use shm::word::model as word_model;
