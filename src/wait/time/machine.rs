//! The machine's timeline, and the thread that turns it.
//!
//! The thread starts with the first alarm that is to ring by this clock, and ends with [`stop_within`] or with the
//! process.

use super::Timeline;
use crate::{GaveUp, Limit};
use std::io;

#[cfg(not(loom))]
pub(super) fn timeline() -> &'static Timeline {
    static MACHINE: std::sync::OnceLock<Timeline> = std::sync::OnceLock::new();
    MACHINE.get_or_init(Timeline::of_the_machine)
}
#[cfg(loom)]
pub(super) fn timeline() -> &'static Timeline {
    loom::lazy_static! {
        static ref MACHINE: Timeline = Timeline::of_the_machine();
    }
    &MACHINE
}

#[cfg(not(loom))]
mod thread {
    use super::*;
    use crate::platform::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Is the thread there, or has it been? Held while it is started.
    pub(super) static HAS_STARTED: Mutex<bool> = Mutex::new(false);
    /// The same, for a look in passing: true only after the thread is there.
    pub(super) static IS_KNOWN: AtomicBool = AtomicBool::new(false);

    #[inline]
    pub(super) fn start() -> io::Result<()> {
        if IS_KNOWN.load(Ordering::Relaxed) {
            return Ok(());
        }
        start_now()
    }

    #[cold]
    fn start_now() -> io::Result<()> {
        let mut has_started = HAS_STARTED.lock();
        if !*has_started {
            crate::platform::spawn_thread("latchwork-timer".to_owned(), || {
                while timeline().turn_and_sleep() {}
            })?;
            *has_started = true;
            IS_KNOWN.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Makes sure that the thread is there.
#[cfg(not(loom))]
#[inline]
pub(super) fn start() -> io::Result<()> {
    thread::start()
}
#[cfg(loom)]
pub(super) fn start() -> io::Result<()> {
    panic!("there is no clock in a model, but one that it drives");
}

/// Nothing rings any more by the machine's clock, and what is set is lost. Waits for what is just ringing, unless
/// that is what calls this.
pub(crate) fn stop_within(limit: &Limit<'_>) -> Result<(), GaveUp> {
    timeline().stop_within(limit)
}

/// What a fork does to it: it is held while that happens. The child has a thread that turns the wheel only if
/// something is set that survives.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::thread::{HAS_STARTED, IS_KNOWN};
    use super::timeline;
    use std::sync::atomic::Ordering;

    pub(crate) fn hold_start() {
        HAS_STARTED.hold();
    }

    pub(crate) fn let_go_start() {
        // SAFETY: by `hold_start`, in this thread; in the child it is the same thread.
        unsafe { HAS_STARTED.let_go() };
    }

    pub(crate) fn hold() {
        timeline().hold();
    }

    pub(crate) fn let_go() {
        timeline().let_go();
    }

    /// In the child, held, for the thread `this`.
    pub(crate) fn forget_others(this: u32) {
        let is_turned = timeline().forget_others(this);
        // SAFETY: held by this thread, by `hold_start`.
        unsafe { *HAS_STARTED.get() = is_turned };
        IS_KNOWN.store(is_turned, Ordering::Relaxed);
    }

    /// In the child, with nothing held.
    pub(crate) fn tell() {
        timeline().tell_left_behind();
        if timeline().is_set() {
            // Nobody else would: who waits for what becomes due need not have set it. A child without memory for
            // a thread waits in vain.
            let _ = super::start();
        }
    }
}
