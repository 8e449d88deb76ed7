//! One task's life, shared by who runs it and who waits for it, in one allocation.
//!
//! ```text
//!   pending --claim(STARTED)--> running --complete--> done
//!      |                                               ^
//!      +--claim(STARTED|DROPPED): cancelled, lost------+
//! ```
//!
//! The stage is in the word of the [`Completion`]. Invariant: exactly one claim succeeds, and whoever made it
//! brings the task to its end, with a value or an error; both are written before the end and, but for the
//! value's being taken, never again. Of the end hear first those who wait, then who awaits, then the
//! callbacks, with nothing locked.

mod call;
mod current;
mod derived;
mod hooks;
mod id;
mod promise;
mod relay;

pub(super) use call::{Apply, Call, Closure, Fallible, Work};
pub use current::{CurrentTask, current_task};
pub(super) use current::{innermost, is_called, run_as};
pub(super) use derived::{Derived, Plan, Sources};
pub use hooks::Finished;
pub use hooks::{Hook, Watch};
pub use id::TaskId;
pub use promise::{Cancelled, Promise, RunningPromise, promise};
pub(super) use relay::{Step, aside, relay};

use self::hooks::Hooks;
use super::{TaskError, TaskState};
use crate::platform::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::platform::{Mutex, UnsafeCell, forked, thread_id};
use crate::sync::completion::{Completion, DONE, Ending, MARKS, worker_at};
use crate::wait::Kind;

/// Somebody has the right and the duty to bring it to its end.
const STARTED: u32 = MARKS[0];
/// Nobody runs it: it is about to end without.
const DROPPED: u32 = MARKS[1];
/// There is a hook.
const HOOKED: u32 = MARKS[2];

pub(crate) struct TaskEnding;

/// A static, because it is known by its address.
static KIND: Kind = Kind {
    name: "Task",
    owner: Some(worker_at),
};

impl Ending for TaskEnding {
    const KIND: &'static Kind = &KIND;
}

/// Several tasks, of which any may be the one that ends the wait: so it has no owner.
pub(super) static SEVERAL: Kind = Kind {
    name: "Tasks",
    owner: None,
};

/// Is this a wait for the end of tasks?
pub(super) fn is_awaited_by(kind: &'static Kind) -> bool {
    std::ptr::eq(kind, &KIND) || std::ptr::eq(kind, &SEVERAL)
}

/// A task whose types are forgotten: what lies in a pool's queue.
pub trait Job: Send + Sync {
    /// Runs it in this thread, unless somebody has claimed it. False if somebody has.
    fn run(&self) -> bool;

    /// Ends it without running it, unless somebody has claimed it. False if somebody has.
    fn drop_with(&self, error: TaskError) -> bool;

    /// Has somebody the right to run it or to end it, or has it ended?
    fn is_claimed(&self) -> bool;

    /// Has somebody ended it, or is about to, by cancelling it? Does not wait.
    fn was_cancelled(&self) -> bool {
        false
    }

    /// Those that it is made of, and whether it needs all of them; nothing if there is work of its own.
    fn parts(&self) -> Option<(Sources, bool)> {
        None
    }

    /// Nobody needs it any more, and it has begun: tells whoever runs it, if that can be told.
    fn ask_to_stop(&self) {}

    /// The pool in whose queue it is, or was, by address; 0 for none.
    fn home(&self) -> usize;
}

/// A task whose function is forgotten: what its future has.
pub(crate) trait Outcome<R>: Job {
    fn core(&self) -> &Core<R>;
}

/// What all tasks have.
pub(crate) struct Core<R> {
    id: TaskId,
    /// The generation of the process that it is made in; another one once it is lost in a child.
    generation: AtomicU8,
    /// Somebody wanted to cancel it who came too late.
    is_unwanted: AtomicBool,
    end: Completion<TaskEnding>,
    hooks: Mutex<Hooks>,
    /// There from the end on, until it is taken.
    value: UnsafeCell<Option<R>>,
    /// There from the end on, if there is no value.
    error: UnsafeCell<Option<Box<TaskError>>>,
}

// SAFETY: both cells are written by whoever has the claim, before the end; after it the error is only read, and
// the value is only taken by the one future, or read by those who share it, which must be `Sync` for that.
unsafe impl<R: Send> Sync for Core<R> {}
// SAFETY: as above.
unsafe impl<R: Send> Send for Core<R> {}

impl<R> Core<R> {
    pub(super) fn new() -> Core<R> {
        Core {
            id: TaskId::next(),
            generation: AtomicU8::new(forked::generation()),
            is_unwanted: AtomicBool::new(false),
            end: Completion::new(),
            hooks: Mutex::new(Hooks::none()),
            value: UnsafeCell::new(None),
            error: UnsafeCell::new(None),
        }
    }

    pub(super) fn id(&self) -> TaskId {
        self.id
    }

    /// To wait for the end with.
    pub(super) fn end(&self) -> &Completion<TaskEnding> {
        self.look_behind();
        &self.end
    }

    pub(super) fn is_done(&self) -> bool {
        self.end().is_done()
    }

    fn is_claimed(&self) -> bool {
        self.end.marks() & (STARTED | DONE) != 0
    }

    pub(super) fn is_running(&self) -> bool {
        self.end().marks() & (STARTED | DROPPED | DONE) == STARTED
    }

    /// The right, and the duty, to run it in this thread and to `finish` it.
    pub(super) fn start(&self) -> bool {
        self.end.claim(STARTED, STARTED, thread_id())
    }

    /// As `start`, in nobody knows which thread, or in another process.
    pub(super) fn start_elsewhere(&self) -> bool {
        self.end.claim(STARTED, STARTED, 0)
    }

    /// Ends it without running it, unless it has been claimed.
    pub(super) fn drop_with(&self, error: TaskError) -> bool {
        let may = self.end.claim(STARTED | DROPPED, STARTED, 0);
        if may {
            self.finish(Err(error));
        }
        may
    }

    /// Has it been cancelled? Who finds somebody about to drop it waits for that, which is an instant.
    pub(super) fn is_cancelled(&self) -> bool {
        if self.end().marks() & (DROPPED | DONE) == DROPPED {
            self.end.wait();
        }
        matches!(self.error(), Some(TaskError::Cancelled))
    }

    /// Has it been cancelled, or is it about to be?
    fn was_cancelled(&self) -> bool {
        self.end.marks() & (DROPPED | DONE) == DROPPED
            || matches!(
                self.error(),
                Some(TaskError::Cancelled | TaskError::Discarded)
            )
    }

    /// What its future is to say.
    pub(super) fn state(&self) -> TaskState {
        match self.is_cancelled() {
            true => TaskState::Cancelled,
            false if self.is_done() => TaskState::Finished,
            false if self.is_running() => TaskState::Running,
            false => TaskState::Pending,
        }
    }

    /// Tells whoever runs it that nobody needs it any more.
    pub(super) fn ask_to_stop(&self) {
        // Nothing else is told by it.
        self.is_unwanted.store(true, Ordering::Relaxed);
    }

    fn is_asked_to_stop(&self) -> bool {
        self.is_unwanted.load(Ordering::Relaxed)
    }

    /// Ends it. Whoever calls this has the claim.
    pub(super) fn finish(&self, result: Result<R, TaskError>) {
        self.finish_boxed(result.map_err(Box::new));
    }

    /// As `finish`, of a result that is small to be moved.
    #[inline]
    fn finish_boxed(&self, result: Result<R, Box<TaskError>>) {
        match result {
            // SAFETY: whoever has the claim is alone with both cells until the end.
            Ok(value) => self.value.with_mut(|place| unsafe { *place = Some(value) }),
            // SAFETY: as above.
            Err(error) => self.error.with_mut(|place| unsafe { *place = Some(error) }),
        }
        if self.end.complete() & HOOKED != 0 {
            let hooks = self.hooks.lock().take();
            hooks.run(self.id, self.error());
        }
    }

    /// Why it has no value, if it has ended without.
    pub(super) fn error(&self) -> Option<&TaskError> {
        if !self.is_done() {
            return None;
        }
        // SAFETY: after the end nobody writes it.
        self.error.with(|error| unsafe { (*error).as_deref() })
    }

    /// The value, while nobody can take it.
    ///
    /// # Safety
    ///
    /// It has ended; `take` is not called as long as the result is used.
    pub(super) unsafe fn value(&self) -> Option<&R> {
        // SAFETY: after the end it is only taken, which the caller excludes.
        self.value.with(|value| unsafe { (*value).as_ref() })
    }

    /// Takes what is there, once.
    ///
    /// # Safety
    ///
    /// It has ended, and nobody else calls this or uses what `value` gave.
    pub(super) unsafe fn take(&self) -> Result<R, TaskError> {
        // SAFETY: by the caller's promise.
        match self.value.with_mut(|value| unsafe { (*value).take() }) {
            Some(value) => Ok(value),
            None => match self.error() {
                Some(error) => Err(error.clone()),
                None => panic!("the result of {} has been taken before", self.id),
            },
        }
    }

    /// Adds a hook, or gives it back if the task has ended.
    pub(super) fn hook(&self, hook: Hook) -> Option<Hook> {
        // Before the lock: it may end the task, and take the hooks.
        self.look_behind();
        let mut hooks = self.hooks.lock();
        // Under the lock: whoever ends it and sees the mark takes the hooks after this one is there.
        if self.end.mark(HOOKED) & DONE != 0 {
            drop(hooks);
            return Some(hook);
        }
        let replaced = hooks.add(hook);
        drop(hooks);
        // A waker's drop is the user's code.
        drop(replaced);
        None
    }

    /// Takes a watcher away, which may be told all the same if the task ends at this moment.
    pub(super) fn unwatch(&self, watcher: *const ()) {
        if self.end.marks() & (DONE | HOOKED) == HOOKED {
            let removed = self.hooks.lock().remove(watcher);
            // With nothing locked.
            drop(removed);
        }
    }

    /// In a forked child: a task of the parent is lost unless the thread that forked is running it, because
    /// whoever was to run it did not come along. Called before it is waited for or looked at.
    fn look_behind(&self) {
        if forked::is_child() {
            self.lose_if_left_behind();
        }
    }

    #[cold]
    fn lose_if_left_behind(&self) {
        let (made_in, now) = (
            self.generation.load(Ordering::Relaxed),
            forked::generation(),
        );
        let is_ours = self.end.is_done() || self.end.worker() == thread_id();
        // One of several threads makes the exchange, and has the claim of whoever did not come along.
        if made_in != now
            && !is_ours
            && self
                .generation
                .compare_exchange(made_in, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.finish(Err(TaskError::Lost));
        }
    }
}
