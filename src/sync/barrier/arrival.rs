//! How one call goes through a barrier: [`Arrival`].
//!
//! From its bare step of arrival until it has been let through, or has heard how the round ended, it is one
//! of those the word counts; it never leaves without a step that says so, also when it is dropped.

use super::BrokenBarrier;
use super::raw::{COME, OUTSIDE, RawBarrier, THROUGH, Turn, tag_of, verdict};
use super::word::{Gate, Phase, State};
use crate::GaveUp;
use crate::wait::lot::Line;
use crate::wait::{Kind, Limit, Request, wait, wait_for_ever};
use std::panic::Location;

static KIND: Kind = Kind {
    name: "Barrier",
    owner: None,
};

/// One call: wants to arrive, and then to be let through.
///
/// Dropped before it knows how its round ended, it takes its arrival back; or, when that is too late, it
/// counts as one who has heard.
pub(super) struct Arrival<'a> {
    barrier: &'a RawBarrier,
    /// Does the last one run an action before the others may go?
    acts: bool,
    arrived: Option<Arrived>,
}

/// In which generation, and as which.
#[derive(Clone, Copy)]
struct Arrived {
    generation: usize,
    index: usize,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(barrier: &'a RawBarrier, acts: bool) -> Arrival<'a> {
        Arrival {
            barrier,
            acts,
            arrived: None,
        }
    }

    /// Arrives if that makes the barrier full.
    pub(super) fn try_wait(&mut self) -> Option<Turn> {
        self.arrive(true)
    }

    #[inline]
    pub(super) fn wait(mut self, place: &'static Location<'static>) -> Turn {
        match self.attempt() {
            Some(turn) => turn,
            None => wait_for_ever(&mut self, place),
        }
    }

    /// Who gives up leaves, or breaks the barrier.
    #[inline]
    pub(super) fn wait_within(
        mut self,
        limit: &Limit<'_>,
        breaks: bool,
        place: &'static Location<'static>,
    ) -> Result<Turn, GaveUp> {
        if let Some(turn) = self.attempt() {
            return Ok(turn);
        }
        wait(&mut self, limit, place)
            .or_else(|why| self.give_up(breaks.then(|| why.into()), place).ok_or(why))
    }

    /// `None` when it has given up; how the round ended when that came first. While the action runs
    /// everybody has come, nobody can leave, and the end is waited for.
    fn give_up(
        &mut self,
        breaks: Option<BrokenBarrier>,
        place: &'static Location<'static>,
    ) -> Option<Turn> {
        let arrived = self.arrived.take()?;
        let before = self.barrier.change(|state| match state.phase() {
            _ if state.generation() != arrived.generation => None,
            Phase::Filling => Some(match breaks {
                None => state.left(arrived.index),
                Some(why) => state.broken(why).heard(),
            }),
            Phase::Running => None,
            _ => Some(state.heard()),
        });
        match before {
            Err(state) if state.generation() == arrived.generation => {
                self.arrived = Some(arrived);
                Some(wait_for_ever(self, place))
            }
            Err(_) => Some(Turn::Through(arrived.index)),
            Ok(state) if state.phase() == Phase::Filling => None,
            Ok(state) => Some(verdict(state)),
        }
    }

    fn arrive(&mut self, only_last: bool) -> Option<Turn> {
        let mut seen = self.barrier.state();
        loop {
            match seen.gate() {
                Gate::Open => {}
                Gate::Shut => return None,
                Gate::Broken(why) => return Some(Turn::Broken(why)),
            }
            let index = seen.count();
            let is_last = index + 1 == self.barrier.parties();
            let wanted = match (is_last, self.acts) {
                (false, _) if only_last => return None,
                (false, _) => seen.arrived(),
                (true, true) => seen.running(),
                (true, false) => seen.running().finished(),
            };
            match self.barrier.swap(seen, wanted) {
                Ok(()) if !is_last => {
                    self.arrived = Some(Arrived {
                        generation: seen.generation(),
                        index,
                    });
                    return None;
                }
                Ok(()) => {
                    if !self.acts {
                        self.barrier.let_through(seen);
                    }
                    return Some(Turn::Last);
                }
                Err(now) => seen = now,
            }
        }
    }
}

impl Request for Arrival<'_> {
    type Output = Turn;
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.barrier.address()
    }

    #[inline]
    fn attempt(&mut self) -> Option<Turn> {
        let Some(arrived) = self.arrived else {
            return self.arrive(false);
        };
        let state = self.barrier.state();
        let turn = if state.generation() != arrived.generation {
            Turn::Through(arrived.index)
        } else if state.is_ending() {
            self.barrier.hear()
        } else {
            return None;
        };
        self.arrived = None;
        Some(turn)
    }

    /// Never: all wait for the same moment, and who is awake when it comes is through at once.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let mut seen = self.barrier.state();
        loop {
            let tag = match self.arrived {
                None if matches!(seen.gate(), Gate::Shut) => OUTSIDE,
                Some(arrived) if seen.generation() == arrived.generation && !seen.is_ending() => {
                    tag_of(arrived.generation)
                }
                _ => return None,
            };
            // A CAS even if the mark is there: it must be this state, not an older one, that we mark.
            match self.barrier.swap(seen, seen.marked()) {
                Ok(()) => return Some(tag),
                Err(now) => seen = now,
            }
        }
    }

    fn granted(&mut self, token: usize) -> Option<Turn> {
        match token {
            COME => self.attempt(),
            THROUGH => self
                .arrived
                .take()
                .map(|arrived| Turn::Through(arrived.index)),
            before => {
                self.arrived = None;
                Some(verdict(State(before)))
            }
        }
    }

    /// The arrival itself is taken back by [`Arrival::give_up`] or the drop, which change the word.
    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.barrier.unmark_if_empty(line);
    }

    /// Whoever else was outside has been called too.
    fn decline(&mut self, _token: usize) {
        self.arrived = None;
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let Some(arrived) = self.arrived else {
            return;
        };
        let _ = self.barrier.change(|state| match state.phase() {
            _ if state.generation() != arrived.generation => None,
            Phase::Filling => Some(state.left(arrived.index)),
            // Too late to leave; nobody is left to hear how it ends.
            Phase::Running => Some(state.with_count(state.count() - 1)),
            _ => Some(state.heard()),
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::wait::WaitFuture;
    use std::future::Future;
    use std::task::{Context, Waker};
    use std::time::Duration;

    /// One that is awake: it has arrived, is not in the line, and looks when the test says so.
    fn awake(barrier: &RawBarrier) -> Arrival<'_> {
        let mut arrival = Arrival::new(barrier, false);
        assert!(arrival.attempt().is_none());
        arrival
    }

    fn is_refused(barrier: &RawBarrier) -> bool {
        let arrival = Arrival::new(barrier, false);
        let limit = Limit::from(Duration::from_millis(1));
        arrival
            .wait_within(&limit, true, Location::caller())
            .is_err()
    }

    #[test]
    fn who_comes_before_those_of_a_reset_have_heard_waits_outside_within_its_limit() {
        let barrier = RawBarrier::new(3);
        let (mut first, mut second) = (awake(&barrier), awake(&barrier));
        barrier.reset();
        assert!(is_refused(&barrier));
        assert!(barrier.state().why_broken().is_none(), "it was never there");
        let heard = |turn| matches!(turn, Some(Turn::Broken(BrokenBarrier::Reset)));
        assert!(heard(first.attempt()));
        assert!(is_refused(&barrier));
        assert!(heard(second.attempt()));
        assert!(barrier.state() == State::NEW);
    }

    #[test]
    fn who_comes_before_those_of_a_round_with_a_gap_are_out_waits_outside() {
        let barrier = RawBarrier::new(3);
        drop((awake(&barrier), awake(&barrier)));
        assert!(barrier.state() == State::NEW);
        let leaver = awake(&barrier);
        let mut stays = awake(&barrier);
        drop(leaver);
        let mut again = awake(&barrier);
        let last = Arrival::new(&barrier, false).try_wait();
        assert!(matches!(last, Some(Turn::Last)));
        assert!(is_refused(&barrier));
        assert!(matches!(stays.attempt(), Some(Turn::Through(1))));
        assert!(is_refused(&barrier));
        assert!(matches!(again.attempt(), Some(Turn::Through(0))));
        assert!(barrier.state() == State::NEW);
    }

    #[test]
    fn who_leaves_the_line_leaves_the_mark_to_the_others() {
        let barrier = RawBarrier::new(3);
        let mut context = Context::from_waker(Waker::noop());
        let mut park = || {
            let mut future = Box::pin(WaitFuture::new(Arrival::new(&barrier, false)));
            assert!(future.as_mut().poll(&mut context).is_pending());
            future
        };
        let (mut stays, leaver) = (park(), park());
        drop(leaver);
        assert!(barrier.state().has_waiters());
        let mut second = awake(&barrier);
        assert!(Arrival::new(&barrier, false).try_wait().is_some());
        assert!(matches!(second.attempt(), Some(Turn::Through(1))));
        assert!(stays.as_mut().poll(&mut context).is_ready());
        assert!(!barrier.state().has_waiters());
    }

    #[test]
    fn who_is_lapped_is_through() {
        let barrier = RawBarrier::new(2);
        let mut slow = awake(&barrier);
        assert!(Arrival::new(&barrier, false).try_wait().is_some());
        for _ in 0..3 {
            let mut quick = awake(&barrier);
            assert!(Arrival::new(&barrier, false).try_wait().is_some());
            assert!(matches!(quick.attempt(), Some(Turn::Through(0))));
        }
        // What befalls a later round is nothing to one of an earlier.
        let _later = awake(&barrier);
        barrier.abort();
        assert!(matches!(slow.attempt(), Some(Turn::Through(0))));
    }

    #[test]
    fn an_abort_between_a_release_and_a_way_out_is_for_the_next() {
        let barrier = RawBarrier::new(3);
        let leaver = awake(&barrier);
        let mut stays = awake(&barrier);
        drop(leaver);
        let mut again = awake(&barrier);
        assert!(Arrival::new(&barrier, false).try_wait().is_some());
        barrier.abort();
        assert!(matches!(stays.attempt(), Some(Turn::Through(_))));
        assert!(matches!(again.attempt(), Some(Turn::Through(_))));
        let refused = Arrival::new(&barrier, false).try_wait();
        assert!(matches!(
            refused,
            Some(Turn::Broken(BrokenBarrier::Aborted))
        ));
    }

    #[test]
    fn those_who_are_dropped_after_a_break_have_heard() {
        let barrier = RawBarrier::new(3);
        let both = (awake(&barrier), awake(&barrier));
        barrier.abort();
        barrier.reset();
        assert!(is_refused(&barrier));
        drop(both);
        assert!(barrier.state() == State::NEW);
    }
}
