//! [`global`]: the pool that a program has without making one.
//!
//! Invariant: in one process there is one, from its first use to the end, so that nobody's tasks go to a pool that
//! others have replaced. A forked child has none of its parent's threads, and so it has another pool.

use super::{Executor, SubmitError, TaskFuture, ThreadPoolExecutor};
use crate::platform::Mutex;
use crate::thread::Context;
use crate::{GaveUp, Limit, Shutdown};
use std::error::Error;
use std::fmt;

/// Held for a look, and never while a pool is built or dropped.
#[cfg(not(loom))]
static GLOBAL: Mutex<Option<&'static ThreadPoolExecutor>> = Mutex::new(None);
#[cfg(loom)]
loom::lazy_static! {
    static ref GLOBAL: Mutex<Option<&'static ThreadPoolExecutor>> = Mutex::new(None);
}

/// The process's default pool, for whatever has no pool of its own. It is made on first use, with the default number
/// of threads, which are named `global_0` and so on and start when there is something to do.
///
/// At the program's [end](crate::exit) it is treated like any other: it refuses tasks, and what it has accepted is
/// done, if `main` has a guard. In a forked child the first use makes another one; the parent's threads did not come
/// along.
///
/// # Cost
///
/// A short lock.
///
/// # Source
///
/// The default executor of Python's [`loop.run_in_executor(None, f)`](
/// https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_in_executor).
///
/// ```
/// use latchwork::executor;
///
/// assert_eq!(executor::global().spawn(|| 6 * 7)?.result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "run_in_executor")]
pub fn global() -> &'static ThreadPoolExecutor {
    if let Some(pool) = *GLOBAL.lock() {
        return pool;
    }
    let pool = ThreadPoolExecutor::builder()
        .thread_name_prefix("global")
        .build();
    match install(pool) {
        Ok(pool) => pool,
        // Somebody was quicker. Ours has no thread yet, so its drop waits for nobody.
        Err((pool, _unused)) => pool,
    }
}

/// Makes it the one, if there is none; else what there is, and the pool back.
fn install(
    pool: ThreadPoolExecutor,
) -> Result<&'static ThreadPoolExecutor, (&'static ThreadPoolExecutor, ThreadPoolExecutor)> {
    let pool = Box::new(pool);
    let mut global = GLOBAL.lock();
    match *global {
        Some(first) => {
            drop(global);
            Err((first, *pool))
        }
        None => {
            // For the rest of the process.
            let pool: &'static ThreadPoolExecutor = Box::leak(pool);
            *global = Some(pool);
            Ok(pool)
        }
    }
}

/// Makes `pool` the process's default: at the program's beginning, before anybody uses [`global`] or [`to_thread`].
///
/// It is set once. Python lets one replace it at any time; here whoever has asked for it may keep it, and no task
/// finds itself in a pool that has been put away.
///
/// # Errors
///
/// [`AlreadyGlobal`], with the pool, if there is one: set before, or made by its first use.
///
/// # Source
///
/// Python's [`loop.set_default_executor`](
/// https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.set_default_executor).
///
/// ```
/// use latchwork::executor::{self, ThreadPoolExecutor};
///
/// executor::set_global(ThreadPoolExecutor::new(8))?;
/// let refused = executor::set_global(ThreadPoolExecutor::new(16)).unwrap_err();
/// assert_eq!(refused.0.spawn(|| "still of use")?.result()?, "still of use");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "set_default_executor")]
pub fn set_global(pool: ThreadPoolExecutor) -> Result<(), AlreadyGlobal> {
    match install(pool) {
        Ok(_) => Ok(()),
        Err((_, pool)) => Err(AlreadyGlobal(pool)),
    }
}

/// The process has a default pool already. The one that was to be it is in here.
#[derive(Debug)]
pub struct AlreadyGlobal(pub ThreadPoolExecutor);

impl fmt::Display for AlreadyGlobal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process has a default pool already")
    }
}

impl Error for AlreadyGlobal {}

/// Ends the process's default pool: from now on it refuses tasks as
/// [`ShutDown`](super::SubmitRefusal::ShutDown), does what it has accepted, and ends its threads; blocks until that
/// is done, at most as long as `limit` says. For good: there is no other afterwards, not even if there was none before.
///
/// Called by a task of that pool, it waits for itself.
///
/// # Errors
///
/// Why it gave up; the pool goes on ending.
///
/// # Source
///
/// Python's [`loop.shutdown_default_executor(timeout)`](
/// https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.shutdown_default_executor).
///
/// ```
/// use latchwork::executor::{self, SubmitRefusal};
/// use std::time::Duration;
///
/// let last = executor::to_thread(|| "done")?;
/// executor::shutdown_global_within(Duration::from_secs(10))?;
/// assert_eq!(last.result()?, "done");
/// assert_eq!(executor::to_thread(|| ()).unwrap_err().reason, SubmitRefusal::ShutDown);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "shutdown_default_executor")]
pub fn shutdown_global_within<'l>(limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
    let pool = global();
    pool.shutdown(Shutdown::Drain);
    pool.join_within(limit)
}

/// Has `function` called on the process's [default pool](global), with the caller's [`Context`]: for what blocks,
/// out of a future that must not.
///
/// The result can be awaited on any runtime. Dropping its future lets the call go on; see
/// [`cancel_on_drop`](TaskFuture::cancel_on_drop).
///
/// # Errors
///
/// [`SubmitError`] with the function, as for [`ThreadPoolExecutor::spawn`].
///
/// # Source
///
/// Python's [`asyncio.to_thread`](https://docs.python.org/3/library/asyncio-task.html#asyncio.to_thread).
///
/// ```
/// use latchwork::executor::{block_on, to_thread};
/// use latchwork::thread::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new();
///
/// let user = USER.with("ada", || block_on(to_thread(|| USER.get()).unwrap()));
/// assert_eq!(user, Ok(Some("ada")));
/// ```
#[doc(alias = "spawn_blocking")]
#[doc(alias = "unblock")]
pub fn to_thread<F, R>(function: F) -> Result<TaskFuture<R>, SubmitError<F>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    // Not a closure around it, so that a refused function comes back as it was.
    let call = |(context, function): (Context, F)| context.run(function);
    global()
        .submit(call, (Context::current(), function))
        .map_err(|refused| SubmitError::new(refused.value.1, refused.reason))
}

/// What a fork does to it: it is held while that happens. The child begins without one, and leaves its parent's as it
/// is, for those who have kept it.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::GLOBAL;

    pub(crate) fn hold() {
        GLOBAL.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { GLOBAL.let_go() };
    }

    /// In the child, held.
    pub(crate) fn forget_parents() {
        // SAFETY: held by this thread, by `hold`.
        unsafe { *GLOBAL.get() = None };
    }
}
