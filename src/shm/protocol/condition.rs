//! A bell: who has changed something rings it, for some or all of those who wait.
//!
//! Invariant: a ring for `n` lets `n` of those go who waited at that moment. Waiters draw numbers. A ring
//! marks all numbers drawn so far and owes them `n` releases; any of them may claim one, at whatever
//! moment it looks. So a ring never waits for anybody, and who came later gets nothing of it. If a ring comes while
//! releases of an older one are unclaimed and others have come in between, all of the older ones go: better
//! one wake-up too many than one that went to the wrong waiter.
//!
//! Who has claimed a release may be killed before it has made anything of it. So the members, all processes
//! that have ever waited, are written down, and when one of them has died, everybody is let go once.

use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::ledger::{Corrupt, Ledger};
use crate::shm::monitor::{Briefly, Home, Inside, State, Turn, enter, visit, visits};
use crate::shm::refusal::Refusal;
use crate::shm::sequence::{Call, Sequence};
use crate::shm::wait::{Look, Operation, Step};
use crate::shm::word::{Liveness, Owner};
use std::mem;

/// All zero: nobody waits.
///
/// ```text
///   numbers:  0 ......... freed ......... marked ......... next ...
///              may all go      `owed` of      none may go
///                              them may go
/// ```
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Bell {
    sequence: Sequence,
    /// How many of the marked may go. Below `marked_waiters`: otherwise they are all freed instead.
    owed: AtomicU32,
    /// How many wait, and how many of them are marked. Those who may go are in neither.
    waiters: AtomicU32,
    marked_waiters: AtomicU32,
    next: AtomicU64,
    freed: AtomicU64,
    marked: AtomicU64,
    /// One for each process.
    members: Ledger,
}

impl State for Bell {
    /// Counts and bounds do not change as one, so nobody knows whom the dead would have let go: all.
    fn repair(&self, _roster: &impl Liveness) -> Option<()> {
        self.free_all();
        Some(())
    }
}

// Only these touch the fields, and whoever writes is inside. Release and acquire: for the hints.

fn get(field: &AtomicU32) -> u32 {
    field.load(Ordering::Acquire)
}

fn get64(field: &AtomicU64) -> u64 {
    field.load(Ordering::Acquire)
}

fn put(field: &AtomicU32, value: u32) {
    field.store(value, Ordering::Release);
}

fn put64(field: &AtomicU64, value: u64) {
    field.store(value, Ordering::Release);
}

fn decrement(field: &AtomicU32) {
    // A peer may have written anything: a count that is wrong costs wake-ups.
    put(field, get(field).saturating_sub(1));
}

impl Bell {
    #[cfg(loom)]
    pub(crate) fn new() -> Bell {
        Bell {
            sequence: Sequence::new(),
            owed: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
            marked_waiters: AtomicU32::new(0),
            next: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            marked: AtomicU64::new(0),
            members: Ledger::new(),
        }
    }

    /// How many wait, those included who died waiting. Never too few for who holds the lock that a
    /// waiter held when it joined.
    pub(crate) fn waiters(&self) -> u32 {
        get(&self.waiters)
    }

    /// Lets `n` of those go who wait.
    pub(crate) fn ring<H: Home<State = Bell>>(home: &H, n: u32) -> Result<(), Refusal> {
        let nobody_waits = || n == 0 || home.state().waiters() == 0;
        // Asked again afterwards: what was read was this bell's.
        if home.is_current() && nobody_waits() && home.is_current() {
            return Ok(());
        }
        Bell::ring_inside(&mut enter(home)?, n);
        Ok(())
    }

    fn ring_inside<H: Home<State = Bell>>(inside: &mut Inside<'_, H>, n: u32) {
        let bell = inside.state();
        let waiters = get(&bell.waiters);
        if waiters == 0 {
            return;
        }
        let newer = waiters.saturating_sub(get(&bell.marked_waiters));
        let owed = get(&bell.owed);
        if owed != 0 && newer != 0 {
            bell.free_marked(inside);
            put(&bell.owed, n);
        } else {
            put(&bell.owed, owed.saturating_add(n));
        }
        put64(&bell.marked, get64(&bell.next));
        put(&bell.marked_waiters, get(&bell.waiters));
        if !bell.settle(inside) {
            inside.advance(&bell.sequence, n);
        }
    }

    /// Lets the marked go if that many are owed, and says whether it did.
    fn settle<'h, H: Home<State = Bell>>(&'h self, inside: &mut Inside<'h, H>) -> bool {
        let owed = get(&self.owed);
        let enough = owed != 0 && owed >= get(&self.marked_waiters);
        if enough {
            self.free_marked(inside);
        }
        enough
    }

    fn free_marked<'h, H: Home<State = Bell>>(&'h self, inside: &mut Inside<'h, H>) {
        let others = get(&self.waiters).saturating_sub(get(&self.marked_waiters));
        put64(&self.freed, get64(&self.marked));
        put(&self.owed, 0);
        put(&self.marked_waiters, 0);
        put(&self.waiters, others);
        inside.advance_all(&self.sequence);
    }

    fn free_all(&self) {
        let next = get64(&self.next);
        put64(&self.freed, next);
        put64(&self.marked, next);
        put(&self.owed, 0);
        put(&self.marked_waiters, 0);
        put(&self.waiters, 0);
    }

    /// A member has died, and nobody knows what it was let go for. Erased last: who is killed in here
    /// leaves the rest to the next.
    fn bury<'h, H: Home<State = Bell>>(
        &'h self,
        inside: &mut Inside<'h, H>,
    ) -> Result<(), Refusal> {
        self.free_all();
        inside.advance_all(&self.sequence);
        match self.members.bury(inside.roster()) {
            Ok(_) => Ok(()),
            Err(Corrupt) => Err(Refusal::Corrupt),
        }
    }

    fn enlist<'h, H: Home<State = Bell>>(
        &'h self,
        inside: &mut Inside<'h, H>,
    ) -> Result<(), Refusal> {
        if self.members.of(inside.me()) == 0 && self.members.set(inside.me(), 1).is_err() {
            self.bury(inside)?;
            self.members
                .set(inside.me(), 1)
                .map_err(|_| Refusal::Corrupt)?;
        }
        Ok(())
    }

    fn draw(&self) -> u64 {
        let number = get64(&self.next);
        put(&self.waiters, get(&self.waiters).saturating_add(1));
        put64(&self.next, number.wrapping_add(1));
        number
    }

    /// Claims what there is for `number`, who then waits no more.
    fn claim(&self, number: u64) -> bool {
        if number < get64(&self.freed) {
            return true;
        }
        let owed = get(&self.owed);
        if number >= get64(&self.marked) || owed == 0 {
            return false;
        }
        put(&self.owed, owed - 1);
        decrement(&self.marked_waiters);
        decrement(&self.waiters);
        true
    }

    /// Forgets `number`, for which there is nothing to be claimed.
    fn strike(&self, number: u64) {
        if number < get64(&self.marked) {
            decrement(&self.marked_waiters);
        }
        decrement(&self.waiters);
    }
}

/// A waiter: has drawn a number, and goes when the bell is rung for it. Dropped before, it leaves.
pub(crate) struct Waiter<'h, H: Home<State = Bell>> {
    home: &'h H,
    /// While it waits, and in which process it does: the child of a fork has the parent's waiters in its
    /// memory, and is none of them.
    number: Option<(u64, Owner)>,
    briefly: Briefly,
}

impl<'h, H: Home<State = Bell>> Waiter<'h, H> {
    /// Draws a number. Any ring from then on may be for this one.
    pub(crate) fn join(home: &'h H) -> impl Operation<'h, Output = Result<Waiter<'h, H>, Refusal>> {
        visits(home, move |inside: &mut Inside<'h, H>, _: Look| {
            let bell = inside.state();
            if let Err(refusal) = bell.enlist(inside) {
                return Turn::Refused(refusal);
            }
            Turn::Done(Waiter {
                home,
                number: Some((bell.draw(), inside.me())),
                briefly: Briefly::default(),
            })
        })
    }

    fn turn(&mut self, inside: &mut Inside<'h, H>, look: Look) -> Turn<'h, ()> {
        let bell = inside.state();
        let Some((number, _)) = self.number.filter(|(_, owner)| *owner == inside.me()) else {
            return Turn::Done(());
        };
        if !bell.claim(number) {
            // Only who was there when the bell was rung can miss what the dead were let go for.
            let suspects = look.suspicious && number < get64(&bell.marked);
            if !suspects || !bell.members.has_dead(inside.roster()) {
                return Turn::Sleep(&bell.sequence);
            }
            if let Err(refusal) = bell.bury(inside) {
                return Turn::Refused(refusal);
            }
        }
        self.number = None;
        Turn::Done(())
    }

    /// Waits no more, and says whether the bell was rung for it by then.
    pub(crate) fn leave(&mut self) -> Result<bool, Refusal> {
        let Some((number, owner)) = self.number.take() else {
            return Ok(true);
        };
        let inside = enter(self.home)?;
        if owner != inside.me() || inside.state().claim(number) {
            return Ok(true);
        }
        inside.state().strike(number);
        Ok(false)
    }
}

impl<'h, H: Home<State = Bell>> Operation<'h> for Waiter<'h, H> {
    type Output = Result<(), Refusal>;

    fn attempt(&mut self, look: Look) -> Step<'h, Self::Output> {
        let (home, mut briefly) = (self.home, mem::take(&mut self.briefly));
        let step = visit(home, &mut briefly, look, |inside| self.turn(inside, look));
        self.briefly = briefly;
        step
    }
}

impl<H: Home<State = Bell>> Drop for Waiter<'_, H> {
    fn drop(&mut self) {
        let Some((number, owner)) = self.number.take() else {
            return;
        };
        let Ok(mut inside) = enter(self.home) else {
            return;
        };
        let bell = inside.state();
        if owner == inside.me() && number >= get64(&bell.freed) {
            bell.strike(number);
            if !bell.settle(&mut inside) && get(&bell.owed) != 0 {
                // The wake-up may have been spent on this one.
                inside.call(&bell.sequence, Call::Some(1));
            }
        }
    }
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model;
