//! [`Offers`]: what is held out at a rendezvous.
//!
//! A queue without room has nowhere to put an item, so a putter offers it and waits. A getter takes the
//! oldest offer; a putter that gives up withdraws its own. Offers are numbered in the order in which they
//! were made and leave in that order, so one is taken as soon as no older or equal one is left.

use super::core::is_before;
use std::collections::VecDeque;

pub(super) struct Offers<T> {
    /// The oldest first; the numbers rise.
    offers: VecDeque<(usize, T)>,
    next: usize,
    /// From then on offers can only be withdrawn.
    is_closed: bool,
}

impl<T> Default for Offers<T> {
    fn default() -> Offers<T> {
        Offers {
            offers: VecDeque::new(),
            next: 0,
            is_closed: false,
        }
    }
}

impl<T> Offers<T> {
    /// Makes an offer; returns its number.
    pub(super) fn make(&mut self, item: T) -> usize {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.offers.push_back((number, item));
        number
    }

    pub(super) fn take_first(&mut self) -> Option<T> {
        if self.is_closed {
            return None;
        }
        self.offers.pop_front().map(|(_, item)| item)
    }

    /// Nothing can be taken any more: whoever has an offer here withdraws it.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Takes an offer back; `None` if it has been taken.
    pub(super) fn withdraw(&mut self, number: usize) -> Option<T> {
        let at = self
            .offers
            .partition_point(|(other, _)| is_before(*other, number));
        match self.offers.get(at) {
            Some((found, _)) if *found == number => self.offers.remove(at).map(|(_, item)| item),
            _ => None,
        }
    }

    /// Offers with smaller numbers are gone.
    pub(super) fn taken(&self) -> usize {
        self.offers.front().map_or(self.next, |(number, _)| *number)
    }

    /// How many can be taken.
    pub(super) fn len(&self) -> usize {
        if self.is_closed { 0 } else { self.offers.len() }
    }
}
