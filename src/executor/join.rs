//! Futures that are made of several, all of whose results are wanted: [`join_all`], [`try_join_all`], [`TaskFuture::zip`].

use super::task::{Derived, Plan, Sources};
use super::then::follow;
use super::{TaskError, TaskFuture};
use smallvec::smallvec;
use std::sync::Arc;

/// What came of all of them, in their order, each with its own success or error.
///
/// Cancelling it cancels those that have not started. No thread waits for them: the last one's end is the end of
/// this. Of none, it has ended already.
///
/// # Cost
///
/// An allocation, a list, and a short lock at the end of each.
///
/// # Source
///
/// Python's [`asyncio.gather`](https://docs.python.org/3/library/asyncio-task.html#asyncio.gather) with `return_exceptions`.
///
/// ```
/// use latchwork::executor::{ThreadPoolExecutor, join_all};
///
/// let pool = ThreadPoolExecutor::new(2);
/// let squares = join_all((1..4).map(|n| pool.spawn(move || n * n).unwrap()));
/// assert_eq!(squares.result().unwrap(), [Ok(1), Ok(4), Ok(9)]);
/// ```
#[doc(alias = "gather")]
pub fn join_all<R: Send + 'static>(
    futures: impl IntoIterator<Item = TaskFuture<R>>,
) -> TaskFuture<Vec<Result<R, TaskError>>> {
    start(JoinAll(Several::new(futures)))
}

/// The results of all of them, in their order, or the first error that there is in time: then the others are cancelled that
/// have not started, and those that have go on.
///
/// Otherwise as [`join_all`].
///
/// # Source
///
/// Python's [`asyncio.gather`](https://docs.python.org/3/library/asyncio-task.html#asyncio.gather), which lets the others go on.
///
/// ```
/// use latchwork::executor::{TaskError, ThreadPoolExecutor, try_join_all};
///
/// let pool = ThreadPoolExecutor::new(2);
/// let squares = try_join_all((1..4).map(|n| pool.spawn(move || n * n).unwrap()));
/// assert_eq!(squares.result().unwrap(), [1, 4, 9]);
/// let broken = try_join_all([pool.spawn(|| 1).unwrap(), pool.spawn(|| panic!("no")).unwrap()]);
/// assert!(matches!(broken.result(), Err(TaskError::Panicked(_))));
/// ```
pub fn try_join_all<R: Send + 'static>(
    futures: impl IntoIterator<Item = TaskFuture<R>>,
) -> TaskFuture<Vec<R>> {
    start(TryJoinAll(Several::new(futures)))
}

/// Futures of one type, and how many of them have not ended.
pub(super) struct Several<R> {
    pub(super) futures: Vec<TaskFuture<R>>,
    pub(super) left: usize,
}

impl<R: 'static> Several<R> {
    pub(super) fn new(futures: impl IntoIterator<Item = TaskFuture<R>>) -> Several<R> {
        let futures: Vec<_> = futures.into_iter().collect();
        Several {
            left: futures.len(),
            futures,
        }
    }

    pub(super) fn sources(&self) -> Sources {
        let tasks = self.futures.iter().map(TaskFuture::task);
        tasks.map(|task| Arc::clone(task) as _).collect()
    }

    /// Which of them has ended without a result?
    pub(super) fn has_failed(&self, number: usize) -> bool {
        self.futures[number].error().is_some()
    }
}

/// A plan that is made around several.
pub(super) trait OfSeveral<R>: Plan {
    fn several(&self) -> &Several<R>;

    /// There are none.
    fn end_of_none(self) -> Result<Self::Output, TaskError>;
}

/// The task that ends by this plan.
pub(super) fn start<R: Send + 'static, P: OfSeveral<R>>(plan: P) -> TaskFuture<P::Output> {
    let futures = &plan.several().futures;
    let tasks: Vec<_> = futures
        .iter()
        .map(|future| Arc::clone(future.task()))
        .collect();
    let derived = Arc::new(Derived::new(plan));
    if tasks.is_empty()
        && let Some(plan) = derived.take_plan()
    {
        derived.end_by(|| plan.end_of_none());
    }
    for (number, task) in tasks.iter().enumerate() {
        follow(task, &derived, number);
    }
    TaskFuture::new(derived)
}

struct JoinAll<R>(Several<R>);

impl<R: Send + 'static> Plan for JoinAll<R> {
    type Output = Vec<Result<R, TaskError>>;

    fn sources(&self) -> Sources {
        self.0.sources()
    }

    fn ended(derived: &Arc<Derived<Self>>, _number: usize) {
        let plan = derived.plan.lock().take_if(|plan| {
            plan.0.left -= 1;
            plan.0.left == 0
        });
        if let Some(plan) = plan {
            derived.end_by(|| Ok(plan.0.futures.into_iter().map(TaskFuture::take).collect()));
        }
    }
}

impl<R: Send + 'static> OfSeveral<R> for JoinAll<R> {
    fn several(&self) -> &Several<R> {
        &self.0
    }

    fn end_of_none(self) -> Result<Self::Output, TaskError> {
        Ok(Vec::new())
    }
}

struct TryJoinAll<R>(Several<R>);

impl<R: Send + 'static> Plan for TryJoinAll<R> {
    type Output = Vec<R>;

    fn sources(&self) -> Sources {
        self.0.sources()
    }

    fn ended(derived: &Arc<Derived<Self>>, number: usize) {
        let plan = derived.plan.lock().take_if(|plan| {
            plan.0.left -= 1;
            plan.0.left == 0 || plan.0.has_failed(number)
        });
        let Some(mut plan) = plan else { return };
        if plan.0.has_failed(number) {
            let failed = plan.0.futures.swap_remove(number);
            derived.end_by(|| Err(failed.take().err().unwrap_or(TaskError::Lost)));
            Derived::let_go(plan);
        } else {
            derived.end_by(|| plan.0.futures.into_iter().map(TaskFuture::take).collect());
        }
    }
}

impl<R: Send + 'static> OfSeveral<R> for TryJoinAll<R> {
    fn several(&self) -> &Several<R> {
        &self.0
    }

    fn end_of_none(self) -> Result<Self::Output, TaskError> {
        Ok(Vec::new())
    }
}

impl<R: Send + 'static> TaskFuture<R> {
    /// Both results, or the first error that there is in time: then the other one is cancelled unless it has started.
    ///
    /// As [`join_all`], for two futures of different types.
    ///
    /// ```
    /// use latchwork::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let both = pool.spawn(|| 1).unwrap().zip(pool.spawn(|| "one").unwrap());
    /// assert_eq!(both.result(), Ok((1, "one")));
    /// ```
    #[doc(alias = "join")]
    pub fn zip<U: Send + 'static>(self, other: TaskFuture<U>) -> TaskFuture<(R, U)> {
        let (one, two) = (Arc::clone(self.task()), Arc::clone(other.task()));
        let derived = Arc::new(Derived::new(Zip {
            one: self,
            two: other,
            left: 2,
        }));
        follow(&one, &derived, 0);
        follow(&two, &derived, 1);
        TaskFuture::new(derived)
    }
}

struct Zip<A, B> {
    one: TaskFuture<A>,
    two: TaskFuture<B>,
    left: usize,
}

impl<A, B> Zip<A, B> {
    /// Why the one that has just ended has no result.
    fn error(&self, number: usize) -> Option<&TaskError> {
        match number {
            0 => self.one.error(),
            _ => self.two.error(),
        }
    }
}

impl<A: Send + 'static, B: Send + 'static> Plan for Zip<A, B> {
    type Output = (A, B);

    fn sources(&self) -> Sources {
        smallvec![
            Arc::clone(self.one.task()) as _,
            Arc::clone(self.two.task()) as _
        ]
    }

    fn ended(derived: &Arc<Derived<Self>>, number: usize) {
        let plan = derived.plan.lock().take_if(|plan| {
            plan.left -= 1;
            plan.left == 0 || plan.error(number).is_some()
        });
        let Some(plan) = plan else { return };
        let error = plan.error(number).cloned();
        match error {
            Some(error) => {
                derived.end_by(|| Err(error));
                Derived::let_go(plan);
            }
            None => derived.end_by(|| Ok((plan.one.take()?, plan.two.take()?))),
        }
    }
}
