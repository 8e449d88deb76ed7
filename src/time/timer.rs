//! [`Timer`]: a function that is called once its time has come, and the handle to it.

use super::place::Here;
use super::repeat::Every;
use super::task::{Control, Course, Job, Next, Task};
use super::{NEVER, Place, TimerError};
use crate::wait::time::{Alarm, Clock, now};
use crate::{GaveUp, Limit};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// A function that is to be called at an instant, and the way to wait for it or to call it off.
///
/// Timers ring in one thread for the whole process, `latchwork-timer`, in the order of their instants (those
/// within 4 microseconds of each other in the order in which they were set). A function that takes long
/// delays all others: have it called elsewhere with [`Scheduler::on`](super::Scheduler::on).
///
/// Dropping a timer lets it go on by itself. A panic of the function is printed as any other, comes back from
/// [`join`](Timer::join), and ends this timer alone.
///
/// # Time
///
/// By the monotonic clock, or by the [`ManualClock`](super::ManualClock) that the calling thread is on. Never
/// early; late by a wake-up, some 50 to 150 microseconds on an idle virtual machine.
///
/// # Cost
///
/// One allocation: 64 bytes and what the function has captured. To set, to cancel and to reset takes the same time
/// however many there are. The thread starts with the first timer, and sleeps while nothing is due.
///
/// # Panics
///
/// What sets a timer panics if the system refuses that thread.
///
/// # Source
///
/// Python's [`threading.Timer`](https://docs.python.org/3/library/threading.html#timer-objects), which takes
/// a thread each.
///
/// ```
/// use latchwork::time::{Cancel, Timer};
/// use std::time::Duration;
///
/// let soon = Timer::after(Duration::from_millis(1), || 6 * 7);
/// assert_eq!(soon.join().unwrap(), 42);
///
/// let late = Timer::after(Duration::from_secs(3600), || unreachable!("called off"));
/// assert_eq!(late.cancel(), Cancel::Prevented);
/// ```
#[doc(alias = "setTimeout")]
pub struct Timer<R = ()> {
    alarm: Arc<Alarm<dyn Job<R>>>,
    clock: Clock,
}

/// What a [cancellation](Timer::cancel) has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cancel {
    /// The function is not called, or not called again. Also when it had been cancelled before.
    Prevented,
    /// It is being called right now; one that repeats is not called again after that.
    Running,
    /// It was too late.
    Finished,
}

impl Cancel {
    /// Was it prevented?
    pub fn is_prevented(self) -> bool {
        self == Cancel::Prevented
    }
}

impl<R: Send + 'static> Timer<R> {
    /// Has `f` called after `delay`. One that is too long for the clock means never.
    pub fn after(delay: Duration, f: impl FnOnce() -> R + Send + 'static) -> Timer<R> {
        Timer::set(now().checked_add(delay), Single(f), Here)
    }

    /// Has `f` called at an instant; as soon as possible if that has passed.
    pub fn at(at: Instant, f: impl FnOnce() -> R + Send + 'static) -> Timer<R> {
        Timer::set(Some(at), Single(f), Here)
    }
}

impl Timer {
    /// Something that is to be called again and again, every `period`: say how, and [`run`](Every::run) it.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    #[doc(alias = "setInterval")]
    #[doc(alias = "interval")]
    pub fn every(period: Duration) -> Every {
        Every::new(period)
    }
}

impl<R: 'static> Timer<R> {
    /// Without an instant it is called in a hundred years.
    pub(super) fn set<C: Course<Output = R>, P: Place>(
        at: Option<Instant>,
        course: C,
        place: P,
    ) -> Timer<R> {
        Timer::set_and(at, course, place, |_, _| ())
    }

    /// As `set`; `before` is told of it before it can ring.
    pub(super) fn set_and<C: Course<Output = R>, P: Place>(
        at: Option<Instant>,
        course: C,
        place: P,
        before: impl FnOnce(Weak<Alarm<dyn Control>>, &Clock),
    ) -> Timer<R> {
        let clock = Clock::current();
        if let Err(error) = clock.start() {
            panic!("timers need a thread, and have got none: {error}");
        }
        let alarm = Arc::new(Alarm::new(Task::new(course, place)));
        before(Arc::downgrade(&alarm) as Weak<Alarm<dyn Control>>, &clock);
        let at = at.unwrap_or_else(|| clock.now() + NEVER);
        clock.timeline().arm(Arc::clone(&alarm), at);
        Timer { alarm, clock }
    }

    /// Calls it off: says whether that has prevented the call, or it is on its way, or it was too late.
    ///
    /// Once this says `Prevented`, what the function had captured is gone, too. From within the function itself it
    /// is `Running`, and one that repeats is not called again.
    pub fn cancel(&self) -> Cancel {
        let prevents = self.alarm.body.cancel();
        // Out of the wheel, so that nothing is left of it. It may be in it again if it is called right now.
        self.clock.timeline().disarm(&self.alarm);
        if prevents {
            return Cancel::Prevented;
        }
        if !self.is_finished() {
            return Cancel::Running;
        }
        if self.alarm.body.was_cancelled() {
            Cancel::Prevented
        } else {
            Cancel::Finished
        }
    }

    /// Has it called `delay` from now instead. False, and nothing has changed, if it is being called, or has
    /// been, or was cancelled. A delay that is too long for the clock is a hundred years.
    ///
    /// One that repeats goes on from there.
    pub fn reset(&self, delay: Duration) -> bool {
        let now = self.clock.now();
        self.reset_to(now.checked_add(delay).unwrap_or_else(|| now + NEVER))
    }

    /// As [`reset`](Timer::reset), to an instant.
    pub fn reset_to(&self, at: Instant) -> bool {
        self.clock.timeline().move_to(&self.alarm, at)
    }

    /// When it is to be called, if it is waiting for that: to 4 microseconds.
    pub fn due(&self) -> Option<Instant> {
        self.clock.timeline().set_for(&self.alarm)
    }

    /// Has it ended: returned, panicked, or been cancelled?
    #[doc(alias = "finished")]
    pub fn is_finished(&self) -> bool {
        self.alarm.body.ended().is_done()
    }

    /// Blocks until it has ended.
    #[track_caller]
    pub fn wait(&self) {
        self.alarm.body.ended().wait();
    }

    /// As [`wait`](Timer::wait), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.alarm.body.ended().wait_within(limit)
    }

    /// As [`wait`](Timer::wait), without blocking a thread.
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = ()> {
        self.alarm.body.ended().wait_async(Location::caller())
    }

    /// Blocks until it has ended, and returns what the function did. For one that repeats that is its end.
    ///
    /// From within the function itself this never returns, and is reported as a deadlock.
    ///
    /// # Errors
    ///
    /// Why there is nothing.
    #[track_caller]
    pub fn join(self) -> Result<R, TimerError> {
        self.wait();
        self.alarm.body.take()
    }

    /// What the function has returned, if it has ended; never blocks.
    ///
    /// # Errors
    ///
    /// The timer, if it has not ended.
    pub fn try_join(self) -> Result<Result<R, TimerError>, Timer<R>> {
        if self.is_finished() {
            Ok(self.alarm.body.take())
        } else {
            Err(self)
        }
    }

    /// As [`join`](Timer::join), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// The timer, and why it gave up.
    #[track_caller]
    pub fn join_within<'l>(
        self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<R, TimerError>, NotRung<R>> {
        match self.wait_within(limit) {
            Ok(()) => Ok(self.alarm.body.take()),
            Err(why) => Err(NotRung { timer: self, why }),
        }
    }

    /// As [`join`](Timer::join), without blocking a thread. Dropping the future lets the timer go on by itself.
    #[track_caller]
    pub fn join_async(self) -> impl Future<Output = Result<R, TimerError>> {
        let place = Location::caller();
        async move {
            self.alarm.body.ended().wait_async(place).await;
            self.alarm.body.take()
        }
    }
}

/// The timer had not ended when the call gave up. It is in here.
#[non_exhaustive]
pub struct NotRung<R = ()> {
    /// To wait again.
    pub timer: Timer<R>,
    /// Why the call gave up.
    pub why: GaveUp,
}

impl<R: 'static> fmt::Debug for NotRung<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotRung")
            .field("timer", &self.timer)
            .field("why", &self.why)
            .finish()
    }
}

impl<R> fmt::Display for NotRung<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<R: 'static> std::error::Error for NotRung<R> {}

impl<R: 'static> fmt::Debug for Timer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = |at: Instant| at.saturating_duration_since(self.clock.now());
        f.debug_struct("Timer")
            .field("due_in", &self.due().map(left))
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

/// Called once.
pub(super) struct Single<F>(pub(super) F);

impl<R: Send + 'static, F: FnOnce() -> R + Send + 'static> Course for Single<F> {
    type Output = R;
    const IS_SINGLE: bool = true;

    fn call(self, _tick: u64) -> Next<Single<F>> {
        Next::End((self.0)())
    }
}
