//! Threads: started with a name, listed while they are alive, and waited for like anything else.
//!
//! [`spawn`] and [`Builder`] start them; what they return, or their panic, is in the [`JoinHandle`]. A
//! [`ThreadInfo`] is a thread as everybody may know it. [`scope`] is for threads that borrow. Joining is an
//! edge in the wait graph: see [`debug::on_deadlock`](crate::debug::on_deadlock).

// The registry says who is alive and whether threads may be started. A record is what is known of one of
// them; a packet is what it and its handle share; `current` is which of them one is.

mod builder;
mod context;
pub(crate) mod current;
pub(crate) mod dump;
mod error;
mod exit_current;
mod handle;
mod info;
mod inherit;
pub(crate) mod local;
mod name;
mod packet;
pub(crate) mod panic_hook;
pub(crate) mod record;
pub(crate) mod registry;
mod scope;
pub(crate) mod spawn_hook;
mod stack_size;

pub use crate::panic::Panicked;
pub use builder::{Builder, Runnable, UnstartedThread};
pub use context::{Binding, Context, ContextVar};
pub use error::{
    InvalidName, JoinError, NotEnded, NotStarted, SpawnError, StackSizeError, WaitError,
};
pub use exit_current::exit_current;
pub use handle::{JoinHandle, ScopedJoinHandle};
pub use info::{ThreadId, ThreadInfo};
pub use local::{
    InitError, Local, LocalError, LocalIntoIter, LocalIter, LocalIterMut, LocalMut, LocalRef,
    LocalValue,
};
pub use panic_hook::{PanicHook, ThreadPanic, default_panic_hook, set_panic_hook, take_panic_hook};
pub use scope::{Scope, scope};
pub use spawn_hook::{SpawnHook, on_exit, on_start};
pub use stack_size::set_default_stack_size;
pub(crate) use stack_size::stack_size;

use crate::platform;
use registry::registry;
use std::num::NonZeroU32;

/// Starts a thread that runs `f`, with a name of its own making. [`Builder`] has more to say about it.
///
/// # Panics
///
/// If the thread cannot be started. [`Builder::spawn`] says so with an error instead.
///
/// # Source
///
/// Python's [`threading.Thread`](https://docs.python.org/3/library/threading.html#thread-objects);
/// std's `thread::spawn` with a join that can give up.
///
/// ```
/// use latchwork::thread;
/// use std::time::Duration;
///
/// let (release, wait) = std::sync::mpsc::channel::<()>();
/// let worker = thread::spawn(move || wait.recv().is_err());
/// let worker = worker.join_within(Duration::from_millis(1)).unwrap_err().handle;
/// drop(release);
/// assert_eq!(worker.join(), Ok(true));
/// ```
#[doc(alias = "Thread")]
#[doc(alias = "start")]
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Builder::new().spawn(f) {
        Ok(handle) => handle,
        Err(why) => panic!("{why}"),
    }
}

/// The thread that calls this.
///
/// One that this crate has not started becomes known by it, as foreign, until it ends: under the name that
/// std knows, or as `Dummy-N`. It may be called from the destructors of thread-locals; what it answers in
/// destructors of C thread keys that run after the thread's end was told, is a thread that has ended and is
/// in no list.
///
/// # Source
///
/// Python's [`threading.current_thread`](
/// https://docs.python.org/3/library/threading.html#threading.current_thread).
///
/// ```
/// use latchwork::thread;
///
/// let outside = std::thread::spawn(|| thread::current()).join().unwrap();
/// assert!(outside.is_foreign() && outside.is_daemon() && !outside.is_alive());
/// assert_ne!(outside, thread::current());
/// ```
#[doc(alias = "current_thread")]
pub fn current() -> ThreadInfo {
    ThreadInfo::of(current::ask())
}

/// The program's first thread, which is no daemon and is called `main`.
///
/// On Linux everybody knows it, by its number. Elsewhere it is `None` until the exit guard has been set up
/// in it.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// assert!(latchwork::thread::main().unwrap().is_alive());
/// ```
#[doc(alias = "main_thread")]
pub fn main() -> Option<ThreadInfo> {
    know_main();
    registry().main().map(ThreadInfo::of)
}

/// Where the first thread can be told by its number it is in every list, whether it has asked or not.
fn know_main() {
    if let Some(native) = platform::main_native_id() {
        registry().enter_main(current::MAIN, native);
    }
}

/// All threads that are known and alive, in the order in which they became so: the first one, those this
/// crate has started (also those that are just starting), and foreign ones that have asked who they are.
///
/// A thread that has been joined is never among them, nor is one that has not been started.
///
/// ```
/// use latchwork::thread;
///
/// let (release, wait) = std::sync::mpsc::channel::<()>();
/// let worker = thread::spawn(move || wait.recv().is_err());
/// assert!(thread::enumerate().contains(worker.thread()));
/// drop(release);
/// let info = worker.thread().clone();
/// worker.join()?;
/// assert!(!thread::enumerate().contains(&info));
/// # Ok::<(), thread::JoinError>(())
/// ```
pub fn enumerate() -> Vec<ThreadInfo> {
    know_main();
    let live = registry().live();
    live.into_iter().map(ThreadInfo::of).collect()
}

/// How many threads [`enumerate`] would list.
pub fn active_count() -> usize {
    know_main();
    registry().count()
}

/// The system's number for the current thread, if it has one (on Linux). Asks the kernel; does not make
/// the thread known.
#[doc(alias = "get_native_id")]
pub fn native_id() -> Option<NonZeroU32> {
    platform::native_id().and_then(NonZeroU32::new)
}

/// Gives the current thread another name: in lists, in reports, and as far as the system keeps it (15 bytes
/// on Linux, in whole characters) in the system's tools. What std calls it remains.
///
/// # Errors
///
/// If there is a zero byte in it.
///
/// ```
/// use latchwork::thread;
///
/// thread::spawn(|| {
///     thread::set_current_name("phase two")?;
///     assert_eq!(&*thread::current().name(), "phase two");
///     Ok::<(), thread::InvalidName>(())
/// })
/// .join()??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "setName")]
#[doc(alias = "set_name")]
pub fn set_current_name(name: &str) -> Result<(), InvalidName> {
    if name.contains('\0') {
        return Err(InvalidName);
    }
    current::ask().rename(name);
    platform::rename_thread(name);
    platform::set_system_name(name);
    Ok(())
}

/// Lets other threads run, if any is waiting for a processor; as std's.
pub fn yield_now() {
    platform::yield_now();
}
