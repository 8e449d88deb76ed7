//! The word of a barrier, and the steps that change it: [`RawBarrier`].
//!
//! Three steps are taken with a bare compare-and-swap: to arrive, to let everybody through, to begin and
//! to end the action. All others (leaving, breaking, resetting, hearing how a broken or draining round
//! ended) are rare and happen under the bucket's lock, in [`RawBarrier::change`]. In the phases in which
//! a round ends nobody takes a bare step, so there the lock alone orders everything, the numbers that
//! are given out included.

use super::BrokenBarrier;
use super::word::{Gate, MOST_PARTIES, Phase, State, WAITERS};
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Line};
use std::ptr;

/// Grant tokens. The token of a round that ends is its state, which says how, and which number is next.
pub(super) const COME: usize = 0;
pub(super) const THROUGH: usize = 1;
/// The tag of who has not arrived yet; others have their generation, and this bit.
pub(super) const OUTSIDE: usize = 0;
const ARRIVED: usize = 1;

pub(super) struct RawBarrier {
    /// A [`State`].
    word: AtomicUsize,
    parties: usize,
}

/// How a call ended.
pub(super) enum Turn {
    /// Let through, with this number.
    Through(usize),
    /// The last to arrive. With an action the others wait until the caller says how it went.
    Last,
    Broken(BrokenBarrier),
}

impl RawBarrier {
    const_fn! {
        pub(super) fn new(parties: usize) -> RawBarrier {
            assert!(parties > 0, "a barrier for nobody");
            assert!(parties <= MOST_PARTIES, "too many parties");
            RawBarrier { word: AtomicUsize::new(State::NEW.0), parties }
        }
    }

    pub(super) fn parties(&self) -> usize {
        self.parties
    }

    /// For reports.
    pub(super) fn state(&self) -> State {
        State(self.word.load(Ordering::Acquire))
    }

    /// Has the last one arrived, who now runs the action: lets everybody through.
    ///
    /// # Errors
    ///
    /// Why not, if the barrier was broken while the action ran.
    pub(super) fn finish(&self) -> Result<(), BrokenBarrier> {
        let mut seen = self.state();
        while seen.phase() == Phase::Running {
            match self.swap(seen, seen.finished()) {
                Ok(()) => {
                    self.let_through(seen);
                    return Ok(());
                }
                Err(now) => seen = now,
            }
        }
        match self.hear() {
            Turn::Broken(why) => Err(why),
            _ => unreachable!("a round whose action runs ends by its runner, or broken"),
        }
    }

    /// The action has panicked: nobody gets through, unless they have been told so before.
    pub(super) fn fail(&self) {
        let _ = self.change(|state| {
            Some(match state.phase() {
                Phase::Running => state.broken(BrokenBarrier::ActionPanicked).heard(),
                _ => state.heard(),
            })
        });
    }

    pub(super) fn abort(&self) {
        let _ = self.change(State::aborted);
    }

    pub(super) fn reset(&self) {
        let _ = self.change(State::reset);
    }

    /// AcqRel: Release publishes what the caller did before it arrived; Acquire gives the last one what
    /// all the others published, and the chain goes on to whoever sees the new state.
    pub(super) fn swap(&self, from: State, to: State) -> Result<(), State> {
        self.word
            .compare_exchange_weak(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(State)
    }

    /// After a bare step out of `before` that ended the round. Who parks from now on sees that it has.
    pub(super) fn let_through(&self, before: State) {
        if before.has_waiters() {
            lot::line(self.address(), |line| self.serve(line));
        }
    }

    /// Takes a step under the bucket's lock and lets those go whom it concerns. Returns the state before
    /// it, as `Err` if `step` had nothing to do.
    pub(super) fn change(&self, step: impl Fn(State) -> Option<State>) -> Result<State, State> {
        lot::line(self.address(), |line| {
            let mut seen = self.state();
            loop {
                let Some(wanted) = step(seen) else {
                    return Err(seen);
                };
                match self.swap(seen, wanted) {
                    Ok(()) => break,
                    Err(now) => seen = now,
                }
            }
            self.serve(line);
            Ok(seen)
        })
    }

    /// Takes note, for one who has arrived and is in no line, of how the round ended.
    pub(super) fn hear(&self) -> Turn {
        match self.change(|state| Some(state.heard())) {
            Ok(before) | Err(before) => verdict(before),
        }
    }

    /// Grants whatever the state has for those in the line.
    fn serve(&self, line: &mut Line<'_>) {
        let state = self.state();
        if state.is_ending() {
            self.serve_the_end(state, line);
        } else {
            // Those of this generation stay. Those outside are called when the gate is open.
            let is_open = matches!(state.gate(), Gate::Open);
            line.grant_where(|tag| match tag {
                OUTSIDE => is_open.then_some(COME),
                tag => (tag != tag_of(state.generation())).then_some(THROUGH),
            });
        }
        self.unmark_if_empty(line);
    }

    /// Empties the line. Each of this round hears how it ended, on whose behalf the count goes down; one
    /// that has given up is not counted, and hears for itself.
    fn serve_the_end(&self, mut state: State, line: &mut Line<'_>) {
        while let Some(front) = line.front() {
            if front.tag == tag_of(state.generation()) {
                if line.grant_front(state.without_generation().0) {
                    state = state.with_count(state.count() - 1);
                }
            } else {
                let token = if front.tag == OUTSIDE { COME } else { THROUGH };
                line.grant_front(token);
            }
        }
        // A store: in these phases the word changes only under the bucket's lock.
        self.word.store(state.settled().0, Ordering::Release);
    }

    pub(super) fn unmark_if_empty(&self, line: &Line<'_>) {
        if line.is_empty() {
            self.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }

    pub(super) fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }
}

pub(super) fn tag_of(generation: usize) -> usize {
    generation << 1 | ARRIVED
}

/// What a round that ends in this state says to the next who hears of it.
pub(super) fn verdict(before: State) -> Turn {
    match before.phase() {
        Phase::Broken(why) => Turn::Broken(why),
        _ => Turn::Through(before.count() - 1),
    }
}
