//! [`TaskBuilder`]: what a task can have beside its function, and the way into a pool for such tasks.

use super::ThreadPoolExecutor;
use super::bound::{Admission, Asks};
use super::cancellable::{Cancellable, Interruptible, Returnable};
use super::dressed::{Dress, Dressed};
use super::traced::Parent;
use crate::executor::task::{Call, Closure, Fallible, Work};
use crate::executor::{SubmitError, SubmitRefusal, TaskError, TaskFuture};
use crate::platform::Moment;
use crate::thread::Context;
use crate::{CancelToken, Limit};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Options of one task; from [`ThreadPoolExecutor::task`].
///
/// ```
/// use latchwork::executor::{TaskError, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).by_priority().build();
/// let future = pool.task().name("divide").priority(-1).spawn(|| -> u32 { panic!("by zero") }).unwrap();
/// let Err(TaskError::Panicked(panic)) = future.result() else { panic!() };
/// assert_eq!(panic.task.as_deref(), Some("divide"));
/// ```
#[must_use = "there is no task before something is spawned"]
pub struct TaskBuilder<'p> {
    executor: &'p ThreadPoolExecutor,
    name: Option<Arc<str>>,
    priority: i32,
    context: Option<Context>,
    asks: Asks<'p>,
}

impl<'p> TaskBuilder<'p> {
    pub(super) fn new(executor: &'p ThreadPoolExecutor) -> TaskBuilder<'p> {
        TaskBuilder {
            executor,
            name: None,
            priority: 0,
            context: None,
            asks: Asks::ByPolicy,
        }
    }

    /// What it is called in a [`Panicked`](crate::executor::Panicked) and by
    /// [`current_task`](crate::executor::current_task), and in its span with the feature `tracing`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> TaskBuilder<'p> {
        self.name = Some(name.into());
        self
    }

    /// When it starts, in a pool [by priority](super::Builder::by_priority): the lowest first; 0 if nothing is said.
    pub fn priority(mut self, priority: i32) -> TaskBuilder<'p> {
        self.priority = priority;
        self
    }

    /// It sees what is bound here and now ([`ContextVar`](crate::thread::ContextVar)), wherever it runs. By default
    /// a task sees what is bound where it runs: nothing, in a worker.
    #[doc(alias = "propagate")]
    #[doc(alias = "copy_context")]
    pub fn context(self) -> TaskBuilder<'p> {
        self.in_context(Context::current())
    }

    /// It runs in this context.
    pub fn in_context(mut self, context: Context) -> TaskBuilder<'p> {
        self.context = Some(context);
        self
    }

    /// If as many tasks wait as may, it is refused as [`Full`](SubmitRefusal::Full), whatever the
    /// pool's [`Rejection`](super::Rejection) says.
    pub fn trying(mut self) -> TaskBuilder<'p> {
        self.asks = Asks::Once;
        self
    }

    /// If as many tasks wait as may, the submitter waits at most as long as `limit` says, whatever the pool's
    /// [`Rejection`](super::Rejection) says.
    pub fn within(mut self, limit: impl Into<Limit<'p>>) -> TaskBuilder<'p> {
        self.asks = Asks::Within(limit.into());
        self
    }

    /// Accepts a closure as a task.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure, as for [`ThreadPoolExecutor::spawn`].
    #[track_caller]
    pub fn spawn<F, R>(self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.accept(function, Closure, |closure| closure.0)
    }

    /// As [`ThreadPoolExecutor::spawn_fallible`].
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure, as for [`ThreadPoolExecutor::spawn`].
    #[track_caller]
    pub fn spawn_fallible<F, R, E>(self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce() -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        self.accept(function, Fallible, |fallible| fallible.0)
    }

    /// As [`ThreadPoolExecutor::spawn_cancellable`].
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure, as for [`ThreadPoolExecutor::spawn`].
    #[track_caller]
    pub fn spawn_cancellable<F, R>(self, function: F) -> Result<TaskFuture<R>, SubmitError<F>>
    where
        F: FnOnce(&CancelToken) -> R + Send + 'static,
        R: Send + 'static,
    {
        let admission = match self.admit() {
            Ok(admission) => admission,
            Err(why) => return Err(SubmitError::new(function, why)),
        };
        let token = self.executor.pool.interrupt.child();
        let work = Interruptible {
            function,
            token: token.clone(),
        };
        let wrap = |call| Cancellable::new(call, token);
        (self.enter(admission, work, wrap)).map_err(|refused| refused.map(|work| work.function))
    }

    /// As `spawn`, of work that is made of `value` once it is likely to be taken, and out of which that comes back if it
    /// is not.
    #[track_caller]
    pub(super) fn accept<V, W>(
        self,
        value: V,
        into_work: impl FnOnce(V) -> W,
        into_value: impl FnOnce(W) -> V,
    ) -> Result<TaskFuture<W::Output>, SubmitError<V>>
    where
        W: Work + 'static,
        W::Output: 'static,
    {
        match self.admit() {
            Ok(admission) => (self.enter(admission, into_work(value), |call| call))
                .map_err(|refused| refused.map(into_value)),
            Err(why) => Err(SubmitError::new(value, why)),
        }
    }

    /// As `accept`, waiting for a place without blocking a thread.
    #[track_caller]
    pub(super) fn accept_async<F, R>(
        self,
        function: F,
    ) -> impl Future<Output = Result<TaskFuture<R>, SubmitError<F>>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let pool = &self.executor.pool;
        let admitted = (pool.bound.as_ref()).map(|bound| bound.admit_async(Arc::clone(pool)));
        async move {
            let admission = match (self.executor.pool.check(), admitted) {
                (Err(why), _) => Err(why),
                (Ok(()), Some(admitted)) => admitted.await,
                (Ok(()), None) => Ok(Admission::Enter(None)),
            };
            match admission {
                Ok(admission) => self
                    .enter(admission, Closure(function), |call| call)
                    .map_err(|refused| refused.map(|closure| closure.0)),
                Err(why) => Err(SubmitError::new(function, why)),
            }
        }
    }

    #[track_caller]
    fn admit(&self) -> Result<Admission, SubmitRefusal> {
        let pool = &self.executor.pool;
        pool.check()?;
        match &pool.bound {
            Some(bound) => bound.admit(pool, self.asks),
            None => Ok(Admission::Enter(None)),
        }
    }

    fn enter<W, T>(
        self,
        admission: Admission,
        work: W,
        wrap: impl FnOnce(Call<Dressed<W>>) -> T,
    ) -> Result<TaskFuture<W::Output>, SubmitError<W>>
    where
        W: Work + 'static,
        W::Output: 'static,
        T: Returnable<Dressed<W>> + 'static,
    {
        let pool = &self.executor.pool;
        let (place, runs_here, is_given_up) = match admission {
            Admission::Enter(place) => (place, false, false),
            Admission::RunHere => (None, true, false),
            Admission::GiveUp => (None, false, true),
        };
        let dress = Dress {
            name: self.name,
            context: self.context,
            // What runs here is no worker's, unless this is one.
            accepted: (pool.settings.measures && (!runs_here || pool.is_mine())).then(Moment::now),
            parent: Parent::here(pool),
            place,
        };
        let task = Arc::new(wrap(Call::new(Dressed { dress, work }, pool.address())));
        if runs_here {
            pool.runs_here(Arc::clone(&task) as _);
            if task.core().error().is_some() {
                pool.counts_failure_here();
            }
        } else if is_given_up {
            task.drop_with(TaskError::Discarded);
            pool.counts_if_dropped(&*task);
        } else if let Err(why) = pool.push_with_priority(self.priority, Arc::clone(&task) as _) {
            let taken = task.take_back();
            pool.tidy(&why);
            if let Some(dressed) = taken {
                return Err(SubmitError::new(dressed.work, why));
            }
        }
        Ok(TaskFuture::new(task as _))
    }
}

impl<A> SubmitError<A> {
    /// With what was made of its value.
    fn map<B>(self, f: impl FnOnce(A) -> B) -> SubmitError<B> {
        SubmitError::new(f(self.value), self.reason)
    }
}

impl fmt::Debug for TaskBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskBuilder")
            .field("name", &self.name)
            .field("priority", &self.priority)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
