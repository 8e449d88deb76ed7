//! A task's request for a lock that needs something beside it: what keeps the lock alive, or the list
//! of locks of which it is one.
//!
//! What is asked of a word, and what is owed to it, is [`LockRequest`]'s business alone.

use super::RawLock;
use super::raw::LockRequest;
use crate::wait::lot::Line;
use crate::wait::{Awaited, Kind, Request, TASK};

/// What stands beside the request.
pub(in crate::sync) trait Beside<'a> {
    /// The lock is ours. Which one to want when the request is run again, if not the same?
    fn taken(&mut self) -> Option<&'a RawLock>;
}

/// Wants a lock for a task, and tells `beside` when it has it.
pub(in crate::sync) struct Indirect<'a, B> {
    /// First, because fields are dropped in their order and `beside` may be what keeps the word alive.
    direct: LockRequest<'a>,
    beside: B,
}

impl<'a, B: Beside<'a>> Indirect<'a, B> {
    pub(in crate::sync) fn new(word: &'a RawLock, beside: B) -> Indirect<'a, B> {
        Indirect {
            direct: LockRequest::new(word, TASK),
            beside,
        }
    }

    fn taken(&mut self) {
        if let Some(next) = self.beside.taken() {
            self.direct = LockRequest::new(next, TASK);
        }
    }
}

impl<'a, B: Beside<'a>> Request for Indirect<'a, B> {
    type Output = ();
    const KIND: &'static Kind = LockRequest::KIND;
    const AWAITED: Awaited = Awaited::Held;

    fn address(&self) -> usize {
        self.direct.address()
    }

    fn attempt(&mut self) -> Option<()> {
        self.direct.attempt().map(|()| self.taken())
    }

    fn crowded(&self) -> bool {
        self.direct.crowded()
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        self.direct.enlist(line)
    }

    fn mend(&mut self) {
        self.direct.mend();
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        self.direct.granted(token).map(|()| self.taken())
    }

    fn resign(&mut self) {
        self.direct.resign();
    }

    fn leave(&mut self, line: &mut Line<'_>, tag: usize) {
        self.direct.leave(line, tag);
    }

    fn decline(&mut self, token: usize) {
        self.direct.decline(token);
    }
}
