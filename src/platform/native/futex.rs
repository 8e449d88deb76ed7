//! Sleeping on the waiter's own state word: Linux `futex(2)`.
//!
//! A [`WakeHandle`] is only the word's address. By the time it is used the waiter may have
//! returned and its stack may hold something else; waking an address that nobody sleeps on is
//! harmless, and whoever sleeps there for another reason has to tolerate a stray wake-up anyway.

use super::atomic::AtomicU32;
use std::ptr;
use std::time::Instant;

/// Puts the current thread to sleep. Carries nothing: the state word is the place.
pub(crate) struct Signal;

impl Signal {
    pub(crate) const fn new() -> Signal {
        Signal
    }

    /// Sleeps while `word` holds `value`, until woken or until `deadline`. May return early.
    pub(crate) fn sleep(&self, word: &AtomicU32, value: u32, deadline: Option<Instant>) {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: left.subsec_nanos() as libc::c_long,
        });
        // SAFETY: `word` is a live, aligned u32 for the whole call and `timeout` outlives it; a
        // null time-out means none. FUTEX_WAIT only reads the word.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                value,
                timeout.as_ref().map_or(ptr::null(), ptr::from_ref),
            );
        }
    }

    /// What a waker needs, copied while the waiter is known to be alive.
    pub(crate) fn handle(&self, word: &AtomicU32) -> WakeHandle {
        WakeHandle(word.as_ptr())
    }
}

/// Wakes one sleeper. Usable after the sleeper's frame is gone.
pub(crate) struct WakeHandle(*mut u32);

// SAFETY: the address is handed to the kernel and never dereferenced in this process.
unsafe impl Send for WakeHandle {}

impl WakeHandle {
    pub(crate) fn wake(self) {
        // SAFETY: FUTEX_WAKE does not touch the memory at the address: it is a key. An address that
        // is no longer mapped gives EFAULT, which nobody needs to hear of.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0,
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    super::super::thread::signal_tests!(super::Signal);
}
