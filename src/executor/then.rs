//! Futures that are made of one other: [`TaskFuture::map`] and what is like it.
//!
//! The closure runs in the thread that ends the source, or in the one that makes the derived future if the source has
//! ended by then. It is run by whoever takes the plan out, and not at all if that is who cancels.

use super::task::{Derived, Hook, Outcome, Plan, Sources, Step, Watch, aside, relay};
use super::{Failure, TaskError, TaskFuture};
use crate::panic::catch;
use smallvec::smallvec;
use std::error::Error;
use std::marker::PhantomData;
use std::sync::Arc;

/// # What is made of a future
///
/// Each of these takes the future and gives another one, of a task that ends when this one has. No thread waits for
/// that: the closure runs in the thread that ends the task, after its callbacks, or at once, here, if it has ended. So it
/// should be short, and longer work be [given to a pool](TaskFuture::and_then). A panic in it is the derived future's
/// [`TaskError::Panicked`], and so is a source that was awaited to its end before. A source that has no result passes its error on, and no closure runs.
///
/// Cancelling a derived future also cancels what it is made of, unless that has started. Dropping it cancels nothing, and the
/// closure runs all the same. A chain of them, however long, ends without a call inside a call.
///
/// Cost: one allocation each, besides what the closure makes.
impl<R: Send + 'static> TaskFuture<R> {
    /// The result, changed by a closure.
    ///
    /// ```
    /// use latchwork::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let length = pool.spawn(|| String::from("four")).unwrap().map(|word| word.len());
    /// assert_eq!(length.result(), Ok(4));
    /// ```
    pub fn map<U: Send + 'static>(
        self,
        function: impl FnOnce(R) -> U + Send + 'static,
    ) -> TaskFuture<U> {
        self.map_result(|result| result.map(function))
    }

    /// What came of it, changed by a closure, which also sees why there is no result, and may say so itself.
    ///
    /// ```
    /// use latchwork::executor::promise;
    ///
    /// let (lost, future) = promise::<u8>();
    /// drop(lost);
    /// assert_eq!(future.map_result(|result| Ok(result.unwrap_or(7))).result(), Ok(7));
    /// ```
    #[doc(alias = "handle")]
    #[doc(alias = "or_else")]
    pub fn map_result<U: Send + 'static>(
        self,
        function: impl FnOnce(Result<R, TaskError>) -> Result<U, TaskError> + Send + 'static,
    ) -> TaskFuture<U> {
        let source = Arc::clone(self.task());
        let derived = Arc::new(Derived::new(Then {
            source: self,
            function,
            _gives: PhantomData,
        }));
        follow(&source, &derived, 0);
        TaskFuture::new(derived)
    }

    /// The result of a second task, which a closure submits when it has the first one's result.
    ///
    /// ```
    /// use latchwork::executor::ThreadPoolExecutor;
    /// use std::sync::Arc;
    ///
    /// let pool = Arc::new(ThreadPoolExecutor::new(1));
    /// let next = Arc::clone(&pool);
    /// let sum = pool
    ///     .spawn(|| vec![1, 2, 3])
    ///     .unwrap()
    ///     .and_then(move |numbers| next.spawn(move || numbers.iter().sum::<i32>()).unwrap());
    /// assert_eq!(sum.result(), Ok(6));
    /// ```
    #[doc(alias = "then")]
    #[doc(alias = "flat_map")]
    pub fn and_then<U: Send + 'static>(
        self,
        function: impl FnOnce(R) -> TaskFuture<U> + Send + 'static,
    ) -> TaskFuture<U> {
        let source = Arc::clone(self.task());
        let plan = AndThen::First(self, function);
        let derived = Arc::new(Derived::new(plan));
        follow(&source, &derived, 0);
        TaskFuture::new(derived)
    }
}

impl<T: Send + 'static, E: Send + 'static> TaskFuture<Result<T, E>> {
    /// Of a task that may return an error: the error becomes the future's, [`TaskError::Failed`].
    ///
    /// ```
    /// use latchwork::executor::{TaskError, ThreadPoolExecutor};
    /// use std::num::ParseIntError;
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// let parsed = pool.spawn(|| "x".parse::<u8>()).unwrap().flatten();
    /// match parsed.result() {
    ///     Err(TaskError::Failed(why)) => assert!(why.downcast_ref::<ParseIntError>().is_some()),
    ///     other => panic!("{other:?}"),
    /// }
    /// ```
    pub fn flatten(self) -> TaskFuture<T>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.map_result(|result| result?.map_err(|error| TaskError::Failed(Failure::new(error))))
    }
}

/// The derived task will be told of the source's end, or is told now.
pub(super) fn follow<R, P: Plan>(
    source: &Arc<dyn Outcome<R>>,
    derived: &Arc<Derived<P>>,
    number: usize,
) {
    let heir: Arc<dyn Watch> = Arc::clone(derived) as _;
    if let Some(Hook::Heir(heir, number)) = source.core().hook(Hook::Heir(heir, number)) {
        relay(Step::Ended(heir, number));
    }
}

struct Then<A, U, F> {
    source: TaskFuture<A>,
    function: F,
    _gives: PhantomData<fn() -> U>,
}

impl<A, U, F> Plan for Then<A, U, F>
where
    A: Send + 'static,
    U: Send + 'static,
    F: FnOnce(Result<A, TaskError>) -> Result<U, TaskError> + Send + 'static,
{
    type Output = U;

    fn sources(&self) -> Sources {
        smallvec![Arc::clone(self.source.task()) as _]
    }

    fn ended(derived: &Arc<Derived<Self>>, _number: usize) {
        if let Some(plan) = derived.take_plan() {
            let Then {
                source, function, ..
            } = plan;
            derived.end_by(|| aside(|| function(source.take())));
        }
    }
}

enum AndThen<A, U, F> {
    First(TaskFuture<A>, F),
    /// The closure is running.
    Between,
    Second(TaskFuture<U>),
}

impl<A, U, F> Plan for AndThen<A, U, F>
where
    A: Send + 'static,
    U: Send + 'static,
    F: FnOnce(A) -> TaskFuture<U> + Send + 'static,
{
    type Output = U;

    fn sources(&self) -> Sources {
        match self {
            AndThen::First(first, _) => smallvec![Arc::clone(first.task()) as _],
            AndThen::Between => smallvec![],
            AndThen::Second(second) => smallvec![Arc::clone(second.task()) as _],
        }
    }

    fn ended(derived: &Arc<Derived<Self>>, number: usize) {
        if number == SECOND {
            if let Some(AndThen::Second(second)) = derived.take_plan() {
                derived.end_by(|| second.take());
            }
            return;
        }
        let first = {
            let mut plan = derived.plan.lock();
            plan.as_mut()
                .map(|plan| std::mem::replace(plan, AndThen::Between))
        };
        let Some(AndThen::First(first, function)) = first else {
            return;
        };
        match call(|| first.take().map(function)) {
            Ok(second) => derived.go_on(second),
            Err(error) => {
                if derived.take_plan().is_some() {
                    derived.end_by(|| Err(error));
                }
            }
        }
    }
}

/// By what number a derived task knows the end of its second source.
const SECOND: usize = 1;

impl<A, U, F> Derived<AndThen<A, U, F>>
where
    A: Send + 'static,
    U: Send + 'static,
    F: FnOnce(A) -> TaskFuture<U> + Send + 'static,
{
    fn go_on(self: &Arc<Self>, second: TaskFuture<U>) {
        let source = Arc::clone(second.task());
        let unwanted = {
            let mut plan = self.plan.lock();
            match plan.as_mut() {
                Some(plan) => {
                    *plan = AndThen::Second(second);
                    None
                }
                None => Some(second),
            }
        };
        match unwanted {
            Some(second) => {
                second.cancel();
            }
            None => follow(&source, self, SECOND),
        }
    }
}

/// Runs the user's code; its panic is the error.
fn call<U>(function: impl FnOnce() -> Result<U, TaskError>) -> Result<U, TaskError> {
    match catch(|| aside(function)) {
        Ok(result) => result,
        Err(panic) => Err(TaskError::Panicked(panic)),
    }
}
