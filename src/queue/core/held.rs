//! [`Held`]: the short lock, held, and what may be done with it.

use super::{JOINERS, Shared, Side, State, is_before};
use crate::platform::ShortGuard;
use crate::platform::atomic::Ordering;
use crate::queue::Discipline;
use std::ops::{Deref, DerefMut};

/// The short lock, held. Its drop keeps the invariant: see the head of the file.
pub(in crate::queue) struct Held<'a, D: Discipline> {
    pub(super) shared: &'a Shared<D>,
    /// `None` only while it is dropped.
    pub(super) state: Option<ShortGuard<'a, State<D>>>,
}

impl<D: Discipline> Held<'_, D> {
    pub(in crate::queue) fn is_shut(&self) -> bool {
        self.shared.is_shut.load(Ordering::Relaxed)
    }

    pub(in crate::queue) fn shut(&mut self) {
        self.shared.is_shut.store(true, Ordering::Relaxed);
        if let Some(offers) = &mut self.offers {
            offers.close();
        }
    }

    pub(in crate::queue) fn capacity(&self) -> usize {
        self.shared.capacity.load(Ordering::Relaxed)
    }

    pub(in crate::queue) fn set_capacity(&mut self, capacity: usize) {
        self.shared.capacity.store(capacity, Ordering::Relaxed);
    }

    /// For how many more items there is room.
    pub(in crate::queue) fn room(&self) -> usize {
        self.capacity().saturating_sub(self.items.len())
    }

    /// Has the offer with this number been taken, if it was not withdrawn?
    pub(in crate::queue) fn has_taken(&self, number: usize) -> bool {
        let offers = self.offers.as_ref();
        offers.is_some_and(|offers| is_before(number, offers.taken()))
    }

    /// Is somebody of `side` parked?
    pub(in crate::queue) fn is_marked(&self, side: Side) -> bool {
        self.shared.is_marked(side)
    }

    /// Somebody of `side` is about to be linked; the bucket is locked.
    pub(in crate::queue) fn mark(&mut self, side: Side) {
        self.shared.set_mark(side.mark());
    }

    /// Somebody is about to be linked who waits for all items to be finished; the bucket is locked.
    pub(in crate::queue) fn mark_joiner(&mut self) {
        self.shared.set_mark(JOINERS);
    }

    /// Releases the lock without calling anybody: for who holds a bucket and has given nobody anything to
    /// do.
    pub(in crate::queue) fn release_quietly(mut self) {
        self.state = None;
    }
}

impl<D: Discipline> Deref for Held<'_, D> {
    type Target = State<D>;

    #[inline]
    fn deref(&self) -> &State<D> {
        self.state.as_ref().expect("held until dropped")
    }
}

impl<D: Discipline> DerefMut for Held<'_, D> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<D> {
        self.state.as_mut().expect("held until dropped")
    }
}

impl<D: Discipline> Drop for Held<'_, D> {
    #[inline]
    fn drop(&mut self) {
        let Some(state) = &self.state else { return };
        let shared = self.shared;
        shared.len.store(state.items.len(), Ordering::Relaxed);
        if shared.marks.load(Ordering::Relaxed) != 0 {
            self.release_marked();
        }
    }
}
