//! Everything that makes threads and processes wait for each other, with a pool executor on top.

#![deny(missing_docs)]

mod error;
pub(crate) mod platform;

pub use error::{GaveUp, Shutdown};

#[cfg(all(feature = "process", not(loom)))]
pub mod ipc;
#[cfg(all(feature = "process", not(loom)))]
pub mod process;
#[cfg(feature = "process")]
pub(crate) mod shm;

#[cfg(all(feature = "process", loom))]
#[doc(hidden)]
pub use shm::word::model as word_model;
