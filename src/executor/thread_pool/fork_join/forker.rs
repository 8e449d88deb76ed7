//! [`Forker`]: a worker's own side of fork and join: its branches, and those it may take. See `mod.rs`.

use super::branch::{Branch, Fork, Head};
use super::wait::Returned;
use super::{FEW, Forks, Member};
use crate::executor::thread_pool::idle::Found;
use crate::executor::thread_pool::pool::Pool;
use crate::executor::thread_pool::worker::Worker;
use crate::panic::{Caught, contain};
use crate::platform::atomic::Ordering;
use crate::platform::{Deque, Steal, thread_id};
use crate::wait::wait_for_ever;
use std::cell::{Cell, OnceCell, RefCell};
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

/// See the head of this file. The worker's thread alone uses it.
pub(in super::super) struct Forker {
    /// The newest branch that has not been joined; they are linked from newer to older.
    newest: Cell<*const Head>,
    /// So many, the newest ones, are not in the deque.
    private: Cell<usize>,
    /// So many, the older ones, have been put there, and perhaps been taken.
    shown: Cell<usize>,
    deque: OnceCell<Deque<Branch>>,
    /// The members of the pool, as of a version.
    known: RefCell<(usize, Vec<Arc<Member>>)>,
    /// Where the next search begins.
    next: Cell<usize>,
}

impl Forker {
    pub(in super::super) fn new() -> Forker {
        Forker {
            newest: Cell::new(ptr::null()),
            private: Cell::new(0),
            shown: Cell::new(0),
            deque: OnceCell::new(),
            known: RefCell::new((0, Vec::new())),
            next: Cell::new(0),
        }
    }

    /// The worker goes.
    pub(in super::super) fn leave(&self, pool: &Pool) {
        debug_assert!(self.newest.get().is_null());
        if self.deque.get().is_some() && !pool.is_left_behind() {
            pool.forks.leave(thread_id());
        }
    }

    #[inline]
    fn push(&self, pool: &Arc<Pool>, head: &Head) {
        head.older.set(self.newest.replace(head));
        self.private.set(self.private.get() + 1);
        if self.shown.get() < FEW {
            // There was no private one, since all of few are shown.
            debug_assert_eq!(self.private.get(), 1);
            self.private.set(0);
            self.show(pool, head);
            pool.invite();
        } else if pool.forks.is_hungry() {
            self.show_all(pool);
        }
    }

    /// Takes out the newest branch, which is `head`. False if somebody has taken it.
    #[inline]
    fn pop(&self, head: &Head) -> bool {
        debug_assert!(ptr::eq(self.newest.get(), head));
        self.newest.set(head.older.get());
        match self.private.get() {
            0 => self.pop_shown(head),
            private => {
                self.private.set(private - 1);
                true
            }
        }
    }

    fn pop_shown(&self, head: &Head) -> bool {
        self.shown.set(self.shown.get() - 1);
        let popped = self.deque.get().and_then(Deque::pop);
        debug_assert!(popped.as_ref().is_none_or(|branch| branch.is(head)));
        popped.is_some()
    }

    fn show(&self, pool: &Pool, head: *const Head) {
        let deque = self.deque.get_or_init(|| self.join_members(pool));
        self.shown.set(self.shown.get() + 1);
        deque.push(Branch::shown(head));
    }

    #[cold]
    fn join_members(&self, pool: &Pool) -> Deque<Branch> {
        let deque = Deque::new_lifo();
        if !pool.is_left_behind() {
            pool.forks.enter(Arc::new(Member {
                thread: thread_id(),
                branches: deque.stealer(),
            }));
        }
        deque
    }

    #[cold]
    fn show_all(&self, pool: &Arc<Pool>) {
        pool.forks.set_hungry(false);
        let mut private = Vec::with_capacity(self.private.get());
        let mut head = self.newest.get();
        for _ in 0..self.private.take() {
            private.push(head);
            // SAFETY: the frames of branches that have not been joined stand.
            head = unsafe { &*head }.older.get();
        }
        // The oldest first.
        private
            .into_iter()
            .rev()
            .for_each(|head| self.show(pool, head));
        pool.invite();
    }

    /// The worker falls asleep in the middle of something: others may go on with all it has forked.
    pub(in super::super) fn falls_asleep(&self, pool: &Arc<Pool>) {
        if self.private.get() > 0 && !pool.is_left_behind() {
            self.show_all(pool);
        }
    }

    /// A task, or else a branch.
    pub(in super::super) fn find(&self, pool: &Arc<Pool>) -> Option<Found> {
        match pool.queue.pop() {
            Some(job) => Some(Found::Task(job)),
            None => self.find_branch(pool).map(Found::Branch),
        }
    }

    fn find_branch(&self, pool: &Pool) -> Option<Branch> {
        let forks = &pool.forks;
        if forks.version.load(Ordering::Relaxed) == 0 || forks.is_full(pool.settings.most_forking) {
            return None;
        }
        let found = self.with_members(forks, |members| {
            let start = self.next.get();
            let found = (0..members.len()).find_map(|offset| {
                let at = (start + offset) % members.len();
                self.next.set(at);
                members[at].steal()
            });
            if found.is_none() {
                self.next.set(start + 1);
            }
            found
        });
        if found.is_none() {
            forks.set_hungry(true);
        }
        found
    }

    /// Would a search be likely to find a branch?
    pub(in super::super) fn sees_some(&self, pool: &Pool) -> bool {
        let forks = &pool.forks;
        forks.version.load(Ordering::Relaxed) != 0
            && !forks.is_full(pool.settings.most_forking)
            && self.with_members(forks, |members| {
                members.iter().any(|member| !member.branches.is_empty())
            })
    }

    fn with_members<R>(&self, forks: &Forks, f: impl FnOnce(&[Arc<Member>]) -> R) -> R {
        let mut known = self.known.borrow_mut();
        if known.0 != forks.version.load(Ordering::Acquire) {
            let members = forks.members.lock();
            // It changes with them locked.
            known.0 = forks.version.load(Ordering::Relaxed);
            known.1.clone_from(&members);
        }
        f(&known.1)
    }

    /// Runs a branch that was found while the worker had nothing to do.
    pub(in super::super) fn run_found(&self, pool: &Pool, branch: Branch) {
        pool.forks.goes_on();
        branch.run();
        if !pool.is_left_behind() {
            pool.forks.rests();
        }
    }

    /// The oldest branch of the worker with that thread.
    pub(super) fn steal_from(&self, forks: &Forks, thread: u32) -> Option<Branch> {
        let found = self.with_members(forks, |members| {
            members
                .iter()
                .find(|member| member.thread == thread)
                .and_then(|member| member.steal())
        });
        if found.is_none() {
            forks.set_hungry(true);
        }
        found
    }
}

impl Member {
    fn steal(&self) -> Option<Branch> {
        if self.branches.is_empty() {
            return None;
        }
        loop {
            match self.branches.steal() {
                Steal::Success(branch) => return Some(branch),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

/// Between the fork and the join: if `a` panics, `b` is brought to its end, too.
struct Forked<'f, B: FnOnce() -> RB + Send, RB: Send> {
    worker: &'f Worker,
    branch: &'f Fork<B, RB>,
}

impl<B: FnOnce() -> RB + Send, RB: Send> Drop for Forked<'_, B, RB> {
    #[cold]
    fn drop(&mut self) {
        let Forked { worker, branch } = *self;
        // Nothing of it may unwind: a panic is on its way.
        contain(|| {
            if !worker.forker.pop(&branch.head) {
                match worker.wait_for(branch, false, Location::caller()) {
                    Some(Ok(result)) => return drop(result),
                    Some(Err(caught)) => return caught.discard(),
                    None => {}
                }
            }
            // SAFETY: it was taken out here, or has been given back.
            drop(unsafe { branch.take() });
        });
    }
}

impl Worker {
    /// Is there no branch here that others could take?
    #[inline]
    pub(in super::super) fn keeps_nothing_for_others(&self) -> bool {
        let forker = &self.forker;
        let is_bare = forker.deque.get().is_none_or(Deque::is_empty);
        if is_bare && forker.private.get() > 0 {
            if self.pool.forks.is_hungry() {
                forker.show_all(&self.pool);
            }
            return false;
        }
        is_bare
    }

    /// Runs both, `b` perhaps in another worker.
    #[inline]
    pub(in super::super) fn join<A, B, RA, RB>(
        &self,
        a: A,
        b: B,
        place: &'static Location<'static>,
    ) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        let branch = Fork::new(b);
        self.forker.push(&self.pool, &branch.head);
        let forked = Forked {
            worker: self,
            branch: &branch,
        };
        let a = a();
        mem::forget(forked);
        if self.forker.pop(&branch.head) {
            // SAFETY: it was taken out here, so nobody else runs it.
            let b = unsafe { branch.take() };
            (a, b())
        } else {
            (a, self.finish(&branch, place))
        }
    }

    #[cold]
    fn finish<B, RB>(&self, branch: &Fork<B, RB>, place: &'static Location<'static>) -> RB
    where
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        match self.wait_for(branch, self.has_stack(), place) {
            Some(Ok(result)) => result,
            Some(Err(caught)) => caught.resume(),
            None => {
                // SAFETY: it has been given back.
                let b = unsafe { branch.take() };
                b()
            }
        }
    }

    /// Waits for the end of a branch that somebody has taken. Nothing if it has been given back.
    fn wait_for<B, RB>(
        &self,
        branch: &Fork<B, RB>,
        helps: bool,
        place: &'static Location<'static>,
    ) -> Option<Result<RB, Caught>>
    where
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        let end = &branch.head.end;
        let mut helps = helps;
        while !end.is_done() {
            assert!(
                !self.pool.is_left_behind(),
                "the other half of this join was left behind when the process was forked"
            );
            let mut returned = Returned::new(self, end, helps);
            let taken = match returned.take() {
                Some(taken) => Some(taken),
                None => wait_for_ever(&mut returned, place),
            };
            if let Some(taken) = taken {
                let depth = self.depth.replace(self.depth.get() + 1);
                // Those that were shown have all been taken: it begins anew.
                let shown = self.forker.shown.replace(0);
                taken.run();
                self.forker.shown.set(shown);
                self.depth.set(depth);
                helps = helps && self.has_stack();
            }
        }
        // SAFETY: it has ended, and this is its owner.
        unsafe { branch.result() }
    }
}
