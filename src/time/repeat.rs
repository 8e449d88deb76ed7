//! [`Every`]: a function that is called again and again.

use super::place::Here;
use super::scheduler::{Scheduled, Scheduler};
use super::task::{Course, Next};
use super::{Timer, now};
use crate::wait::time::Clock;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How something is to be called again and again; [`run`](Every::run) begins.
///
/// * **When**: every `period`, the first time after one. By default at a **fixed rate**: the instants are
///   the first one and whole periods after it, however late a call was or long it took, so it does not
///   drift. With [`fixed_delay`](Every::fixed_delay) a period lies between the end of a call and the next.
/// * **Never twice at a time**: a call begins after the last one has ended. What happens to those that this
///   makes late, says the [`Misfire`] policy.
/// * **Until** it is [cancelled](Timer::cancel), a call says [`stop`](Tick::stop), it has been called as often as
///   [`times`](Every::times) says, or it panics.
///
/// # Source
///
/// Java's `ScheduledExecutorService`; tokio's `interval` and its `MissedTickBehavior`. Python has none.
///
/// ```
/// use latchwork::time::{ManualClock, Timer};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let (send, received) = mpsc::channel();
/// let timer = clock.run(|| {
///     Timer::every(Duration::from_secs(60)).times(2).run(move |tick| {
///         send.send(tick.number()).unwrap();
///     })
/// });
/// clock.advance(Duration::from_secs(3600));
/// assert!(timer.join().is_ok());
/// assert_eq!(received.iter().collect::<Vec<_>>(), [0, 1]);
/// ```
#[must_use = "nothing is called before `run`"]
#[derive(Debug)]
pub struct Every {
    plan: Plan,
    first: Option<Instant>,
    scheduler: Option<Scheduler>,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    period: Duration,
    has_fixed_delay: bool,
    misfire: Misfire,
    times: Option<u64>,
}

/// What becomes of calls at a fixed rate whose instant has passed before the last one had ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Misfire {
    /// They are left out, and [counted](Tick::missed); the next is that of the next instant to come.
    #[default]
    Skip,
    /// They are made up for, one right after the other.
    CatchUp,
    /// One is made at once, and the next a period after that instant: the rate is fixed anew.
    Shift,
}

/// One call of something that repeats.
#[derive(Debug)]
pub struct Tick {
    number: u64,
    scheduled: Instant,
    missed: u64,
    is_last: Cell<bool>,
}

impl Tick {
    /// How many calls there were before.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The instant that it was meant for.
    pub fn scheduled(&self) -> Instant {
        self.scheduled
    }

    /// How many were left out since the last one, because they would have come too late.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Ends it: this call is the last.
    pub fn stop(&self) {
        self.is_last.set(true);
    }
}

impl Every {
    pub(super) fn new(period: Duration) -> Every {
        assert!(!period.is_zero(), "a period of zero never ends");
        Every {
            plan: Plan {
                period,
                has_fixed_delay: false,
                misfire: Misfire::default(),
                times: None,
            },
            first: now().checked_add(period),
            scheduler: None,
        }
    }

    pub(super) fn on(mut self, scheduler: &Scheduler) -> Every {
        self.scheduler = Some(scheduler.clone());
        self
    }

    /// A period from the end of each call to the next, instead of from instant to instant.
    pub fn fixed_delay(mut self) -> Every {
        self.plan.has_fixed_delay = true;
        self
    }

    /// What becomes of those that are late; at a fixed delay none is.
    pub fn misfire(mut self, misfire: Misfire) -> Every {
        self.plan.misfire = misfire;
        self
    }

    /// The first call at this instant; at once if it has passed.
    pub fn first_at(mut self, at: Instant) -> Every {
        self.first = Some(at);
        self
    }

    /// The first call so long from now. [`Duration::ZERO`] is at once.
    pub fn first_after(mut self, delay: Duration) -> Every {
        self.first = now().checked_add(delay);
        self
    }

    /// So many calls, and then it ends.
    ///
    /// # Panics
    ///
    /// If `times` is 0.
    pub fn times(mut self, times: u64) -> Every {
        assert!(times > 0, "to be called no times at all");
        self.plan.times = Some(times);
        self
    }

    /// Begins.
    ///
    /// # Panics
    ///
    /// As all that sets a [`Timer`].
    pub fn run(self, f: impl FnMut(&Tick) + Send + 'static) -> Timer {
        let repeated = Repeated {
            f,
            plan: self.plan,
            tick: Tick {
                number: 0,
                // Without a first there is none.
                scheduled: self.first.unwrap_or_else(now),
                missed: 0,
                is_last: Cell::new(self.plan.times == Some(1)),
            },
            clock: Clock::current(),
        };
        match self.scheduler {
            None => Timer::set(self.first, repeated, Here),
            Some(scheduler) => Scheduled::set(&scheduler, self.first, repeated),
        }
    }
}

struct Repeated<F> {
    f: F,
    plan: Plan,
    /// The next one.
    tick: Tick,
    clock: Clock,
}

impl<F: FnMut(&Tick) + Send + 'static> Course for Repeated<F> {
    type Output = ();
    const IS_SINGLE: bool = false;

    fn call(mut self, tick: u64) -> Next<Repeated<F>> {
        // A reset has moved it, and what is to come with it.
        self.tick.scheduled = self.clock.timeline().rung_for(tick, self.tick.scheduled);
        (self.f)(&self.tick);
        if self.tick.is_last.get() {
            return Next::End(());
        }
        let Some((next, missed)) = self.plan.after(self.tick.scheduled, self.clock.now()) else {
            return Next::End(());
        };
        let number = self.tick.number + 1;
        self.tick = Tick {
            number,
            scheduled: next,
            missed,
            is_last: Cell::new(self.plan.times == Some(number + 1)),
        };
        let clock = self.clock.clone();
        Next::Again(self, next, clock)
    }
}

impl Plan {
    /// When to call again, and how many are left out. `None`: not in this life.
    fn after(&self, scheduled: Instant, now: Instant) -> Option<(Instant, u64)> {
        if self.has_fixed_delay {
            return Some((now.checked_add(self.period)?, 0));
        }
        let next = scheduled.checked_add(self.period)?;
        if next > now {
            return Some((next, 0));
        }
        match self.misfire {
            Misfire::CatchUp => Some((next, 0)),
            Misfire::Shift => Some((now, 0)),
            Misfire::Skip => {
                // The first of the grid that is still to come.
                let late = now.duration_since(next).as_nanos();
                let period = self.period.as_nanos();
                let missed = late / period + 1;
                let ahead = period - late % period;
                let ahead = Duration::from_nanos(u64::try_from(ahead).ok()?);
                Some((now.checked_add(ahead)?, u64::try_from(missed).ok()?))
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn plan(misfire: Misfire) -> Plan {
        Every::new(Duration::from_secs(10)).misfire(misfire).plan
    }

    #[test]
    fn a_grid_stays_where_it_is() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for misfire in [Misfire::Skip, Misfire::CatchUp, Misfire::Shift] {
            assert_eq!(plan(misfire).after(at(10), at(13)), Some((at(20), 0)));
        }
        for (now, next, missed) in [(20, 30, 1), (29, 30, 1), (30, 40, 2), (64, 70, 5)] {
            let skipped = plan(Misfire::Skip).after(at(10), at(now));
            assert_eq!(skipped, Some((at(next), missed)), "at {now}");
        }
        assert_eq!(
            plan(Misfire::CatchUp).after(at(10), at(64)),
            Some((at(20), 0))
        );
        assert_eq!(
            plan(Misfire::Shift).after(at(10), at(64)),
            Some((at(64), 0))
        );
        let delayed = Every::new(Duration::from_secs(10)).fixed_delay().plan;
        assert_eq!(delayed.after(at(10), at(64)), Some((at(74), 0)));
    }

    #[test]
    fn a_period_beyond_the_clock_ends_it() {
        let now = Instant::now();
        for every in [
            Every::new(Duration::MAX),
            Every::new(Duration::MAX).fixed_delay(),
        ] {
            assert_eq!(every.first, None);
            assert_eq!(every.plan.after(now, now), None);
        }
    }
}
