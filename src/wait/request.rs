//! What a primitive says about one operation that may have to wait, and the blocking way to run it.

use super::decision::{CANCELLED, Decision, GRANTED, why};
use super::lot::{self, Line};
use super::waiter::{Kind, Ticket, Waiter};
use super::{Awaited, Limit, Spin, asleep, deadlock};
use crate::GaveUp;
use crate::platform::{Moment, thread_id};
use std::panic::Location;

/// One operation on one primitive, as the engine sees it.
///
/// The engine promises: `enlist` and `leave` run under the bucket's lock of `address`, `granted`
/// follows a grant exactly once, `leave` follows a give-up exactly once, `decline` replaces
/// `granted` when a future is dropped after its grant, or a select has chosen something else; `resign` is
/// called by who gives up without standing in the line. The request promises: whenever it returns without
/// success it owes nothing that `enlist` or `resign` does not settle.
pub(crate) trait Request {
    type Output;
    const KIND: &'static Kind;
    /// How to spend the time before sleeping.
    const AWAITED: Awaited = Awaited::News;

    /// Where to wait: the address of the primitive's word, an atomic that the request borrows.
    fn address(&self) -> usize;

    /// Does it at once if that is possible. Cheap when it isn't, so it may be called in a spin.
    fn attempt(&mut self) -> Option<Self::Output>;

    /// In a spin, between two moments: is it time for an attempt?
    fn looks_good(&mut self) -> bool {
        true
    }

    /// Whether somebody is parked, so that spinning would be queue-jumping or a waste.
    fn crowded(&self) -> bool;

    /// Looks once more and marks the word: `Some(tag)` to wait, with the request's own number in the
    /// line; `None` when there is no need to, because another attempt may succeed.
    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize>;

    /// Called between linking and sleeping, with no lock held. Must not panic: the node is in the line.
    fn parked(&mut self) {}

    /// In a forked child, when it has just lined up, with no lock held: serves the line as if something had
    /// just been given up and nobody had been called. Whoever was to do that, and whoever had been called,
    /// may be a thread that did not come along. Must not panic: the node is in the line.
    fn mend(&mut self) {}

    /// A granter gave `token`. `None`: it was only a call to try again, and the try failed.
    fn granted(&mut self, token: usize) -> Option<Self::Output>;

    /// Whether the caller is prepared for a panic instead of a wait that would never end.
    fn may_panic(&self) -> bool {
        true
    }

    /// Gives up: whatever a call obliges the called one to is somebody else's from now on.
    fn resign(&mut self) {}

    /// Gave up and left the line: repairs the word, gives back what the tag says it was given.
    fn leave(&mut self, line: &mut Line<'_>, tag: usize);

    /// Gives a grant back that nobody will use.
    fn decline(&mut self, token: usize);
}

/// Runs a request whose first attempt has failed; blocks at most as long as `limit` says.
///
/// Order of events: the limit is looked at first (an elapsed one polls), then a short spin, then the
/// line, awake for the rest of the spin and then asleep. A time-out makes one last attempt, so what
/// became possible before it is not refused.
#[cold]
#[inline(never)]
pub(crate) fn wait<R: Request>(
    request: &mut R,
    limit: &Limit<'_>,
    place: &'static Location<'static>,
) -> Result<R::Output, GaveUp> {
    if let Err(why) = limit.check() {
        return last_attempt(request, why);
    }
    let mut spin = Spin::new(R::AWAITED, limit);
    while !request.crowded() && spin.turn() {
        if request.looks_good()
            && let Some(output) = request.attempt()
        {
            return Ok(output);
        }
    }
    let mut ticket = Ticket {
        address: request.address(),
        kind: R::KIND,
        thread: thread_id(),
        place,
        since: Moment::now(),
        again: false,
        arm: 0,
    };
    loop {
        let decision = Decision::new();
        let waiter = Waiter::new(ticket, None, &decision);
        if !lot::enlist(&waiter, request) {
            if let Some(output) = request.attempt() {
                return Ok(output);
            }
            if let Err(why) = limit.check() {
                return last_attempt(request, why);
            }
            continue;
        }
        request.parked();
        let state = match decision.watch(&mut spin) {
            Some(state) => state,
            None => sleep(&waiter, request, limit),
        };
        if state != GRANTED {
            lot::withdraw(&waiter, request);
            return last_attempt(request, why(state));
        }
        if let Some(output) = request.granted(waiter.token()) {
            return Ok(output);
        }
        // Called, and somebody was quicker. Whoever else wants it is not called meanwhile, so try hard.
        ticket.again = true;
        spin = Spin::new(R::AWAITED, limit);
        while spin.turn() {
            if request.looks_good()
                && let Some(output) = request.attempt()
            {
                return Ok(output);
            }
        }
        if let Err(why) = limit.check() {
            return last_attempt(request, why);
        }
    }
}

/// Sleeps in the line, after a look whether that could last for ever.
fn sleep<R: Request>(waiter: &Waiter, request: &mut R, limit: &Limit<'_>) -> u32 {
    match deadlock::enter(waiter, limit, request.may_panic()) {
        Ok(_entered) => {
            let _asleep = asleep::tell(R::KIND, limit, waiter.decision());
            waiter.decision().sleep(limit)
        }
        Err(deadlock) => {
            // Whoever was quicker with a grant has shown that it was not for ever after all.
            if waiter.decision().settle(CANCELLED).is_err() {
                return GRANTED;
            }
            lot::withdraw(waiter, request);
            request.resign();
            panic!("{deadlock}");
        }
    }
}

/// Not waiting any more. Who gives up because of the time takes what is there by now; who was
/// cancelled wants nothing.
fn last_attempt<R: Request>(request: &mut R, why: GaveUp) -> Result<R::Output, GaveUp> {
    if why == GaveUp::TimedOut
        && let Some(output) = request.attempt()
    {
        return Ok(output);
    }
    request.resign();
    Err(why)
}

/// [`wait`] without a limit.
pub(crate) fn wait_for_ever<R: Request>(
    request: &mut R,
    place: &'static Location<'static>,
) -> R::Output {
    match wait(request, &Limit::none(), place) {
        Ok(output) => output,
        Err(_) => unreachable!("a wait without a limit gave up"),
    }
}
