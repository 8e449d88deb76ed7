//! [`Clock`]: which timeline a call is on: the machine's, or one that a test drives.
//!
//! A thread is on the machine's unless it has entered another one. Limits, alarms and the time itself are
//! always those of the clock that the calling thread is on; whoever has to come back to an alarm keeps the
//! clock with it.

use super::timeline::Timeline;
use super::{Alarm, Ring, machine};
use crate::platform::thread_local;
use crate::wait::cancel::{Canceller, Registration};
use crate::wait::decision::Decision;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

thread_local! {
    /// The one that this thread has entered.
    static ENTERED: RefCell<Option<Arc<Timeline>>> = const { RefCell::new(None) };
}

/// How many threads are on another clock than the machine's. While it is nobody, asking costs one load.
/// Not modelled: it only saves a look.
static ELSEWHERE: AtomicUsize = AtomicUsize::new(0);

/// A timeline, to come back to.
#[derive(Clone)]
pub(crate) struct Clock(Option<Arc<Timeline>>);

impl Clock {
    /// The calling thread's.
    #[inline]
    pub(crate) fn current() -> Clock {
        // Relaxed: a thread that has entered one has counted itself.
        if ELSEWHERE.load(Ordering::Relaxed) == 0 {
            return Clock(None);
        }
        // A thread on its way out is on the machine's.
        let entered = ENTERED.try_with(|entered| entered.borrow().clone());
        Clock(entered.unwrap_or_default())
    }

    pub(crate) fn driven(timeline: Arc<Timeline>) -> Clock {
        Clock(Some(timeline))
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        match &self.0 {
            Some(timeline) => timeline,
            None => machine::timeline(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        match &self.0 {
            Some(timeline) => timeline.driven_now(),
            None => Instant::now(),
        }
    }

    /// Makes sure that alarms ring, which by the machine's clock takes a thread.
    pub(crate) fn start(&self) -> io::Result<()> {
        match &self.0 {
            Some(_) => Ok(()),
            None => machine::start(),
        }
    }

    /// As `enter`, for a thread that is on the machine's clock, unless that is this one.
    pub(crate) fn enter_driven(&self) -> Option<Entered> {
        self.0.is_some().then(|| self.enter())
    }

    /// Puts the calling thread on this clock until the result is dropped.
    pub(crate) fn enter(&self) -> Entered {
        let before = ENTERED.with(|entered| entered.replace(self.0.clone()));
        ELSEWHERE.fetch_add(1, Ordering::Relaxed);
        Entered(before)
    }
}

/// The clock that the thread goes back to.
pub(crate) struct Entered(Option<Arc<Timeline>>);

impl Drop for Entered {
    fn drop(&mut self) {
        // Outside of the cell: a timeline's drop tells its alarms, which may ask for the clock.
        let last = ENTERED.try_with(|entered| entered.replace(self.0.take()));
        ELSEWHERE.fetch_sub(1, Ordering::Relaxed);
        drop(last);
    }
}

/// What time it is, by the clock that the calling thread is on.
#[inline]
pub(crate) fn now() -> Instant {
    Clock::current().now()
}

/// `real`, or what time it is by the clock that a test drives. For who knows the machine's time already.
#[inline]
pub(crate) fn now_if_driven(real: Instant) -> Instant {
    match Clock::current() {
        Clock(Some(timeline)) => timeline.driven_now(),
        Clock(None) => real,
    }
}

/// A deadline on a clock that a test drives: it ends the waits that are registered with it.
pub(crate) struct DrivenDeadline {
    timeline: Arc<Timeline>,
    alarm: Arc<Alarm<Ending>>,
}

struct Ending(Canceller);

impl Ring for Ending {
    fn ring(this: Arc<Alarm<Ending>>) {
        this.body.0.fire();
    }

    /// With the end of time, every deadline has come.
    fn lost(this: Arc<Alarm<Ending>>) {
        this.body.0.fire();
    }
}

impl DrivenDeadline {
    /// `None` by the machine's clock, by which a sleep ends without help.
    ///
    /// The caller looks at the clock after this: an instant that has passed rings only as time goes on.
    pub(crate) fn new(at: Instant) -> Option<DrivenDeadline> {
        let timeline = Clock::current().0?;
        let alarm = Arc::new(Alarm::new(Ending(Canceller::timer())));
        timeline.arm(Arc::clone(&alarm), at);
        Some(DrivenDeadline { timeline, alarm })
    }

    pub(crate) fn register<'w>(&'w self, decision: &'w Decision) -> Registration<'w> {
        self.alarm.body.0.register(decision)
    }
}

impl Drop for DrivenDeadline {
    fn drop(&mut self) {
        self.timeline.disarm(&self.alarm);
    }
}
