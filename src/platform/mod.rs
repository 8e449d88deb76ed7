//! The only place that names `std::sync::atomic`, the futex, loom and the clock.

#[cfg(feature = "process")]
pub(crate) mod shared_futex;

pub(crate) mod atomic {
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    #[cfg(not(loom))]
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
}

#[cfg(loom)]
pub(crate) use loom::thread::yield_now;
#[cfg(not(loom))]
pub(crate) use std::thread::yield_now;

pub(crate) fn cpus() -> usize {
    if cfg!(loom) { 1 } else { 2 }
}
