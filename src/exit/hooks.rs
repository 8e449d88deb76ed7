//! What is to be called at the program's end: registered, taken back, and called once.
//!
//! Invariant: a hook is taken out of the list, under its lock, by whoever calls it or takes it back. So it is
//! one of both, and once. The list is closed by who finds it empty, in the same step: what was registered before
//! is called, and what comes later is refused.

use crate::panic::report;
use crate::platform::{Mutex, const_fn};
use crate::sync::RLock;
use crate::{GaveUp, Limit};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

type Hook = Box<dyn FnOnce() + Send>;

/// Whose priority is higher comes first, and among equals who came last: from the end of the map.
type Key = (i32, u64);

/// The hooks of one moment.
pub(super) struct Hooks {
    list: Mutex<List>,
}

pub(super) struct List {
    hooks: BTreeMap<Key, Hook>,
    last: u64,
    is_closed: bool,
    /// Held by whoever calls them; once more by one of them that asks for the program's end. Free once the list
    /// is closed.
    turn: Option<Arc<RLock<()>>>,
}

#[cfg(not(loom))]
static AT_EXIT: Hooks = Hooks::new();
#[cfg(not(loom))]
static AT_END: Hooks = Hooks::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref AT_EXIT: Hooks = Hooks::new();
    static ref AT_END: Hooks = Hooks::new();
}

/// When hooks are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Moment {
    /// First of all.
    Exit,
    /// After the threads.
    End,
}

impl Moment {
    pub(super) fn hooks(self) -> &'static Hooks {
        match self {
            Moment::Exit => &AT_EXIT,
            Moment::End => &AT_END,
        }
    }
}

impl Hooks {
    const_fn! {
        fn new() -> Hooks {
            Hooks {
                list: Mutex::new(List {
                    hooks: BTreeMap::new(),
                    last: 0,
                    is_closed: false,
                    turn: None,
                }),
            }
        }
    }

    fn add<F: FnOnce() + Send + 'static>(&self, priority: i32, f: F) -> Result<Key, F> {
        let mut list = self.list.lock();
        if list.is_closed {
            drop(list);
            return Err(f);
        }
        list.last += 1;
        let key = (priority, list.last);
        list.hooks.insert(key, Box::new(f));
        Ok(key)
    }

    fn is_waiting(&self, key: Key) -> bool {
        self.list.lock().hooks.contains_key(&key)
    }

    fn remove(&self, key: Key) -> Option<Hook> {
        self.list.lock().hooks.remove(&key)
    }

    /// How many have not been called.
    pub(super) fn count(&self) -> usize {
        self.list.lock().hooks.len()
    }

    fn turn(&self) -> Arc<RLock<()>> {
        let mut list = self.list.lock();
        Arc::clone(list.turn.get_or_insert_default())
    }

    /// The next one; with none left, the list is closed.
    fn next(&self) -> Option<Hook> {
        let mut list = self.list.lock();
        let next = list.hooks.pop_last();
        list.is_closed = next.is_none();
        next.map(|(_, hook)| hook)
    }

    /// Calls them all, also those that come meanwhile; or waits until somebody else has.
    pub(super) fn call(&self, limit: &Limit<'_>) -> Result<(), GaveUp> {
        let turn = self.turn();
        let _ours = turn.lock_within(*limit)?;
        while let Some(hook) = self.next() {
            report("a hook at the program's end", hook);
            if self.count() > 0 {
                limit.check()?;
            }
        }
        // Nothing is left to be called, so the turn is over, also for a hook that has called this: it goes on to
        // wait for threads, and they may be waiting for the turn. Guards of outer calls then release nothing.
        while turn.release().is_ok() {}
        Ok(())
    }
}

/// A hook that was registered by [`at_exit`] or [`at_end`]: to take it back.
///
/// Dropping this leaves the hook where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AtExitId {
    moment: Moment,
    key: Key,
}

impl AtExitId {
    /// Takes the hook back, and drops it. True if it will not be called; false if it has been called, is being
    /// called, or was taken back before.
    ///
    /// # Source
    ///
    /// `cancel()` of Python's `multiprocessing.util.Finalize`; `atexit.unregister`, which takes the function
    /// instead.
    #[doc(alias = "unregister")]
    pub fn cancel(&self) -> bool {
        // Dropped with nothing locked.
        self.moment.hooks().remove(self.key).is_some()
    }

    /// Is it still to be called?
    pub fn still_active(&self) -> bool {
        self.moment.hooks().is_waiting(self.key)
    }
}

/// It is too late to register this: its moment has come and gone. The function is in here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShuttingDown<F>(pub F);

impl<F> fmt::Debug for ShuttingDown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShuttingDown").finish_non_exhaustive()
    }
}

impl<F> fmt::Display for ShuttingDown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the program is ending and calls no more hooks of this kind")
    }
}

impl<F> std::error::Error for ShuttingDown<F> {}

fn register<F: FnOnce() + Send + 'static>(
    moment: Moment,
    priority: i32,
    f: F,
) -> Result<AtExitId, ShuttingDown<F>> {
    match moment.hooks().add(priority, f) {
        Ok(key) => Ok(AtExitId { moment, key }),
        Err(f) => Err(ShuttingDown(f)),
    }
}

/// Has `f` called when the program's end begins, while all threads are still running: to tell them to stop, to
/// close what they read from.
///
/// The last one registered is called first. Each is called once, by the thread that ends the program, with
/// nothing locked; a panic is reported to standard error, and the next one is called. A hook may register
/// others, start threads, and wait for them.
///
/// # Errors
///
/// [`ShuttingDown`], with `f`, once all hooks of this kind have been called.
///
/// # Source
///
/// What Python's pools rely on: `threading._register_atexit`. Its `atexit` is [`at_end`].
///
/// ```
/// use latchwork::{CancelToken, exit};
///
/// let stop = CancelToken::new();
/// let its = stop.clone();
/// let hook = exit::at_exit(move || drop(its.cancel()))?;
/// assert!(hook.still_active());
/// assert!(hook.cancel() && !hook.cancel());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn at_exit<F: FnOnce() + Send + 'static>(f: F) -> Result<AtExitId, ShuttingDown<F>> {
    register(Moment::Exit, 0, f)
}

/// As [`at_exit`], which has priority 0: whose priority is higher is called earlier.
///
/// # Errors
///
/// As for `at_exit`.
///
/// # Source
///
/// `exitpriority` of Python's `multiprocessing.util.Finalize`.
#[doc(alias = "Finalize")]
pub fn at_exit_priority<F: FnOnce() + Send + 'static>(
    priority: i32,
    f: F,
) -> Result<AtExitId, ShuttingDown<F>> {
    register(Moment::Exit, priority, f)
}

/// Has `f` called at the program's very end, when pools have been drained and all threads but daemons have
/// ended: to remove what they worked with.
///
/// Otherwise as [`at_exit`], but that no thread can be started any more.
///
/// # Errors
///
/// [`ShuttingDown`], with `f`, once all hooks of this kind have been called.
///
/// # Source
///
/// Python's [`atexit.register`](https://docs.python.org/3/library/atexit.html).
#[doc(alias = "atexit")]
pub fn at_end<F: FnOnce() + Send + 'static>(f: F) -> Result<AtExitId, ShuttingDown<F>> {
    register(Moment::End, 0, f)
}

/// What a fork does to the hooks: they are held while that happens. The child begins without any.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::{AT_END, AT_EXIT, List};
    use std::mem;

    pub(crate) fn hold() {
        AT_EXIT.list.hold();
        AT_END.list.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe {
            AT_END.list.let_go();
            AT_EXIT.list.let_go();
        }
    }

    /// In the child, held. What the hooks have captured is the parent's to drop: it may stand for a file that
    /// goes with it.
    pub(crate) fn forget_parents() {
        for hooks in [&AT_EXIT, &AT_END] {
            // SAFETY: held by this thread, by `hold`.
            let list = unsafe { &mut *hooks.list.get() };
            let parents = List {
                hooks: mem::take(&mut list.hooks),
                last: list.last,
                is_closed: mem::take(&mut list.is_closed),
                turn: list.turn.take(),
            };
            mem::forget(parents);
        }
    }
}
