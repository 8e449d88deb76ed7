//! The word of a barrier as a value: what its bits mean, and what each step makes of them.
//!
//! Nothing here is atomic. [`raw`](super::raw) puts the steps into the word and keeps the promise that
//! makes them add up: the generation goes on only when everybody who arrived in it has been let through,
//! or will see from the generation alone that they have.

use super::BrokenBarrier;

/// Somebody is parked. Set and cleared only under the bucket's lock.
pub(super) const WAITERS: usize = 1;
/// Somebody has left, and not the last who had come, so the numbers of arrival have a gap.
const GAP: usize = 1 << 1;
/// In the phases that end when everybody has heard of them: the barrier then opens again.
const OPENS: usize = 1 << 2;
/// Where the phase lies, and how wide it is.
const PHASE: u32 = 3;
const PHASE_MASK: usize = 0b111;
/// Where the count begins, and how wide it is: 16,777,215 parties with 64 bits, 4,095 with 32.
const COUNT: u32 = 6;
const COUNT_BITS: u32 = if usize::BITS == 64 { 24 } else { 12 };
pub(super) const MOST_PARTIES: usize = (1 << COUNT_BITS) - 1;
/// Where the generation begins; it has the rest, and wraps: after 17,179,869,184 rounds with 64 bits, half
/// an hour at a hundred nanoseconds each; after 16,384 with 32.
const GENERATION: u32 = COUNT + COUNT_BITS;

/// What a barrier is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Filling,
    /// The last one has come and runs the action.
    Running,
    /// Everybody has come; each takes a new number on the way out, because the old ones have a gap.
    Draining,
    Broken(BrokenBarrier),
}

/// What a newcomer finds.
pub(super) enum Gate {
    Open,
    /// Those of the round before are not through: come again.
    Shut,
    Broken(BrokenBarrier),
}

/// ```text
///   generation | count | phase | OPENS | GAP | WAITERS
///
///   phase       count is                      goes on to
///   Filling     who has come                  Running, or Filling of the next generation, or Draining
///   Running     who has not heard yet: all    Filling of the next generation, or Draining
///   Draining    who has not heard yet         Filling, or Broken(Aborted), when the count is 0
///   Broken(_)   who has not heard yet         Filling, when the count is 0 and OPENS is set
///
///   Filling and Running are broken by an abort, a reset, a time-out that breaks; Running also by a panic.
/// ```
///
/// The generation changes in one step only, from a full Filling or from Running to an empty Filling. So
/// who finds another one than it arrived in has been let through. Every other end of a round keeps the
/// generation and counts down until each has heard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) usize);

impl State {
    pub(super) const NEW: State = State(0);

    pub(super) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    pub(super) fn marked(self) -> State {
        State(self.0 | WAITERS)
    }

    pub(super) fn generation(self) -> usize {
        self.0 >> GENERATION
    }

    pub(super) fn without_generation(self) -> State {
        State(self.0 & ((1 << GENERATION) - 1))
    }

    pub(super) fn count(self) -> usize {
        self.0 >> COUNT & MOST_PARTIES
    }

    pub(super) fn with_count(self, count: usize) -> State {
        State(self.0 & !(MOST_PARTIES << COUNT) | count << COUNT)
    }

    pub(super) fn phase(self) -> Phase {
        match self.0 >> PHASE & PHASE_MASK {
            0 => Phase::Filling,
            1 => Phase::Running,
            2 => Phase::Draining,
            3 => Phase::Broken(BrokenBarrier::Aborted),
            4 => Phase::Broken(BrokenBarrier::Reset),
            5 => Phase::Broken(BrokenBarrier::TimedOut),
            6 => Phase::Broken(BrokenBarrier::Cancelled),
            _ => Phase::Broken(BrokenBarrier::ActionPanicked),
        }
    }

    fn in_phase(self, phase: Phase) -> State {
        let code = match phase {
            Phase::Filling => 0,
            Phase::Running => 1,
            Phase::Draining => 2,
            Phase::Broken(BrokenBarrier::Aborted) => 3,
            Phase::Broken(BrokenBarrier::Reset) => 4,
            Phase::Broken(BrokenBarrier::TimedOut) => 5,
            Phase::Broken(BrokenBarrier::Cancelled) => 6,
            Phase::Broken(BrokenBarrier::ActionPanicked) => 7,
        };
        State(self.0 & !(PHASE_MASK << PHASE) | code << PHASE)
    }

    /// Is this round over, with some who have yet to hear of it?
    pub(super) fn is_ending(self) -> bool {
        matches!(self.phase(), Phase::Draining | Phase::Broken(_))
    }

    fn opens(self) -> bool {
        self.0 & OPENS != 0
    }

    pub(super) fn gate(self) -> Gate {
        match self.phase() {
            Phase::Filling => Gate::Open,
            Phase::Running => Gate::Shut,
            _ if self.opens() => Gate::Shut,
            Phase::Broken(why) => Gate::Broken(why),
            // It was aborted after everybody had come.
            Phase::Draining => Gate::Broken(BrokenBarrier::Aborted),
        }
    }

    /// One more has come.
    pub(super) fn arrived(self) -> State {
        State(self.0 + (1 << COUNT))
    }

    /// The last one has come, and is to run the action.
    pub(super) fn running(self) -> State {
        self.arrived().in_phase(Phase::Running)
    }

    /// From Running: everybody may go, and the one who ran the action goes first.
    pub(super) fn finished(self) -> State {
        if self.0 & GAP != 0 {
            let ending = State(self.0 | OPENS).in_phase(Phase::Draining);
            return ending.heard();
        }
        let generation = self.0 >> GENERATION << GENERATION;
        State(generation.wrapping_add(1 << GENERATION) | self.0 & WAITERS)
    }

    /// The one with this number, who had come, goes before the barrier is full.
    pub(super) fn left(self, index: usize) -> State {
        let count = self.count() - 1;
        let mut state = self.with_count(count);
        if count == 0 {
            state.0 &= !GAP;
        } else if index != count {
            state.0 |= GAP;
        }
        state
    }

    /// Broken until a reset.
    pub(super) fn broken(self, why: BrokenBarrier) -> State {
        State(self.0 & !OPENS).in_phase(Phase::Broken(why))
    }

    /// One fewer who has yet to hear how this round ended.
    pub(super) fn heard(self) -> State {
        self.with_count(self.count() - 1).settled()
    }

    /// What follows when the last one has heard.
    pub(super) fn settled(self) -> State {
        if !self.is_ending() || self.count() != 0 {
            return self;
        }
        let state = State(self.0 & !(GAP | OPENS));
        match self.phase() {
            _ if self.opens() => state.in_phase(Phase::Filling),
            Phase::Draining => state.in_phase(Phase::Broken(BrokenBarrier::Aborted)),
            _ => state,
        }
    }

    /// What an abort makes of it; `None` if it is broken already.
    pub(super) fn aborted(self) -> Option<State> {
        match self.phase() {
            // Who has come is through; who comes now is not.
            Phase::Draining => Some(State(self.0 & !OPENS)),
            Phase::Broken(_) if !self.opens() => None,
            _ => Some(self.broken(BrokenBarrier::Aborted)),
        }
    }

    /// What a reset makes of it; `None` if it is empty and whole already.
    pub(super) fn reset(self) -> Option<State> {
        match self.phase() {
            Phase::Filling if self.count() == 0 => None,
            Phase::Filling | Phase::Running => {
                Some(State(self.broken(BrokenBarrier::Reset).0 | OPENS))
            }
            Phase::Draining | Phase::Broken(_) => Some(State(self.0 | OPENS).settled()),
        }
    }

    /// Why it is broken until a reset, if it is.
    pub(super) fn why_broken(self) -> Option<BrokenBarrier> {
        match self.gate() {
            Gate::Broken(why) => Some(why),
            _ => None,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn filled(n: usize) -> State {
        (0..n).fold(State::NEW, |state, _| state.arrived())
    }

    #[test]
    fn the_generation_wraps_into_nothing_else() {
        let last = State(usize::MAX >> GENERATION << GENERATION).marked();
        let next = last.running().finished();
        assert_eq!(next.generation(), 0);
        assert!(next == State::NEW.marked());
    }

    #[test]
    fn every_reason_survives_the_word() {
        for why in [
            BrokenBarrier::Aborted,
            BrokenBarrier::Reset,
            BrokenBarrier::TimedOut,
            BrokenBarrier::Cancelled,
            BrokenBarrier::ActionPanicked,
        ] {
            assert_eq!(filled(2).broken(why).why_broken(), Some(why));
        }
    }

    #[test]
    fn a_full_count_stays_in_its_place() {
        let state = State::NEW.with_count(MOST_PARTIES - 1).running();
        assert_eq!((state.count(), state.generation()), (MOST_PARTIES, 0));
        assert_eq!(state.phase(), Phase::Running);
    }

    #[test]
    fn only_a_gap_makes_the_round_drain() {
        assert_eq!(filled(2).left(1).running().finished().generation(), 1);
        assert_eq!(
            filled(1).left(0).arrived().running().finished().phase(),
            Phase::Filling
        );
        let drains = filled(2).left(0).running().finished();
        assert_eq!((drains.phase(), drains.count()), (Phase::Draining, 1));
        assert!(drains.heard() == State::NEW);
    }

    #[test]
    fn an_abort_while_draining_waits_for_its_turn() {
        let drains = filled(2).left(0).running().finished();
        let aborted = drains.aborted().unwrap();
        assert_eq!(aborted.phase(), Phase::Draining, "who has come is through");
        assert_eq!(aborted.why_broken(), Some(BrokenBarrier::Aborted));
        assert_eq!(
            aborted.heard().phase(),
            Phase::Broken(BrokenBarrier::Aborted)
        );
        assert!(aborted.reset().unwrap().heard() == State::NEW);
    }
}
