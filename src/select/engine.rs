//! A wait for one of several things: a node in each line, one decision for all of them.
//!
//! ```text
//!   try every arm ---- done ------------------------------------------------> chosen
//!        |                                                                       ^
//!   line up, arm by arm ---- one needs no wait: decide it ourselves ----+        |
//!        |                                                              |        |
//!   stay until it is decided ---- nudged: poll the futures -- ready ----+---> part --+
//!        |                                                              |        |   |
//!        +--------------------------------------------------------------+        |   |
//!        ^                                              granted -----------------+   |
//!        +------ called in vain, or a try that failed -------------------------------+
//! ```
//!
//! What must stay true: when anything of the user's runs but a future's poll, and when a call returns or
//! unwinds, no arm is in a line, and whatever an arm was called for or given, and is not used, has been
//! passed on. Whoever leaves without choosing does it by [`Run::give_up`].

use super::arm::{Arm, Standing};
use super::arms::{Refs, Sealed};
use super::order::{Order, order};
use crate::GaveUp;
use crate::platform::{Moment, thread_id};
use crate::wait::decision::{CANCELLED, Decision, GRANTED, NUDGED, given_up, why};
use crate::wait::{Awaited, Kind, Limit, Spin, TASK, asleep};
use std::panic::Location;
use std::task::{Context, Poll, Waker};

static SELECT: Kind = Kind {
    name: "select",
    owner: None,
};

/// `n`, which has to be a number of arms that have numbers of their own.
pub(super) fn checked(n: usize) -> u16 {
    u16::try_from(n).expect("a select has at most 65,535 arms")
}

/// What a future remembers from one poll to the next.
#[derive(Default)]
pub(super) struct Memory {
    /// Whom the nodes wake, if it is the same for all.
    waker: Option<Waker>,
    /// When it began to wait.
    since: Option<Moment>,
}

/// The arms of one select in one call, or in one poll.
pub(super) struct Run<'s> {
    arms: Refs<'s>,
    order: Order,
    decision: &'s Decision,
    place: &'static Location<'static>,
    /// The arms have been left as they are to be.
    is_settled: bool,
}

impl<'s> Run<'s> {
    pub(super) fn new(
        arms: &'s mut impl Sealed,
        decision: &'s Decision,
        place: &'static Location<'static>,
    ) -> Run<'s> {
        let mut refs = Refs::new();
        arms.collect(&mut refs);
        let n = checked(refs.len());
        Run {
            arms: refs,
            order: order(n),
            decision,
            place,
            is_settled: false,
        }
    }

    /// Tries each of these arms, in an order of chance.
    fn attempt(
        &mut self,
        which: impl Fn(&mut dyn Arm) -> bool,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let Run { arms, order, .. } = self;
        let mut numbers = order.iter().map(|&number| usize::from(number));
        numbers.find(|&number| which(&mut *arms[number]) && arms[number].attempt(cx))
    }

    fn attempt_all(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        self.attempt(|_| true, cx)
    }

    /// The arm number `chosen` has what it wanted, and no arm stands: the others want nothing any more.
    fn choose(&mut self, chosen: usize) -> usize {
        self.is_settled = true;
        for (number, arm) in self.arms.iter_mut().enumerate() {
            if number != chosen {
                arm.resign();
            }
        }
        chosen
    }

    /// One try.
    pub(super) fn try_once(mut self) -> Option<usize> {
        let chosen = self.attempt_all(&mut Context::from_waker(Waker::noop()))?;
        Some(self.choose(chosen))
    }

    /// Blocks until an arm is chosen, at most as long as `limit` says. With futures, `cx` nudges the
    /// decision.
    pub(super) fn wait(mut self, limit: &Limit<'_>, cx: &mut Context<'_>) -> Result<usize, GaveUp> {
        let chosen = match self.attempt_all(cx) {
            Some(chosen) => chosen,
            None => self.wait_in_lines(limit, cx)?,
        };
        Ok(self.choose(chosen))
    }

    #[cold]
    fn wait_in_lines(&mut self, limit: &Limit<'_>, cx: &mut Context<'_>) -> Result<usize, GaveUp> {
        if let Err(why) = limit.check() {
            return self.last_attempt(why, cx);
        }
        assert!(
            !limit.is_none() || self.can_end(),
            "a select without arms and without a limit would wait for ever"
        );
        let awaited = self.awaited();
        let mut spin = Spin::new(awaited, limit);
        while self.arms.iter().any(|arm| !arm.crowded()) && spin.turn() {
            if let Some(chosen) = self.attempt(|arm| !arm.crowded() && arm.looks_good(), cx) {
                return Ok(chosen);
            }
        }
        let standing = Standing {
            decision: self.decision,
            // Somebody who polls a future may be long in coming when called, or wait for the caller.
            thread: match self.arms.iter().any(|arm| arm.is_future()) {
                true => TASK,
                false => thread_id(),
            },
            place: self.place,
            since: Moment::now(),
            waker: None,
        };
        loop {
            self.decision.begin_anew();
            // Also because futures must be polled after the beginning, which may have lost a nudge.
            if let Some(chosen) = self.attempt_all(cx) {
                return Ok(chosen);
            }
            let is_in_line = self.line_up(&standing);
            if is_in_line && let Some(chosen) = self.stay(&mut spin, limit, cx) {
                self.part_declining();
                return Ok(chosen);
            }
            match self.part() {
                Ok(granted) if self.arms[granted].take_grant() => return Ok(granted),
                // Called, and somebody was quicker.
                Ok(_) => spin = Spin::new(awaited, limit),
                Err(_) if !is_in_line => {}
                Err(outcome) => return self.last_attempt(why(outcome), cx),
            }
            if let Err(why) = limit.check() {
                return self.last_attempt(why, cx);
            }
        }
    }

    /// Whether an arm will ever be chosen, if the world is kind.
    fn can_end(&self) -> bool {
        self.arms.iter().any(|arm| !arm.is_dormant())
    }

    /// How to spend the time before sleeping: with patience if anything it waits for rewards that.
    fn awaited(&self) -> Awaited {
        let has = |awaited| self.arms.iter().any(|arm| arm.awaited() == awaited);
        match (has(Awaited::Traffic), has(Awaited::Held)) {
            (true, _) => Awaited::Traffic,
            (false, true) => Awaited::Held,
            (false, false) => Awaited::News,
        }
    }

    /// Sends the arms to their lines. False, with some of them there, when that need not be: one can be
    /// tried again, or has been granted meanwhile.
    fn line_up(&mut self, standing: &Standing<'_>) -> bool {
        let decision = self.decision;
        let mut arms = self.arms.iter_mut().zip(0..);
        arms.all(|(arm, number)| arm.enlist(standing, number) && decision.decided().is_none())
    }

    /// Until it is decided. The number of a future that was ready before.
    fn stay(
        &mut self,
        spin: &mut Spin<'_>,
        limit: &Limit<'_>,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        loop {
            let news = match self.decision.watch(spin) {
                Some(news) => news,
                None => {
                    let _asleep = asleep::tell(&SELECT, limit, self.decision);
                    self.decision.sleep(limit)
                }
            };
            if news != NUDGED {
                return None;
            }
            self.decision.take_nudge();
            let ready = self.attempt(|arm| arm.is_future(), cx);
            if ready.is_some() {
                return ready;
            }
            // A future that wakes whoever polls it would keep us from the sleep that looks at the limit.
            if let Err(why) = limit.check() {
                let _ = self.decision.settle(given_up(why));
                return None;
            }
        }
    }

    /// Leaves every line, having decided if nobody else has. `Ok`: the number of the arm that was granted,
    /// which is still to take notice of it; else the decision.
    fn part(&mut self) -> Result<usize, u32> {
        let _ = self.decision.settle(CANCELLED);
        let outcome = self.decision.decided().unwrap_or(CANCELLED);
        let granted = outcome.checked_sub(GRANTED).map(|number| number as usize);
        for (number, arm) in self.arms.iter_mut().enumerate() {
            if Some(number) != granted {
                arm.withdraw();
            }
        }
        granted.ok_or(outcome)
    }

    /// As `part`, with something chosen already: a grant that came first is passed on.
    fn part_declining(&mut self) {
        if let Ok(granted) = self.part() {
            self.arms[granted].decline();
        }
    }

    /// Not waiting any more. Who gives up because of the time takes what is there by now; who was
    /// cancelled wants nothing.
    fn last_attempt(&mut self, why: GaveUp, cx: &mut Context<'_>) -> Result<usize, GaveUp> {
        let last = match why {
            GaveUp::TimedOut => self.attempt_all(cx),
            GaveUp::Cancelled => None,
        };
        last.ok_or(why)
    }

    /// Goes on where the last poll stopped, or begins.
    pub(super) fn poll(mut self, cx: &mut Context<'_>, memory: &mut Memory) -> Poll<usize> {
        if self.stands() {
            if self.decision.decided().is_none() {
                self.set_waker(cx.waker(), &mut memory.waker);
                let ready = self.attempt(|arm| arm.is_future(), cx);
                if let Some(chosen) = ready {
                    self.part_declining();
                    return Poll::Ready(self.choose(chosen));
                }
            }
            // Asked again: the grant may have come before the waker was in place.
            if self.decision.decided().is_none() {
                self.is_settled = true;
                return Poll::Pending;
            }
            if let Ok(granted) = self.part()
                && self.arms[granted].take_grant()
            {
                return Poll::Ready(self.choose(granted));
            }
        }
        let standing = Standing {
            decision: self.decision,
            thread: TASK,
            place: self.place,
            since: *memory.since.get_or_insert_with(Moment::now),
            waker: Some(cx.waker()),
        };
        loop {
            self.decision.begin_anew();
            if let Some(chosen) = self.attempt_all(cx) {
                return Poll::Ready(self.choose(chosen));
            }
            assert!(self.can_end(), "a select without arms would wait for ever");
            if self.line_up(&standing) {
                memory.waker = Some(cx.waker().clone());
                self.is_settled = true;
                return Poll::Pending;
            }
            if let Ok(granted) = self.part()
                && self.arms[granted].take_grant()
            {
                return Poll::Ready(self.choose(granted));
            }
        }
    }

    fn stands(&self) -> bool {
        self.arms.iter().any(|arm| arm.stands())
    }

    /// Has each node wake `now`, if that is another one than `before`.
    fn set_waker(&self, now: &Waker, before: &mut Option<Waker>) {
        if before.as_ref().is_some_and(|before| before.will_wake(now)) {
            return;
        }
        // Until all of them are told, none is known.
        *before = None;
        self.arms.iter().for_each(|arm| arm.set_waker(now));
        *before = Some(now.clone());
    }

    /// Leaves every line, and leaves to others what the arms were given or called for.
    pub(super) fn give_up(&mut self) {
        if self.is_settled {
            return;
        }
        self.is_settled = true;
        if self.stands() {
            self.part_declining();
        }
        self.arms.iter_mut().for_each(|arm| arm.resign());
    }
}

/// Without a choice, or with a panic of a future, a waker or a comparison.
impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}
