//! [`Call`]: a task with the work that is to be done.

use super::{Core, Job, Outcome, aside, current};
use crate::executor::thread_pool::note_ran;
use crate::executor::{Failure, TaskError};
use crate::panic::{Caught, Panicked, catch_all, report};
use crate::platform::UnsafeCell;
use std::error::Error;

/// What a task does, once.
pub(crate) trait Work: Send {
    type Output: Send;

    fn work(self) -> Result<Self::Output, Box<TaskError>>;
}

/// A closure.
pub(crate) struct Closure<F>(pub(crate) F);

impl<F: FnOnce() -> R + Send, R: Send> Work for Closure<F> {
    type Output = R;

    fn work(self) -> Result<R, Box<TaskError>> {
        Ok((self.0)())
    }
}

/// A closure that may fail.
pub(crate) struct Fallible<F>(pub(crate) F);

impl<F, R, E> Work for Fallible<F>
where
    F: FnOnce() -> Result<R, E> + Send,
    R: Send,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = R;

    fn work(self) -> Result<R, Box<TaskError>> {
        (self.0)().map_err(|error| Box::new(TaskError::Failed(Failure::new(error))))
    }
}

/// A function and its argument.
pub(crate) struct Apply<A, R> {
    pub(crate) function: fn(A) -> R,
    pub(crate) argument: A,
}

impl<A: Send, R: Send> Work for Apply<A, R> {
    type Output = R;

    fn work(self) -> Result<R, Box<TaskError>> {
        Ok((self.function)(self.argument))
    }
}

/// See the head of this file.
pub(crate) struct Call<W: Work> {
    core: Core<W::Output>,
    home: usize,
    /// For whoever has the claim.
    work: UnsafeCell<Option<W>>,
}

// SAFETY: the work is touched by whoever has the claim alone, and is `Send`.
unsafe impl<W: Work> Sync for Call<W> {}
// SAFETY: as above.
unsafe impl<W: Work> Send for Call<W> {}

impl<W: Work> Call<W> {
    /// A task of the pool with the address `home`.
    pub(crate) fn new(work: W, home: usize) -> Call<W> {
        Call {
            core: Core::new(),
            home,
            work: UnsafeCell::new(Some(work)),
        }
    }

    /// The work, if nobody has claimed the task; its future says that it is lost.
    pub(crate) fn take_back(&self) -> Option<W> {
        let may = self.core.drop_with(TaskError::Lost);
        // SAFETY: the claim has just been made here.
        may.then(|| unsafe { self.take() })
    }

    /// # Safety
    ///
    /// The caller has the claim, and has not called this before.
    unsafe fn take(&self) -> W {
        // SAFETY: by the caller's promise.
        let work = self.work.with_mut(|work| unsafe { (*work).take() });
        work.expect("one claim, one call")
    }
}

/// Called as the task that panicked.
#[cold]
fn panicked(caught: Caught) -> Box<TaskError> {
    let panicked = caught.describe();
    caught.discard();
    let task = current::name();
    Box::new(TaskError::Panicked(Panicked { task, ..panicked }))
}

impl<W: Work> Job for Call<W> {
    fn run(&self) -> bool {
        let may = self.core.start();
        if may {
            // SAFETY: the claim has just been made here.
            let work = unsafe { self.take() };
            // The work, with all it captured, is gone before the result is there.
            let result = current::run_as(self.core.id(), self.home, || {
                match catch_all(|| work.work()) {
                    Ok(result) => result,
                    Err(caught) => Err(panicked(caught)),
                }
            });
            note_ran(self.home, result.is_ok());
            self.core.finish_boxed(result);
        }
        may
    }

    fn drop_with(&self, error: TaskError) -> bool {
        let may = self.core.drop_with(error);
        if may {
            // SAFETY: the claim has just been made here.
            let work = unsafe { self.take() };
            report("what a task that never ran had captured", || {
                aside(|| drop(work))
            });
        }
        may
    }

    fn is_claimed(&self) -> bool {
        self.core.is_claimed()
    }

    fn was_cancelled(&self) -> bool {
        self.core.was_cancelled()
    }

    fn home(&self) -> usize {
        self.home
    }
}

impl<W: Work> Outcome<W::Output> for Call<W> {
    fn core(&self) -> &Core<W::Output> {
        &self.core
    }
}
