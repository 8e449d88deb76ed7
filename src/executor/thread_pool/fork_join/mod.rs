//! Fork and join on the pool's workers: who has branches that others may take, and who takes them.
//!
//! # The protocol
//!
//! `join(a, b)` enters *b* as a [`Branch`] in its own frame, runs *a*, and takes *b* out again: if it is still there, it runs
//! here, as if it had been called; if another worker has taken it, the worker waits for its end. An owner takes its newest
//! branch, a thief the oldest one.
//!
//! 1. While *b* is out, its frame stands: `join` neither returns nor unwinds before *b* has ended.
//! 2. A worker's branches are all descendants of what it has taken last and not finished: it takes something only when it has
//!    none. Idle, that is plain. Waiting for *b*, it is so because thieves take the oldest: once *b* is gone, all older ones are,
//!    and the newer ones have been joined.
//! 3. So whoever waits for *b* may take the branches of the worker that has *b*, and no others, as long as *b* has not ended:
//!    they are *b*'s descendants, without which *b* cannot end. It is as if *b* had been called: what deadlocks by it would
//!    have deadlocked without threads. Whether *b* had ended is looked at *after* the theft: a branch that its worker has
//!    pushed after *b*'s end shows that end to whoever takes it.
//! 4. Something taken that is no descendant is given back: it ends without having run, and its owner, who has to wait for
//!    it anyway, runs it.
//!
//! # Private and public
//!
//! The fence that an owner needs against thieves costs as much as all the rest. So a worker shows its oldest [`FEW`] branches
//! and keeps the newer ones to itself, until somebody has looked for one in vain (`is_hungry`) or the worker falls asleep: then
//! it shows all. Shown ones are older than private ones, so the order in the deque stays that of the list.
//!
//! # Wake-ups
//!
//! Who shows a branch wakes or starts a worker if one is parked or missing and nobody searches. A missed one would cost
//! some parallelism, never progress, because whoever forks does it all alone if need be. It is a relaxed look, with a fence only if
//! somebody is idle.

mod branch;
mod forker;
#[cfg(loom)]
pub mod modelled;
mod wait;

pub(super) use branch::{Branch, is_awaited_by};
pub(super) use forker::Forker;

use super::pool::Pool;
use crate::platform::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::platform::{Mutex, Stealer};
use std::sync::Arc;

/// So many branches of a worker are always there for others.
const FEW: usize = if cfg!(loom) { 1 } else { 4 };

/// A worker that has forked at least once.
struct Member {
    thread: u32,
    branches: Stealer<Branch>,
}

/// What the workers of a pool share.
pub(super) struct Forks {
    members: Mutex<Vec<Arc<Member>>>,
    /// Of `members`; 0 as long as nobody has forked.
    version: AtomicUsize,
    /// Somebody has looked for a branch in vain since branches were shown last.
    is_hungry: AtomicBool,
    /// Workers that run branches they have taken, without those that sleep in a join: wraps below 0, since who has taken
    /// none may sleep there, too.
    at_work: AtomicUsize,
}

impl Forks {
    pub(super) fn new() -> Forks {
        Forks {
            members: Mutex::new(Vec::new()),
            version: AtomicUsize::new(0),
            is_hungry: AtomicBool::new(false),
            at_work: AtomicUsize::new(0),
        }
    }

    fn enter(&self, member: Arc<Member>) {
        let mut members = self.members.lock();
        members.push(member);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn leave(&self, thread: u32) {
        let mut members = self.members.lock();
        members.retain(|member| member.thread != thread);
        self.version.fetch_add(1, Ordering::Release);
    }

    #[inline]
    fn is_hungry(&self) -> bool {
        self.is_hungry.load(Ordering::Relaxed)
    }

    fn set_hungry(&self, is_hungry: bool) {
        // The line stays where it is read as long as nothing changes.
        if self.is_hungry() != is_hungry {
            self.is_hungry.store(is_hungry, Ordering::Relaxed);
        }
    }

    /// Work as many on branches as may? One has not taken any: who forked first.
    fn is_full(&self, most: usize) -> bool {
        let at_work = self.at_work.load(Ordering::Relaxed).cast_signed();
        at_work + 1 >= most.cast_signed()
    }

    /// A worker sleeps in a join.
    pub(super) fn rests(&self) {
        self.at_work.fetch_sub(1, Ordering::Relaxed);
    }

    /// It goes on, or has taken a branch.
    pub(super) fn goes_on(&self) {
        self.at_work.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A branch has been shown: somebody should come to it.
    #[inline]
    fn invite(self: &Arc<Pool>) {
        let crew = self.crew.read();
        if (crew.idle() > 0 || crew.has_room()) && !self.forks.is_full(self.settings.most_forking) {
            self.invite_somebody();
        }
    }

    /// As `invite`, if there is something to come to.
    pub(super) fn invite_if(self: &Arc<Pool>, is_needed: impl FnOnce() -> bool) {
        if is_needed() {
            self.invite();
        }
    }

    #[cold]
    fn invite_somebody(self: &Arc<Pool>) {
        if self.is_left_behind() {
            return;
        }
        // Pairs with that of who parks, and looks at the branches after it: see `crew.rs`.
        fence(Ordering::SeqCst);
        let crew = self.crew.read();
        if crew.searching() > 0 {
            return;
        }
        if crew.parked() > 0 {
            self.call_one();
        } else if crew.has_room() && !crew.is_shut() {
            let most = self.settings.most_forking;
            // Whoever forks goes on without.
            let _ = self.hire(|state| state.workers - state.away < most);
        }
    }
}
