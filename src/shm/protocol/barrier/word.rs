//! The word of a barrier as a value, and what became of rounds.
//!
//! Nothing here is shared. Every step of a barrier ends with one store of this word, so a process that is
//! killed before it has changed nothing that counts but its own entry among the members.

use std::error::Error;
use std::fmt;

/// Most that a barrier can be for. Few in a model, where each atomic is an object of loom's.
pub(super) const MOST_PARTIES: u32 = if cfg!(loom) { 32 } else { 4096 };

const STATUS_BITS: u32 = 7;
const ARRIVED_BITS: u32 = 13;
const ROUND: u32 = STATUS_BITS + ARRIVED_BITS;
/// Rounds are counted modulo 2^44: years, at a microsecond each.
const ROUND_MASK: u64 = (1 << (u64::BITS - ROUND)) - 1;

/// Why a barrier lets nobody through: everybody who waits and everybody who comes is told so, until
/// [`reset`](crate::ipc::Barrier::reset).
///
/// Python: `threading.BrokenBarrierError`, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "BrokenBarrierError")]
#[non_exhaustive]
pub enum BrokenBarrier {
    /// Somebody called [`abort`](crate::ipc::Barrier::abort).
    Aborted,
    /// Somebody called [`reset`](crate::ipc::Barrier::reset) while this call waited. Only those who
    /// waited are told: the barrier itself is whole again.
    Reset,
    /// The deadline of a [`wait_within_or_break`](crate::ipc::Barrier::wait_within_or_break) passed.
    TimedOut,
    /// A [`wait_within_or_break`](crate::ipc::Barrier::wait_within_or_break) was cancelled.
    Cancelled,
    /// The action panicked; its panic went on in the thread that ran it.
    ActionPanicked,
    /// A process died that had arrived in this round or gone through an earlier one.
    PartyDied,
}

impl BrokenBarrier {
    /// By code.
    const ALL: [BrokenBarrier; 6] = [
        BrokenBarrier::Aborted,
        BrokenBarrier::Reset,
        BrokenBarrier::TimedOut,
        BrokenBarrier::Cancelled,
        BrokenBarrier::ActionPanicked,
        BrokenBarrier::PartyDied,
    ];

    fn code(self) -> u64 {
        match self {
            BrokenBarrier::Aborted => 0,
            BrokenBarrier::Reset => 1,
            BrokenBarrier::TimedOut => 2,
            BrokenBarrier::Cancelled => 3,
            BrokenBarrier::ActionPanicked => 4,
            BrokenBarrier::PartyDied => 5,
        }
    }

    fn from_code(code: u64) -> Option<BrokenBarrier> {
        BrokenBarrier::ALL.get(usize::try_from(code).ok()?).copied()
    }
}

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BrokenBarrier::Aborted => "the barrier was aborted",
            BrokenBarrier::Reset => "the barrier was reset",
            BrokenBarrier::TimedOut => "the barrier was broken by somebody who timed out",
            BrokenBarrier::Cancelled => "the barrier was broken by somebody who was cancelled",
            BrokenBarrier::ActionPanicked => "the barrier was broken by a panic in its action",
            BrokenBarrier::PartyDied => "the barrier was broken by the death of a process",
        })
    }
}

impl Error for BrokenBarrier {}

/// What a barrier is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Filling,
    /// The last one has come and runs the action.
    Running,
    /// Somebody is in the middle of a reset, for those who wait because of this.
    Resetting(BrokenBarrier),
    /// Until a reset.
    Broken(BrokenBarrier),
}

/// ```text
///   round | arrived | status
///
///   Filling    -> Filling, one more or one fewer
///              -> Running                         by the last, if there is an action
///              -> Filling of the next round       by the last, if there is none
///   Running    -> Filling of the next round       by who runs the action
///   Filling, Running            -> Broken
///   Filling, Running, Broken    -> Resetting -> Filling of the next round
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) number: u64,
    pub(super) arrived: u32,
    pub(super) status: Status,
}

impl Round {
    /// `None` if no step ends with this word.
    pub(super) fn from_word(word: u64, parties: u32) -> Option<Round> {
        let arrived = (word >> STATUS_BITS) as u32 & ((1 << ARRIVED_BITS) - 1);
        let status = match word & ((1 << STATUS_BITS) - 1) {
            0 => Status::Filling,
            1 => Status::Running,
            code @ 2..16 => Status::Resetting(BrokenBarrier::from_code(code - 2)?),
            code => Status::Broken(BrokenBarrier::from_code(code - 16)?),
        };
        let is_possible = match status {
            Status::Filling => arrived < parties,
            _ => arrived <= parties,
        };
        let number = word >> ROUND;
        is_possible.then_some(Round {
            number,
            arrived,
            status,
        })
    }

    pub(super) fn word(self) -> u64 {
        let status = match self.status {
            Status::Filling => 0,
            Status::Running => 1,
            Status::Resetting(why) => 2 + why.code(),
            Status::Broken(why) => 16 + why.code(),
        };
        self.number << ROUND | u64::from(self.arrived) << STATUS_BITS | status
    }

    pub(super) fn with_arrived(self, arrived: u32) -> Round {
        Round { arrived, ..self }
    }

    pub(super) fn in_status(self, status: Status) -> Round {
        Round { status, ..self }
    }

    pub(super) fn next(self) -> Round {
        Round {
            number: self.number.wrapping_add(1) & ROUND_MASK,
            arrived: 0,
            status: Status::Filling,
        }
    }
}

/// That a round was cut off by a reset, as a word that is never zero.
pub(super) fn cut(number: u64, why: BrokenBarrier) -> u64 {
    number << ROUND | (1 + why.code())
}

/// Which round was cut off, and why; `None` for a word that is no such thing.
pub(super) fn read_cut(word: u64) -> Option<(u64, BrokenBarrier)> {
    let code = (word & ((1 << ROUND) - 1)).checked_sub(1)?;
    Some((word >> ROUND, BrokenBarrier::from_code(code)?))
}

/// Is round `a` after round `b`?
pub(super) fn is_after(a: u64, b: u64) -> bool {
    let distance = a.wrapping_sub(b) & ROUND_MASK;
    distance != 0 && distance <= ROUND_MASK / 2
}

/// What a process has to do with the barrier: an entry of the ledger of members, zero if nothing.
///
/// ```text
///   31       30 ... 13   12 ... 0
///  PASSED |   round    |  arrived: so many of its threads in this round
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership(pub(super) u32);

const PASSED: u32 = 1 << 31;
const MEMBER_ROUND_MASK: u32 = (1 << (31 - ARRIVED_BITS)) - 1;

impl Membership {
    fn new(has_passed: bool, round: u64, arrived: u32) -> Membership {
        let round = (round as u32 & MEMBER_ROUND_MASK) << ARRIVED_BITS;
        let passed = if has_passed { PASSED } else { 0 };
        match (has_passed, arrived) {
            (false, 0) => Membership(0),
            _ => Membership(passed | round | arrived),
        }
    }

    /// Has it gone through a round before this one? One in which it arrived and that is not the present
    /// one it has gone through: if it was broken, the barrier was reset, which made it no member.
    fn has_passed(self, round: u64) -> bool {
        self.0 & PASSED != 0 || self.count() != 0 && !self.is_of(round)
    }

    /// How many of its threads have arrived in this round.
    pub(super) fn arrived(self, round: u64) -> u32 {
        if self.is_of(round) { self.count() } else { 0 }
    }

    pub(super) fn with_arrived(self, round: u64, arrived: u32) -> Membership {
        Membership::new(self.has_passed(round), round, arrived)
    }

    fn is_of(self, round: u64) -> bool {
        self.0 >> ARRIVED_BITS & MEMBER_ROUND_MASK == round as u32 & MEMBER_ROUND_MASK
    }

    fn count(self) -> u32 {
        self.0 & ((1 << ARRIVED_BITS) - 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_written() {
        let statuses = BrokenBarrier::ALL.map(Status::Broken).into_iter();
        let statuses = statuses.chain(BrokenBarrier::ALL.map(Status::Resetting));
        for status in statuses.chain([Status::Running]) {
            let round = Round {
                number: ROUND_MASK,
                arrived: MOST_PARTIES,
                status,
            };
            assert_eq!(Round::from_word(round.word(), MOST_PARTIES), Some(round));
            assert_eq!(round.next().word(), 0, "rounds wrap into nothing else");
            assert_eq!(Round::from_word(round.word(), MOST_PARTIES - 1), None);
        }
        assert_eq!(
            Round::from_word(0x7f, 1),
            None,
            "a status that there is not"
        );
        for why in BrokenBarrier::ALL {
            assert_eq!(read_cut(cut(ROUND_MASK, why)), Some((ROUND_MASK, why)));
        }
        assert_eq!(read_cut(0), None);
    }

    #[test]
    fn rounds_have_an_order_beyond_the_last_number() {
        assert!(is_after(0, ROUND_MASK) && !is_after(ROUND_MASK, 0));
        assert!(is_after(7, 6) && !is_after(7, 7));
    }

    #[test]
    fn who_takes_the_only_arrival_back_was_never_a_member() {
        let one = Membership(0).with_arrived(5, 1);
        assert_eq!((one.arrived(5), one.arrived(6)), (1, 0));
        assert_eq!(one.with_arrived(5, 0).0, 0);
        let later = one.with_arrived(6, 1);
        assert_eq!(later.arrived(6), 1);
        assert_ne!(later.with_arrived(6, 0).0, 0, "it went through round 5");
    }
}
