//! [`Crew`]: one word that says how many workers look for tasks, how many are parked, and whether there may be
//! more. Whoever has pushed a task reads it to see whether somebody must be woken or started for it.
//!
//! # Why no task is left lying
//!
//! ```text
//!   submitter               a worker that searches           a worker about to park, its bucket locked
//!   1. push the task        1. pop a task                    1. word: one more parked, one fewer searching
//!   2. a fence              2. word: one fewer searching     2. a fence
//!   3. read the word        3. a fence, if it was the last   3. is the queue empty? only then, sleep
//!                           4. is the queue empty? if not,
//!                              wake or start somebody
//! ```
//!
//! A submitter that reads "somebody searches" leaves the task to them: they read their word later than it did,
//! so what they look at then has the task in it. One that reads "nobody searches, somebody is parked" wakes one. One
//! that reads neither finds every worker at work, or away: those at work look into the queue when they are done, and
//! whoever goes away looks, too, after having made room for another (`Pool::falls_asleep`). Wakes do not multiply:
//! while one that was woken has not found anything yet, nobody else is.
//!
//! The same holds for the end: whoever has pushed and then reads that the pool is shut takes the task back, and
//! whoever has pushed and reads that it is not, has pushed before the last worker's last look.

use crate::platform::atomic::{AtomicU32, Ordering};

const SEARCHING: u32 = 1;
const PARKED: u32 = 1 << 14;
const MOST: u32 = PARKED - 1;
/// Nothing is accepted any more.
const SHUT: u32 = 1 << 28;
/// There may be another worker.
const ROOM: u32 = 1 << 29;
/// There are more than there are to be.
const EXCESS: u32 = 1 << 30;

/// The most workers that the word can count.
pub(super) const MOST_WORKERS: usize = MOST as usize;

/// See the head of this file.
pub(super) struct Crew(AtomicU32);

/// What the word said at one time.
#[derive(Clone, Copy)]
pub(super) struct Reading(u32);

impl Reading {
    pub(super) fn searching(self) -> u32 {
        self.0 & MOST
    }

    pub(super) fn parked(self) -> u32 {
        (self.0 / PARKED) & MOST
    }

    pub(super) fn idle(self) -> usize {
        (self.searching() + self.parked()) as usize
    }

    pub(super) fn is_shut(self) -> bool {
        self.0 & SHUT != 0
    }

    pub(super) fn has_room(self) -> bool {
        self.0 & ROOM != 0
    }

    pub(super) fn has_excess(self) -> bool {
        self.0 & EXCESS != 0
    }
}

impl Crew {
    /// Nobody, and room.
    pub(super) fn new() -> Crew {
        Crew(AtomicU32::new(ROOM))
    }

    /// The word's address is where idle workers wait.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(&self.0).expose_provenance()
    }

    #[inline]
    pub(super) fn read(&self) -> Reading {
        // Acquire: who reads that it is shut sees why.
        Reading(self.0.load(Ordering::Acquire))
    }

    /// One more searches: it has just been at work, or is about to be started.
    pub(super) fn begins_to_search(&self) {
        self.0.fetch_add(SEARCHING, Ordering::Relaxed);
    }

    /// One fewer searches; it has found something, or goes. Says how it was before.
    pub(super) fn ends_to_search(&self) -> Reading {
        Reading(self.0.fetch_sub(SEARCHING, Ordering::SeqCst))
    }

    /// From searching to parked. Under the bucket's lock, as all that changes how many are parked.
    pub(super) fn parks(&self) {
        self.0.fetch_add(PARKED - SEARCHING, Ordering::SeqCst);
    }

    /// From parked to searching. Likewise.
    pub(super) fn unparks(&self) {
        self.0.fetch_sub(PARKED - SEARCHING, Ordering::SeqCst);
    }

    /// Nothing is accepted from now on.
    pub(super) fn shut(&self) {
        self.0.fetch_or(SHUT, Ordering::SeqCst);
    }

    /// Called with the pool's state locked, when the head count or its limit has changed.
    pub(super) fn set_room(&self, has_room: bool, has_excess: bool) {
        let seen = self.read();
        for (flag, is, was) in [
            (ROOM, has_room, seen.has_room()),
            (EXCESS, has_excess, seen.has_excess()),
        ] {
            match (is, was) {
                (true, false) => drop(self.0.fetch_or(flag, Ordering::SeqCst)),
                (false, true) => drop(self.0.fetch_and(!flag, Ordering::SeqCst)),
                _ => {}
            }
        }
    }
}
