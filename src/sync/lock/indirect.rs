//! A task's request for a lock that the request has to find: in an `Arc` it keeps alive, or in a
//! list of locks that are taken one after the other.
//!
//! What is asked of the word, and what is owed to it, is [`LockRequest`]'s business alone.

use super::RawLock;
use super::raw::LockRequest;
use crate::wait::lot::Line;
use crate::wait::{Kind, Request, TASK};

/// Where the lock is.
pub(in crate::sync) trait Target {
    /// The same one until it is taken.
    fn word(&self) -> &RawLock;

    /// It is ours now.
    fn taken(&mut self);
}

/// Wants the target's lock for a task.
pub(in crate::sync) struct Indirect<L>(pub(in crate::sync) L);

impl<L: Target> Indirect<L> {
    fn direct(&self) -> LockRequest<'_> {
        LockRequest {
            lock: self.0.word(),
            owner: TASK,
        }
    }
}

impl<L: Target> Request for Indirect<L> {
    type Output = ();
    const KIND: &'static Kind = LockRequest::KIND;

    fn address(&self) -> usize {
        self.direct().address()
    }

    fn attempt(&mut self) -> Option<()> {
        self.direct().attempt().map(|()| self.0.taken())
    }

    fn crowded(&self) -> bool {
        self.direct().crowded()
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        self.direct().enlist(line)
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        self.direct().granted(token).map(|()| self.0.taken())
    }

    fn leave(&mut self, line: &mut Line<'_>, tag: usize) {
        self.direct().leave(line, tag);
    }

    fn decline(&mut self, token: usize) {
        self.direct().decline(token);
    }
}
