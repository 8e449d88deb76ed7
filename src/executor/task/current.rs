//! Which task this thread runs: [`current_task`].
//!
//! A frame lies on the stack of whoever runs a task, and points to the one beneath it, whose task waits. Invariant:
//! the thread's pointer is to a frame that lives, because a frame is taken out where it was put in, also by
//! unwinding.

use super::TaskId;
use crate::executor::thread_pool::name_of;
use crate::platform::thread_local;
use std::cell::{Cell, OnceCell};
use std::ptr;
use std::sync::Arc;

thread_local! {
    static INNERMOST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// A task that is being run.
struct Frame {
    id: TaskId,
    /// The address of its pool.
    home: usize,
    name: OnceCell<Arc<str>>,
    beneath: *const Frame,
}

/// Takes the frame out again.
struct Entered(*const Frame);

impl Drop for Entered {
    fn drop(&mut self) {
        INNERMOST.with(|place| place.set(self.0));
    }
}

/// Runs `f` as that task. Returns the name it was given meanwhile, too.
#[inline]
pub(crate) fn run_as<R>(id: TaskId, home: usize, f: impl FnOnce() -> R) -> (R, Option<Arc<str>>) {
    let mut frame = Frame {
        id,
        home,
        name: OnceCell::new(),
        beneath: ptr::null(),
    };
    frame.beneath = INNERMOST.with(|place| place.get());
    let entered = Entered(frame.beneath);
    INNERMOST.with(|place| place.set(&raw const frame));
    let result = f();
    drop(entered);
    (result, frame.name.into_inner())
}

fn with<R>(f: impl FnOnce(&Frame) -> R) -> Option<R> {
    let frame = INNERMOST.with(Cell::get);
    // SAFETY: it lives, by the invariant at the head of this file.
    unsafe { frame.as_ref() }.map(f)
}

/// The task that this thread runs has this name.
pub(crate) fn is_called(name: Arc<str>) {
    with(|frame| drop(frame.name.set(name)));
}

/// The task that this thread runs.
pub(crate) fn innermost() -> Option<TaskId> {
    with(|frame| frame.id)
}

/// What a task can know of itself; from [`current_task`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentTask {
    /// Its number, as its future has it.
    pub id: TaskId,
    /// Its name, if it was given one ([`TaskBuilder::name`](crate::executor::TaskBuilder::name)).
    pub name: Option<Arc<str>>,
    /// The pool that this thread is a worker of, if the task is one of the same pool.
    pub pool: Option<Arc<str>>,
}

/// The task that this thread runs, the innermost if it runs one in the middle of another; `None` outside of tasks.
///
/// ```
/// use latchwork::executor::{ThreadPoolExecutor, current_task};
///
/// let pool = ThreadPoolExecutor::new(1);
/// let future = pool.task().name("look").spawn(|| current_task().unwrap()).unwrap();
/// let id = future.id();
/// let seen = future.result().unwrap();
/// assert_eq!((seen.id, seen.name.as_deref()), (id, Some("look")));
/// assert_eq!(current_task(), None);
/// ```
pub fn current_task() -> Option<CurrentTask> {
    with(|frame| CurrentTask {
        id: frame.id,
        name: frame.name.get().cloned(),
        pool: name_of(frame.home),
    })
}
