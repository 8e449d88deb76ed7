//! What is called when a thread ends in a panic, before its joiners are told.
//!
//! It comes after the program's own panic hook (`std::panic::set_hook`), which runs where the panic begins
//! and cannot know whether somebody will catch it.

use super::info::ThreadInfo;
use crate::panic::{Caught, Panicked, report};
use crate::platform::Mutex;
use std::any::Any;
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

/// A panic that has ended a thread.
#[derive(Clone, Copy)]
#[non_exhaustive]
#[doc(alias = "ExceptHookArgs")]
pub struct ThreadPanic<'a> {
    /// What the panic was made with.
    pub payload: &'a (dyn Any + Send),
    /// What it said, where, and the stack, as the joiner will get it.
    pub panic: &'a Panicked,
    /// The thread, which is the current one.
    pub thread: &'a ThreadInfo,
}

impl fmt::Debug for ThreadPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPanic")
            .field("panic", self.panic)
            .field("thread", self.thread)
            .finish_non_exhaustive()
    }
}

/// What [`set_panic_hook`] takes, once it is shared.
pub type PanicHook = Arc<dyn Fn(&ThreadPanic<'_>) + Send + Sync>;

#[cfg(not(loom))]
static HOOK: Mutex<Option<PanicHook>> = Mutex::new(None);
#[cfg(loom)]
loom::lazy_static! {
    static ref HOOK: Mutex<Option<PanicHook>> = Mutex::new(None);
}

/// Has `hook` called for every panic that ends a thread which this crate has started, instead of
/// [`default_panic_hook`].
///
/// It runs in the thread that ends, when the function's frame is gone, and before anybody is told of the
/// end; joiners get the panic as well. [`exit_current`](super::exit_current) is no panic. Tasks of a pool
/// end in their futures, and never come here.
///
/// A panic in the hook is reported once, to standard error, and goes no further.
///
/// # Source
///
/// Python's [`threading.excepthook`](https://docs.python.org/3/library/threading.html#threading.excepthook).
///
/// ```
/// use latchwork::thread;
/// use std::sync::mpsc;
///
/// let (send, ended) = mpsc::channel();
/// thread::set_panic_hook(move |end| {
///     let _ = send.send((end.thread.name(), end.panic.message.clone()));
/// });
/// let worker = thread::Builder::new().name("worker").spawn(|| panic!("no luck"))?;
/// assert!(worker.join().is_err());
/// assert_eq!(ended.recv()?, ("worker".into(), "no luck".into()));
/// thread::take_panic_hook();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "excepthook")]
pub fn set_panic_hook(hook: impl Fn(&ThreadPanic<'_>) + Send + Sync + 'static) {
    drop(replace(Some(Arc::new(hook))));
}

/// From now on it is [`default_panic_hook`] again. Returns what it was.
pub fn take_panic_hook() -> PanicHook {
    replace(None).unwrap_or_else(|| Arc::new(default_panic_hook))
}

/// What is called for a panic that ends a thread, unless [`set_panic_hook`] says otherwise: says on
/// standard error which thread has ended, by what, and where.
///
/// The stack has been printed by the program's panic hook, if it was asked for.
#[doc(alias = "__excepthook__")]
pub fn default_panic_hook(end: &ThreadPanic<'_>) {
    let Panicked {
        message, location, ..
    } = end.panic;
    let place = location.as_deref().unwrap_or("an unknown place");
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "latchwork: thread `{}` (thread {}) ended in a panic at {place}: {message}",
        end.thread.name(),
        end.thread.id(),
    );
}

/// What was there is the user's, and dropped by whoever gets it, with nothing locked.
fn replace(hook: Option<PanicHook>) -> Option<PanicHook> {
    std::mem::replace(&mut HOOK.lock(), hook)
}

/// The current thread has ended in this panic.
pub(super) fn call(thread: &ThreadInfo, caught: Caught) -> Panicked {
    let panic = caught.describe();
    let hook = HOOK.lock().clone();
    let end = ThreadPanic {
        payload: caught.payload(),
        panic: &panic,
        thread,
    };
    match hook {
        None => default_panic_hook(&end),
        // Its last use may be here, if another has taken its place.
        Some(hook) => report("a thread's panic hook", move || {
            hook(&end);
            drop(hook);
        }),
    }
    caught.discard();
    panic
}

/// It is held while the process forks.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::HOOK;

    pub(crate) fn hold() {
        HOOK.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { HOOK.let_go() };
    }
}
