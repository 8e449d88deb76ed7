//! [`Heap`]: the items of a priority queue.
//!
//! The entries are in the order that `shape.rs` keeps; ticketed ones are found through `ticket.rs`.
//! Comparisons are the user's and may panic. Every change makes all its comparisons, then moves: so
//! a panic leaves the heap as it was, and no method is ever left with half an order.

use super::Keyed;
use super::shape::{self, Entry, Plan, Rank};
use super::ticket::{NO_SLOT, Ticket, Tickets};
use std::fmt;

/// A stable heap with tickets: the smallest item leaves first, the older one among equals.
///
/// It is what a priority queue keeps its items in, and works alone as well.
///
/// # Order
///
/// By `Ord`, the smallest first; wrap items in [`std::cmp::Reverse`] for the largest first. Equal
/// items leave in the order in which they came. The *worst* item is the one that would leave last:
/// the largest, the youngest among equals.
///
/// # Panics
///
/// A comparison that panics leaves the heap as it was; what was about to be put is dropped with the
/// panic. Nothing else that is the user's is called or dropped: what leaves is returned.
///
/// A heap holds fewer than 2^32 - 1 items; one more panics.
///
/// # Cost
///
/// Putting, taking the first and whatever goes by ticket take logarithmic time, looking at the first
/// constant time. The worst item has to be looked for among three quarters of all, which takes linear
/// time. An entry is the item and eight bytes; a ticketed one has sixteen more in a table, which is as
/// long as there have been tickets at a time.
///
/// # Source
///
/// Python's [`heapq`](https://docs.python.org/3/library/heapq.html) and the recipe there for stable
/// priority queues.
///
/// ```
/// use latchwork::queue::Heap;
///
/// let mut heap = Heap::new();
/// heap.push("pear");
/// let plum = heap.push_ticketed("plum");
/// heap.push("fig");
/// assert_eq!(heap.pop(), Some("fig"));
/// assert_eq!(heap.replace(&plum, "apple"), Ok("plum"));
/// assert_eq!(heap.pop(), Some("apple"));
/// assert_eq!(heap.remove(&plum), None);
/// ```
#[doc(alias = "heapq")]
pub struct Heap<T> {
    entries: Vec<Entry<T>>,
    tickets: Tickets,
    /// The age of the next entry. Every entry's is lower, and no two are equal.
    next_age: u32,
}

/// Positions and slots are `u32`, with one value to spare.
const MOST: usize = NO_SLOT as usize - 1;

impl<T> Heap<T> {
    /// An empty heap. Allocates nothing.
    pub fn new() -> Heap<T> {
        Heap::with_capacity(0)
    }

    /// An empty heap that has memory for `capacity` items.
    pub fn with_capacity(capacity: usize) -> Heap<T> {
        Heap {
            entries: Vec::with_capacity(capacity),
            tickets: Tickets::new(),
            next_age: 0,
        }
    }

    /// How many items are in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is nothing in it?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The item that [`pop`](Heap::pop) would take.
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        self.entries.first().map(|entry| &entry.item)
    }

    /// The item of this ticket, if it is still here.
    pub fn get(&self, ticket: &Ticket) -> Option<&T> {
        Some(&self.entries[self.tickets.find(ticket)?].item)
    }

    /// All items, in no particular order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.item)
    }

    /// A new entry, younger than all others.
    #[inline]
    fn youngest(&mut self, item: T) -> Entry<T> {
        if self.next_age == u32::MAX {
            self.renumber();
        }
        Entry {
            item,
            rank: Rank::new(self.next_age, NO_SLOT),
        }
    }

    /// Gives the entries new ages, in the order of the old ones. Once in four billion puts.
    #[cold]
    #[inline(never)]
    fn renumber(&mut self) {
        let mut ranks: Vec<&mut Rank> = self.entries.iter_mut().map(|e| &mut e.rank).collect();
        ranks.sort_unstable();
        self.next_age = ranks.len() as u32;
        for (age, rank) in (0..).zip(ranks) {
            *rank = Rank::new(age, rank.slot());
        }
    }
}

impl<T: Ord> Heap<T> {
    /// Puts an item in.
    #[inline]
    #[doc(alias = "heappush")]
    pub fn push(&mut self, item: T) {
        let (new, plan) = self.plan_push(item);
        self.carry_out_push(new, plan);
    }

    /// Puts an item in and returns what it can be found by.
    pub fn push_ticketed(&mut self, item: T) -> Ticket {
        self.tickets.reserve();
        let (mut new, plan) = self.plan_push(item);
        let (slot, ticket) = self.tickets.open();
        new.rank = Rank::new(new.rank.age(), slot);
        self.carry_out_push(new, plan);
        ticket
    }

    /// Puts an item in and takes the worst one out.
    ///
    /// # Errors
    ///
    /// The item itself, if no other is worse.
    #[doc(alias = "heappushpop")]
    pub fn push_evicting(&mut self, item: T) -> Result<T, T> {
        let new = self.youngest(item);
        match shape::last(&self.entries) {
            Some(last) if new.is_before(&self.entries[last]) => {
                let plan = shape::plan(&self.entries, last, |other| new.is_before(other));
                self.next_age += 1;
                Ok(self.exchange(plan, new))
            }
            _ => Err(new.item),
        }
    }

    /// Takes the smallest item, the oldest among equals.
    #[inline]
    #[doc(alias = "heappop")]
    pub fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        Some(self.take(0))
    }

    /// Takes the worst item: the largest, the youngest among equals.
    pub fn pop_worst(&mut self) -> Option<T> {
        shape::last(&self.entries).map(|last| self.take(last))
    }

    /// The item that [`pop_worst`](Heap::pop_worst) would take.
    pub fn peek_worst(&self) -> Option<&T> {
        shape::last(&self.entries).map(|last| &self.entries[last].item)
    }

    /// Takes the item of this ticket out, if it is still here.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        self.tickets.find(ticket).map(|at| self.take(at))
    }

    /// Puts another item in the place of this ticket's, which is returned. The ticket is the new
    /// item's from now on, and so is the age: among equals it leaves as if it had come when the old
    /// one did.
    ///
    /// # Errors
    ///
    /// The new item, if the old one is not here any more.
    pub fn replace(&mut self, ticket: &Ticket, item: T) -> Result<T, T> {
        let Some(at) = self.tickets.find(ticket) else {
            return Err(item);
        };
        let rank = self.entries[at].rank;
        let new = Entry { item, rank };
        let plan = shape::plan(&self.entries, at, |other| new.is_before(other));
        let old = plan.fill(&mut self.entries, new, &mut self.tickets);
        Ok(old.item)
    }

    /// Gives the item of this ticket another key and returns the old one; or the new one, if the item is
    /// not here any more.
    pub(in crate::queue) fn change_key(
        &mut self,
        ticket: &Ticket,
        mut key: T::Key,
    ) -> Result<T::Key, T::Key>
    where
        T: Keyed,
    {
        let Some(at) = self.tickets.find(ticket) else {
            return Err(key);
        };
        let rank = self.entries[at].rank;
        let plan = shape::plan(&self.entries, at, |other| {
            key.cmp(other.item.key())
                .then(rank.cmp(&other.rank))
                .is_lt()
        });
        std::mem::swap(&mut key, self.entries[at].item.key_mut());
        plan.shift(&mut self.entries, &mut self.tickets);
        Ok(key)
    }

    /// Takes all items out, in order.
    pub fn take_all(&mut self) -> Vec<T> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        // Nothing has moved yet if this panics.
        order.sort_unstable_by(|&a, &b| self.entries[a].order(&self.entries[b]));
        for entry in &self.entries {
            self.tickets.close(entry.rank.slot());
        }
        let entries = std::mem::take(&mut self.entries);
        let mut items: Vec<_> = entries.into_iter().map(|e| Some(e.item)).collect();
        order.iter().filter_map(|&at| items[at].take()).collect()
    }

    #[inline]
    fn plan_push(&mut self, item: T) -> (Entry<T>, Plan) {
        assert!(self.len() < MOST, "a heap holds fewer than 2^32 - 1 items");
        self.entries.reserve(1);
        let plan = shape::plan_last(&self.entries, &item);
        (self.youngest(item), plan)
    }

    #[inline]
    fn carry_out_push(&mut self, new: Entry<T>, plan: Plan) {
        self.next_age += 1;
        plan.push(&mut self.entries, new, &mut self.tickets);
    }

    /// Takes out what is at `at`, which exists.
    #[inline]
    fn take(&mut self, at: usize) -> T {
        let end = self.entries.len() - 1;
        let plan = (at < end).then(|| {
            let (rest, filler) = (&self.entries[..end], &self.entries[end]);
            shape::plan(rest, at, |other| filler.is_before(other))
        });
        let Some(filler) = self.entries.pop() else {
            unreachable!("there is an entry at {at}");
        };
        match plan {
            Some(plan) => self.exchange(plan, filler),
            None => {
                self.tickets.close(filler.rank.slot());
                filler.item
            }
        }
    }

    /// `new` goes in as planned, and what leaves for it has no ticket any more.
    #[inline]
    fn exchange(&mut self, plan: Plan, new: Entry<T>) -> T {
        let old = plan.fill(&mut self.entries, new, &mut self.tickets);
        self.tickets.close(old.rank.slot());
        old.item
    }
}

impl<T> Default for Heap<T> {
    fn default() -> Heap<T> {
        Heap::new()
    }
}

impl<T> fmt::Debug for Heap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Prioritized;

    #[test]
    fn ages_begin_anew_when_their_numbers_run_out() {
        let mut heap = Heap::new();
        // Numbered from here on, the fifth push finds no number left.
        heap.next_age = u32::MAX - 4;
        let mut tickets = Vec::new();
        for n in 0..10 {
            tickets.push(heap.push_ticketed(Prioritized::new(n % 2, n)));
            if n == 2 {
                assert_eq!(heap.pop().map(|first| first.item), Some(0));
            }
        }
        assert!(heap.next_age < 20);
        assert_eq!(heap.remove(&tickets[4]).map(|item| item.item), Some(4));
        assert_eq!(heap.change_priority(&tickets[3], 0), Ok(1));
        let order: Vec<_> = std::iter::from_fn(|| heap.pop())
            .map(|item| item.item)
            .collect();
        assert_eq!(order, [2, 3, 6, 8, 1, 5, 7, 9]);
    }

    #[test]
    fn new_ages_are_in_the_order_of_the_old_ones() {
        let mut heap = Heap::new();
        (0..30).for_each(|n| heap.push(Prioritized::new((), n)));
        // What is at the end moves to the front, so that positions say nothing of ages.
        assert!((0..7).all(|n| heap.pop().is_some_and(|first| first.item == n)));
        heap.next_age = u32::MAX;
        heap.push(Prioritized::new((), 30));
        let order = std::iter::from_fn(|| heap.pop()).map(|item| item.item);
        assert!(order.eq(7..31));
    }

    #[test]
    fn an_evicting_push_may_be_the_one_that_finds_no_number_left() {
        let mut heap = Heap::new();
        heap.push(Prioritized::new(2, 'a'));
        heap.push(Prioritized::new(1, 'b'));
        heap.next_age = u32::MAX;
        let out = heap.push_evicting(Prioritized::new(1, 'c'));
        assert_eq!(out.map(|item| item.item).ok(), Some('a'));
        assert_eq!(heap.pop().map(|item| item.item), Some('b'), "the older one");
    }

    #[test]
    fn slots_are_used_again() {
        let mut heap = Heap::new();
        for n in 0..100 {
            let tickets = [n, n + 1].map(|n| heap.push_ticketed(n));
            assert_eq!(heap.pop(), Some(n));
            assert_eq!(heap.remove(&tickets[1]), Some(n + 1));
        }
        assert_eq!(heap.tickets.slots(), 2);
    }
}
