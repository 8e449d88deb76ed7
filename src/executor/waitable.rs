//! [`Waitable`]: futures whose results are forgotten, so that several can be waited for whatever they give.

use super::helping;
use super::task::{Hook, Job, Watch};
use super::thread_pool::is_of;
use super::{SharedFuture, TaskError, TaskFuture, TaskId};
use crate::Limit;
use std::panic::Location;
use std::sync::Arc;

/// What [`wait`](super::wait) and [`as_completed`](super::as_completed) take: a [`TaskFuture`], a [`SharedFuture`], a
/// reference to one, or, for futures of different results, a `&dyn Waitable` or a `Box<dyn Waitable>`. Of whichever
/// executors.
///
/// ```
/// use latchwork::executor::{ReturnWhen, ThreadPoolExecutor, Waitable, wait};
///
/// let pool = ThreadPoolExecutor::new(2);
/// let (number, text) = (pool.spawn(|| 1).unwrap(), pool.spawn(|| "one").unwrap());
/// let both: [&dyn Waitable; 2] = [&number, &text];
/// assert_eq!(wait(both, ReturnWhen::AllCompleted, latchwork::Limit::none()).done, [0, 1]);
/// assert_eq!((number.result(), text.result()), (Ok(1), Ok("one")));
/// ```
pub trait Waitable: Watched {}

/// Nobody else can have it.
pub trait Watched {
    fn id(&self) -> TaskId;
    fn is_done(&self) -> bool;
    fn error(&self) -> Option<&TaskError>;
    fn job(&self) -> Arc<dyn Job>;
    /// The watcher will be told of the end, which has not come. False if it has.
    fn watch(&self, watcher: Arc<dyn Watch>, number: usize) -> bool;
    /// It will not be told any more, or is being told at this moment.
    fn unwatch(&self, watcher: *const ());
    /// Waits for it as `TaskFuture::wait`, if this thread is a worker of its pool.
    fn wait_if_ours(&self, place: &'static Location<'static>);
}

impl<R: 'static> Watched for TaskFuture<R> {
    fn id(&self) -> TaskId {
        TaskFuture::id(self)
    }

    fn is_done(&self) -> bool {
        TaskFuture::is_done(self)
    }

    fn error(&self) -> Option<&TaskError> {
        TaskFuture::error(self)
    }

    fn job(&self) -> Arc<dyn Job> {
        Arc::clone(self.task()) as _
    }

    fn watch(&self, watcher: Arc<dyn Watch>, number: usize) -> bool {
        let hook = Hook::Watcher(watcher, number);
        self.core().hook(hook).is_none()
    }

    fn unwatch(&self, watcher: *const ()) {
        self.core().unwatch(watcher);
    }

    fn wait_if_ours(&self, place: &'static Location<'static>) {
        if is_of(self.task().home()) {
            helping::wait(self.task(), &Limit::none(), place).expect("without a limit");
        }
    }
}

macro_rules! by_reference {
    ($([$($generics:tt)*] $by:ty,)*) => { $(
        impl<$($generics)*> Watched for $by {
            fn id(&self) -> TaskId {
                (**self).id()
            }

            fn is_done(&self) -> bool {
                (**self).is_done()
            }

            fn error(&self) -> Option<&TaskError> {
                (**self).error()
            }

            fn job(&self) -> Arc<dyn Job> {
                (**self).job()
            }

            fn watch(&self, watcher: Arc<dyn Watch>, number: usize) -> bool {
                (**self).watch(watcher, number)
            }

            fn unwatch(&self, watcher: *const ()) {
                (**self).unwatch(watcher);
            }

            fn wait_if_ours(&self, place: &'static Location<'static>) {
                (**self).wait_if_ours(place);
            }
        }

    )* };
}

by_reference! {
    [W: Watched + ?Sized] &W,
    [W: Watched + ?Sized] Box<W>,
    [R: 'static] SharedFuture<R>,
}

impl<W: Waitable + ?Sized> Waitable for &W {}
impl<W: Waitable + ?Sized> Waitable for Box<W> {}
impl<R: 'static> Waitable for TaskFuture<R> {}
impl<R: 'static> Waitable for SharedFuture<R> {}
