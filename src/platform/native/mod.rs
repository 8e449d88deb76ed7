//! The machine: std's atomics, the short lock, the kernel's futex, the monotonic clock.

mod cell;
#[cfg(any(test, not(all(target_os = "linux", target_pointer_width = "64"))))]
mod park;
pub(crate) mod std_passage;
mod system_thread;
mod thread;
mod thread_end;

// With 32 bits the system call's time and libc's may differ in width.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod futex;

pub(crate) use super::short::{ShortGuard, ShortLock, ShortLock as Mutex};
pub(crate) use cell::UnsafeCell;
pub(crate) use crossbeam_deque::{Steal, Stealer, Worker as Deque};
pub(crate) use crossbeam_queue::SegQueue;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) use futex::{Signal, WakeHandle};
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(crate) use park::{Signal, WakeHandle};
pub(crate) use system_thread::{
    main_native_id, mend_system_name, native_id, set_system_name, spawn_unchecked,
};
pub(crate) use thread::{
    DIRECTORY, cpus, is_vanished, nap, rename_thread, sleep_exactly, spawn_thread, spin_hint,
    stack, thread_id, thread_local, thread_name, yield_now,
};
pub(crate) use thread_end::at_thread_end;

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence,
    };
    #[cfg(feature = "process")]
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64};
}

/// The instant a waiter began to wait, for fairness and for reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(std::time::Instant);

impl Moment {
    pub(crate) fn now() -> Moment {
        Moment(std::time::Instant::now())
    }

    pub(crate) fn elapsed(self) -> std::time::Duration {
        self.0.elapsed()
    }
}
