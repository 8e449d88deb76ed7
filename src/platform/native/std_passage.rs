//! Threads that are inside std's own start and end, where they may hold a lock of std's: in a child that is forked
//! meanwhile it would stay locked, and no thread could be started there.
//!
//! Whoever forks holds the count, so that nobody comes in, and waits a moment for those inside to come out. It
//! does not wait for ever: destructors of thread-locals run in there, the user's code.

use super::thread::thread_id;
use crate::platform::short::ShortLock;
use std::cell::Cell;
use std::io;

/// How many threads of ours are inside.
static INSIDE: ShortLock<usize> = ShortLock::new(0);

thread_local! {
    /// The current thread is on its way out, and counted.
    static IS_LEAVING: Cell<bool> = const { Cell::new(false) };
}

fn come_out() {
    let mut inside = INSIDE.lock();
    // In a forked child the count has begun anew.
    *inside = inside.saturating_sub(1);
}

/// Starts a thread by `spawn`, which is given what it is to run.
pub(super) fn through<F: FnOnce()>(
    f: F,
    spawn: impl FnOnce(Passing<F>) -> io::Result<()>,
) -> io::Result<()> {
    *INSIDE.lock() += 1;
    let spawned = spawn(Passing(f));
    if spawned.is_err() {
        come_out();
    }
    spawned
}

/// What a new thread runs.
pub(super) struct Passing<F>(F);

impl<F: FnOnce()> Passing<F> {
    pub(super) fn run(self) {
        come_out();
        // So that its end is told.
        thread_id();
        (self.0)();
        // Elsewhere nobody would count it out.
        if cfg!(target_os = "linux") {
            *INSIDE.lock() += 1;
            IS_LEAVING.set(true);
        }
    }
}

/// The current thread has run its last destructor.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "ends are not told")
)]
pub(super) fn has_left() {
    if IS_LEAVING.take() {
        come_out();
    }
}

/// What a fork does to the count.
#[cfg(unix)]
pub(crate) mod fork {
    use super::INSIDE;
    use crate::platform::nap;

    /// So many naps, of 50 us and more.
    const PATIENCE: u32 = if cfg!(target_os = "linux") { 100 } else { 0 };

    pub(crate) fn hold() {
        for _ in 0..PATIENCE {
            INSIDE.hold();
            // SAFETY: held by this thread.
            if unsafe { *INSIDE.get() } == 0 {
                return;
            }
            let_go();
            nap();
        }
        INSIDE.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { INSIDE.let_go() };
    }

    /// In the child, held.
    pub(crate) fn forget_others() {
        // SAFETY: held by this thread, by `hold`.
        unsafe { *INSIDE.get() = 0 };
    }
}
