//! A request whose output is made into something else the moment it is there.
//!
//! What an operation has got is often a bare fact, "the permits are yours", until its face makes a guard
//! of it. Where other people's code may run in between, as in a select, it must be a guard before.

use super::lot::Line;
use super::{Awaited, Kind, Request};

/// `request`, with `make` called on each output.
pub(crate) struct Mapped<Q, M> {
    request: Q,
    make: M,
}

impl<Q: Request, O, M: FnMut(Q::Output) -> O> Mapped<Q, M> {
    pub(crate) fn new(request: Q, make: M) -> Mapped<Q, M> {
        Mapped { request, make }
    }
}

impl<Q: Request, O, M: FnMut(Q::Output) -> O> Request for Mapped<Q, M> {
    type Output = O;
    const KIND: &'static Kind = Q::KIND;
    const AWAITED: Awaited = Q::AWAITED;

    fn address(&self) -> usize {
        self.request.address()
    }

    fn attempt(&mut self) -> Option<O> {
        self.request.attempt().map(&mut self.make)
    }

    fn looks_good(&mut self) -> bool {
        self.request.looks_good()
    }

    fn crowded(&self) -> bool {
        self.request.crowded()
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        self.request.enlist(line)
    }

    fn parked(&mut self) {
        self.request.parked();
    }

    fn mend(&mut self) {
        self.request.mend();
    }

    fn granted(&mut self, token: usize) -> Option<O> {
        self.request.granted(token).map(&mut self.make)
    }

    fn may_panic(&self) -> bool {
        self.request.may_panic()
    }

    fn resign(&mut self) {
        self.request.resign();
    }

    fn leave(&mut self, line: &mut Line<'_>, tag: usize) {
        self.request.leave(line, tag);
    }

    fn decline(&mut self, token: usize) {
        self.request.decline(token);
    }
}
