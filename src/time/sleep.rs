//! Sleeping, for threads and for tasks, and [`timeout`].

use super::now;
use crate::sync::completion::{Completion, Ending};
use crate::wait::Kind;
use crate::wait::decision::Decision;
use crate::wait::time::{Alarm, Clock, Ring};
use crate::{GaveUp, Limit};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Blocks the calling thread for so long. [`Duration::MAX`] is for ever.
///
/// By the clock that the thread is on: a [`ManualClock`](super::ManualClock) ends it when that says so. To sleep
/// until something happens or a time has passed, wait for that within a limit;
/// [`CancelToken::wait_within`](crate::CancelToken::wait_within) is a sleep that can be ended.
pub fn sleep(duration: Duration) {
    sleep_at_most(&Limit::from(duration));
}

/// Blocks the calling thread until an instant.
pub fn sleep_until(at: Instant) {
    sleep_at_most(&Limit::from(at));
}

fn sleep_at_most(limit: &Limit<'_>) {
    if limit.check().is_ok() {
        // Nobody else knows of it, so it ends by the limit alone.
        Decision::new().sleep(limit);
    }
}

/// A future that resolves after so long, counted from this call. [`Duration::MAX`] is never.
///
/// It needs no runtime: the thread that rings timers wakes the task. Late by a wake-up, never early.
///
/// # Panics
///
/// When it is first polled, if the system refuses that thread.
///
/// ```
/// # use std::{pin::pin, task::{Context, Waker, Poll}};
/// use latchwork::time::{ManualClock, sleep_async};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let mut nap = pin!(clock.run(|| sleep_async(Duration::from_secs(1))));
/// # let mut context = Context::from_waker(Waker::noop());
/// assert!(nap.as_mut().poll(&mut context).is_pending());
/// clock.advance(Duration::from_secs(1));
/// assert!(nap.as_mut().poll(&mut context).is_ready());
/// ```
#[track_caller]
pub fn sleep_async(duration: Duration) -> impl Future<Output = ()> + Send + 'static {
    chime(now().checked_add(duration), Location::caller())
}

/// A future that resolves once an instant has come.
///
/// # Panics
///
/// As [`sleep_async`].
#[track_caller]
pub fn sleep_until_async(at: Instant) -> impl Future<Output = ()> + Send + 'static {
    chime(Some(at), Location::caller())
}

/// Resolves at `at`, by the clock of whoever calls this.
fn chime(
    at: Option<Instant>,
    place: &'static Location<'static>,
) -> impl Future<Output = ()> + Send + 'static {
    let clock = Clock::current();
    async move {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        if at <= clock.now() {
            return;
        }
        let chime = SetChime::new(clock, at);
        // A clock that was advanced meanwhile rings only as it is advanced again.
        if at > chime.clock.now() {
            chime.alarm.body.0.wait_async(place).await;
        }
    }
}

/// Wakes a task.
struct Chime(Completion<Sleep>);

struct Sleep;

impl Ending for Sleep {
    const KIND: &'static Kind = &Kind {
        name: "Sleep",
        owner: None,
    };
}

impl Ring for Chime {
    fn ring(this: Arc<Alarm<Chime>>) {
        this.body.0.complete();
    }

    /// Nothing will ever end it otherwise.
    fn lost(this: Arc<Alarm<Chime>>) {
        this.body.0.complete();
    }
}

/// A chime that is set until this is dropped.
struct SetChime {
    alarm: Arc<Alarm<Chime>>,
    clock: Clock,
}

impl SetChime {
    fn new(clock: Clock, at: Instant) -> SetChime {
        if let Err(error) = clock.start() {
            panic!("timers need a thread, and have got none: {error}");
        }
        let alarm = Arc::new(Alarm::new(Chime(Completion::new())));
        clock.timeline().arm(Arc::clone(&alarm), at);
        SetChime { alarm, clock }
    }
}

impl Drop for SetChime {
    fn drop(&mut self) {
        self.clock.timeline().disarm(&self.alarm);
    }
}

/// Runs a future at most as long as `limit` says, counted from this call: with this every `op_async()` has a deadline
/// and a cancellation, too.
///
/// The future is polled first, so one that is ready is not refused; when the limit is reached it is dropped, and
/// what latchwork's futures had been granted by then goes to the next in line.
///
/// # Errors
///
/// Why it gave up.
///
/// # Panics
///
/// As [`sleep_async`], if the limit has a deadline.
///
/// ```
/// # use std::{pin::pin, task::{Context, Waker, Poll}};
/// use latchwork::{CancelToken, GaveUp, queue::Queue, time::timeout};
///
/// let (queue, token) = (Queue::<u8>::bounded(1), CancelToken::new());
/// let mut got = pin!(timeout(&token, queue.get_async()));
/// # let mut context = Context::from_waker(Waker::noop());
/// assert!(got.as_mut().poll(&mut context).is_pending());
/// token.cancel();
/// assert_eq!(got.as_mut().poll(&mut context), Poll::Ready(Err(GaveUp::Cancelled)));
/// ```
#[doc(alias = "wait_for")]
#[track_caller]
pub fn timeout<'l, F: Future>(
    limit: impl Into<Limit<'l>>,
    future: F,
) -> impl Future<Output = Result<F::Output, GaveUp>> {
    let limit = limit.into();
    let place = Location::caller();
    let deadline = limit.deadline();
    let end = deadline.map(|at| chime(Some(at), place));
    let token = limit.token();
    async move {
        let mut future = pin!(future);
        let mut cancelled = pin!(async {
            match token {
                Some(token) => token.wait_async().await,
                None => std::future::pending().await,
            }
        });
        let mut end = pin!(async {
            match end {
                Some(end) => end.await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if cancelled.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(GaveUp::Cancelled));
            }
            end.as_mut().poll(cx).map(|()| Err(GaveUp::TimedOut))
        })
        .await
    }
}
