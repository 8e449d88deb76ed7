//! Futures that are made of several, one of whose results is wanted: [`race`], [`race_ok`].

use super::join::{OfSeveral, Several, start};
use super::task::{Derived, Plan, Sources};
use super::{TaskError, TaskFuture};
use std::sync::Arc;

/// What came of the first that ends, in whatever way, a cancellation included. The others are cancelled that have not
/// started; those that have go on, and their results are dropped.
///
/// Of none, it is [`TaskError::Lost`]. Cancelling it cancels all that have not started. No thread waits for them.
///
/// ```
/// use latchwork::executor::{promise, race};
///
/// let ((slow, later), (fast, sooner)) = (promise(), promise());
/// let first = race([later, sooner]);
/// fast.complete("hare").unwrap();
/// assert_eq!(first.result(), Ok("hare"));
/// assert_eq!(slow.complete("tortoise"), Err("tortoise"), "it was cancelled");
/// ```
#[doc(alias = "select")]
pub fn race<R: Send + 'static>(futures: impl IntoIterator<Item = TaskFuture<R>>) -> TaskFuture<R> {
    start(Race {
        several: Several::new(futures),
        wants_result: false,
    })
}

/// The first result that there is; if none has one, the last error. Otherwise as [`race`].
///
/// ```
/// use latchwork::executor::{promise, race_ok};
///
/// let ((bad, broken), (good, whole)) = (promise(), promise());
/// let first = race_ok([broken, whole]);
/// drop(bad);
/// good.complete(1).unwrap();
/// assert_eq!(first.result(), Ok(1));
/// ```
#[doc(alias = "any")]
#[doc(alias = "select_ok")]
pub fn race_ok<R: Send + 'static>(
    futures: impl IntoIterator<Item = TaskFuture<R>>,
) -> TaskFuture<R> {
    start(Race {
        several: Several::new(futures),
        wants_result: true,
    })
}

struct Race<R> {
    several: Several<R>,
    wants_result: bool,
}

impl<R: Send + 'static> Plan for Race<R> {
    type Output = R;
    const NEEDS_ALL: bool = false;

    fn sources(&self) -> Sources {
        self.several.sources()
    }

    fn ended(derived: &Arc<Derived<Self>>, number: usize) {
        let plan = derived.plan.lock().take_if(|plan| {
            plan.several.left -= 1;
            let is_enough = !plan.wants_result || !plan.several.has_failed(number);
            is_enough || plan.several.left == 0
        });
        if let Some(mut plan) = plan {
            let first = plan.several.futures.swap_remove(number);
            derived.end_by(|| first.take());
            Derived::let_go(plan);
        }
    }
}

impl<R: Send + 'static> OfSeveral<R> for Race<R> {
    fn several(&self) -> &Several<R> {
        &self.several
    }

    fn end_of_none(self) -> Result<R, TaskError> {
        Err(TaskError::Lost)
    }
}
