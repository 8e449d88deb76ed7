//! How a wait ends: one compare-and-swap, whoever makes it, for however many nodes.
//!
//! ```text
//!              begin to sleep            a waker of its own
//!   WAITING ------------------> ASLEEP ---------------------> NUDGED, and so does WAITING
//!      |                          |                             |
//!      +------------+-------------+-----------------------------+
//!                   |  one CAS, by a granter (bucket locked), by the waiter itself whose deadline
//!                   |  has passed, or by a cancel token (registry locked)
//!                   v
//!   GRANTED + which | TIMED_OUT | CANCELLED      final
//! ```
//!
//! A wait for one thing has one node and a decision beside it. A wait for one of several has a node in
//! each line, and all of them refer to one decision: the first grant decides for all, and a granter
//! that comes to another node finds that its waiter has given up, as far as that line goes.
//!
//! A nudge is no decision: it has a sleeper look at something that has no line, and go on waiting.
//!
//! Who publishes a final state must not touch the decision afterwards: the waiter may be gone the next
//! instant. Hence [`Decision::settle`], which copies what waking needs *before* the CAS and returns it.

use super::time::{self, DrivenDeadline};
use super::waiter::Wake;
use super::{Limit, Spin};
use crate::GaveUp;
use crate::platform::Signal;
use crate::platform::atomic::{AtomicU32, Ordering};

/// Undecided, and the waiter is awake (or is a task).
const WAITING: u32 = 0;
/// Undecided, and the thread sleeps or is about to: whoever decides must wake it.
const ASLEEP: u32 = 1;
/// Undecided, and the thread is awake and to look at what has no line before it sleeps.
pub(crate) const NUDGED: u32 = 2;
/// The deadline passed first.
pub(crate) const TIMED_OUT: u32 = 3;
/// A cancel token, or the waiter itself, came first.
pub(crate) const CANCELLED: u32 = 4;
/// A granter has given what `links.token` says to the waiter's first node; to the next ones with the
/// numbers from here on.
pub(crate) const GRANTED: u32 = 5;

/// What ends one wait.
pub(crate) struct Decision {
    state: AtomicU32,
    signal: Signal,
}

impl Decision {
    pub(crate) fn new() -> Decision {
        Decision {
            state: AtomicU32::new(WAITING),
            signal: Signal::new(),
        }
    }

    /// The final state, or `None` while the wait is undecided. Acquires what the decider did before.
    pub(crate) fn decided(&self) -> Option<u32> {
        let state = self.state.load(Ordering::Acquire);
        (state > NUDGED).then_some(state)
    }

    /// The one CAS. `Err` when somebody else has decided; else how to wake the waiter, if it sleeps.
    ///
    /// Release publishes what the decider did (the grant, the token) to the waiter's `decided`, or to
    /// the loser of this CAS, who acquires it.
    pub(crate) fn settle(&self, outcome: u32) -> Result<Option<Wake>, ()> {
        let handle = self.signal.handle(&self.state);
        let mut seen = WAITING;
        loop {
            match self
                .state
                .compare_exchange(seen, outcome, Ordering::Release, Ordering::Acquire)
            {
                Ok(ASLEEP) => return Ok(Some(Wake::Thread(handle))),
                Ok(_) => return Ok(None),
                Err(now) if now <= NUDGED => seen = now,
                Err(_) => return Err(()),
            }
        }
    }

    /// What there is for the waiter to see: a final state, or that it was nudged.
    fn news(&self) -> Option<u32> {
        let state = self.state.load(Ordering::Acquire);
        (state > ASLEEP).then_some(state)
    }

    /// Will a sleeper wake up, if it has not done so yet?
    pub(crate) fn has_news(&self) -> bool {
        self.news().is_some()
    }

    /// Watches for news, as long as `spin` has turns left. Called by the waiter.
    pub(crate) fn watch(&self, spin: &mut Spin<'_>) -> Option<u32> {
        loop {
            let news = self.news();
            if news.is_some() || !spin.turn() {
                return news;
            }
        }
    }

    /// Sleeps until there is news, from somebody else or by the limit. Called by the waiter.
    pub(crate) fn sleep(&self, limit: &Limit<'_>) -> u32 {
        // Dropped, and so taken out of the token's reach, before the decision can go away.
        let _registrations = limit.register(self);
        let deadline = limit.deadline();
        // On a clock that a test drives no sleep ends by itself.
        let driven = deadline.and_then(DrivenDeadline::new);
        let _driven = driven.as_ref().map(|driven| driven.register(self));
        let alarm = if driven.is_none() { deadline } else { None };
        let _ = self
            .state
            .compare_exchange(WAITING, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
        loop {
            if let Some(news) = self.news() {
                return news;
            }
            if deadline.is_some_and(|at| time::now() >= at) && self.settle(TIMED_OUT).is_ok() {
                return TIMED_OUT;
            }
            self.signal.sleep(&self.state, ASLEEP, alarm);
        }
    }

    /// Has the waiter look, if it still waits. For wakers, which may outlive the wait but not this.
    ///
    /// Always writes, even what is there: Release pairs with the Acquire of whoever takes the nudge or begins
    /// anew after it, and they see what there is to look at.
    pub(crate) fn nudge(&self) {
        let handle = self.signal.handle(&self.state);
        if self.state.fetch_max(NUDGED, Ordering::Release) == ASLEEP {
            handle.wake();
        }
    }

    /// The waiter is about to look. Acquires what those who nudged it did before.
    pub(crate) fn take_nudge(&self) {
        // Fails if there was none, or if it has been decided.
        let _ = self
            .state
            .compare_exchange(NUDGED, WAITING, Ordering::Acquire, Ordering::Relaxed);
    }

    /// Undecided again. Called by the waiter, of whose nodes none is in a line any more.
    ///
    /// A nudge that came with the decision, or after it, is forgotten: whoever begins anew looks first at
    /// what has no line. A swap, because a nudge is either before it, and what it is about is then there to be
    /// seen, or after it, and then it stays.
    pub(crate) fn begin_anew(&self) {
        if self.decided().is_some() {
            self.state.swap(WAITING, Ordering::Acquire);
        }
    }
}

/// The final state of a wait that its waiter gives up.
pub(crate) fn given_up(why: GaveUp) -> u32 {
    match why {
        GaveUp::Cancelled => CANCELLED,
        GaveUp::TimedOut => TIMED_OUT,
    }
}

/// The reason behind a final state that is not a grant.
pub(crate) fn why(state: u32) -> GaveUp {
    match state {
        CANCELLED => GaveUp::Cancelled,
        _ => GaveUp::TimedOut,
    }
}
