//! How long to stay awake before sleeping: one policy for every wait.
//!
//! A sleep and its wake-up cost 35 to 40 microseconds in a virtual machine, so a wait that ends
//! sooner should not sleep, and one that lasts longer should not burn much more than that. A wait has
//! one [`Spin`] for both of its awake phases: before the line, where it tries for itself, and in the
//! line, where it watches its own node.
//!
//! Turns begin with pauses and go on with `sched_yield`, which lets others on this core go on. Who
//! waits for something that is *held* pauses for most of a microsecond, because the holder is likely to
//! run on another core and to be done soon, and a thread that yields is away for longer than that. Who
//! waits for *news* pauses for a moment only, because the one who brings it may have to run here.
//!
//! Between two looks lie more and more yields, up to eight: each look takes the word's cache line away
//! from whoever works with it (two threads that only lock and unlock reach twice as much with growing
//! gaps), and a gap of about a third of what has been waited so far makes nothing much longer. A limit
//! that is reached ends the spin, so that it is no later for it. With a
//! single CPU nobody can make progress while we spin, so there is no spin.

use super::Limit;
use crate::platform::{cpus, spin_hint, yield_now};
use std::time::{Duration, Instant};

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// A thing that somebody has and will let go of.
    Held,
    /// Something that somebody does or says.
    News,
}

/// Turns made of so many pauses, of about 10 ns each.
const PAUSING: usize = 2;
const FOR_HELD: [u8; PAUSING] = [32, 48];
const FOR_NEWS: [u8; PAUSING] = [4, 8];
/// How long a wait stays awake: about what a sleep would cost.
const AWAKE: Duration = Duration::from_micros(40);
/// After so many turns with the same number of yields, the number doubles.
const TURNS_ALIKE: usize = 2;
/// It doubles so often.
const DOUBLINGS: usize = 3;

/// One wait's stock of turns.
pub(crate) struct Spin<'l> {
    limit: &'l Limit<'l>,
    turn: usize,
    pauses: &'static [u8; PAUSING],
    /// When to stop; known once the yielding begins.
    end: Option<Instant>,
    is_over: bool,
}

impl<'l> Spin<'l> {
    /// A new stock, for a wait that does not outlast `limit`.
    pub(crate) fn new(awaited: Awaited, limit: &'l Limit<'l>) -> Spin<'l> {
        Spin {
            limit,
            turn: 0,
            pauses: match awaited {
                Awaited::Held => &FOR_HELD,
                Awaited::News => &FOR_NEWS,
            },
            end: None,
            is_over: cpus() == 1,
        }
    }

    /// Passes a moment. False when it is time to sleep.
    pub(crate) fn turn(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        let turn = self.turn;
        self.turn += 1;
        if let Some(&pauses) = self.pauses.get(turn) {
            (0..pauses).for_each(|_| spin_hint());
            return true;
        }
        let now = Instant::now();
        let end = *self.end.get_or_insert_with(|| now + AWAKE);
        if now >= end || self.limit.is_reached(now) {
            self.is_over = true;
            return false;
        }
        for _ in 0..1 << ((turn - PAUSING) / TURNS_ALIKE).min(DOUBLINGS) {
            yield_now();
            // Where others want this core, a single yield may have taken a time slice of theirs.
            if Instant::now() >= end {
                break;
            }
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::CancelToken;

    #[test]
    fn a_spin_ends() {
        let limit = Limit::none();
        let mut spin = Spin {
            is_over: false,
            ..Spin::new(Awaited::News, &limit)
        };
        let start = Instant::now();
        while spin.turn() {}
        assert!(start.elapsed() >= AWAKE);
        assert!(!spin.turn());
    }

    #[test]
    fn a_limit_that_is_reached_ends_it() {
        let token = CancelToken::new();
        token.cancel();
        for limit in [Limit::from(&token), Limit::from(Instant::now())] {
            let mut spin = Spin {
                is_over: false,
                ..Spin::new(Awaited::News, &limit)
            };
            let mut turns = 0;
            while spin.turn() {
                turns += 1;
            }
            assert_eq!(turns, PAUSING, "pauses only, without a look at the limit");
        }
    }
}
