//! The order inside a [`Heap`](super::Heap): a heap of four, in which an entry at `n` has its
//! children at `4n + 1` to `4n + 4` and none of them belongs before it.
//!
//! Every change is one entry that fills one hole. It is planned first, with comparisons and no moves
//! ([`plan`], [`plan_last`]), and carried out afterwards with moves and no comparisons
//! ([`Plan::fill`], [`Plan::push`]): a comparison that panics leaves everything as it was.

use super::ticket::Tickets;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::hint::select_unpredictable;
use std::mem::swap;
use std::ptr;

/// An item, and what decides between equals.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) item: T,
    pub(super) rank: Rank,
}

/// When an item came, and its slot among the tickets, in one word. Ages are unique in a heap, so
/// the slot never decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u64);

impl Rank {
    #[inline]
    pub(super) fn new(age: u32, slot: u32) -> Rank {
        Rank(u64::from(age) << 32 | u64::from(slot))
    }

    #[inline]
    pub(super) fn age(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }
}

impl<T: Ord> Entry<T> {
    /// The order of the heap, which is total: equal items by age.
    #[inline]
    pub(super) fn order(&self, other: &Entry<T>) -> Ordering {
        self.item.cmp(&other.item).then(self.rank.cmp(&other.rank))
    }

    #[inline]
    pub(super) fn is_before(&self, other: &Entry<T>) -> bool {
        self.order(other).is_lt()
    }
}

/// How an entry gets into a hole: positions only, no entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// What is here leaves.
    hole: usize,
    /// The new entry goes in here, an ancestor or a descendant of the hole. What is in between moves by
    /// one generation towards the hole.
    target: usize,
}

impl Plan {
    /// Carries out a plan of [`plan`]: `new` goes in, what was in the hole is returned.
    #[inline]
    pub(super) fn fill<T>(
        self,
        entries: &mut [Entry<T>],
        mut new: Entry<T>,
        tickets: &mut Tickets,
    ) -> Entry<T> {
        assert!(self.hole.max(self.target) < entries.len());
        if self.target < self.hole {
            // SAFETY: the hole is one of `entries`, and `rise` writes to it without a look.
            return unsafe {
                let old = entries.as_ptr().add(self.hole).read();
                self.rise(entries.as_mut_ptr(), new, tickets);
                old
            };
        }
        let mut at = self.target;
        loop {
            // SAFETY: at most `target`, which is one of `entries`.
            let there = unsafe { entries.get_unchecked_mut(at) };
            // Field by field: copied in one piece, an entry that has just been written in two would
            // have to wait until both have left the store buffer.
            swap(&mut there.item, &mut new.item);
            swap(&mut there.rank, &mut new.rank);
            tickets.note(there.rank.slot(), at);
            if at == self.hole {
                return new;
            }
            at = parent(at);
        }
    }

    /// Carries out a plan of [`plan`] whose new entry is in the hole already.
    pub(super) fn shift<T>(self, entries: &mut [Entry<T>], tickets: &mut Tickets) {
        let (mut low, high) = (self.hole.max(self.target), self.hole.min(self.target));
        let mut path = SmallVec::<[usize; 16]>::new();
        while low != high {
            path.push(low);
            low = parent(low);
        }
        // Step by step away from the hole.
        if self.target > self.hole {
            path.reverse();
        }
        for at in path {
            entries.swap(at, parent(at));
            tickets.note(entries[at].rank.slot(), at);
            tickets.note(entries[parent(at)].rank.slot(), parent(at));
        }
    }

    /// Carries out a plan of [`plan_last`]: `new` goes in, and there is one entry more.
    #[inline]
    pub(super) fn push<T>(self, entries: &mut Vec<Entry<T>>, new: Entry<T>, tickets: &mut Tickets) {
        entries.reserve(1);
        assert!(self.hole == entries.len() && self.target <= self.hole);
        // SAFETY: the hole is the place behind the last entry, and there is memory for it. After
        // `rise` it is filled, so that there is one entry more.
        unsafe {
            self.rise(entries.as_mut_ptr(), new, tickets);
            entries.set_len(self.hole + 1);
        }
    }

    /// Moves what is between the target and the hole down, and `new` to the target.
    ///
    /// # Safety
    ///
    /// All places from `base` to the hole are within one allocation and all before the hole hold
    /// entries. What the hole holds is overwritten: it must be nothing, or have been moved out.
    #[inline]
    unsafe fn rise<T>(self, base: *mut Entry<T>, new: Entry<T>, tickets: &mut Tickets) {
        let mut at = self.hole;
        while at > self.target {
            let above = parent(at);
            // SAFETY: `above` is before the hole. What is read from it is written once, further
            // down, and its place is written to next; nothing in this loop panics.
            unsafe {
                let moved = base.add(above).read();
                tickets.note(moved.rank.slot(), at);
                base.add(at).write(moved);
            }
            at = above;
        }
        tickets.note(new.rank.slot(), at);
        // SAFETY: what was here is one generation further down, or `at` is the hole.
        unsafe { base.add(at).write(new) };
    }
}

#[inline]
fn parent(at: usize) -> usize {
    (at - 1) / 4
}

/// How `new`, which is younger than all others, gets in behind the last entry.
#[inline]
pub(super) fn plan_last<T: Ord>(entries: &[Entry<T>], new: &T) -> Plan {
    let hole = entries.len();
    let mut target = hole;
    while target > 0 && new.cmp(&entries[parent(target)].item).is_lt() {
        target = parent(target);
    }
    Plan { hole, target }
}

/// How an entry gets into `hole`, which is one of `entries` and is not looked at; `is_before` says
/// whether the new one belongs before another.
///
/// The hole sinks to the bottom, each time filled by the first of its children, and from there the
/// new entry looks for its place upwards. Most entries belong near the bottom, so this compares less
/// than looking on the way down whether it fits.
#[inline]
pub(super) fn plan<T: Ord>(
    entries: &[Entry<T>],
    hole: usize,
    is_before: impl Fn(&Entry<T>) -> bool,
) -> Plan {
    let mut target = sink(entries, hole);
    // What has come up to fill the hole stays there unless the new entry belongs before it.
    while target != hole && is_before(&entries[target]) {
        target = parent(target);
    }
    if target == hole {
        while target > 0 && is_before(&entries[parent(target)]) {
            target = parent(target);
        }
    }
    Plan { hole, target }
}

/// Where a hole comes out that is filled, again and again, by the first of its children.
#[inline]
fn sink<T: Ord>(entries: &[Entry<T>], hole: usize) -> usize {
    let mut at = hole;
    let mut children = 4 * at + 1;
    while let Some([a, b, c, d]) = entries.get(children..children + 4) {
        // Which of two comes first cannot be foretold, so that must not become a jump. That they are
        // equal can, in most programs, and then their ages need not be loaded.
        let (b_a, d_c) = (b.item.cmp(&a.item), d.item.cmp(&c.item));
        let left = select_unpredictable(b_a.is_lt(), b, a);
        let right = select_unpredictable(d_c.is_lt(), d, c);
        let r_l = right.item.cmp(&left.item);
        let first = if b_a.is_eq() | d_c.is_eq() | r_l.is_eq() {
            first_of([a, b, c, d])
        } else {
            select_unpredictable(r_l.is_lt(), right, left)
        };
        at = (ptr::from_ref(first).addr() - entries.as_ptr().addr()) / size_of::<Entry<T>>();
        children = 4 * at + 1;
    }
    let rest = children.min(entries.len());
    let first = entries[rest..]
        .iter()
        .zip(rest..)
        .reduce(|a, b| if b.0.is_before(a.0) { b } else { a });
    first.map_or(at, |(_, at)| at)
}

/// The first of four when some are equal.
#[inline(never)]
fn first_of<T: Ord>([a, b, c, d]: [&Entry<T>; 4]) -> &Entry<T> {
    first_of_two(first_of_two(a, b), first_of_two(c, d))
}

#[inline]
fn first_of_two<'a, T: Ord>(a: &'a Entry<T>, b: &'a Entry<T>) -> &'a Entry<T> {
    if b.is_before(a) { b } else { a }
}

/// The position of the last entry of all, which is one without children.
pub(super) fn last<T: Ord>(entries: &[Entry<T>]) -> Option<usize> {
    let childless = entries.len().checked_sub(2).map_or(0, |at| at / 4 + 1);
    (childless..entries.len()).reduce(|a, b| {
        if entries[a].is_before(&entries[b]) {
            b
        } else {
            a
        }
    })
}
