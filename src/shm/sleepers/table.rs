//! Who waits for which word, and until when.
//!
//! Invariant: all members of a line have seen the same value in the line's word, so one look at the
//! word tells for all of them whether to go on waiting. Nothing here sleeps, wakes or runs the
//! user's code: whom to tell is collected in [`Told`], for whoever has let go of the lock.
//!
//! Slots are used again and again, so a wait allocates nothing once there have been as many waits at
//! a time before. They are in two lists each: that of their word, and that of their slice, in which
//! whoever came first expires first. Used by `shm::sleepers`.

use super::list::{Axis, Linked, Links, List};
use super::slice::Slice;
use crate::panic::contain;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::shared_futex::{self, Awaited, Ended};
use std::task::Waker;
use std::time::Instant;

pub(super) struct Table {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    /// In the order of their words' addresses. An empty one stays until the next [`look`](Table::look).
    lines: Vec<Line>,
    slices: [List; Slice::COUNT],
    /// The address from which on words are next to be slept on, where they don't all fit.
    next: usize,
}

/// One wait.
struct Slot {
    word: &'static AtomicU32,
    slice: Slice,
    deadline: Instant,
    /// Who polled the future.
    thread: u32,
    /// There while it waits.
    waker: Option<Waker>,
    /// `None` while it waits.
    ended: Option<Ended>,
    links: [Links; 2],
}

impl Linked for Slot {
    fn links(&mut self, axis: Axis) -> &mut Links {
        &mut self.links[axis as usize]
    }
}

/// One word, and those who wait for it.
struct Line {
    word: &'static AtomicU32,
    expected: u32,
    members: List,
    /// The thread sleeps on it, or is about to.
    is_slept_on: bool,
}

fn address(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

/// What is to be done without the lock.
#[derive(Default)]
pub(super) struct Told {
    wakers: Vec<Waker>,
    /// Wake-ups that found nobody here.
    strays: Vec<&'static AtomicU32>,
}

impl Told {
    pub(super) const fn new() -> Told {
        Told {
            wakers: Vec::new(),
            strays: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty() && self.strays.is_empty()
    }

    /// Wakes them. Never unwinds: behind one waker others wait to be woken.
    pub(super) fn fire(&mut self) {
        for word in self.strays.drain(..) {
            shared_futex::wake(word, 1);
        }
        for waker in self.wakers.drain(..) {
            contain(|| waker.wake());
        }
    }
}

/// What a wait is to begin with.
pub(super) struct Arrival {
    pub(super) word: &'static AtomicU32,
    pub(super) expected: u32,
    pub(super) slice: Slice,
    pub(super) waker: Waker,
    pub(super) thread: u32,
}

/// A wait that has begun.
pub(super) struct Entered {
    pub(super) at: u32,
    pub(super) deadline: Instant,
    /// Whoever changes the word and wakes a sleeper is heard.
    pub(super) is_slept_on: bool,
}

/// What is left of a wait that is over.
pub(super) struct Left {
    pub(super) word: &'static AtomicU32,
    pub(super) waker: Option<Waker>,
    pub(super) ended: Option<Ended>,
}

impl Table {
    pub(super) const fn new() -> Table {
        Table {
            slots: Vec::new(),
            vacant: Vec::new(),
            lines: Vec::new(),
            slices: [List::EMPTY; Slice::COUNT],
            next: 0,
        }
    }

    /// Begins a wait, or gives the waker back because the word has changed already.
    pub(super) fn enter(
        &mut self,
        arrival: Arrival,
        now: Instant,
        told: &mut Told,
    ) -> Result<Entered, Waker> {
        let Arrival {
            word,
            expected,
            slice,
            ..
        } = arrival;
        // Relaxed: see the first point at the top of `shm::sleepers`.
        if word.load(Ordering::Relaxed) != expected {
            return Err(arrival.waker);
        }
        let found = self.find(address(word));
        let line = found.unwrap_or_else(|line| {
            self.lines.insert(
                line,
                Line {
                    word,
                    expected,
                    members: List::EMPTY,
                    is_slept_on: false,
                },
            );
            line
        });
        if self.lines[line].expected != expected {
            // What the others have seen is not there any more.
            self.tell_line(line, told);
            self.lines[line].expected = expected;
        }
        let deadline = now + slice.length();
        let at = self.occupy(Slot {
            word,
            slice,
            deadline,
            thread: arrival.thread,
            waker: Some(arrival.waker),
            ended: None,
            links: [Links::NONE; 2],
        });
        let line = &mut self.lines[line];
        line.members.push(&mut self.slots, Axis::Word, at);
        self.slices[slice.index()].push(&mut self.slots, Axis::Slice, at);
        Ok(Entered {
            at,
            deadline,
            is_slept_on: line.is_slept_on,
        })
    }

    fn occupy(&mut self, slot: Slot) -> u32 {
        match self.vacant.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// Ends a wait on behalf of whoever waited.
    pub(super) fn leave(&mut self, at: u32) -> Left {
        if self.slots[at as usize].ended.is_none() {
            self.unlink(at);
        }
        self.vacant.push(at);
        let slot = &mut self.slots[at as usize];
        Left {
            word: slot.word,
            waker: slot.waker.take(),
            ended: slot.ended,
        }
    }

    pub(super) fn ended(&self, at: u32) -> Option<Ended> {
        self.slots[at as usize].ended
    }

    /// The waker of a wait that goes on.
    pub(super) fn waker(&mut self, at: u32) -> &mut Option<Waker> {
        &mut self.slots[at as usize].waker
    }

    /// After a sleep on `set` that somebody ended by its last word, and may have by others before.
    ///
    /// A word that holds what it held has not woken anybody who would find something else now.
    pub(super) fn after_wake(&mut self, set: &[Awaited<'static>], told: &mut Told) {
        for (n, awaited) in set.iter().enumerate() {
            let word = awaited.word;
            let is_last = n + 1 == set.len();
            if !is_last && word.load(Ordering::Relaxed) == awaited.expected {
                continue;
            }
            match self.find(address(word)) {
                Ok(line) if !self.lines[line].members.is_empty() => self.tell_line(line, told),
                _ => told.strays.push(word),
            }
        }
    }

    /// Tells everybody whose word has changed or whose slice is over. Nothing is slept on any more.
    pub(super) fn look(&mut self, now: Instant, told: &mut Told) {
        for line in 0..self.lines.len() {
            self.lines[line].is_slept_on = false;
            let Line { word, expected, .. } = self.lines[line];
            if word.load(Ordering::Relaxed) != expected {
                self.tell_line(line, told);
            }
        }
        for slice in Slice::ALL {
            // A little early, so that those who came one after the other are told at one time.
            let due = now + slice.length() / 4;
            while let Some(first) = self.slices[slice.index()].first()
                && self.slots[first as usize].deadline <= due
            {
                self.tell(first, Ended::Expired, told);
            }
        }
        self.lines.retain(|line| !line.members.is_empty());
    }

    /// Tells everybody to look.
    pub(super) fn tell_all(&mut self, told: &mut Told) {
        for line in 0..self.lines.len() {
            self.tell_line(line, told);
        }
    }

    /// Adds up to `width` words to `set`, which are slept on from now on; beginning where the last
    /// set ended, so that each gets its turn. Says whether they are all.
    pub(super) fn fill(&mut self, set: &mut Vec<Awaited<'static>>, width: usize) -> bool {
        let count = self.lines.len();
        let begin = match self.find(self.next) {
            Ok(line) | Err(line) => line,
        };
        let taken = width.min(count);
        for n in 0..taken {
            let line = &mut self.lines[(begin + n) % count];
            line.is_slept_on = true;
            set.push(Awaited {
                word: line.word,
                expected: line.expected,
            });
        }
        if taken < count {
            self.next = address(self.lines[(begin + taken) % count].word);
        }
        taken == count
    }

    /// When the first slice is over.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let firsts = self.slices.iter().filter_map(List::first);
        firsts
            .map(|first| self.slots[first as usize].deadline)
            .min()
    }

    /// The line of the word at this address, or where it would be.
    fn find(&self, at: usize) -> Result<usize, usize> {
        self.lines
            .binary_search_by_key(&at, |line| address(line.word))
    }

    fn tell_line(&mut self, line: usize, told: &mut Told) {
        while let Some(first) = self.lines[line].members.first() {
            self.tell(first, Ended::Woken, told);
        }
    }

    fn tell(&mut self, at: u32, ended: Ended, told: &mut Told) {
        self.unlink(at);
        let slot = &mut self.slots[at as usize];
        slot.ended = Some(ended);
        told.wakers.extend(slot.waker.take());
    }

    /// Takes a wait out of both lists.
    fn unlink(&mut self, at: u32) {
        let Slot { word, slice, .. } = self.slots[at as usize];
        if let Ok(line) = self.find(address(word)) {
            self.lines[line]
                .members
                .remove(&mut self.slots, Axis::Word, at);
        }
        self.slices[slice.index()].remove(&mut self.slots, Axis::Slice, at);
    }

    /// In a forked child: only the waits of the thread `this` go on. The others are over, for
    /// whoever polls them nevertheless; nobody is told, since they have no thread to run in. Says
    /// whether any go on.
    #[cfg(not(loom))]
    pub(super) fn forget_others(&mut self, this: u32) -> bool {
        for slice in Slice::ALL {
            let mut next = self.slices[slice.index()].first();
            while let Some(at) = next {
                next = self.slots[at as usize].links[Axis::Slice as usize].next();
                if self.slots[at as usize].thread != this {
                    self.unlink(at);
                    self.slots[at as usize].ended = Some(Ended::Woken);
                }
            }
        }
        for line in &mut self.lines {
            line.is_slept_on = false;
        }
        self.slices.iter().any(|slice| slice.first().is_some())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn enter(table: &mut Table, word: &'static AtomicU32) -> u32 {
        let arrival = Arrival {
            word,
            expected: word.load(Ordering::Relaxed),
            slice: Slice::FIRST,
            waker: Waker::noop().clone(),
            thread: 0,
        };
        let entered = table.enter(arrival, Instant::now(), &mut Told::new());
        entered.expect("the word has not changed").at
    }

    #[test]
    fn words_that_do_not_fit_are_slept_on_in_turn() {
        static WORDS: [AtomicU32; 10] = [const { AtomicU32::new(0) }; 10];
        let mut table = Table::new();
        for word in &WORDS {
            enter(&mut table, word);
        }
        let mut turns = [0; WORDS.len()];
        for _ in 0..WORDS.len() {
            let mut set = Vec::new();
            assert!(!table.fill(&mut set, 3), "they do not all fit");
            assert_eq!(set.len(), 3);
            for awaited in set {
                let is_it = |word: &AtomicU32| std::ptr::eq(word, awaited.word);
                turns[WORDS.iter().position(is_it).unwrap()] += 1;
            }
        }
        assert_eq!(turns, [3; WORDS.len()], "each as often as the others");
        assert!(table.fill(&mut Vec::new(), WORDS.len()), "these all fit");
    }

    #[test]
    fn who_waits_for_another_value_shows_the_others_that_theirs_is_gone() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        let mut table = Table::new();
        let early = [0; 2].map(|_| enter(&mut table, &WORD));
        let gone = enter(&mut table, &WORD);
        assert_eq!(table.leave(gone).ended, None);
        WORD.store(1, Ordering::Relaxed);
        let late = enter(&mut table, &WORD);
        assert_eq!(late, gone, "a slot is used again");
        assert_eq!(early.map(|at| table.ended(at)), [Some(Ended::Woken); 2]);
        assert_eq!(table.ended(late), None);
        let mut told = Told::new();
        table.look(Instant::now() + Slice::FIRST.length(), &mut told);
        assert_eq!(table.ended(late), Some(Ended::Expired));
        assert_eq!(told.wakers.len(), 1);
        assert!(table.next_deadline().is_none());
    }
}
