//! A home for the loom models of primitives: a state, its lock, and participants who can be killed.
//!
//! Used by the models of the protocols in `shm::protocol`.

use super::{Home, State};
use crate::GaveUp;
use crate::shm::refusal::Refusal;
use crate::shm::wait::Patience;
use crate::shm::word::model::Tree;
use crate::shm::word::{Owner, Word};
use std::time::Duration;

/// One object and those who use it, named 0 to 3.
pub(crate) struct Model<S> {
    tree: Tree,
    state: S,
}

/// The object as one of the participants sees it.
pub(crate) struct Seat<'m, S> {
    model: &'m Model<S>,
    who: u32,
}

impl<S: State> Model<S> {
    pub(crate) fn new(state: S) -> Model<S> {
        Model {
            tree: Tree::new(),
            state,
        }
    }

    pub(crate) fn seat(&self, who: u32) -> Seat<'_, S> {
        Seat { model: self, who }
    }

    pub(crate) fn state(&self) -> &S {
        &self.state
    }

    pub(crate) fn roster(&self) -> &Tree {
        &self.tree
    }

    /// The kernel drops the record lock of `who`, and time passes for everybody else.
    pub(crate) fn die(&self, who: u32) {
        self.tree.die(who);
    }

    /// Locks the state for good, as `who` has that is killed inside: what it does next to the state
    /// is the half-made change.
    pub(crate) fn die_inside(&self, who: u32, half_made: impl FnOnce(&S)) {
        let seat = self.seat(who);
        let inside = super::enter(&seat).expect("a model refuses nobody");
        half_made(&self.state);
        std::mem::forget(inside);
        self.tree.die(who);
    }
}

impl<S: State> Home for Seat<'_, S> {
    type State = S;
    type Roster = Tree;

    fn word(&self) -> &Word {
        self.model.tree.word()
    }

    fn state(&self) -> &S {
        &self.model.state
    }

    fn roster(&self) -> &Tree {
        &self.model.tree
    }

    fn me(&self) -> Result<Owner, Refusal> {
        Ok(Tree::name(self.who))
    }

    fn is_current(&self) -> bool {
        true
    }
}

/// A patience of so many sleeps.
pub(crate) struct Sleeps(pub(crate) u32);

impl Sleeps {
    pub(crate) const FOR_EVER: Sleeps = Sleeps(u32::MAX);
}

impl Patience for Sleeps {
    fn slice(&mut self, longest: Duration) -> Result<Duration, GaveUp> {
        if self.0 == 0 {
            return Err(GaveUp::TimedOut);
        }
        self.0 -= u32::from(self.0 != u32::MAX);
        Ok(longest)
    }
}
