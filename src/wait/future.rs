//! The async way to run a request: the waiter lives in the future instead of on a stack.

use super::Request;
use super::decision::{Decision, GRANTED};
use super::lot;
use super::waiter::{Ticket, Waiter};
use crate::platform::{Moment, thread_id};
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The waiting id of a task: a future may be polled by any thread.
pub(crate) const TASK: u32 = 1;

/// A request that is run by being polled, on any runtime.
///
/// Dropping it gives up: what it was granted and has not returned goes to the next in line.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct WaitFuture<R: Request> {
    request: R,
    place: &'static Location<'static>,
    waiter: Option<Waiter>,
    /// The waiter's, if there is one.
    decision: Decision,
    /// Begun and not brought to an end: a call may have been answered and nothing been got by it.
    is_trying: bool,
    _pinned: PhantomPinned,
}

impl<R: Request> WaitFuture<R> {
    #[track_caller]
    pub(crate) fn new(request: R) -> WaitFuture<R> {
        WaitFuture::at(request, Location::caller())
    }

    /// As `new`, for a request that is made later than the call that it belongs to.
    pub(crate) fn at(request: R, place: &'static Location<'static>) -> WaitFuture<R> {
        WaitFuture {
            request,
            place,
            waiter: None,
            decision: Decision::new(),
            is_trying: false,
            _pinned: PhantomPinned,
        }
    }
}

impl<R: Request> Future for WaitFuture<R> {
    type Output = R::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R::Output> {
        // SAFETY: nothing is moved out of the pinned value; a waiter that may be linked is only
        // replaced after it has been granted, which unlinks it.
        let this = unsafe { self.get_unchecked_mut() };
        this.is_trying = true;
        let polled = this.run(cx);
        this.is_trying = polled.is_pending();
        polled
    }
}

impl<R: Request> WaitFuture<R> {
    /// Called in its place. Cloning and dropping a waker may panic.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<R::Output> {
        let mut since = Moment::now();
        let mut again = false;
        if let Some(waiter) = &self.waiter {
            if self.decision.decided().is_none() {
                lot::set_waker(waiter, cx.waker());
            }
            // Asked again: the grant may have come before the waker was in place.
            match self.decision.decided() {
                None => return Poll::Pending,
                Some(state) => debug_assert_eq!(state, GRANTED, "only a drop gives up"),
            }
            since = waiter.ticket.since;
            again = true;
            let token = waiter.token();
            self.waiter = None;
            if let Some(output) = self.request.granted(token) {
                return Poll::Ready(output);
            }
        }
        loop {
            if let Some(output) = self.request.attempt() {
                return Poll::Ready(output);
            }
            let ticket = Ticket {
                address: self.request.address(),
                kind: R::KIND,
                thread: TASK,
                place: self.place,
                since,
                again,
                arm: 0,
            };
            self.decision.begin_anew();
            // For a fork: it may lie in a frame of this thread, which is known by its id.
            thread_id();
            let waiter = Waiter::new(ticket, Some(cx.waker().clone()), &self.decision);
            if lot::enlist(self.waiter.insert(waiter), &mut self.request) {
                self.request.parked();
                return Poll::Pending;
            }
            self.waiter = None;
        }
    }
}

impl<R: Request> Drop for WaitFuture<R> {
    fn drop(&mut self) {
        // A pinned value stays in place until its drop has run, so the node is where it was linked.
        if let Some(waiter) = &self.waiter {
            if !lot::abandon(waiter, &mut self.request) {
                let token = waiter.token();
                self.request.decline(token);
            }
        } else if self.is_trying {
            // A waker panicked after a call.
            self.request.resign();
        }
    }
}
