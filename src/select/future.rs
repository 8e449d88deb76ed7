//! The async way to wait for one of several things: the decision lives in the future, the nodes in its arms.

use super::arms::Arms;
use super::engine::{Memory, Run, checked};
use crate::wait::decision::Decision;
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A select that is run by being polled, on any runtime.
pub(super) struct SelectFuture<A: Arms> {
    /// `None` once one has been chosen.
    arms: Option<A>,
    decision: Decision,
    memory: Memory,
    place: &'static Location<'static>,
    _pinned: PhantomPinned,
}

impl<A: Arms> SelectFuture<A> {
    pub(super) fn new(arms: A, place: &'static Location<'static>) -> SelectFuture<A> {
        // Here already: the drop, which numbers them too, must not panic.
        checked(arms.count());
        SelectFuture {
            arms: Some(arms),
            decision: Decision::new(),
            memory: Memory::default(),
            place,
            _pinned: PhantomPinned,
        }
    }
}

impl<A: Arms> Future for SelectFuture<A> {
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        // SAFETY: the decision is never moved, and the arms only when none of them is in a line.
        let this = unsafe { self.get_unchecked_mut() };
        let arms = this.arms.as_mut().expect("polled after it was ready");
        let Poll::Ready(chosen) =
            Run::new(arms, &this.decision, this.place).poll(cx, &mut this.memory)
        else {
            return Poll::Pending;
        };
        let arms = this.arms.take().expect("they were there just now");
        Poll::Ready(arms.finish(chosen))
    }
}

impl<A: Arms> Drop for SelectFuture<A> {
    fn drop(&mut self) {
        // A pinned value stays in place until its drop has run, so the nodes are where they were linked.
        if let Some(arms) = &mut self.arms {
            drop(Run::new(arms, &self.decision, self.place));
        }
    }
}
