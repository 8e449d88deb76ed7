//! Processes of this program that work for one another.
//!
//! A *worker* is another process of the same program. It is started by
//! [`ProcessPoolExecutor`](crate::executor::ProcessPoolExecutor), enters this crate before `main`
//! and never runs `main`, so a program needs no ceremony to use it: binaries, examples, doctests and
//! test harnesses are all entered in the same way. [`init`] is for programs that are linked so that
//! nothing runs before `main`.
//!
//! What a worker inherits: the environment, the working directory, stdout and stderr, limits, the
//! signal mask and ignored signals, the terminal and the process group. What it does not: open descriptors (unless they were made without close-on-exec), the parent's memory and
//! whatever `main` sets up. Its stdin is empty. It ignores `SIGPIPE`, and Ctrl-C in its terminal does
//! nothing to it: the parent decides. A worker whose parent ends, in whatever way, ends too: at once
//! in the middle of a task, and between tasks as soon as its exit handlers have run, for which it has
//! five seconds.
//!
//! A worker starts where `main` would, after the initialisers of shared libraries but perhaps before
//! some of the program's own (`.init_array`, C++ constructors): their order is the linker's choice.
//!
//! In `ps` a worker shows its parent's `argv[0]` followed by its own name in parentheses.
//!
//! Source: Python's `multiprocessing` with the start method *spawn*.

mod entry;
pub(crate) mod function;
pub(crate) mod handshake;
mod image;
pub(crate) mod pointer;
pub(crate) mod serve;
pub(crate) mod spawn;
pub(crate) mod wire;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Enters the worker loop if this process was started as a worker; otherwise returns at once.
///
/// Hardly any program needs it, since the same happens before `main`. Call it first in `main`,
/// before other threads exist, when the program is linked without start-up hooks
/// (`.init_array`). In a worker it never returns: the process ends when its parent closes it.
///
/// Cost in a process that is not a worker: one look at the environment.
///
/// ```
/// latchwork::process::init();
/// assert!(!latchwork::process::is_worker(), "a worker does not get here");
/// ```
///
/// Source: Python's `multiprocessing.freeze_support` and the `if __name__ == "__main__"` idiom.
#[doc(alias = "freeze_support")]
pub fn init() {
    entry::enter();
}

/// Whether this process is a worker.
pub fn is_worker() -> bool {
    entry::identity().is_some()
}

/// The name of this worker; `None` in a process that is none.
#[doc(alias = "current_process")]
pub fn name() -> Option<&'static str> {
    entry::identity().map(|identity| identity.name.as_str())
}

/// The process id of the parent that started this worker, as the parent knows it.
///
/// `None` in a process that is no worker. The parent may have died since, and if so this worker is
/// about to follow.
#[doc(alias = "parent_process")]
pub fn parent_pid() -> Option<u32> {
    entry::identity().map(|identity| identity.parent)
}

/// How many workers stand between this process and the first of its tree: 0 in that first one.
pub(crate) fn depth() -> u32 {
    entry::identity().map_or(0, |identity| identity.depth)
}

/// The descriptors that every worker of this tree shares: its roster and its arena.
fn inherited() -> io::Result<[BorrowedFd<'static>; 2]> {
    crate::shm::descriptors()
}

/// Takes over the descriptors that [`inherited`] gave the parent.
fn adopt(descriptors: Vec<OwnedFd>) -> io::Result<()> {
    let descriptors = descriptors.try_into().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "a roster and an arena were expected",
        )
    })?;
    crate::shm::adopt(descriptors)
}
