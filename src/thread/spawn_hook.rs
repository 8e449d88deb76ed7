//! What is called at the beginning and at the end of every thread that this crate starts.

use super::info::ThreadInfo;
use crate::panic::report;
use crate::platform::{Mutex, const_fn};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Hook = Arc<dyn Fn(&ThreadInfo) + Send + Sync>;

/// The hooks of one moment of a thread's life.
struct Hooks {
    list: Mutex<Vec<(usize, Hook)>>,
    /// Its length, so that a program without hooks pays a load.
    count: AtomicUsize,
}

#[cfg(not(loom))]
static ON_START: Hooks = Hooks::new();
#[cfg(not(loom))]
static ON_EXIT: Hooks = Hooks::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref ON_START: Hooks = Hooks::new();
    static ref ON_EXIT: Hooks = Hooks::new();
}

impl Hooks {
    const_fn! {
        fn new() -> Hooks {
            Hooks {
                list: Mutex::new(Vec::new()),
                count: AtomicUsize::new(0),
            }
        }
    }

    fn add(&'static self, hook: Hook) -> SpawnHook {
        // Only numbers things.
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let mut list = self.list.lock();
        list.push((number, hook));
        self.count.store(list.len(), Ordering::Relaxed);
        drop(list);
        SpawnHook {
            number,
            hooks: self,
        }
    }

    fn remove(&self, number: usize) -> Option<Hook> {
        let mut list = self.list.lock();
        let place = list.iter().position(|(other, _)| *other == number)?;
        let (_, hook) = list.remove(place);
        self.count.store(list.len(), Ordering::Relaxed);
        Some(hook)
    }

    /// The hooks of now, to be called with nothing locked.
    fn all(&self) -> Vec<Hook> {
        // Relaxed: who has added a hook and then starts a thread is seen by it, because a start
        // synchronizes; other threads need not see it at once.
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let list = self.list.lock();
        list.iter().map(|(_, hook)| Arc::clone(hook)).collect()
    }
}

/// Has `hook` called in every thread that this crate starts from now on, before the thread's function; in
/// the order in which hooks were added.
///
/// A panic in a hook is reported to standard error and goes no further. Threads that are running
/// already are not affected, nor are those of a pool.
///
/// Cost: without hooks, one load a thread.
///
/// # Source
///
/// What is useful of Python's [`threading.settrace` and `setprofile`](
/// https://docs.python.org/3/library/threading.html#threading.settrace): registering each thread with a
/// profiler, opening a span, pinning it.
///
/// ```
/// use latchwork::thread;
/// use std::sync::{Arc, Mutex};
///
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let log = |what: &'static str| {
///     let seen = Arc::clone(&seen);
///     move |thread: &thread::ThreadInfo| seen.lock().unwrap().push(format!("{what} {thread}"))
/// };
/// let hooks = [thread::on_start(log("hello")), thread::on_exit(log("goodbye"))];
/// thread::Builder::new().name("worker").spawn(|| ())?.join()?;
/// assert_eq!(*seen.lock().unwrap(), ["hello worker", "goodbye worker"]);
/// hooks.into_iter().for_each(thread::SpawnHook::remove);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "settrace")]
#[doc(alias = "setprofile")]
#[doc(alias = "set_spawn_hook")]
pub fn on_start(hook: impl Fn(&ThreadInfo) + Send + Sync + 'static) -> SpawnHook {
    ON_START.add(Arc::new(hook))
}

/// Has `hook` called at the end of every thread that this crate has started, from now on: after its
/// function, panicked or not, and before anybody is told of the end. The hook that was added last is
/// called first.
///
/// Otherwise as [`on_start`].
pub fn on_exit(hook: impl Fn(&ThreadInfo) + Send + Sync + 'static) -> SpawnHook {
    ON_EXIT.add(Arc::new(hook))
}

/// To take a hook away again; dropping it leaves the hook in place.
pub struct SpawnHook {
    number: usize,
    hooks: &'static Hooks,
}

impl SpawnHook {
    /// From now on the hook is not called any more, but by threads that are just about to.
    pub fn remove(self) {
        let hook = self.hooks.remove(self.number);
        // With nothing locked: it is the user's.
        drop(hook);
    }
}

impl fmt::Debug for SpawnHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnHook").finish_non_exhaustive()
    }
}

/// The current thread begins.
pub(super) fn started(thread: &ThreadInfo) {
    for hook in ON_START.all() {
        call("a hook at a thread's start", hook, thread);
    }
}

/// The current thread's function has ended.
pub(super) fn ending(thread: &ThreadInfo) {
    for hook in ON_EXIT.all().into_iter().rev() {
        call("a hook at a thread's end", hook, thread);
    }
}

fn call(what: &str, hook: Hook, thread: &ThreadInfo) {
    report(what, move || {
        hook(thread);
        // Its last use may be here, if it has been removed.
        drop(hook);
    });
}

/// They are held while the process forks.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::{ON_EXIT, ON_START};

    pub(crate) fn hold() {
        ON_START.list.hold();
        ON_EXIT.list.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe {
            ON_EXIT.list.let_go();
            ON_START.list.let_go();
        }
    }
}
