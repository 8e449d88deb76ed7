//! A barrier: processes wait until a number of threads have arrived, and go on together.
//!
//! Invariant: a round ends with one store of the word, and whoever has arrived in it learns from the
//! number of its round how it ended, at any time later. Nobody counts who has heard, so nobody who is
//! killed or stopped keeps the next round from beginning.
//!
//! A process is written down as a member before its first arrival counts, and stays one when it has gone
//! through. While a member is dead no round ends well: the last to arrive asks the roster, and so
//! does everybody who has slept a slice. It follows that a process that is killed in the middle of a step
//! needs no repair: it was a member, and the barrier breaks; or it had changed nothing.

mod arrival;
mod word;

pub(crate) use arrival::{Arrival, Passage};
pub use word::BrokenBarrier;

use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::ledger::Ledger;
use crate::shm::monitor::{Home, Inside, State, enter};
use crate::shm::refusal::Refusal;
use crate::shm::sequence::Sequence;
use crate::shm::word::Liveness;
use word::{MOST_PARTIES, Membership, Round, Status, cut, is_after, read_cut};

/// How many resets are remembered, for those who have not looked since.
const CUTS: usize = if cfg!(loom) { 2 } else { 8 };
const NUMBERS: usize = MOST_PARTIES as usize / 32;

/// All zero but for the parties: the first round, nobody has arrived.
#[repr(C)]
pub(crate) struct Gate {
    /// Advances when a round ends, in whatever way.
    sequence: Sequence,
    parties: AtomicU32,
    /// A [`Round`].
    word: AtomicU64,
    /// The rounds that were cut off by a reset, the latest first.
    cuts: [AtomicU64; CUTS],
    /// Which numbers are taken: 32 in the lower half, if the upper half is the round's.
    numbers: [AtomicU64; NUMBERS],
    /// A [`Membership`] for each process.
    members: Ledger,
}

/// How the round in which somebody arrived has ended.
enum Outcome {
    NotYet,
    Passed,
    Cut(BrokenBarrier),
}

impl State for Gate {
    fn repair(&self, roster: &impl Liveness) -> Option<()> {
        let round = self.round()?;
        match round.status {
            Status::Resetting(why) => self.finish_reset(round, why),
            Status::Broken(_) => {}
            Status::Filling | Status::Running if self.members.has_dead(roster) => {
                // Nobody is woken, as nobody is inside yet who could; the sleepers' slices end.
                self.put(round.in_status(Status::Broken(BrokenBarrier::PartyDied)));
            }
            Status::Filling | Status::Running => {}
        }
        Some(())
    }
}

impl Gate {
    #[cfg(loom)]
    pub(crate) fn new() -> Gate {
        Gate {
            sequence: Sequence::new(),
            parties: AtomicU32::new(0),
            word: AtomicU64::new(0),
            cuts: std::array::from_fn(|_| AtomicU64::new(0)),
            numbers: std::array::from_fn(|_| AtomicU64::new(0)),
            members: Ledger::new(),
        }
    }

    /// Says for how many it is, before anybody else sees it. `false` if it cannot be for so many.
    pub(crate) fn is_for(parties: usize) -> Option<u32> {
        let parties = u32::try_from(parties).ok()?;
        (1..=MOST_PARTIES).contains(&parties).then_some(parties)
    }

    pub(crate) fn begin(&self, parties: u32) {
        self.parties.store(parties, Ordering::Release);
    }

    /// `None` if that is no number of parties.
    pub(crate) fn parties(&self) -> Option<u32> {
        let parties = self.parties.load(Ordering::Acquire);
        (1..=MOST_PARTIES).contains(&parties).then_some(parties)
    }

    /// How many have arrived; nobody while the action runs and when it is broken. A hint, as the next.
    pub(crate) fn waiting(&self) -> Option<u32> {
        let round = self.round()?;
        Some(match round.status {
            Status::Filling => round.arrived,
            _ => 0,
        })
    }

    /// Why it is broken, if it is.
    pub(crate) fn why_broken(&self) -> Option<Option<BrokenBarrier>> {
        Some(match self.round()?.status {
            Status::Broken(why) => Some(why),
            _ => None,
        })
    }

    /// Breaks it, if it is not broken already.
    pub(crate) fn abort<H: Home<State = Gate>>(home: &H) -> Result<(), Refusal> {
        let mut inside = enter(home)?;
        let gate = inside.state();
        let round = gate.round().ok_or(Refusal::Corrupt)?;
        if !matches!(round.status, Status::Broken(_)) {
            gate.fail(&mut inside, round, BrokenBarrier::Aborted);
        }
        Ok(())
    }

    /// Makes it whole, empty, and without members.
    pub(crate) fn reset<H: Home<State = Gate>>(home: &H) -> Result<(), Refusal> {
        let mut inside = enter(home)?;
        let gate = inside.state();
        let round = gate.round().ok_or(Refusal::Corrupt)?;
        let why = match round.status {
            Status::Broken(why) => why,
            _ => BrokenBarrier::Reset,
        };
        // Whoever is killed from here on leaves the rest to the next.
        gate.put(round.in_status(Status::Resetting(why)));
        gate.finish_reset(round, why);
        inside.advance_all(&gate.sequence);
        Ok(())
    }

    fn finish_reset(&self, round: Round, why: BrokenBarrier) {
        let is_noted = read_cut(load(&self.cuts[0])) == Some((round.number, why));
        if !is_noted {
            for newer in (1..CUTS).rev() {
                store(&self.cuts[newer], load(&self.cuts[newer - 1]));
            }
            store(&self.cuts[0], cut(round.number, why));
        }
        self.members.clear();
        self.put(round.next());
    }

    /// The caller's process is no member any more. `false`, and nothing has changed, while one of its
    /// threads has arrived and waits.
    pub(crate) fn resign<H: Home<State = Gate>>(home: &H) -> Result<bool, Refusal> {
        let inside = enter(home)?;
        let gate = inside.state();
        let round = gate.round().ok_or(Refusal::Corrupt)?;
        let membership = Membership(gate.members.of(inside.me()));
        if membership.arrived(round.number) != 0 && !matches!(round.status, Status::Broken(_)) {
            return Ok(false);
        }
        // It fails if the entry is that of one who is dead: then this process was no member.
        let _ = gate.members.set(inside.me(), 0);
        Ok(true)
    }

    fn round(&self) -> Option<Round> {
        Round::from_word(load(&self.word), self.parties()?)
    }

    fn put(&self, round: Round) {
        store(&self.word, round.word());
    }

    fn fail<'h, H: Home<State = Gate>>(
        &'h self,
        inside: &mut Inside<'h, H>,
        round: Round,
        why: BrokenBarrier,
    ) {
        self.put(round.in_status(Status::Broken(why)));
        inside.advance_all(&self.sequence);
    }

    /// Breaks it if a member has died, and says whether it did.
    fn fails_by_death<'h, H: Home<State = Gate>>(
        &'h self,
        inside: &mut Inside<'h, H>,
        round: Round,
    ) -> bool {
        let has_dead = self.members.has_dead(inside.roster());
        if has_dead {
            self.fail(inside, round, BrokenBarrier::PartyDied);
        }
        has_dead
    }

    fn outcome_of(&self, number: u64, round: Round) -> Outcome {
        if round.number == number {
            return match round.status {
                Status::Broken(why) => Outcome::Cut(why),
                _ => Outcome::NotYet,
            };
        }
        for entry in &self.cuts {
            match read_cut(load(entry)) {
                Some((cut, why)) if cut == number => return Outcome::Cut(why),
                // Later rounds went well, and so did this one.
                Some((cut, _)) if is_after(number, cut) => return Outcome::Passed,
                Some(_) => {}
                None => return Outcome::Passed,
            }
        }
        // It is older than all the resets that are remembered, and may have ended by one before.
        Outcome::Cut(BrokenBarrier::Reset)
    }

    /// Takes the lowest number that nobody has in this round.
    fn take_number(&self, round: u64) -> Option<u32> {
        for (first, word) in (0..).step_by(32).zip(&self.numbers) {
            let taken = numbers_in(load(word), round);
            if taken != u32::MAX {
                let free = taken.trailing_ones();
                store(word, numbers_word(taken | 1 << free, round));
                return Some(first + free);
            }
        }
        None
    }

    fn give_number_back(&self, number: u32, round: u64) {
        if let Some(word) = self.numbers.get(number as usize / 32) {
            let taken = numbers_in(load(word), round);
            store(word, numbers_word(taken & !(1 << (number % 32)), round));
        }
    }
}

fn numbers_in(word: u64, round: u64) -> u32 {
    if (word >> 32) as u32 == round as u32 {
        word as u32
    } else {
        0
    }
}

fn numbers_word(taken: u32, round: u64) -> u64 {
    round << 32 | u64::from(taken)
}

// Whoever writes is inside. Release and acquire: for the hints.

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

fn store(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model;
