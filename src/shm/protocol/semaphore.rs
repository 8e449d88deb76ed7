//! Permits, and who has them.
//!
//! Invariant: `total` permits exist, of which `lent` says who has how many; `available` is the
//! difference, kept beside them so that nobody has to add up for it. So what a killed process held
//! comes back by striking it from the ledger and adding up again ([`Permits::settle`]), and whatever
//! step it was killed at inside, the same puts it right. Every operation is over with one store: taking
//! and giving back with that to the ledger, forgetting and adding with that to `total`.
//!
//! Who waits for several permits at once may be woken in vain, by one that is returned; so while
//! there is such a sleeper, a return wakes everybody.

use crate::platform::atomic::{AtomicU32, Ordering::Relaxed};
use crate::shm::ledger::{Corrupt, Ledger, Unchanged};
use crate::shm::monitor::{Home, Inside, State, Turn, visits};
use crate::shm::refusal::Refusal;
use crate::shm::sequence::Sequence;
use crate::shm::wait::{Look, Operation};
use crate::shm::word::{Liveness, Owner};

/// All zero: no permits, and there can be none.
///
/// Plain loads and stores: all but [`hint`](Permits::hint) are made inside.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Permits {
    /// Grows when permits come back.
    returned: Sequence,
    /// Not 0: somebody may be asleep who wants more than one.
    several_wanted: AtomicU32,
    /// The most that may exist. Written once.
    capacity: AtomicU32,
    total: AtomicU32,
    available: AtomicU32,
    lent: Ledger,
}

/// A release would have made more permits than there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany;

impl State for Permits {
    fn repair(&self, roster: &impl Liveness) -> Option<()> {
        self.settle(roster).ok().map(drop)
    }
}

impl Permits {
    /// Before anybody else sees them.
    pub(crate) fn begin(&self, total: u32, capacity: u32) {
        self.capacity.store(capacity, Relaxed);
        self.total.store(total, Relaxed);
        self.available.store(total, Relaxed);
    }

    /// The most that may exist.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.load(Relaxed)
    }

    /// How many are available and how many exist, perhaps not at the same moment.
    pub(crate) fn hint(&self) -> (u32, u32) {
        (self.available.load(Relaxed), self.total.load(Relaxed))
    }

    /// Waits for `n` permits, and says who has them then.
    pub(crate) fn acquire<H: Home<State = Permits>>(
        home: &H,
        n: u32,
    ) -> impl Operation<'_, Output = Result<Result<Owner, Corrupt>, Refusal>> {
        visits(home, move |inside: &mut Inside<'_, H>, look: Look| {
            let state = inside.state();
            match Permits::take(inside, n, look.suspicious) {
                Ok(true) => Turn::Done(Ok(inside.me())),
                Ok(false) => {
                    if n > 1 && look.announce {
                        state.several_wanted.store(1, Relaxed);
                    }
                    Turn::Sleep(&state.returned)
                }
                Err(corrupt) => Turn::Done(Err(corrupt)),
            }
        })
    }

    fn take<H: Home<State = Permits>>(
        inside: &mut Inside<'_, H>,
        n: u32,
        suspicious: bool,
    ) -> Result<bool, Corrupt> {
        let state = inside.state();
        let mut come_back = 0;
        if suspicious && state.available.load(Relaxed) < n {
            come_back = state.settle(inside.roster())?;
        }
        let left = state.available.load(Relaxed).checked_sub(n);
        if let Some(left) = left {
            let add = |has: u32| has.checked_add(n);
            match state.lent.update(inside.me(), add) {
                Ok(_) => state.available.store(left, Relaxed),
                Err(Unchanged::Declined) => return Err(Corrupt),
                // This process has the roster's place of a dead one.
                Err(Unchanged::Unburied) => {
                    come_back = state.settle(inside.roster())?;
                    state.lent.update(inside.me(), add).map_err(|_| Corrupt)?;
                    let left = state.available.load(Relaxed).checked_sub(n);
                    state.available.store(left.ok_or(Corrupt)?, Relaxed);
                }
            }
        }
        Permits::tell(inside, come_back);
        Ok(left.is_some())
    }

    /// Strikes the dead from the ledger and adds up; returns how many permits have come back.
    fn settle(&self, roster: &impl Liveness) -> Result<u32, Corrupt> {
        let before = self.available.load(Relaxed);
        self.lent.bury(roster)?;
        let lent = u32::try_from(self.lent.total()).map_err(|_| Corrupt)?;
        let total = self.total.load(Relaxed);
        let available = total.checked_sub(lent).ok_or(Corrupt)?;
        self.available.store(available, Relaxed);
        Ok(available.saturating_sub(before))
    }

    /// Wakes whom `n` permits that came back may serve.
    fn tell<H: Home<State = Permits>>(inside: &mut Inside<'_, H>, n: u32) {
        let state = inside.state();
        if n > 0 && state.several_wanted.load(Relaxed) != 0 {
            state.several_wanted.store(0, Relaxed);
            inside.advance_all(&state.returned);
        } else if n > 0 {
            inside.advance(&state.returned, n);
        }
    }

    /// Takes back `n` permits of the caller's process.
    pub(crate) fn give_back<H: Home<State = Permits>>(
        mut inside: Inside<'_, H>,
        n: u32,
    ) -> Result<(), Corrupt> {
        let state = inside.state();
        state.returned_by(inside.me(), n)?;
        let available = state.available.load(Relaxed).checked_add(n);
        state.available.store(available.ok_or(Corrupt)?, Relaxed);
        Permits::tell(&mut inside, n);
        Ok(())
    }

    /// Lets `n` permits of the caller's process exist no more.
    pub(crate) fn forget<H: Home<State = Permits>>(
        inside: Inside<'_, H>,
        n: u32,
    ) -> Result<(), Corrupt> {
        let state = inside.state();
        state.returned_by(inside.me(), n)?;
        let total = state.total.load(Relaxed).checked_sub(n);
        state.total.store(total.ok_or(Corrupt)?, Relaxed);
        Ok(())
    }

    fn returned_by(&self, me: Owner, n: u32) -> Result<(), Corrupt> {
        let returned = self.lent.update(me, |has| has.checked_sub(n));
        returned.map(drop).map_err(|_| Corrupt)
    }

    /// Adds `n` permits.
    pub(crate) fn add<H: Home<State = Permits>>(
        mut inside: Inside<'_, H>,
        n: u32,
    ) -> Result<Result<(), TooMany>, Corrupt> {
        let state = inside.state();
        let total = state.total.load(Relaxed).checked_add(n);
        let Some(total) = total.filter(|&total| total <= state.capacity()) else {
            return Ok(Err(TooMany));
        };
        let available = state.available.load(Relaxed).checked_add(n);
        let available = available.ok_or(Corrupt)?;
        state.total.store(total, Relaxed);
        state.available.store(available, Relaxed);
        Permits::tell(&mut inside, n);
        Ok(Ok(()))
    }

    /// How many are available, those of the dead included.
    pub(crate) fn available<H: Home<State = Permits>>(
        mut inside: Inside<'_, H>,
    ) -> Result<u32, Corrupt> {
        let state = inside.state();
        let come_back = state.settle(inside.roster())?;
        Permits::tell(&mut inside, come_back);
        Ok(state.available.load(Relaxed))
    }
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model {
    //! Used by loom-tests/tests/ipc_semaphore.rs.

    use super::Permits;
    use crate::platform::atomic::{AtomicU32, Ordering::Relaxed};
    use crate::shm::ledger::Ledger;
    use crate::shm::monitor::model::{Model, Sleeps};
    use crate::shm::monitor::{self, enter, poll};
    use crate::shm::sequence::Sequence;
    use crate::shm::word::model::Tree;

    /// A semaphore and its users, named 0 to 3.
    pub struct SemaphoreModel(Model<Permits>);

    impl SemaphoreModel {
        pub fn new(total: u32) -> SemaphoreModel {
            SemaphoreModel(Model::new(Permits {
                returned: Sequence::new(),
                several_wanted: AtomicU32::new(0),
                capacity: AtomicU32::new(8),
                total: AtomicU32::new(total),
                available: AtomicU32::new(total),
                lent: Ledger::new(),
            }))
        }

        /// Sleeps at most `sleeps` times, and says whether it has the permits.
        pub fn acquire(&self, who: u32, n: u32, sleeps: u32) -> bool {
            let seat = self.0.seat(who);
            let outcome = monitor::wait(Permits::acquire(&seat, n), &mut Sleeps(sleeps));
            outcome.is_ok_and(|inner| inner.is_ok())
        }

        pub fn try_acquire(&self, who: u32, n: u32) -> bool {
            let seat = self.0.seat(who);
            poll(Permits::acquire(&seat, n)).unwrap().is_some()
        }

        pub fn give_back(&self, who: u32, n: u32) {
            Permits::give_back(enter(&self.0.seat(who)).unwrap(), n).unwrap();
        }

        pub fn forget(&self, who: u32, n: u32) {
            Permits::forget(enter(&self.0.seat(who)).unwrap(), n).unwrap();
        }

        pub fn add(&self, who: u32, n: u32) -> bool {
            let added = Permits::add(enter(&self.0.seat(who)).unwrap(), n);
            added.unwrap().is_ok()
        }

        pub fn available(&self, who: u32) -> u32 {
            Permits::available(enter(&self.0.seat(who)).unwrap()).unwrap()
        }

        pub fn die(&self, who: u32) {
            self.0.die(who);
        }

        /// Killed inside, after `steps` of the stores of taking a permit.
        pub fn die_taking(&self, who: u32, steps: u32) {
            self.0.die_inside(who, |state| {
                if steps > 0 {
                    let _ = state.lent.update(Tree::name(who), |has| Some(has + 1));
                }
                if steps > 1 {
                    let available = state.available.load(Relaxed);
                    state.available.store(available.saturating_sub(1), Relaxed);
                }
            });
        }

        /// Killed inside, after `steps` of the stores of giving a permit back, and before the
        /// wake-up.
        pub fn die_giving_back(&self, who: u32, steps: u32) {
            self.0.die_inside(who, |state| {
                if steps > 0 {
                    state.returned_by(Tree::name(who), 1).unwrap();
                }
                if steps > 1 {
                    let available = state.available.load(Relaxed);
                    state.available.store(available + 1, Relaxed);
                }
            });
        }

        /// Killed inside, after it has struck the dead from the ledger and before it adds up.
        pub fn die_burying(&self, who: u32) {
            let roster = self.0.roster();
            self.0.die_inside(who, |state| {
                let _ = state.lent.bury(roster);
            });
        }

        /// Killed inside, after all the stores of adding a permit and before the wake-up.
        pub fn die_adding(&self, who: u32) {
            self.0.die_inside(who, |state| {
                for count in [&state.total, &state.available] {
                    count.store(count.load(Relaxed) + 1, Relaxed);
                }
            });
        }
    }
}
