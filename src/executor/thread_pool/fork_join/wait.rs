//! [`Returned`]: a wait for the end of a branch that another worker has taken, as the engine sees it. Until it sleeps, it looks
//! for descendants of that branch: see `mod.rs`, 3 and 4.

use super::branch::{Branch, BranchEnding};
use crate::executor::thread_pool::worker::Worker;
use crate::sync::completion::Completion;
use crate::wait::lot::Line;
use crate::wait::{Kind, Request};

/// Wants the branch to have ended, or something to do for it.
pub(super) struct Returned<'a, E> {
    worker: &'a Worker,
    branch: &'a Completion<BranchEnding>,
    helps: bool,
    end: E,
}

impl<'a> Returned<'a, ()> {
    pub(super) fn new(
        worker: &'a Worker,
        branch: &'a Completion<BranchEnding>,
        helps: bool,
    ) -> Returned<'a, impl Request<Output = ()> + 'a> {
        Returned {
            worker,
            branch,
            helps,
            end: branch.request(),
        }
    }
}

impl<E> Returned<'_, E> {
    /// A descendant of the branch.
    pub(super) fn take(&self) -> Option<Branch> {
        let thief = self.branch.worker();
        if !self.helps || thief == 0 {
            return None;
        }
        let pool = &self.worker.pool;
        let taken = self.worker.forker.steal_from(&pool.forks, thief)?;
        // Only now, and it shows all that came before what was taken.
        if self.branch.is_done() {
            taken.give_back();
            return None;
        }
        Some(taken)
    }
}

impl<E: Request<Output = ()>> Request for Returned<'_, E> {
    /// Nothing when the branch has ended.
    type Output = Option<Branch>;
    const KIND: &'static Kind = E::KIND;

    fn address(&self) -> usize {
        self.end.address()
    }

    fn attempt(&mut self) -> Option<Option<Branch>> {
        match self.end.attempt() {
            Some(()) => Some(None),
            None => self.take().map(Some),
        }
    }

    fn crowded(&self) -> bool {
        self.end.crowded()
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        self.end.enlist(line)
    }

    fn granted(&mut self, token: usize) -> Option<Option<Branch>> {
        self.end.granted(token).map(|()| None)
    }

    /// The frame must stand.
    fn may_panic(&self) -> bool {
        false
    }

    fn leave(&mut self, line: &mut Line<'_>, tag: usize) {
        self.end.leave(line, tag);
    }

    fn decline(&mut self, token: usize) {
        self.end.decline(token);
    }
}
