//! A future that is run as a task: [`Coroutine`].
//!
//! It is polled and dropped in the executor's thread alone, or before it is first polled where that makes no
//! difference. Its promise stays `Pending` until it ends: as long as that is so, the [`TaskFuture`] can be cancelled,
//! whose first callback then has the coroutine dropped. There is one decision, the promise's: a result that comes
//! after a cancellation is dropped.
//!
//! A panic does not leave it, of the future, its destructor, its result's or a callback's: async-task would abort the
//! process for some of them.

use super::shared::{Item, Shared};
use crate::executor::task::{Promise, promise};
use crate::executor::{SubmitError, SubmitRefusal, TaskError, TaskFuture};
use crate::panic::{catch, report};
use crate::thread::Context as Bindings;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Accepts the future that `into_future` makes of `value`, and gives it a first turn.
///
/// # Errors
///
/// The value, if it is too late.
///
/// # Safety
///
/// The caller is the executor's thread, or the future may be dropped by any thread before it is first polled.
pub(super) unsafe fn spawn<V, F>(
    shared: &Arc<Shared>,
    value: V,
    into_future: impl FnOnce(V) -> F,
) -> Result<TaskFuture<F::Output>, SubmitError<V>>
where
    F: Future + 'static,
    F::Output: Send + 'static,
{
    let Some(number) = shared.accept() else {
        return Err(SubmitError::new(value, SubmitRefusal::ShutDown));
    };
    let (promise, task) = promise();
    let coroutine = Coroutine {
        future: Some(into_future(value)),
        bindings: Bindings::current(),
        promise: Some(promise),
        shared: Arc::clone(shared),
        number,
    };
    let queue = Arc::clone(shared);
    let schedule = move |runnable| queue.queue.put(Item::Poll(runnable));
    // SAFETY: coroutine and schedule are 'static, and schedule is Send and Sync. The coroutine need not be Send:
    // runnables go nowhere but into the queue, which the executor's thread alone takes out of, and there they are
    // run or dropped. Only this first one may come from elsewhere, by the caller's promise.
    let (runnable, abort) = unsafe { async_task::spawn_unchecked(coroutine, schedule) };
    shared.enter_waker(number, runnable.waker());
    // After the end there is nothing to abort; after a cancellation there is.
    task.on_done(move |_| drop(abort));
    runnable.schedule();
    Ok(task)
}

struct Coroutine<F: Future> {
    /// Pinned. Gone at its end, before anybody is told of that.
    future: Option<F>,
    bindings: Bindings,
    promise: Option<Promise<F::Output>>,
    shared: Arc<Shared>,
    number: u64,
}

impl<F: Future> Coroutine<F> {
    /// The future is dropped, and the account is told. Once.
    fn end(&mut self) {
        let bindings = std::mem::take(&mut self.bindings);
        // SAFETY: it is pinned as long as the coroutine is, and dropped in its place.
        let mut future = unsafe { Pin::new_unchecked(&mut self.future) };
        report("a future, as it was dropped,", || {
            bindings.run(|| future.set(None));
        });
        self.shared.leave(self.number);
    }
}

impl<F: Future> Future for Coroutine<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the future is not moved: it is only reached by a pinned reference.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        let Some(future) = future.as_pin_mut() else {
            return Poll::Ready(());
        };
        let bindings = std::mem::take(&mut this.bindings);
        let polled = catch(|| {
            bindings.run(|| {
                let polled = future.poll(cx);
                // What it has bound is there again at its next turn.
                this.bindings = Bindings::current();
                polled
            })
        });
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(TaskError::Panicked(panic)),
        };
        this.end();
        report("a result that nobody wanted", || {
            if let Some(promise) = this.promise.take() {
                promise.end(result);
            }
        });
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Coroutine<F> {
    /// Before its end: it is cancelled already, or lost with the executor.
    fn drop(&mut self) {
        if self.promise.is_some() {
            self.end();
            report("what a lost task left behind", || drop(self.promise.take()));
        }
    }
}
