//! One call's way through a barrier.
//!
//! Invariant: from its arrival until it has heard how the round ended it is one of those the word counts;
//! dropped before, it takes the arrival back, unless the last one has come.

use super::word::{Membership, Round, Status};
use super::{BrokenBarrier, Gate, Outcome};
use crate::GaveUp;
use crate::shm::monitor::{self, Briefly, Home, Inside, Turn, enter, visit};
use crate::shm::refusal::Refusal;
use crate::shm::wait::{Look, Operation, Patience, Step};
use crate::shm::word::Owner;
use std::io;
use std::mem;

/// How a call's way through a barrier has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Through, with this number; and whether it came last.
    Through(u32, bool),
    /// The last to arrive, who is to run the action and then to say so by [`Arrived::conclude`].
    Acts(Arrived),
    Broken(BrokenBarrier),
}

/// In which round, as which, and for which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    round: u64,
    number: u32,
    /// The child of a fork has the parent's arrivals in its memory, and has not arrived itself.
    owner: Owner,
}

/// What came of giving up.
#[derive(Debug)]
pub(crate) enum GivenUp {
    /// It is as if it had never arrived.
    Left,
    Ended(Passage),
    /// Everybody has come: it is to wait for the action's end.
    TooLate,
}

/// One call: wants to arrive, and then to be let through.
pub(crate) struct Arrival<'h, H: Home<State = Gate>> {
    home: &'h H,
    /// Does the last one run an action before the others may go?
    acts: bool,
    /// Arrives only if that makes the barrier full.
    only_last: bool,
    arrived: Option<Arrived>,
    briefly: Briefly,
}

impl<'h, H: Home<State = Gate>> Arrival<'h, H> {
    pub(crate) fn new(home: &'h H, acts: bool) -> Arrival<'h, H> {
        Arrival {
            home,
            acts,
            only_last: false,
            arrived: None,
            briefly: Briefly::default(),
        }
    }

    /// Goes through if everybody else is there.
    pub(crate) fn try_wait(mut self) -> Result<Option<Passage>, Refusal> {
        self.only_last = true;
        monitor::poll(&mut self)
    }

    /// Waits as long as `patience` lasts. Who gives up leaves, or breaks the barrier.
    pub(crate) fn wait(
        mut self,
        patience: &mut impl Patience,
        for_ever: &mut impl Patience,
        breaks: bool,
    ) -> Result<Passage, Refusal> {
        let why = match monitor::wait(&mut self, patience) {
            Err(Refusal::GaveUp(why)) => why,
            other => return other,
        };
        match self.give_up(breaks.then(|| why.into()))? {
            GivenUp::Left => Err(Refusal::GaveUp(why)),
            GivenUp::Ended(passage) => Ok(passage),
            GivenUp::TooLate => monitor::wait(&mut self, for_ever),
        }
    }

    fn give_up(&mut self, breaks: Option<BrokenBarrier>) -> Result<GivenUp, Refusal> {
        let Some(arrived) = self.arrived else {
            return Ok(GivenUp::Left);
        };
        let mut inside = enter(self.home)?;
        let gate = inside.state();
        let round = gate.round().ok_or(Refusal::Corrupt)?;
        if arrived.owner != inside.me() {
            self.arrived = None;
            return Ok(GivenUp::Left);
        }
        if let Some(passage) = arrived.passage(gate, round) {
            self.arrived = None;
            return Ok(GivenUp::Ended(passage));
        }
        if round.status != Status::Filling {
            return Ok(GivenUp::TooLate);
        }
        self.arrived = None;
        match breaks {
            Some(why) => gate.fail(&mut inside, round, why),
            None => arrived.take_back(gate, round)?,
        }
        Ok(GivenUp::Left)
    }

    fn turn(&mut self, inside: &mut Inside<'h, H>, look: Look) -> Turn<'h, Passage> {
        let gate = inside.state();
        let Some(round) = gate.round() else {
            return Turn::Refused(Refusal::Corrupt);
        };
        let Some(arrived) = self.arrived.filter(|it| it.owner == inside.me()) else {
            return self.arrive(inside, round, look);
        };
        let passage = match arrived.passage(gate, round) {
            None if look.suspicious && gate.fails_by_death(inside, round) => {
                Passage::Broken(BrokenBarrier::PartyDied)
            }
            None => return Turn::Sleep(&gate.sequence),
            Some(passage) => passage,
        };
        self.arrived = None;
        Turn::Done(passage)
    }

    fn arrive(
        &mut self,
        inside: &mut Inside<'h, H>,
        round: Round,
        look: Look,
    ) -> Turn<'h, Passage> {
        self.arrived = None;
        let gate = inside.state();
        match round.status {
            Status::Filling => {}
            // Seen by nobody: who came in after its maker's death has finished it.
            Status::Resetting(_) => return Turn::Refused(Refusal::Corrupt),
            Status::Broken(why) => return Turn::Done(Passage::Broken(why)),
            Status::Running => {
                if look.suspicious && gate.fails_by_death(inside, round) {
                    return Turn::Done(Passage::Broken(BrokenBarrier::PartyDied));
                }
                return Turn::Sleep(&gate.sequence);
            }
        }
        let is_last = Some(round.arrived + 1) == gate.parties();
        if (is_last || look.suspicious) && gate.fails_by_death(inside, round) {
            return Turn::Done(Passage::Broken(BrokenBarrier::PartyDied));
        }
        // A last look before giving up is no moment to arrive.
        let stays_out = self.only_last || look.suspicious && !look.announce;
        if stays_out && !is_last {
            return Turn::Sleep(&gate.sequence);
        }
        let owner = inside.me();
        // The members first: who is killed from here on breaks the barrier.
        let one_more = |entry| {
            let membership = Membership(entry);
            let arrived = membership.arrived(round.number) + 1;
            Some(membership.with_arrived(round.number, arrived).0)
        };
        if gate.members.update(owner, one_more).is_err() {
            // The entry is that of a dead process that had this one's place.
            gate.fail(inside, round, BrokenBarrier::PartyDied);
            return Turn::Done(Passage::Broken(BrokenBarrier::PartyDied));
        }
        let Some(number) = gate.take_number(round.number) else {
            return Turn::Refused(Refusal::Corrupt);
        };
        let arrived = Arrived {
            round: round.number,
            number,
            owner,
        };
        let round = round.with_arrived(round.arrived + 1);
        if !is_last {
            gate.put(round);
            self.arrived = Some(arrived);
            return Turn::Sleep(&gate.sequence);
        }
        if self.acts {
            gate.put(round.in_status(Status::Running));
            return Turn::Done(Passage::Acts(arrived));
        }
        gate.put(round.next());
        inside.advance_all(&gate.sequence);
        Turn::Done(Passage::Through(number, true))
    }
}

impl Arrived {
    /// How it ended, if it has.
    fn passage(&self, gate: &Gate, round: Round) -> Option<Passage> {
        match gate.outcome_of(self.round, round) {
            Outcome::NotYet => None,
            Outcome::Passed => Some(Passage::Through(self.number, false)),
            Outcome::Cut(why) => Some(Passage::Broken(why)),
        }
    }

    /// The members last: who is killed before it breaks the barrier.
    fn take_back(&self, gate: &Gate, round: Round) -> Result<(), Refusal> {
        gate.put(round.with_arrived(round.arrived.saturating_sub(1)));
        gate.give_number_back(self.number, self.round);
        let one_fewer = |entry| {
            let membership = Membership(entry);
            let arrived = membership.arrived(self.round).saturating_sub(1);
            Some(membership.with_arrived(self.round, arrived).0)
        };
        let updated = gate.members.update(self.owner, one_fewer);
        updated.map(drop).map_err(|_| Refusal::Corrupt)
    }

    /// The action has been run, and has panicked or not: lets everybody through, or nobody.
    pub(crate) fn conclude<H: Home<State = Gate>>(
        self,
        home: &H,
        has_panicked: bool,
    ) -> Result<Passage, Refusal> {
        let mut inside = enter(home)?;
        let gate = inside.state();
        let round = gate.round().ok_or(Refusal::Corrupt)?;
        if self.owner != inside.me() {
            let why = "the action is that of the process from which this one was forked";
            return Err(Refusal::Unlisted(io::Error::other(why)));
        }
        if let Some(passage) = self.passage(gate, round) {
            return Ok(passage);
        }
        if has_panicked {
            gate.fail(&mut inside, round, BrokenBarrier::ActionPanicked);
            return Ok(Passage::Broken(BrokenBarrier::ActionPanicked));
        }
        if gate.fails_by_death(&mut inside, round) {
            return Ok(Passage::Broken(BrokenBarrier::PartyDied));
        }
        gate.put(round.next());
        inside.advance_all(&gate.sequence);
        Ok(Passage::Through(self.number, true))
    }
}

impl<'h, H: Home<State = Gate>> Operation<'h> for Arrival<'h, H> {
    type Output = Result<Passage, Refusal>;

    fn attempt(&mut self, look: Look) -> Step<'h, Self::Output> {
        let (home, mut briefly) = (self.home, mem::take(&mut self.briefly));
        let step = visit(home, &mut briefly, look, |inside| self.turn(inside, look));
        self.briefly = briefly;
        step
    }
}

impl<H: Home<State = Gate>> Drop for Arrival<'_, H> {
    fn drop(&mut self) {
        // If the barrier is of no use any more, nobody counts on this one either.
        let _ = self.give_up(None);
    }
}

impl From<GaveUp> for BrokenBarrier {
    fn from(why: GaveUp) -> BrokenBarrier {
        match why {
            GaveUp::TimedOut => BrokenBarrier::TimedOut,
            GaveUp::Cancelled => BrokenBarrier::Cancelled,
        }
    }
}
