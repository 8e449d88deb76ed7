//! One arm of a select, as the engine sees it: what it wants, its node, and what it has got.
//!
//! An arm knows nothing of the others. It keeps what it has got until the select is over, so that nothing
//! of the user's runs while an arm stands in a line; the exception is a future, whose poll is the user's
//! code, and which stands in no line itself.

use super::arms::{Arms, Refs, Sealed};
use crate::panic::contain;
use crate::platform::Moment;
use crate::wait::decision::Decision;
use crate::wait::{Awaited, Request, Ticket, Waiter, lot};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// What all the arms of one wait have in common while they stand in their lines.
pub struct Standing<'s> {
    pub(super) decision: &'s Decision,
    pub(super) thread: u32,
    pub(super) place: &'static Location<'static>,
    pub(super) since: Moment,
    /// For a task, whom to wake.
    pub(super) waker: Option<&'s Waker>,
}

/// One arm. After a `true` from `attempt` or `take_grant` it has what it wanted.
pub trait Arm {
    /// Can it never be chosen?
    fn is_dormant(&self) -> bool {
        false
    }

    /// Has it no line, and so to be asked again when its waker says so?
    fn is_future(&self) -> bool {
        false
    }

    /// Does it if that can be done now.
    fn attempt(&mut self, cx: &mut Context<'_>) -> bool;

    /// Would it be queue-jumping, or a waste, to try again without a call?
    fn crowded(&self) -> bool {
        true
    }

    /// In a spin, between two moments: is it time for an attempt?
    fn looks_good(&mut self) -> bool {
        false
    }

    /// How to spend the time before sleeping.
    fn awaited(&self) -> Awaited {
        Awaited::News
    }

    /// Goes to the line as its wait's node number `arm`. False if another attempt may succeed.
    fn enlist(&mut self, _standing: &Standing<'_>, _arm: u16) -> bool {
        true
    }

    /// Is its node in a line, or granted and not yet taken notice of?
    fn stands(&self) -> bool {
        false
    }

    /// Makes another one the waker, unless the wait has been decided.
    fn set_waker(&self, _waker: &Waker) {}

    /// Leaves the line: the wait was decided, and not by a grant to this arm.
    fn withdraw(&mut self) {}

    /// The wait was decided by a grant to this arm. False: that was a call, and somebody was quicker.
    fn take_grant(&mut self) -> bool {
        false
    }

    /// As `take_grant`, but something else has been chosen: what it was granted goes to the next.
    fn decline(&mut self) {}

    /// Wants nothing any more; whatever it owes for having been called is somebody else's.
    fn resign(&mut self) {}
}

/// A request, and what to do with its output.
pub struct On<Q: Request, F> {
    pub(super) request: Q,
    then: F,
    output: Option<Q::Output>,
    waiter: Option<Waiter>,
    /// It has been called and somebody was quicker, so it lines up in front.
    again: bool,
}

impl<Q: Request, F> On<Q, F> {
    pub(super) fn new(request: Q, then: F) -> On<Q, F> {
        On {
            request,
            then,
            output: None,
            waiter: None,
            again: false,
        }
    }

    /// Ends the node, which is in no line. A waker's drop is the user's, and other arms still stand.
    fn take_waiter(&mut self) -> Option<usize> {
        let waiter = self.waiter.take()?;
        let token = waiter.links.with(|links| {
            // SAFETY: a node in no line is ours alone: it was granted, or withdrawn, or never linked.
            unsafe { (*links).token }
        });
        contain(|| drop(waiter));
        Some(token)
    }
}

impl<Q: Request, F> Arm for On<Q, F> {
    fn attempt(&mut self, _cx: &mut Context<'_>) -> bool {
        self.output = self.request.attempt();
        self.output.is_some()
    }

    fn crowded(&self) -> bool {
        self.request.crowded()
    }

    fn looks_good(&mut self) -> bool {
        self.request.looks_good()
    }

    fn awaited(&self) -> Awaited {
        Q::AWAITED
    }

    fn enlist(&mut self, standing: &Standing<'_>, arm: u16) -> bool {
        let ticket = Ticket {
            address: self.request.address(),
            kind: Q::KIND,
            thread: standing.thread,
            place: standing.place,
            since: standing.since,
            again: self.again,
            arm,
        };
        let waiter = Waiter::new(ticket, standing.waker.cloned(), standing.decision);
        if lot::enlist(self.waiter.insert(waiter), &mut self.request) {
            self.request.parked();
            return true;
        }
        self.take_waiter();
        false
    }

    fn stands(&self) -> bool {
        self.waiter.is_some()
    }

    fn set_waker(&self, waker: &Waker) {
        if let Some(waiter) = &self.waiter {
            lot::set_waker(waiter, waker);
        }
    }

    fn withdraw(&mut self) {
        if let Some(waiter) = &self.waiter {
            lot::withdraw(waiter, &mut self.request);
            self.take_waiter();
        }
    }

    fn take_grant(&mut self) -> bool {
        self.again = true;
        let token = self.take_waiter();
        self.output = token.and_then(|token| self.request.granted(token));
        self.output.is_some()
    }

    fn decline(&mut self) {
        if let Some(token) = self.take_waiter() {
            self.request.decline(token);
        }
    }

    fn resign(&mut self) {
        self.again = false;
        self.request.resign();
    }
}

impl<Q: Request, F: FnOnce(Q::Output) -> R, R> Arms for On<Q, F> {
    type Output = R;
}

impl<Q: Request, F: FnOnce(Q::Output) -> R, R> Sealed for On<Q, F> {
    type Out = R;

    fn count(&self) -> usize {
        1
    }

    fn has_future(&self) -> bool {
        self.is_future()
    }

    fn collect<'s>(&'s mut self, into: &mut Refs<'s>) {
        into.push(self);
    }

    fn finish(self, _chosen: usize) -> R {
        (self.then)(
            self.output
                .expect("the arm that was chosen has got something"),
        )
    }
}

/// A future, and what to do with its output.
pub struct OnFuture<U: Future, F> {
    future: U,
    then: F,
    output: Option<U::Output>,
}

impl<U: Future, F> OnFuture<U, F> {
    pub(super) fn new(future: U, then: F) -> OnFuture<U, F> {
        OnFuture {
            future,
            then,
            output: None,
        }
    }
}

impl<U: Future + Unpin, F> Arm for OnFuture<U, F> {
    fn is_future(&self) -> bool {
        true
    }

    fn attempt(&mut self, cx: &mut Context<'_>) -> bool {
        match Pin::new(&mut self.future).poll(cx) {
            Poll::Ready(output) => self.output = Some(output),
            Poll::Pending => {}
        }
        self.output.is_some()
    }
}

impl<U: Future + Unpin, F: FnOnce(U::Output) -> R, R> Arms for OnFuture<U, F> {
    type Output = R;
}

impl<U: Future + Unpin, F: FnOnce(U::Output) -> R, R> Sealed for OnFuture<U, F> {
    type Out = R;

    fn count(&self) -> usize {
        1
    }

    fn has_future(&self) -> bool {
        self.is_future()
    }

    fn collect<'s>(&'s mut self, into: &mut Refs<'s>) {
        into.push(self);
    }

    fn finish(self, _chosen: usize) -> R {
        (self.then)(
            self.output
                .expect("the arm that was chosen has got something"),
        )
    }
}
