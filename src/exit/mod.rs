//! A clean end of the program: hooks are called, pools drained, threads joined, whoever started them.
//!
//! A Rust program ends when `main` returns, and its threads are stopped wherever they are. With a [`Guard`] in
//! `main`, or [`main!`](crate::main) around it, it ends in order.
//!
//! # The order of events
//!
//! When the guard is dropped, or somebody calls [`exit`](exit()) or [`shutdown`]:
//!
//! 1. [`is_exiting`] becomes true.
//! 2. The hooks of [`at_exit`] are called, the last one first, with all threads still running. They may
//!    register further ones.
//! 3. Every [`ThreadPoolExecutor`](crate::executor::ThreadPoolExecutor) refuses new tasks
//!    ([`SubmitRefusal::ShutDown`](crate::executor::SubmitRefusal::ShutDown)), does what it has accepted, and ends
//!    its threads. One that is built later accepts nothing.
//! 4. All threads that this crate has started are joined, except daemons; those too that are started meanwhile,
//!    by whomever.
//! 5. When none is left the door is closed: a start is
//!    [`SpawnError::ShuttingDown`](crate::thread::SpawnError::ShuttingDown) from then on, also that of a daemon.
//! 6. [Timers](crate::time::Timer) that go by the machine's clock are [`Lost`](crate::time::TimerError::Lost); one
//!    whose function is running is waited for. None rings from then on.
//! 7. The hooks of [`at_end`] are called, the last one first.
//!
//! Every step is done once. Whoever asks for the end while it is under way helps, or waits for it, and then goes
//! on; only a thread that is itself waited for is let off: nobody waits for a thread, or a pool's task, that
//! waits for the program's end. A hook may ask for it, too: what remains is done within that call, and others who
//! have asked do not wait for the rest of that hook.
//!
//! # Daemons
//!
//! A [daemon](crate::thread::Builder::daemon), and a thread that others have started, is not waited for. It goes on
//! until the process's last instruction, and is stopped there, in the middle of whatever it does. Until then all it
//! can touch is there: statics are never destroyed. So it can be joined as ever, by hooks too (Python refuses
//! that, because its daemons are frozen by then); a join without a limit may then be for ever, though, like any
//! other.
//!
//! # Forking
//!
//! After a plain `fork` of a process with many threads, the child has one: the thread that forked. POSIX then
//! allows it nothing but async-signal-safe functions until it calls `exec`. Of this crate, on Unix, the child may
//! use more, as far as its C library lets it (with glibc and musl, memory can be allocated and threads started):
//!
//! * **Whatever it makes itself** works: threads, locks, queues, pools, limits.
//! * **What it inherits** is as it was at that moment. What the thread that forked held is still its own. What
//!   other threads only waited for can be used: they do not stand in line any more.
//! * **What another thread held** stays locked. A wait for it without a limit is reported as a
//!   [`Deadlock`](crate::debug::Deadlock) that is [no circle](crate::debug::Deadlock::is_circle): printed, or a
//!   panic, as [`on_deadlock`](crate::debug::on_deadlock) has it; one with a limit ends in time. This goes for what
//!   has an owner; what others had of permits, or read from an [`RwLock`](crate::sync::RwLock), is just gone.
//! * **What another thread was in the middle of**, such as a `put` into a queue, is never finished. Using that queue
//!   ends the child, with a message, by an abort.
//! * **Threads** of the parent have ended: they are not alive, joining one gives
//!   [`JoinError::LeftBehind`](crate::thread::JoinError::LeftBehind) at once, and
//!   [`active_count`](crate::thread::active_count) is 1. The thread that forked is the first one now.
//! * **A thread pool** of the parent has no workers: it refuses tasks as
//!   [`Broken`](crate::executor::SubmitRefusal::Broken), and those it has not finished are
//!   [`Lost`](crate::executor::TaskError::Lost). Shutting it down and joining it does nothing.
//! * **Timers** of the parent are its own: in the child they are [`Lost`](crate::time::TimerError::Lost), neither called nor
//!   dropped. Those that it sets itself ring. Items of a `DelayQueue` become due in both.
//! * **Hooks** of the parent are its own: the child neither calls nor drops them. It may register others.
//!   A [`Guard`] of the thread that forked ends the child in order, too; leave by `_exit` to avoid that.
//!
//! Not covered: futures that were being polled by other threads; anything outside this crate that has locks,
//! standard output among them, and the standard library where it starts and ends threads (for those of this
//! crate a fork waits a moment); an inherited [`DelayQueue`](crate::queue::DelayQueue), whose futures nobody wakes; and
//! forks that bypass the C library's `fork`, or are made in signal handlers,
//! which might interrupt this crate where it holds what the fork would wait for. Standard library's `Command` is
//! not affected by any of this. A fork takes longer for it: 10 microseconds where few
//! different things have been waited for, up to 60.
//!
//! # Source
//!
//! Python's `threading._shutdown`, `concurrent.futures.thread._python_exit`,
//! [`atexit`](https://docs.python.org/3/library/atexit.html) and `threading._after_fork`; `pthread_atfork(3)`.

mod guard;
mod hooks;
pub(crate) mod pools;

pub use guard::{AlreadyGuarded, Guard};
pub use hooks::{AtExitId, ShuttingDown, at_end, at_exit, at_exit_priority};

use crate::platform::Mutex;
use crate::thread::registry::registry;
use crate::thread::{self, ThreadInfo};
use crate::wait::time::machine;
use crate::{GaveUp, Limit};
use hooks::Moment;
use std::error::Error;
use std::fmt;

/// Has the program's end begun? True from before the first hook is called.
///
/// Cost: one short lock.
pub fn is_exiting() -> bool {
    registry().is_exiting()
}

/// Ends everything in [order](self#the-order-of-events) and returns; blocks until that is done. A second call
/// returns at once.
///
/// This is what a [`Guard`] does; for a `main` that has something to say when all threads have ended.
pub fn shutdown() {
    let done = shutdown_within(Limit::none());
    debug_assert!(done.is_ok(), "gave up without a limit");
}

/// As [`shutdown`], at most as long as `limit` says; each hook is waited for, however long it takes.
///
/// # Errors
///
/// [`Remaining`]: why it gave up, and who is still alive. What was done is done; another call goes on from
/// there.
///
/// ```no_run
/// use latchwork::exit;
/// use std::time::Duration;
///
/// if let Err(remaining) = exit::shutdown_within(Duration::from_secs(5)) {
///     eprintln!("{remaining}");
///     std::process::exit(1);
/// }
/// ```
pub fn shutdown_within<'l>(limit: impl Into<Limit<'l>>) -> Result<(), Remaining> {
    let limit = limit.into();
    registry().begin_exit();
    end(&limit).map_err(Remaining::now)
}

/// The whole of it, step by step. Each can be called again when it has been done.
fn end(limit: &Limit<'_>) -> Result<(), GaveUp> {
    Moment::Exit.hooks().call(limit)?;
    pools::drain(limit)?;
    registry().wait_for_non_daemons(*limit)?;
    machine::stop_within(limit)?;
    Moment::End.hooks().call(limit)
}

/// What [`exit`](exit()) was first called with.
#[cfg(not(loom))]
static CODE: Mutex<Option<i32>> = Mutex::new(None);
#[cfg(loom)]
loom::lazy_static! {
    static ref CODE: Mutex<Option<i32>> = Mutex::new(None);
}

fn requested_code() -> Option<i32> {
    *CODE.lock()
}

/// Ends everything in [order](self#the-order-of-events), and then the process with this status; from any thread.
///
/// Nothing is unwound: what lies on the stacks is not dropped. If it is called more than once, the first code
/// counts, also over what `main` returns meanwhile under a [`Guard`]. Without a guard, a `main` that returns
/// ends the process in the middle of this.
///
/// # Source
///
/// Python's `sys.exit(code)` in the main thread; std's `process::exit`, which waits for nobody.
#[doc(alias = "SystemExit")]
pub fn exit(code: i32) -> ! {
    let code = *CODE.lock().get_or_insert(code);
    shutdown();
    std::process::exit(code)
}

/// The program's end took longer than was allowed. Says who is still there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Remaining {
    /// Why the call gave up.
    pub why: GaveUp,
    /// Threads that are waited for.
    pub threads: Vec<ThreadInfo>,
    /// Pools with something to do: their names, and what that is.
    pub pools: Vec<String>,
    /// Hooks that have not been called, of both kinds.
    pub hooks: usize,
}

impl Remaining {
    fn now(why: GaveUp) -> Remaining {
        let this = thread::current();
        let is_waited_for =
            |thread: &ThreadInfo| !(thread.is_daemon() || thread.is_main() || *thread == this);
        Remaining {
            why,
            threads: thread::enumerate()
                .into_iter()
                .filter(is_waited_for)
                .collect(),
            pools: pools::remaining(),
            hooks: Moment::Exit.hooks().count() + Moment::End.hooks().count(),
        }
    }
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program's end has not come ({})", self.why)?;
        for thread in &self.threads {
            write!(f, "\n  still alive: {thread:#}")?;
        }
        for pool in &self.pools {
            write!(f, "\n  not done: {pool}")?;
        }
        match self.hooks {
            0 => Ok(()),
            1 => f.write_str("\n  not called: 1 hook"),
            n => write!(f, "\n  not called: {n} hooks"),
        }
    }
}

impl Error for Remaining {}

/// What a fork does to all this: it is held while that happens, and the child's end has not begun.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::{CODE, guard, hooks, pools};

    pub(crate) fn hold() {
        hooks::fork::hold();
        pools::fork::hold();
        guard::fork::hold();
        CODE.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { CODE.let_go() };
        guard::fork::let_go();
        pools::fork::let_go();
        hooks::fork::let_go();
    }

    /// In the child, held, for the thread `this`.
    pub(crate) fn forget_others(this: u32) {
        hooks::fork::forget_parents();
        pools::fork::forget_parents();
        guard::fork::forget_others(this);
        // SAFETY: held by this thread, by `hold`.
        unsafe { *CODE.get() = None };
    }
}
