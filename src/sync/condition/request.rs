//! What the engine calls back: a wait for a notification, which gives the lock up on its way to sleep.

use super::{Condition, KIND, WAITERS};
use crate::platform::atomic::Ordering;
use crate::wait::lot::Line;
use crate::wait::{Kind, Request};

/// Grant tokens, of `notify` and of `notify_all`. A waiter that cannot use the first, because it is a
/// future that has been dropped, owes it to the next; of the second everybody has had their own.
pub(super) const COUNTED: usize = 0;
pub(super) const FOR_ALL: usize = 1;

/// Wants to be notified; `release` gives the lock up as soon as the waiter is in the line, and not
/// before, so that whoever notifies under the lock finds it there.
pub(super) struct ConditionRequest<'a, F> {
    pub(super) condition: &'a Condition,
    pub(super) release: Option<F>,
}

impl<F: FnOnce()> Request for ConditionRequest<'_, F> {
    /// The token.
    type Output = usize;
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.condition.address()
    }

    fn attempt(&mut self) -> Option<usize> {
        None
    }

    /// The lock is still held: spinning would keep out whoever is to notify.
    fn crowded(&self) -> bool {
        true
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        self.condition.word.store(WAITERS, Ordering::Relaxed);
        Some(0)
    }

    fn parked(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }

    fn granted(&mut self, token: usize) -> Option<usize> {
        Some(token)
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.condition.unmark_if_empty(line);
    }

    fn decline(&mut self, token: usize) {
        self.condition.pass_on(token);
    }
}

/// A notification in the hands of a task that has not used it yet.
pub(super) struct PassOn<'a> {
    pub(super) condition: &'a Condition,
    pub(super) token: usize,
}

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.condition.pass_on(self.token);
    }
}
