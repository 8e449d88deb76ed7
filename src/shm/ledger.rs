//! A ledger: who has how much of something, one entry for each place in the roster.
//!
//! Invariant: an entry is written by the process that it names, in one store of name and count
//! together, and erased by others only once that process is dead. So a process that is killed has
//! what the ledger says, whatever it was about to do, and gives it back by being dead. Used by the
//! arena for pins, and by the primitives of `ipc` that lend something out: permits, reads, arrivals.
//!
//! What is left of the whole is best computed as the whole less [`total`](Ledger::total), and not kept
//! beside the ledger: then a process that is killed after it has buried somebody loses nothing.

use super::word::{Liveness, Owner, SLOTS, Verdict};
use crate::platform::atomic::{AtomicU64, Ordering};
use std::fmt;

/// Name ([`Owner::bits`]) in the upper half, count in the lower; all zero is an empty ledger.
///
/// An entry with a count of zero is empty, whatever its name.
#[repr(transparent)]
pub(crate) struct Ledger([AtomicU64; PLACES]);

/// A model has four participants.
const PLACES: usize = if cfg!(loom) { 4 } else { SLOTS as usize };

#[cfg(not(loom))]
const _: () = assert!(size_of::<Ledger>() == 8192);

/// The ledger has an entry that no participant can have written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Corrupt;

/// Why an entry is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unchanged {
    /// A dead process had this place in the roster, and its entry counts until it is
    /// [buried](Ledger::bury). Bury, then try again.
    Unburied,
    /// The change was declined.
    Declined,
}

impl Ledger {
    #[cfg(loom)]
    pub(crate) fn new() -> Ledger {
        Ledger(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// How much `me` has: nothing, if the entry is that of another who had its place.
    pub(crate) fn of(&self, me: Owner) -> u32 {
        match unpack(self.entry(me).load(Ordering::Acquire)) {
            (name, count) if name == me.bits() => count,
            _ => 0,
        }
    }

    /// Says that `me` has so much, from this store on. Only for the process of that name.
    ///
    /// # Errors
    ///
    /// [`Unchanged::Unburied`]: what the dead had is for whoever buries them to learn of, so it is
    /// never overwritten.
    pub(crate) fn set(&self, me: Owner, count: u32) -> Result<(), Unchanged> {
        self.update(me, |_| Some(count)).map(drop)
    }

    /// Changes how much `me` has, as one step also for the threads of this process, and returns how
    /// much it has now. Only for the process of that name.
    pub(crate) fn update(
        &self,
        me: Owner,
        mut change: impl FnMut(u32) -> Option<u32>,
    ) -> Result<u32, Unchanged> {
        let entry = self.entry(me);
        let mut seen = entry.load(Ordering::Relaxed);
        loop {
            let count = match unpack(seen) {
                (_, 0) => 0,
                (name, count) if name == me.bits() => count,
                _ => return Err(Unchanged::Unburied),
            };
            let count = change(count).ok_or(Unchanged::Declined)?;
            let new = if count == 0 { 0 } else { pack(me, count) };
            // Release: whoever sees less sees what was done with it before. Acquire: whoever gets
            // more sees what others did before.
            match entry.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(count),
                Err(newer) => seen = newer,
            }
        }
    }

    /// How much all have, the dead that are not buried included. It cannot overflow: 2^10 counts of
    /// 32 bits.
    pub(crate) fn total(&self) -> u64 {
        self.words().map(|word| u64::from(unpack(word).1)).sum()
    }

    /// Is there anything to [bury](Ledger::bury)? For who has to do something else first.
    pub(crate) fn has_dead(&self, roster: &impl Liveness) -> bool {
        // A plain loop: this is what a barrier's last arrival spends its time on.
        for (slot, entry) in (0..).zip(&self.0) {
            let word = entry.load(Ordering::Acquire);
            if word as u32 != 0 && verdict(slot, unpack(word).0, roster) != Verdict::Alive {
                return true;
            }
        }
        false
    }

    /// Erases the entries of the dead and returns how much they had. Of several who do so at once,
    /// each entry is erased, and counted, by one.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if an entry names whom it cannot; that entry stays, those of the dead are gone.
    pub(crate) fn bury(&self, roster: &impl Liveness) -> Result<u64, Corrupt> {
        let mut sum = 0;
        let mut corrupt = false;
        for (slot, entry) in (0..).zip(&self.0) {
            let seen = entry.load(Ordering::Acquire);
            let (name, count) = unpack(seen);
            if count == 0 {
                continue;
            }
            match verdict(slot, name, roster) {
                Verdict::Alive => {}
                Verdict::NeverIssued => corrupt = true,
                Verdict::Dead => {
                    // It fails if somebody else did it; the dead write nothing any more.
                    let erased =
                        entry.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed);
                    sum += erased.map_or(0, |_| u64::from(count));
                }
            }
        }
        if corrupt { Err(Corrupt) } else { Ok(sum) }
    }

    /// The living who have something, and how much. Each is judged when the iterator gets there.
    pub(crate) fn living(&self, roster: &impl Liveness) -> impl Iterator<Item = (Owner, u32)> {
        let entries = (0..).zip(self.words());
        entries.filter_map(move |(slot, word)| {
            let (name, count) = unpack(word);
            let alive = count != 0 && verdict(slot, name, roster) == Verdict::Alive;
            Some((Owner::from_bits(name).filter(|_| alive)?, count))
        })
    }

    /// Erases everything. Only while nobody has a use for it: for the taker of a fresh block, or under
    /// the lock of an object that begins anew.
    pub(crate) fn clear(&self) {
        for entry in &self.0 {
            entry.store(0, Ordering::Release);
        }
    }

    fn entry(&self, owner: Owner) -> &AtomicU64 {
        &self.0[owner.slot() as usize]
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|entry| entry.load(Ordering::Acquire))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.words().map(unpack).filter(|&(_, count)| count != 0);
        f.debug_map().entries(entries).finish()
    }
}

/// What is to be said about the name in this slot's entry.
fn verdict(slot: u32, name: u32, roster: &impl Liveness) -> Verdict {
    match Owner::from_bits(name).filter(|owner| owner.slot() == slot) {
        Some(owner) => roster.verdict(owner),
        None => Verdict::NeverIssued,
    }
}

fn pack(owner: Owner, count: u32) -> u64 {
    u64::from(owner.bits()) << 32 | u64::from(count)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ledger() -> Box<Ledger> {
        Box::new(Ledger(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    fn name(slot: u32, claims: u32) -> Owner {
        Owner::new(slot, claims).unwrap()
    }

    /// In each slot, the last claim lives, if it is not said to be dead.
    #[derive(Default)]
    struct Claims(BTreeMap<u32, (u32, bool)>);

    impl Claims {
        fn claim(&mut self, slot: u32) {
            let entry = self.0.entry(slot).or_insert((0, false));
            *entry = (entry.0 + 1, true);
        }

        fn current(&self, slot: u32) -> Option<Owner> {
            let &(claims, alive) = self.0.get(&slot)?;
            alive.then(|| name(slot, claims))
        }
    }

    impl Liveness for Claims {
        fn verdict(&self, owner: Owner) -> Verdict {
            match self.0.get(&owner.slot()) {
                Some(&(claims, alive)) if owner.generation() == claims && alive => Verdict::Alive,
                Some(&(claims, _)) if owner.generation() <= claims => Verdict::Dead,
                _ => Verdict::NeverIssued,
            }
        }
    }

    #[test]
    fn what_the_dead_had_is_not_overwritten() {
        let ledger = ledger();
        let mut claims = Claims::default();
        claims.claim(3);
        ledger.set(name(3, 1), 5).unwrap();
        claims.claim(3);
        let heir = name(3, 2);
        assert_eq!((ledger.of(heir), ledger.total()), (0, 5));
        assert_eq!(ledger.set(heir, 1), Err(Unchanged::Unburied));
        assert_eq!((ledger.of(heir), ledger.total()), (0, 5));
        assert_eq!(ledger.bury(&claims), Ok(5));
        assert_eq!(ledger.bury(&claims), Ok(0));
        ledger.set(heir, 1).unwrap();
        assert_eq!((ledger.of(heir), ledger.total()), (1, 1));
        // A change that is declined changes nothing.
        let declined = ledger.update(heir, |count| count.checked_sub(2));
        assert_eq!((declined, ledger.of(heir)), (Err(Unchanged::Declined), 1));
    }

    #[test]
    fn an_entry_that_nobody_can_have_written_is_corrupt() {
        let claims = {
            let mut claims = Claims::default();
            claims.claim(0);
            claims.claim(0);
            claims.claim(7);
            claims
        };
        let impossible = [
            // Another's slot, a claim that is yet to come, no name, no generation.
            pack(name(7, 1), 1),
            pack(name(0, 3), 1),
            1,
            u64::from(u32::MAX) << 32 | 1,
        ];
        for word in impossible {
            let ledger = ledger();
            ledger.0[0].store(word, Ordering::SeqCst);
            ledger.set(name(7, 1), 2).unwrap();
            assert_eq!(ledger.bury(&claims), Err(Corrupt), "{word:#x}");
            // Nobody is kept from anything by it.
            assert_eq!(ledger.living(&claims).count(), 1);
            ledger.clear();
            assert_eq!((ledger.bury(&claims), ledger.total()), (Ok(0), 0));
        }
    }

    #[test]
    fn the_sum_of_all_counts_does_not_overflow() {
        let ledger = ledger();
        for slot in 0..SLOTS {
            ledger.set(name(slot, 1), u32::MAX).unwrap();
        }
        assert_eq!(ledger.total(), u64::from(SLOTS) * u64::from(u32::MAX));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set { slot: u32, count: u32 },
        Add { slot: u32, count: u32 },
        Die { slot: u32 },
        Claim { slot: u32 },
        Bury,
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        // The first and the last slot, and two between.
        let slot = || prop_oneof![Just(0_u32), Just(1), Just(512), Just(SLOTS - 1)];
        let count = || prop_oneof![0..4_u32, Just(u32::MAX)];
        prop_oneof![
            6 => (slot(), count()).prop_map(|(slot, count)| Step::Set { slot, count }),
            3 => (slot(), count()).prop_map(|(slot, count)| Step::Add { slot, count }),
            2 => slot().prop_map(|slot| Step::Die { slot }),
            3 => slot().prop_map(|slot| Step::Claim { slot }),
            2 => Just(Step::Bury),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Against a map from names to counts: nothing is lost, and nothing is there twice.
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec(step(), 1..60)) {
            let ledger = ledger();
            let mut claims = Claims::default();
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set { slot, count } => {
                        let Some(me) = claims.current(slot) else { continue };
                        let unburied = model.keys().any(|&other| {
                            other != me.bits() && Owner::from_bits(other).unwrap().slot() == slot
                        });
                        let expected = if unburied { Err(Unchanged::Unburied) } else { Ok(()) };
                        prop_assert_eq!(ledger.set(me, count), expected);
                        if !unburied {
                            model.insert(me.bits(), count);
                        }
                    }
                    Step::Add { slot, count } => {
                        let Some(me) = claims.current(slot) else { continue };
                        let has = ledger.of(me);
                        let sum = ledger.update(me, |has| has.checked_add(count));
                        if let Ok(sum) = sum {
                            prop_assert_eq!(Some(sum), has.checked_add(count));
                            model.insert(me.bits(), sum);
                        }
                    }
                    Step::Die { slot } => {
                        if let Some(entry) = claims.0.get_mut(&slot) {
                            entry.1 = false;
                        }
                    }
                    Step::Claim { slot } => claims.claim(slot),
                    Step::Bury => {
                        let is_dead = |name: u32| {
                            claims.verdict(Owner::from_bits(name).unwrap()) == Verdict::Dead
                        };
                        let dead = model.iter().filter(|(name, _)| is_dead(**name));
                        let sum: u64 = dead.map(|(_, count)| u64::from(*count)).sum();
                        prop_assert_eq!(ledger.bury(&claims), Ok(sum));
                        model.retain(|&name, _| !is_dead(name));
                    }
                    Step::Clear => {
                        ledger.clear();
                        model.clear();
                    }
                }
                model.retain(|_, count| *count != 0);
                let total: u64 = model.values().map(|&count| u64::from(count)).sum();
                prop_assert_eq!(ledger.total(), total);
                let living: BTreeMap<_, _> =
                    ledger.living(&claims).map(|(owner, count)| (owner.bits(), count)).collect();
                let expected: BTreeMap<_, _> = model
                    .iter()
                    .map(|(&name, &count)| (name, count))
                    .filter(|&(name, _)| {
                        claims.verdict(Owner::from_bits(name).unwrap()) == Verdict::Alive
                    })
                    .collect();
                prop_assert_eq!(living, expected);
            }
        }
    }
}
