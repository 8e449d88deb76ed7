//! Who is called when the short lock is released, and who is told what has happened.
//!
//! The invariant is that of the parent's head; [`Held::plan`] decides, under the lock, and what it has
//! decided is done with the lock released, each line under its own bucket.

use super::{CALLED, GETTERS, Held, JOINERS, PUTTERS, Shared, Side, TOLD, is_before};
use crate::platform::atomic::Ordering;
use crate::platform::{cpus, forked};
use crate::queue::{Discipline, PutError};
use crate::wait::TASK;
use crate::wait::lot::{self, Line};

/// Who has been called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Called {
    Thread,
    Task,
}

/// Whom to call once the short lock has been released.
#[derive(Default)]
struct Plan {
    call: [Call; 2],
    /// Tell the joiners who have come before this was the number of times that all was finished.
    finishes: Option<usize>,
    /// Tell the putters whose offers come before this one.
    taken: Option<usize>,
    /// Set the alarm for what is due next.
    sets_alarm: bool,
    /// Tell the getters that nothing will come any more. All of them: a task may be polled late, so none
    /// can be left to tell the next.
    ends_gets: bool,
}

#[derive(Clone, Copy, Default)]
enum Call {
    #[default]
    Nobody,
    Next,
    /// Enough are awake, but the front one only if it has been overtaken for too long.
    Overdue,
}

impl<D: Discipline> Held<'_, D> {
    /// For how many of `side` there is something to do.
    fn things_for(&self, side: Side) -> usize {
        match side {
            Side::Getters if self.items.is_ready() => self.items.len(),
            Side::Getters => self.offered(),
            Side::Putters => self.room(),
        }
    }

    /// Are fewer of `side` awake than can run and than there are things for, not counting so many?
    fn is_short_of(&self, side: Side, not_counting: usize) -> bool {
        let things = self.things_for(side).saturating_sub(not_counting);
        self.shared.awake(side) < things.min(cpus())
    }

    /// Whom the one who releases the lock has to call. Who is called is counted at once, so that nobody
    /// else calls for the same thing.
    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        let mut has_items = false;
        for side in [Side::Getters, Side::Putters] {
            if !self.is_marked(side) {
                continue;
            }
            // Asked once: what becomes due meanwhile has neither been called for nor set the alarm.
            let things = self.things_for(side);
            has_items |= side == Side::Getters && things > 0;
            plan.call[side as usize] = if self.shared.awake(side) < things.min(cpus()) {
                self.shared.wake_up(side);
                Call::Next
            } else if things > 0 && lot::is_time_to_look() {
                Call::Overdue
            } else {
                Call::Nobody
            };
        }
        if D::IS_TIMED && self.is_marked(Side::Getters) && !has_items {
            plan.sets_alarm = self.items.next_due() != self.alarm;
        }
        if std::mem::take(&mut self.has_finished) {
            plan.finishes = Some(self.finishes);
        }
        if std::mem::take(&mut self.has_taken) {
            plan.taken = self.offers.as_ref().map(|offers| offers.taken());
        }
        plan.ends_gets = self.is_shut() && self.items.is_empty() && self.is_marked(Side::Getters);
        plan
    }

    #[cold]
    pub(super) fn release_marked(&mut self) {
        let shared = self.shared;
        let plan = self.plan();
        if let Some(offers) = &self.offers {
            let len = self.items.len() + offers.len();
            shared.len.store(len, Ordering::Relaxed);
            shared.taken.store(offers.taken(), Ordering::Relaxed);
        }
        self.state = None;
        for side in [Side::Getters, Side::Putters] {
            match plan.call[side as usize] {
                Call::Nobody => {}
                Call::Next => shared.call_next(side),
                Call::Overdue => shared.call_overdue(side),
            }
        }
        if let Some(finishes) = plan.finishes {
            shared.tell_before(shared.joining(), finishes, JOINERS);
        }
        if let Some(taken) = plan.taken {
            shared.tell_before(shared.address(Side::Putters), taken, PUTTERS);
        }
        if plan.sets_alarm {
            shared.set_alarm();
        }
        if plan.ends_gets {
            shared.tell_side(Side::Getters);
        }
    }
}

impl<D: Discipline> Shared<D> {
    /// Counts one of `side` as awake.
    ///
    /// Relaxed, and without the lock: whoever stops being awake says so before it locks or under the lock,
    /// and then keeps the invariant; so who has seen it awake under the lock has locked before that.
    pub(in crate::queue) fn wake_up(&self, side: Side) {
        self.awake[side as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The opposite of `wake_up`.
    pub(in crate::queue) fn fall_asleep(&self, side: Side) {
        self.awake[side as usize].fetch_sub(1, Ordering::Relaxed);
    }

    fn awake(&self, side: Side) -> usize {
        if forked::is_child() {
            // Those who were counted may not have come along.
            return 0;
        }
        self.awake[side as usize].load(Ordering::Relaxed) as usize
    }

    fn unmark_if_empty(&self, line: &Line<'_>, mark: u8) {
        if line.is_empty() {
            let _locked = self.state.lock();
            let marks = self.marks.load(Ordering::Relaxed);
            self.marks.store(marks & !mark, Ordering::Relaxed);
        }
    }

    /// Wakes a getter when the next item is due, whatever that was when the alarm was last set.
    fn set_alarm(&self) {
        if let Some(clock) = &self.clock {
            clock.set(|| {
                let mut state = self.state.lock();
                state.alarm = state.items.next_due();
                state.alarm
            });
        }
    }

    /// Tells those in the line at `address` whose number comes before `end`.
    fn tell_before(&self, address: usize, end: usize, mark: u8) {
        lot::line(address, |line| {
            line.grant_where(|number| is_before(number, end).then_some(TOLD));
            self.unmark_if_empty(line, mark);
        });
    }

    /// Calls the front waiter of `side`, who has been counted as awake. If that is a task, which is not
    /// counted, it calls the next one, too, for what there is besides: nobody else has called for it while
    /// the task was counted, and the task may be polled late.
    fn call_next(&self, side: Side) {
        let mut tasks = 0;
        while self.call_front(side) {
            tasks += 1;
            let queue = self.lock();
            let is_wanted = queue.is_marked(side) && queue.is_short_of(side, tasks);
            if is_wanted {
                self.wake_up(side);
            }
            queue.release_quietly();
            if !is_wanted {
                return;
            }
        }
    }

    /// True if it has called a task.
    fn call_front(&self, side: Side) -> bool {
        lot::line(self.address(side), |line| {
            let called = self.call_in(line, side, true);
            self.unmark_if_empty(line, side.mark());
            called == Some(Called::Task)
        })
    }

    /// Calls the first in the line who has not given up. A thread is counted as awake; `is_counted` says that
    /// somebody has been already.
    ///
    /// A task must not be counted from before it is granted: it may be dropped at once, and then
    /// looks whom to call in its stead.
    fn call_in(&self, line: &mut Line<'_>, side: Side, mut is_counted: bool) -> Option<Called> {
        while let Some(front) = line.front() {
            let is_task = front.thread == TASK;
            match (is_task, is_counted) {
                (true, true) => self.fall_asleep(side),
                (false, false) => self.wake_up(side),
                _ => {}
            }
            is_counted = !is_task;
            let (token, called) = match is_task {
                true => (TOLD, Called::Task),
                false => (CALLED, Called::Thread),
            };
            if line.grant_front(token) {
                return Some(called);
            }
        }
        if is_counted {
            self.fall_asleep(side);
        }
        None
    }

    /// Calls the front waiter of `side`, if it has been overtaken for too long.
    #[cold]
    fn call_overdue(&self, side: Side) {
        lot::line(self.address(side), |line| {
            let Some(front) = line.front() else { return };
            if !line.is_due(&front) {
                return;
            }
            if front.thread == TASK {
                line.grant_front(TOLD);
            } else {
                self.wake_up(side);
                if !line.grant_front(CALLED) {
                    self.fall_asleep(side);
                }
            }
            self.unmark_if_empty(line, side.mark());
        });
    }

    /// Everybody who waits tries again and finds out what has happened; after a shutdown.
    pub(in crate::queue) fn tell_all(&self) {
        self.tell_side(Side::Getters);
        self.tell_side(Side::Putters);
    }

    fn tell_side(&self, side: Side) {
        lot::line(self.address(side), |line| {
            line.grant_where(|_| Some(TOLD));
            self.unmark_if_empty(line, side.mark());
        });
    }

    /// At a rendezvous: gives an item to one of the getters who wait.
    ///
    /// To be in the line is not enough: it may be a select, which takes something else just now. So it is
    /// called first, which decides it, and finds the item when it has the lock. Nor is it enough where others
    /// hold items out, who were here before.
    pub(in crate::queue) fn hand_over(&self, item: D::Item) -> Result<(), PutError<D::Item>> {
        let done = lot::line(self.address(Side::Getters), |line| {
            // Before the short lock is taken: there may be many.
            let parked = line.count();
            let mut state = self.state.lock();
            if self.is_shut.load(Ordering::Relaxed) {
                return Err(PutError::ShutDown(item));
            }
            let waiting = parked + self.awake(Side::Getters);
            let offered = state.offered();
            let is_overtaking = offered > 0 && state.items.len() + offered >= waiting;
            let called = match is_overtaking {
                true => None,
                false => self.call_in(line, Side::Getters, false),
            };
            let done = match called {
                None => Err(PutError::Full(item)),
                Some(_) => {
                    state.items.push(item);
                    state.count_put(1);
                    Ok(())
                }
            };
            drop(state);
            self.unmark_if_empty(line, GETTERS);
            done
        });
        // Now that the bucket is free, keeps the invariant.
        drop(self.lock());
        done
    }

    /// One of `side` has left the line.
    pub(in crate::queue) fn has_left(&self, side: Side, line: &Line<'_>) {
        self.unmark_if_empty(line, side.mark());
    }

    /// One of the joiners has left the line.
    pub(in crate::queue) fn joiner_has_left(&self, line: &Line<'_>) {
        self.unmark_if_empty(line, JOINERS);
    }
}
