//! Many readers or one writer.
//!
//! Invariant: `inside` says how many guards each process has, a writer's among them, and `guards` is
//! their sum; while `writer` names a process, the only guard is that one's. What the dead had is taken
//! back by striking them from the ledger and adding up again ([`Access::settle`]), which also puts
//! right whatever a process left that was killed at any step inside. Entering begins with a store to the
//! ledger; leaving is over with one, or for a writer with that which erases its name: a process
//! that is killed before that has died writing.
//!
//! Who has to wait for its turn is kept waiting until an instant in the near future, so that nobody has to
//! take that back. A writer that waits for readers keeps new ones out by a *claim*, which it moves on
//! whenever it looks around, and that is every [`LONGEST_SLICE`] at least: that of a writer which was
//! killed, stopped or forgotten lapses after [`CLAIM`]. A writer that leaves makes an *offer* to readers
//! who sleep, which keeps writers out until the first of them has come in, or for [`OFFER`]
//! if those were killed, stopped or have given up.

use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::shm::ledger::{Corrupt, Ledger, Unchanged};
use crate::shm::monitor::{Home, Inside, State, Turn, visits};
use crate::shm::refusal::Refusal;
use crate::shm::sequence::{Call, Sequence};
use crate::shm::wait::{LONGEST_SLICE, Look, Operation};
use crate::shm::word::{Liveness, Owner, Verdict};

#[cfg(loom)]
use crate::platform::shared_futex::deaths as now;
#[cfg(not(loom))]
use crate::shm::holder::monotonic_nanoseconds as now;

/// How long a claim keeps readers out if its writer does not come back: two slices. In a model time passes
/// with deaths.
const CLAIM: u64 = if cfg!(loom) {
    1
} else {
    2 * LONGEST_SLICE.as_nanos() as u64
};
/// How long an offer keeps writers out if no reader comes: what a woken thread may take on a busy machine.
const OFFER: u64 = if cfg!(loom) { 1 } else { 4_000_000 };

/// All zero: nobody is inside.
///
/// Plain loads and stores: all but those of hints are made inside.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Access {
    /// Who has how many guards. First: it is also what keeps the block from another life.
    inside: Ledger,
    /// Until when a waiting writer keeps readers out.
    claimed_until: AtomicU64,
    /// Until when it is the readers' turn to come in.
    offered_until: AtomicU64,
    /// Grows when readers may come in.
    readable: Sequence,
    /// Grows when a writer may come in.
    writable: Sequence,
    /// Whose process writes, as an [`Owner`], or 0.
    writer: AtomicU32,
    guards: AtomicU32,
    /// Not 0: a writer died, and nobody has vouched for the value since.
    inconsistent: AtomicU32,
}

/// The caller is inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Admitted {
    pub(crate) me: Owner,
    /// No writer died, or another has vouched since.
    pub(crate) is_consistent: bool,
}

/// Who is inside, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Occupied {
    Free,
    Read { guards: u32 },
    Written { by: u32 },
}

type Admission = Result<Admitted, Corrupt>;

impl State for Access {
    fn repair(&self, roster: &impl Liveness) -> Option<()> {
        self.settle(roster).ok()
    }
}

impl Access {
    /// Where the ledger is in it.
    #[cfg(not(loom))]
    pub(crate) const LEDGER: usize = std::mem::offset_of!(Access, inside);

    /// Waits until nobody writes or, if `yields` to them, has claimed to.
    pub(crate) fn read<H: Home<State = Access>>(
        home: &H,
        yields: bool,
    ) -> impl Operation<'_, Output = Result<Admission, Refusal>> {
        visits(home, move |inside: &mut Inside<'_, H>, look: Look| {
            let state = inside.state();
            if look.suspicious
                && state.writer.load(Relaxed) != 0
                && let Err(corrupt) = Access::look_around(inside)
            {
                return Turn::Done(Err(corrupt));
            }
            if state.writer.load(Relaxed) != 0 || yields && is_to_come(&state.claimed_until, CLAIM)
            {
                return Turn::Sleep(&state.readable);
            }
            state.offered_until.store(0, Relaxed);
            if yields {
                // What this reader has found out by itself is news to others who sleep; and a mark that
                // it had left itself must not look like theirs.
                inside.advance_all(&state.readable);
            }
            Turn::Done(Access::admit(inside))
        })
    }

    /// Waits until nobody is inside, and it is not the readers' turn.
    pub(crate) fn write<H: Home<State = Access>>(
        home: &H,
    ) -> impl Operation<'_, Output = Result<Admission, Refusal>> {
        let mut has_claimed = false;
        visits(home, move |inside: &mut Inside<'_, H>, look: Look| {
            let state = inside.state();
            if look.suspicious
                && state.guards.load(Relaxed) != 0
                && let Err(corrupt) = Access::look_around(inside)
            {
                return Turn::Done(Err(corrupt));
            }
            if state.guards.load(Relaxed) == 0 {
                if is_to_come(&state.offered_until, OFFER) {
                    return Turn::Sleep(&state.writable);
                }
                state.claimed_until.store(0, Relaxed);
                let admission = Access::admit(inside);
                if admission.is_ok() {
                    state.writer.store(inside.me().bits(), Relaxed);
                }
                return Turn::Done(admission);
            }
            if look.announce && state.writer.load(Relaxed) == 0 {
                state.claimed_until.store(now() + CLAIM, Relaxed);
                has_claimed = true;
            } else if has_claimed && look.suspicious && !look.announce {
                // It gives up. Others who wait claim anew when they look around.
                state.claimed_until.store(0, Relaxed);
                inside.advance_all(&state.readable);
            }
            Turn::Sleep(&state.writable)
        })
    }

    /// One guard more for the caller's process.
    fn admit<H: Home<State = Access>>(inside: &mut Inside<'_, H>) -> Admission {
        let state = inside.state();
        let add = |has: u32| has.checked_add(1);
        match state.inside.update(inside.me(), add) {
            Ok(_) => {
                let guards = state.guards.load(Relaxed).checked_add(1);
                state.guards.store(guards.ok_or(Corrupt)?, Relaxed);
            }
            Err(Unchanged::Declined) => return Err(Corrupt),
            // This process has the roster's place of a dead one.
            Err(Unchanged::Unburied) => {
                state.settle(inside.roster())?;
                state.inside.update(inside.me(), add).map_err(|_| Corrupt)?;
                state.settle(inside.roster())?;
            }
        }
        Ok(Admitted {
            me: inside.me(),
            is_consistent: state.inconsistent.load(Relaxed) == 0,
        })
    }

    /// Takes from the dead, and wakes those for whom that makes room.
    fn look_around<H: Home<State = Access>>(inside: &mut Inside<'_, H>) -> Result<(), Corrupt> {
        let state = inside.state();
        let before = (state.writer.load(Relaxed), state.guards.load(Relaxed));
        state.settle(inside.roster())?;
        match (before, state.guards.load(Relaxed)) {
            ((0, 0), _) => {}
            ((0, _), 0) => inside.advance(&state.writable, 1),
            ((_, _), 0) => Access::open(inside),
            _ => {}
        }
        Ok(())
    }

    /// Strikes the dead and adds up.
    fn settle(&self, roster: &impl Liveness) -> Result<(), Corrupt> {
        match self.writer.load(Relaxed) {
            0 => {}
            bits => match roster.verdict(Owner::from_bits(bits).ok_or(Corrupt)?) {
                Verdict::Alive => {}
                Verdict::Dead => {
                    // In this order: once the name is gone nobody learns of the death any more.
                    self.inconsistent.store(1, Relaxed);
                    self.writer.store(0, Relaxed);
                }
                Verdict::NeverIssued => return Err(Corrupt),
            },
        }
        self.inside.bury(roster)?;
        let guards = u32::try_from(self.inside.total()).map_err(|_| Corrupt)?;
        self.guards.store(guards, Relaxed);
        Ok(())
    }

    /// Nobody writes any more: readers who sleep are woken, and have the next turn; and one writer.
    fn open<H: Home<State = Access>>(inside: &mut Inside<'_, H>) {
        let state = inside.state();
        let call = state.readable.advance_all();
        if call != Call::Nobody {
            state.offered_until.store(now() + OFFER, Relaxed);
        }
        inside.call(&state.readable, call);
        inside.advance(&state.writable, 1);
    }

    /// A reader of the caller's process leaves.
    pub(crate) fn leave_reading<H: Home<State = Access>>(
        mut inside: Inside<'_, H>,
    ) -> Result<(), Corrupt> {
        let state = inside.state();
        if state.fewer(inside.me())? == 0 {
            inside.advance(&state.writable, 1);
        }
        Ok(())
    }

    /// The writer, of the caller's process, leaves, or stays as a reader if it `stays`. It may have
    /// vouched for the value.
    pub(crate) fn leave_writing<H: Home<State = Access>>(
        mut inside: Inside<'_, H>,
        vouched: bool,
        stays: bool,
    ) -> Result<(), Corrupt> {
        let state = inside.state();
        if state.writer.load(Relaxed) != inside.me().bits() {
            return Err(Corrupt);
        }
        if vouched {
            state.inconsistent.store(0, Relaxed);
        }
        state.writer.store(0, Relaxed);
        if stays {
            inside.advance_all(&state.readable);
            return Ok(());
        }
        state.fewer(inside.me())?;
        Access::open(&mut inside);
        Ok(())
    }

    /// One guard fewer; says how many are left.
    fn fewer(&self, me: Owner) -> Result<u32, Corrupt> {
        let taken = self.inside.update(me, |has| has.checked_sub(1));
        taken.map_err(|_| Corrupt)?;
        let guards = self.guards.load(Relaxed).checked_sub(1).ok_or(Corrupt)?;
        self.guards.store(guards, Relaxed);
        Ok(guards)
    }

    /// Who is inside; a hint.
    pub(crate) fn occupied(&self) -> Occupied {
        match (self.writer.load(Relaxed), self.guards.load(Relaxed)) {
            (0, 0) => Occupied::Free,
            (0, guards) => Occupied::Read { guards },
            (by, _) => Occupied::Written { by },
        }
    }
}

/// Whether that instant is yet to come. Further away than `term` it is none that anybody can have meant.
fn is_to_come(instant: &AtomicU64, term: u64) -> bool {
    let instant = instant.load(Relaxed);
    instant != 0 && (1..=term).contains(&instant.saturating_sub(now()))
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model {
    //! Used by loom-tests/tests/ipc_rwlock.rs.

    use super::Access;
    use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
    use crate::shm::ledger::Ledger;
    use crate::shm::monitor::model::{Model, Sleeps};
    use crate::shm::monitor::{self, enter, poll};
    use crate::shm::sequence::Sequence;
    use crate::shm::wait::{Look, Operation, Step};
    use crate::shm::word::model::Tree;

    /// A lock and its users, named 0 to 3.
    pub struct RwLockModel(Model<Access>);

    /// Whether the caller is inside, and what it was told of the value; `None` if it gave up.
    type Inside = Option<bool>;

    impl RwLockModel {
        #[allow(clippy::new_without_default)]
        pub fn new() -> RwLockModel {
            RwLockModel(Model::new(Access {
                inside: Ledger::new(),
                claimed_until: AtomicU64::new(0),
                offered_until: AtomicU64::new(0),
                readable: Sequence::new(),
                writable: Sequence::new(),
                writer: AtomicU32::new(0),
                guards: AtomicU32::new(0),
                inconsistent: AtomicU32::new(0),
            }))
        }

        /// Sleeps at most `sleeps` times.
        pub fn read(&self, who: u32, sleeps: u32) -> Inside {
            let seat = self.0.seat(who);
            let outcome = monitor::wait(Access::read(&seat, true), &mut Sleeps(sleeps));
            Some(outcome.ok()?.unwrap().is_consistent)
        }

        /// As [`read`](RwLockModel::read).
        pub fn write(&self, who: u32, sleeps: u32) -> Inside {
            let seat = self.0.seat(who);
            let outcome = monitor::wait(Access::write(&seat), &mut Sleeps(sleeps));
            Some(outcome.ok()?.unwrap().is_consistent)
        }

        pub fn try_read(&self, who: u32) -> Inside {
            let seat = self.0.seat(who);
            let outcome = poll(Access::read(&seat, true)).unwrap();
            Some(outcome?.unwrap().is_consistent)
        }

        pub fn try_write(&self, who: u32) -> Inside {
            let seat = self.0.seat(who);
            let outcome = poll(Access::write(&seat)).unwrap();
            Some(outcome?.unwrap().is_consistent)
        }

        pub fn leave_reading(&self, who: u32) {
            Access::leave_reading(enter(&self.0.seat(who)).unwrap()).unwrap();
        }

        pub fn leave_writing(&self, who: u32, vouched: bool) {
            Access::leave_writing(enter(&self.0.seat(who)).unwrap(), vouched, false).unwrap();
        }

        pub fn downgrade(&self, who: u32) {
            Access::leave_writing(enter(&self.0.seat(who)).unwrap(), false, true).unwrap();
        }

        /// One look of a writer that is going to wait, if it has to.
        pub fn claim(&self, who: u32) {
            let seat = self.0.seat(who);
            let mut writing = Access::write(&seat);
            let _ = writing.attempt(Look::ANNOUNCE);
        }

        /// One look of a reader that is going to wait, if it has to.
        pub fn want_to_read(&self, who: u32) {
            let seat = self.0.seat(who);
            let mut reading = Access::read(&seat, true);
            let _ = reading.attempt(Look::ANNOUNCE);
        }

        /// As a writer whose limit is reached in its first sleep.
        pub fn write_or_give_up(&self, who: u32) -> Inside {
            let seat = self.0.seat(who);
            let mut writing = Access::write(&seat);
            let looks = [Look::ANNOUNCE, Look::POLL];
            looks
                .into_iter()
                .find_map(|look| match writing.attempt(look) {
                    Step::Done(outcome) => Some(outcome.unwrap().unwrap().is_consistent),
                    Step::Sleep { .. } => None,
                })
        }

        pub fn die(&self, who: u32) {
            self.0.die(who);
        }

        /// Killed inside, after `steps` of the stores of coming in to write.
        pub fn die_coming_in(&self, who: u32, steps: u32) {
            self.0.die_inside(who, |state| {
                if steps > 0 {
                    let _ = state.inside.update(Tree::name(who), |has| Some(has + 1));
                }
                if steps > 1 {
                    state.guards.store(1, Relaxed);
                }
                if steps > 2 {
                    state.writer.store(Tree::name(who).bits(), Relaxed);
                }
            });
        }

        /// Killed inside, after `steps` of the stores with which it takes from a dead writer.
        pub fn die_taking_over(&self, who: u32, steps: u32) {
            let roster = self.0.roster();
            self.0.die_inside(who, |state| {
                if steps > 0 {
                    state.inconsistent.store(1, Relaxed);
                }
                if steps > 1 {
                    state.writer.store(0, Relaxed);
                }
                if steps > 2 {
                    let _ = state.inside.bury(roster);
                }
            });
        }

        /// A writer is killed inside, after `steps` of the stores of leaving, and before the wake-ups.
        pub fn die_leaving(&self, who: u32, steps: u32) {
            self.0.die_inside(who, |state| {
                if steps > 0 {
                    state.writer.store(0, Relaxed);
                }
                if steps > 1 {
                    let _ = state.inside.update(Tree::name(who), |has| Some(has - 1));
                }
            });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_instant_that_nobody_can_have_meant_is_not_waited_for() {
        for (instant, is) in [
            (now() + CLAIM / 2, true),
            (now() + 2 * CLAIM, false),
            (u64::MAX, false),
            (1, false),
            (0, false),
        ] {
            assert_eq!(is_to_come(&AtomicU64::new(instant), CLAIM), is, "{instant}");
        }
    }
}
