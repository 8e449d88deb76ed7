//! [`ScopedFuture`]: the result of a task of a scope.
//!
//! It is shared by the future and the task's closure, and by nothing else, because it may borrow: what lies in the
//! pool's queue, and may outlive the scope, has no part in it.

use super::Scope;
use super::job::{Scoped, ScopedWork};
use super::ledger::Ledger;
use crate::executor::task::{Core, Hook, Job};
use crate::executor::thread_pool::worker;
use crate::executor::{TaskError, TaskId};
use crate::panic::catch;
use crate::{GaveUp, Limit};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The result of a task of a [`Scope`], now or later. It cannot leave the scope.
///
/// The faces are those of a [`TaskFuture`](crate::executor::TaskFuture). Dropping it does not cancel the task; the scope
/// waits for it either way.
#[must_use = "a task whose result nobody wants is spawned at less cost by `spawn`"]
pub struct ScopedFuture<'scope, R> {
    core: Arc<Core<R>>,
    job: Arc<dyn Job + 'scope>,
    ledger: &'scope Ledger,
    /// Has it given what there was?
    is_taken: bool,
}

impl<'scope, R: Send + 'scope> ScopedFuture<'scope, R> {
    pub(super) fn submit<F>(scope: &'scope Scope<'scope, '_>, f: F) -> ScopedFuture<'scope, R>
    where
        F: FnOnce() -> R + Send + 'scope,
    {
        let core = Arc::new(Core::new());
        let landing = Landing {
            core: Arc::clone(&core),
            function: f,
        };
        let job: Arc<Scoped<Landing<F, R>>> = scope.enter(landing);
        ScopedFuture {
            core,
            job,
            ledger: &scope.ledger,
            is_taken: false,
        }
    }
}

impl<R> ScopedFuture<'_, R> {
    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.core.id()
    }

    /// Blocks until the task has ended and returns what came of it. A worker of the pool runs the task here if it has
    /// not started.
    ///
    /// # Errors
    ///
    /// Why there is no result.
    #[track_caller]
    pub fn result(mut self) -> Result<R, TaskError> {
        let place = Location::caller();
        self.wait_at(&Limit::none(), place)
            .expect("without a limit");
        self.take()
    }

    /// What came of the task if it has ended, else the future back; never blocks.
    ///
    /// # Errors
    ///
    /// The future, when the task has not ended.
    pub fn try_result(mut self) -> Result<Result<R, TaskError>, Self> {
        match self.is_done() {
            true => Ok(self.take()),
            false => Err(self),
        }
    }

    /// As [`result`](ScopedFuture::result), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// The future, and why it gave up.
    #[track_caller]
    pub fn result_within<'l>(
        mut self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<R, TaskError>, (Self, GaveUp)> {
        match self.wait_at(&limit.into(), Location::caller()) {
            Ok(()) => Ok(self.take()),
            Err(why) => Err((self, why)),
        }
    }

    fn wait_at(&self, limit: &Limit<'_>, place: &'static Location<'static>) -> Result<(), GaveUp> {
        if self.core.is_done() {
            return Ok(());
        }
        let _expecting = limit.is_none().then(|| worker::help(&self.job)).flatten();
        self.core.end().wait_at_within(place, limit)
    }

    /// Cancels the task if it has not started; it is done at once. What it has captured is dropped when a worker
    /// comes to it. Returns whether it is cancelled now.
    pub fn cancel(&self) -> bool {
        self.core.drop_with(TaskError::Cancelled) || self.core.is_cancelled()
    }

    /// Has it ended, in whatever way?
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        self.core.is_done()
    }

    fn take(&mut self) -> Result<R, TaskError> {
        let is_first = !std::mem::replace(&mut self.is_taken, true);
        if let (true, Some(TaskError::Panicked(_))) = (is_first, self.core.error()) {
            self.ledger.is_seen();
        }
        // SAFETY: it has ended; there is one future for a task, which gives itself up for this, or is ready once.
        unsafe { self.core.take() }
    }
}

impl<R> Future for ScopedFuture<'_, R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, TaskError>> {
        if !self.is_done() && self.core.hook(Hook::Waker(cx.waker().clone())).is_none() {
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }
}

impl<R> fmt::Debug for ScopedFuture<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedFuture")
            .field("id", &self.id())
            .field("is_done", &self.is_done())
            .finish()
    }
}

/// A closure, and where its result goes.
struct Landing<F, R> {
    core: Arc<Core<R>>,
    function: F,
}

impl<F: FnOnce() -> R + Send, R: Send> ScopedWork for Landing<F, R> {
    fn run(self, ledger: &Ledger) -> bool {
        let Landing { core, function } = self;
        if !core.start() {
            // It has been cancelled; what it had captured goes all the same.
            crate::panic::report("what a task that never ran had captured", || drop(function));
            return true;
        }
        let result = catch(function);
        let is_good = result.is_ok();
        if !is_good {
            ledger.panicked_unseen();
        }
        core.finish(result.map_err(TaskError::Panicked));
        is_good
    }

    fn give_up(self, why: &TaskError, _ledger: &Ledger) {
        let Landing { core, function } = self;
        core.drop_with(why.clone());
        crate::panic::report("what a task that never ran had captured", || drop(function));
    }
}
