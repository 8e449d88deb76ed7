//! [`block_on`]: runs a future on the calling thread, which sleeps while the future does.
//!
//! A wake-up sets a flag, and the thread takes it down before it polls. So one that comes while the future is
//! polled leads to another poll, one that comes for nothing costs one, and none is lost. So it does no harm either if
//! the flag is that of an earlier call in the same thread, of which somebody has kept a waker.

use crate::platform::thread_local;
use crate::sync::Event;
use crate::{GaveUp, Limit};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Runs a future to its end on this thread, and returns what it does.
///
/// The thread sleeps whenever the future has to wait, and polls it once for each wake-up, or for several that come
/// together. Any future will do: ours, a [`TaskFuture`](super::TaskFuture), or one that another runtime's threads
/// wake. It may be called wherever a thread may block, from a future that is run by another `block_on`, too.
///
/// Within a [`LocalExecutor`](super::LocalExecutor) it holds up that executor's other tasks, so do not wait for
/// one of them by it.
///
/// # Panics
///
/// With the future.
///
/// # Cost
///
/// An allocation for a thread's first call, and for one within another. No system call but for sleeping.
///
/// # Source
///
/// Python's [`asyncio.run`](https://docs.python.org/3/library/asyncio-runner.html#asyncio.run), without a loop for
/// further tasks; that is [`LocalExecutor::run`](super::LocalExecutor::run).
///
/// ```
/// use latchwork::executor::{ThreadPoolExecutor, block_on};
///
/// let pool = ThreadPoolExecutor::new(2);
/// let sum = block_on(async {
///     let (one, two) = (pool.spawn(|| 1)?, pool.spawn(|| 2)?);
///     Ok::<_, Box<dyn std::error::Error>>(one.await? + two.await?)
/// });
/// assert_eq!(sum.unwrap(), 3);
/// ```
#[track_caller]
#[doc(alias = "run")]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match block_on_within(future, Limit::none()) {
        Ok(output) => output,
        Err(_) => unreachable!("gave up without a limit"),
    }
}

/// As [`block_on`], at most as long as `limit` says.
///
/// The future is polled before the limit is looked at, and once more when it has been reached. A future that was
/// given by value is dropped then, and whatever ours had been granted goes to the next in line; one that is to be
/// gone on with is lent: `&mut` of what is pinned.
///
/// # Errors
///
/// Why it gave up.
///
/// # Panics
///
/// With the future.
///
/// ```
/// use latchwork::executor::block_on_within;
/// use latchwork::{GaveUp, queue::Queue};
/// use std::{pin::pin, time::Duration};
///
/// let queue = Queue::bounded(1);
/// let mut got = pin!(queue.get_async());
/// assert_eq!(block_on_within(&mut got, Duration::from_millis(1)), Err(GaveUp::TimedOut));
/// queue.put(7)?;
/// assert_eq!(block_on_within(&mut got, Duration::ZERO), Ok(Ok(7)));
/// # Ok::<(), latchwork::queue::PutError<i32>>(())
/// ```
#[track_caller]
pub fn block_on_within<'l, F: Future>(
    future: F,
    limit: impl Into<Limit<'l>>,
) -> Result<F::Output, GaveUp> {
    let limit = limit.into();
    let mut future = pin!(future);
    let woken = InUse::new();
    let waker = Waker::from(Arc::clone(&woken.0));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        // Also for a future that wakes itself, so that the wait never sees the limit.
        limit.check()?;
        // If this gives up, the next check says so; before it, the future gets its last poll.
        let _ = woken.0.0.wait_within(limit);
        woken.0.0.clear();
    }
}

thread_local! {
    /// This thread's, unless it is in use.
    static SPARE: Cell<Option<Arc<Woken>>> = const { Cell::new(None) };
}

/// The thread's own, which goes back to it.
struct InUse(Arc<Woken>);

impl InUse {
    fn new() -> InUse {
        // In a destructor at the thread's end there may be no place for it any more.
        let spare = SPARE.try_with(Cell::take).unwrap_or_default();
        InUse(spare.unwrap_or_else(|| Arc::new(Woken(Event::new()))))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let _ = SPARE.try_with(|spare| spare.set(Some(Arc::clone(&self.0))));
    }
}

/// Up when the future is to be polled.
struct Woken(Event);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.set();
    }
}
