//! [`ManualClock`]: time that passes when a test says so.

use crate::wait::time::{Clock, Entered, Timeline};
use crate::{GaveUp, Limit};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A clock that stands still until it is advanced: deadlines and timers of the threads that are on it pass without
/// anybody's sleeping.
///
/// A thread is on it while it has [entered](ManualClock::enter) it, and so are the threads that it starts with
/// [`thread`](crate::thread) meanwhile. On it
///
/// * [`now`](super::now) is the clock's time;
/// * limits count by it: a wait under one ends when the clock is advanced past it;
/// * timers ring while it is advanced, in the thread that does so, each at its instant and in their order; one that
///   is set for an instant that has passed, as it is advanced again, be it by [`Duration::ZERO`];
/// * items of a [`DelayQueue`](crate::queue::DelayQueue) become due by it.
///
/// Only latchwork's calls go by it; what asks the machine (`Instant::now`, `std::thread::sleep`) does not, and
/// neither does another process.
///
/// Clones are the same clock, and a timer on it whose function has one keeps it. When the last of them is gone, time has come to its end: timers are
/// [`Lost`](super::TimerError::Lost), and waits with a deadline on it time out.
///
/// # Source
///
/// tokio's `time::pause` and `advance`, which are for a whole runtime.
///
/// ```
/// use latchwork::{queue::Queue, time::ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let queue = Queue::<u8>::bounded(1);
/// std::thread::scope(|s| {
///     let getter = s.spawn(|| clock.run(|| queue.get_within(Duration::from_secs(3600))));
///     clock.wait_until_armed(1); // It sleeps, and its deadline is known.
///     clock.advance(Duration::from_secs(3600));
///     assert!(getter.join().unwrap().unwrap_err().is_timed_out());
/// });
/// ```
#[doc(alias = "pause")]
#[doc(alias = "mock_clock")]
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

struct Shared {
    timeline: Arc<Timeline>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.timeline.stop();
    }
}

impl ManualClock {
    /// A clock that stands still at this moment.
    #[expect(
        clippy::new_without_default,
        reason = "when it is made says what time it is"
    )]
    pub fn new() -> ManualClock {
        ManualClock {
            shared: Arc::new(Shared {
                timeline: Arc::new(Timeline::driven()),
            }),
        }
    }

    fn timeline(&self) -> &Arc<Timeline> {
        &self.shared.timeline
    }

    fn clock(&self) -> Clock {
        Clock::driven(Arc::clone(self.timeline()))
    }

    /// What time it is by it.
    pub fn now(&self) -> Instant {
        self.timeline().driven_now()
    }

    /// Puts the calling thread on it, until the result is dropped.
    #[must_use = "the thread is on the clock until this is dropped"]
    pub fn enter(&self) -> OnClock<'_> {
        OnClock {
            _entered: self.clock().enter(),
            _clock: PhantomData,
        }
    }

    /// Runs `f` with the calling thread on it.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _on_it = self.enter();
        f()
    }

    /// Lets so much time pass: rings what becomes due on the way, in this thread, and wakes whose deadline passes.
    ///
    /// What a timer's function sets for an instant on the way rings, too. Once it returns all of that has been
    /// rung; threads whose wait it has ended have been woken, and may not have gone on yet.
    ///
    /// # Panics
    ///
    /// If the clock cannot tell an instant so late.
    pub fn advance(&self, by: Duration) {
        let to = self.now().checked_add(by);
        self.advance_to(to.expect("a time that the clock can tell"));
    }

    /// Lets time pass until an instant; one that has passed rings what is due now.
    ///
    /// # Panics
    ///
    /// If it is 584 years after the clock was made, or later: what is set for then never rings.
    pub fn advance_to(&self, at: Instant) {
        assert!(
            self.timeline().can_tell(at),
            "a time that the clock can tell"
        );
        let _on_it = self.enter();
        self.timeline().advance(at);
    }

    /// Lets time pass until the next timer or deadline, and returns when that was; `None`, and no time has
    /// passed, if nothing is set.
    pub fn advance_to_next(&self) -> Option<Instant> {
        let next = self.next()?;
        self.advance_to(next);
        Some(next)
    }

    /// When the next timer or deadline is.
    pub fn next(&self) -> Option<Instant> {
        self.timeline().next()
    }

    /// How many timers are set and sleeps have a deadline, by this clock.
    pub fn armed(&self) -> usize {
        self.timeline().armed()
    }

    /// Blocks, in real time, until so many timers and deadlines are set: so that a test can let pass what others
    /// are known to wait for.
    #[track_caller]
    pub fn wait_until_armed(&self, count: usize) {
        // Without a limit it does not give up.
        let _ = self.timeline().wait_until_armed(count, &Limit::none());
    }

    /// As [`wait_until_armed`](ManualClock::wait_until_armed), at most as long as `limit` says, by the clock that
    /// the calling thread is on. Should it be this one, the wait's own deadline is set by it, and counts.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn wait_until_armed_within<'l>(
        &self,
        count: usize,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), GaveUp> {
        self.timeline().wait_until_armed(count, &limit.into())
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now())
            .field("armed", &self.armed())
            .finish()
    }
}

/// The calling thread is on a [`ManualClock`] until this is dropped.
pub struct OnClock<'c> {
    _entered: Option<Entered>,
    /// Of this thread, so not to be sent to another.
    _clock: PhantomData<(&'c ManualClock, *const ())>,
}

impl fmt::Debug for OnClock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnClock").finish_non_exhaustive()
    }
}
