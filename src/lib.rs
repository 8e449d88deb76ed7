//! Everything that makes threads and processes wait for each other, with a pool executor on top.

#![deny(missing_docs)]

mod error;
pub(crate) mod platform;

pub use error::{GaveUp, Shutdown};

#[cfg(feature = "process")]
pub mod ipc;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "process")]
pub(crate) mod shm;
