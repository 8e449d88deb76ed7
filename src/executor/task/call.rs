//! [`Call`]: a task with the work that is to be done.

use super::{Core, Job, Outcome, aside};
use crate::executor::TaskError;
use crate::panic::{catch, report};
use crate::platform::UnsafeCell;

/// What a task does, once.
pub(crate) trait Work: Send {
    type Output: Send;

    fn work(self) -> Self::Output;
}

/// A closure.
pub(crate) struct Closure<F>(pub(crate) F);

impl<F: FnOnce() -> R + Send, R: Send> Work for Closure<F> {
    type Output = R;

    fn work(self) -> R {
        (self.0)()
    }
}

/// A function and its argument.
pub(crate) struct Apply<A, R> {
    pub(crate) function: fn(A) -> R,
    pub(crate) argument: A,
}

impl<A: Send, R: Send> Work for Apply<A, R> {
    type Output = R;

    fn work(self) -> R {
        (self.function)(self.argument)
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

impl<W: Work> Job for Call<W> {
    fn run(&self) -> bool {
        let may = self.core.start();
        if may {
            // SAFETY: the claim has just been made here.
            let work = unsafe { self.take() };
            // The work, with all it captured, is gone before the result is there.
            let result = catch(|| work.work()).map_err(TaskError::Panicked);
            self.core.finish(result);
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

    fn home(&self) -> usize {
        self.home
    }
}

impl<W: Work> Outcome<W::Output> for Call<W> {
    fn core(&self) -> &Core<W::Output> {
        &self.core
    }
}
