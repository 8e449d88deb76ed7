//! What happens to this crate's global state when the process forks. The one place that knows all of it.
//!
//! The thread that forks takes every global lock before, so that nothing is half changed; parent and child let
//! go of them afterwards, and the child forgets the threads that did not come along. The locks are taken in
//! the order in which anybody may hold two of them, which is the order of [`PARTS`]; none is held for longer than
//! a few dozen instructions otherwise, and no code of the user's runs under one.
//!
//! Installed with the first thread that gets an id, and with the first use of the lot. Whoever adds a global
//! lock adds a part.
//!
//! Not held here: the locks inside of objects, see `platform::forked::expect_alive`.

/// Something global, and what a fork does to it.
#[cfg(all(unix, not(loom)))]
struct Part {
    /// Takes its locks.
    hold: fn(),
    /// Lets go of them, in parent and child.
    let_go: fn(),
    /// In the child, with all parts held: forgets other threads than this one, which may have no id (0).
    forget_others: fn(u32),
    /// In the child, with nothing held: tells those who asked about the others.
    tell: fn(),
}

/// A part that does nothing; for those that don't do everything.
#[cfg(all(unix, not(loom)))]
const NOTHING: Part = Part {
    hold: || (),
    let_go: || (),
    forget_others: |_| (),
    tell: || (),
};

#[cfg(all(unix, not(loom)))]
static PARTS: &[Part] = {
    use crate::executor::global;
    use crate::exit;
    use crate::platform::{DIRECTORY, std_passage};
    #[cfg(all(feature = "process", target_os = "linux"))]
    use crate::shm::sleepers;
    use crate::thread::{local, panic_hook, registry, spawn_hook};
    use crate::wait::time::machine;
    use crate::wait::{deadlock, lot, report};
    &[
        // Held while a thread is started, which goes through the next.
        Part {
            hold: machine::fork::hold_start,
            let_go: machine::fork::let_go_start,
            ..NOTHING
        },
        // Before all that others may need while it lets go in between.
        Part {
            hold: std_passage::fork::hold,
            let_go: std_passage::fork::let_go,
            forget_others: |_| std_passage::fork::forget_others(),
            ..NOTHING
        },
        Part {
            hold: exit::fork::hold,
            let_go: exit::fork::let_go,
            forget_others: exit::fork::forget_others,
            ..NOTHING
        },
        Part {
            hold: registry::fork::hold,
            let_go: registry::fork::let_go,
            forget_others: |_| registry::fork::forget_others(),
            tell: registry::fork::tell,
        },
        Part {
            hold: machine::fork::hold,
            let_go: machine::fork::let_go,
            forget_others: machine::fork::forget_others,
            tell: machine::fork::tell,
        },
        Part {
            hold: local::table::fork::hold,
            let_go: local::table::fork::let_go,
            ..NOTHING
        },
        // The verdict is given with buckets locked, under which entries of the table are read.
        Part {
            hold: deadlock::fork::hold_verdict,
            ..NOTHING
        },
        Part {
            hold: lot::fork::hold,
            let_go: lot::fork::let_go,
            forget_others: |this| {
                // SAFETY: held by this thread, as all parts are.
                let directory = unsafe { &*DIRECTORY.get() };
                lot::fork::forget_others(this, |at| directory.is_in_vanished_frame(at));
            },
            ..NOTHING
        },
        Part {
            hold: deadlock::fork::hold,
            let_go: deadlock::fork::let_go,
            forget_others: deadlock::fork::forget_others,
            ..NOTHING
        },
        Part {
            hold: spawn_hook::fork::hold,
            let_go: spawn_hook::fork::let_go,
            ..NOTHING
        },
        Part {
            hold: panic_hook::fork::hold,
            let_go: panic_hook::fork::let_go,
            ..NOTHING
        },
        Part {
            hold: global::fork::hold,
            let_go: global::fork::let_go,
            forget_others: |_| global::fork::forget_parents(),
            ..NOTHING
        },
        #[cfg(all(feature = "process", target_os = "linux"))]
        Part {
            hold: sleepers::fork::hold,
            let_go: sleepers::fork::let_go,
            forget_others: sleepers::fork::forget_others,
            tell: sleepers::fork::tell,
        },
        Part {
            hold: report::fork::hold,
            let_go: report::fork::let_go,
            ..NOTHING
        },
        Part {
            hold: || DIRECTORY.hold(),
            // SAFETY: by `hold`, in this thread.
            let_go: || unsafe { DIRECTORY.let_go() },
            ..NOTHING
        },
    ]
};

/// Makes forks safe from now on.
///
/// Nobody waits for anybody here, because a thread that did would wait for ever in a child that is forked
/// meanwhile. So a fork within the microsecond of a program's very first use of the crate goes unnoticed.
#[cfg(all(unix, not(loom)))]
#[cold]
pub(crate) fn install() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    if IS_INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    extern "C" fn before() {
        PARTS.iter().for_each(|part| (part.hold)());
    }
    extern "C" fn in_parent() {
        PARTS.iter().rev().for_each(|part| (part.let_go)());
    }
    extern "C" fn in_child() {
        crate::platform::forked::begin();
        // SAFETY: held by this thread, as all parts are.
        let this = unsafe { &mut *crate::platform::DIRECTORY.get() }.forget_others();
        PARTS.iter().for_each(|part| (part.forget_others)(this));
        PARTS.iter().rev().for_each(|part| (part.let_go)());
        PARTS.iter().for_each(|part| (part.tell)());
    }
    // The only failure is a lack of memory. Then a child is what it would be without this.
    // SAFETY: the handlers are functions of the program.
    let _ = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// Nothing forks here.
#[cfg(not(any(unix, loom)))]
pub(crate) fn install() {}
