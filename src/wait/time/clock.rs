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
    /// Those that this thread has entered; it is on the last. One that is left before a later one leaves its place
    /// empty, and the last place never is.
    static ENTERED: RefCell<Vec<Option<Arc<Timeline>>>> = const { RefCell::new(Vec::new()) };
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
        let last = ENTERED.try_with(|entered| entered.borrow().last().cloned().flatten());
        Clock(last.unwrap_or_default())
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

    /// Puts the calling thread on this clock until the result is dropped. `None` by the machine's, on which it
    /// begins, and for a thread on its way out, which stays on that.
    pub(crate) fn enter(&self) -> Option<Entered> {
        let timeline = self.0.clone()?;
        let place = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            entered.push(Some(timeline));
            entered.len() - 1
        });
        let place = place.ok()?;
        ELSEWHERE.fetch_add(1, Ordering::Relaxed);
        Some(Entered(place))
    }
}

/// Leaves all that the calling thread has entered, and what it has forgotten to leave: whoever rings for everybody
/// sleeps by the machine's clock, whatever it has called.
pub(super) fn leave_all() {
    if ELSEWHERE.load(Ordering::Relaxed) != 0 {
        // Dropped outside of the cell.
        let left = ENTERED.try_with(RefCell::take);
        drop(left);
    }
}

/// A place among those that the thread has entered.
pub(crate) struct Entered(usize);

impl Drop for Entered {
    fn drop(&mut self) {
        // Outside of the cell: a timeline's drop tells its alarms, which may ask for the clock.
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let left = entered.get_mut(self.0).and_then(Option::take);
            while entered.last().is_some_and(Option::is_none) {
                entered.pop();
            }
            left
        });
        ELSEWHERE.fetch_sub(1, Ordering::Relaxed);
        drop(left);
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
