//! How long a call may wait.

#[cfg(loom)]
use super::cancel::Canceller;
use super::cancel::{CancelToken, Registration};
use super::decision::Decision;
use super::time;
use crate::GaveUp;
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// How long an operation may wait: a deadline, a cancel token, both, or neither.
///
/// Every `*_within` call takes `impl Into<Limit>`: a [`Duration`] from now, an [`Instant`], a
/// [`&CancelToken`](CancelToken), or a token with a deadline from [`CancelToken::within`] and
/// [`CancelToken::until`].
///
/// * A zero duration, and an instant that has passed, poll: the operation is tried once.
/// * A duration too long to be added to the clock, [`Duration::MAX`] first of all, means no limit.
/// * An operation that can be done at once is done, even if the token has been cancelled already;
///   a call that would have to wait looks at the token first.
/// * Time is the monotonic clock's, or that of a [`ManualClock`](crate::time::ManualClock) that the calling
///   thread is on; a deadline is never early. How late it is depends on the
///   system's timers, usually under 100 microseconds.
///
/// ```
/// use latchwork::{CancelToken, GaveUp, Limit, sync::Event};
/// use std::time::Duration;
///
/// let never = Event::new();
/// assert_eq!(never.wait_within(Duration::ZERO), Err(GaveUp::TimedOut));
///
/// let token = CancelToken::new();
/// token.cancel();
/// assert_eq!(never.wait_within(&token), Err(GaveUp::Cancelled));
/// assert_eq!(never.wait_within(token.within(Duration::MAX)), Err(GaveUp::Cancelled));
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "timeout")]
pub struct Limit<'a> {
    deadline: Option<Instant>,
    token: Option<&'a CancelToken>,
    /// A modelled deadline: another modelled thread lets it pass.
    #[cfg(loom)]
    timer: Option<&'a Canceller>,
}

impl<'a> Limit<'a> {
    /// No limit: wait as long as it takes.
    pub fn none() -> Limit<'a> {
        Limit {
            deadline: None,
            token: None,
            #[cfg(loom)]
            timer: None,
        }
    }

    pub(crate) fn until(token: &'a CancelToken, deadline: Option<Instant>) -> Limit<'a> {
        let mut limit = Limit::none();
        limit.deadline = deadline;
        limit.token = Some(token);
        limit
    }

    /// Has the limit been reached? Cancellation is reported before a time-out.
    pub(crate) fn check(&self) -> Result<(), GaveUp> {
        if let Some(token) = self.token {
            token.check()?;
        }
        #[cfg(loom)]
        if self.timer.is_some_and(Canceller::has_fired) {
            return Err(GaveUp::TimedOut);
        }
        match self.deadline {
            Some(deadline) if time::now() >= deadline => Err(GaveUp::TimedOut),
            _ => Ok(()),
        }
    }

    /// As `check`, for whoever knows what time it is by the machine's clock.
    pub(crate) fn is_reached(&self, now: Instant) -> bool {
        let has_passed = |deadline| time::now_if_driven(now) >= deadline;
        self.token.is_some_and(CancelToken::is_cancelled) || self.deadline.is_some_and(has_passed)
    }

    /// Does a wait under it end only when it gets what it wants?
    pub(crate) fn is_none(&self) -> bool {
        #[cfg(loom)]
        if self.timer.is_some() {
            return false;
        }
        self.deadline.is_none() && self.token.is_none()
    }

    /// Who can end it.
    pub(crate) fn token(&self) -> Option<&'a CancelToken> {
        self.token
    }

    /// The instant at which to give up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Puts a decision within reach of whoever may end the wait, until the result is dropped.
    pub(crate) fn register<'w>(&self, decision: &'w Decision) -> SmallVec<[Registration<'w>; 1]>
    where
        'a: 'w,
    {
        let sources = self.token.map(CancelToken::canceller).into_iter();
        #[cfg(loom)]
        let sources = sources.chain(self.timer);
        sources.map(|source| source.register(decision)).collect()
    }
}

impl From<Duration> for Limit<'_> {
    fn from(duration: Duration) -> Self {
        Limit {
            deadline: time::now().checked_add(duration),
            ..Limit::none()
        }
    }
}

impl From<Instant> for Limit<'_> {
    fn from(deadline: Instant) -> Self {
        Limit {
            deadline: Some(deadline),
            ..Limit::none()
        }
    }
}

impl<'a> From<&'a CancelToken> for Limit<'a> {
    fn from(token: &'a CancelToken) -> Self {
        Limit::until(token, None)
    }
}

#[cfg(loom)]
impl<'a> From<&'a Canceller> for Limit<'a> {
    fn from(timer: &'a Canceller) -> Self {
        Limit {
            timer: Some(timer),
            ..Limit::none()
        }
    }
}

/// A limit that can be kept: for iterators that wait again at every step.
#[derive(Clone, Debug)]
pub(crate) struct OwnedLimit {
    deadline: Option<Instant>,
    token: Option<CancelToken>,
}

impl OwnedLimit {
    pub(crate) fn new(limit: Limit<'_>) -> OwnedLimit {
        OwnedLimit {
            deadline: limit.deadline,
            token: limit.token.cloned(),
        }
    }

    pub(crate) fn borrowed(&self) -> Limit<'_> {
        let mut limit = Limit::none();
        limit.deadline = self.deadline;
        limit.token = self.token.as_ref();
        limit
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_longest_duration_is_no_limit() {
        let limit = Limit::from(Duration::MAX);
        assert_eq!(limit.deadline(), None);
        assert_eq!(limit.check(), Ok(()));
    }

    #[test]
    fn cancellation_is_reported_before_a_time_out() {
        let token = CancelToken::new();
        let limit = token.within(Duration::ZERO);
        assert_eq!(limit.check(), Err(GaveUp::TimedOut));
        token.cancel();
        assert_eq!(limit.check(), Err(GaveUp::Cancelled));
    }

    #[test]
    fn an_owned_limit_is_the_same_limit() {
        let token = CancelToken::new();
        let deadline = Instant::now();
        let owned = OwnedLimit::new(token.until(deadline));
        assert_eq!(owned.borrowed().deadline(), Some(deadline));
        token.cancel();
        assert_eq!(owned.borrowed().check(), Err(GaveUp::Cancelled));
    }
}
