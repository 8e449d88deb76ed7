//! Which process this is, of those that came from one another by `fork`, and what that means for a lock.
//!
//! Invariant: all threads of a process see one generation, because it changes only in a forked child while that
//! has a single thread. What is held in another generation is held by a thread that did not come along.

#[cfg(not(loom))]
pub(crate) use native::{begin, expect_alive, generation, is_child};

use std::io::{self, Write as _};

#[cfg(not(loom))]
mod native {
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    /// Never 0.
    static GENERATION: AtomicU8 = AtomicU8::new(1);
    static IS_CHILD: AtomicBool = AtomicBool::new(false);

    /// This process's number, another one than its parent's and its children's.
    #[inline]
    pub(crate) fn generation() -> u8 {
        GENERATION.load(Ordering::Relaxed)
    }

    /// Has this process been forked since the crate was first used?
    #[inline]
    pub(crate) fn is_child() -> bool {
        IS_CHILD.load(Ordering::Relaxed)
    }

    /// This is a new child, with the calling thread alone.
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing else forks"))]
    pub(crate) fn begin() {
        let next = generation().wrapping_add(1).max(1);
        GENERATION.store(next, Ordering::Relaxed);
        IS_CHILD.store(true, Ordering::Relaxed);
    }

    /// Ends the process if a lock held in the generation `held_in` will never be free again.
    ///
    /// Not by a panic: what the lock guards was being changed, and callers may have a node in the lot.
    #[cold]
    pub(crate) fn expect_alive(held_in: u8) {
        if held_in != 0 && held_in != generation() {
            let _ = super::print(
                "latchwork: this process was forked while another thread was inside an operation on \
                what is used here now, which will never be finished",
            );
            std::process::abort();
        }
    }
}

/// Prints a line to the standard error; without std's lock around it, which another thread may have held
/// when this process was forked.
pub(crate) fn print(line: &str) -> io::Result<()> {
    let line = format!("{line}\n");
    #[cfg(unix)]
    {
        use std::os::fd::FromRawFd;
        // SAFETY: not closed, since it is not dropped; if it is closed already, writing is an error.
        let file = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(2) });
        (&*file).write_all(line.as_bytes())
    }
    #[cfg(not(unix))]
    io::stderr().write_all(line.as_bytes())
}

/// Models do not fork.
#[cfg(loom)]
pub(crate) fn generation() -> u8 {
    1
}
#[cfg(loom)]
pub(crate) fn is_child() -> bool {
    false
}
#[cfg(loom)]
pub(crate) fn expect_alive(_held_in: u8) {}
