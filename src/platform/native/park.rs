//! Sleeping where there is no futex: `std::thread::park`.
//!
//! Park's token belongs to the whole thread, so a program that parks its own threads with blind
//! `park()` calls may see one of its tokens consumed by a wait in this crate; std allows that
//! ("may return spurious", and any code may call it), the futex variant does not do it at all.

use super::atomic::{AtomicU32, Ordering};
use std::thread::Thread;
use std::time::Instant;

/// Puts the current thread to sleep. Remembers the thread, for the waker.
pub(crate) struct Signal(Thread);

impl Signal {
    pub(crate) fn new() -> Signal {
        Signal(std::thread::current())
    }

    /// Sleeps while `word` holds `value`, until woken or until `deadline`. May return early.
    pub(crate) fn sleep(&self, word: &AtomicU32, value: u32, deadline: Option<Instant>) {
        if word.load(Ordering::Acquire) != value {
            return;
        }
        match deadline {
            None => std::thread::park(),
            Some(at) => std::thread::park_timeout(at.saturating_duration_since(Instant::now())),
        }
    }

    /// What a waker needs, copied while the waiter is known to be alive.
    pub(crate) fn handle(&self, _word: &AtomicU32) -> WakeHandle {
        WakeHandle(self.0.clone())
    }
}

/// Wakes one sleeper. Usable after the sleeper's frame is gone.
pub(crate) struct WakeHandle(Thread);

impl WakeHandle {
    pub(crate) fn wake(self) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    super::super::thread::signal_tests!(super::Signal);
}
