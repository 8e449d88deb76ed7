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
//! waits for *news* pauses for a moment only, because the one who brings it may have to run here. Who waits
//! in *traffic*, for an item or for room, looks often at first, because with luck the other side is at
//! work on the other core, and is patient later, because a sleep and its wake-up cost more than hundreds of items.
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
pub enum Awaited {
    /// A thing that somebody has and will let go of.
    Held,
    /// Something that somebody does or says.
    News,
    /// Things that come and go all the time.
    Traffic,
}

/// Turns made of so many pauses, of about 10 ns each; 0 is a yield.
const FOR_HELD: &[u8] = &[32, 48];
const FOR_NEWS: &[u8] = &[4, 8];
const FOR_TRAFFIC: &[u8] = &[4, 4, 8, 8, 0, 16, 16, 0, 32, 32, 0, 64];
/// How long a wait stays awake: about what a sleep would cost.
const AWAKE: Duration = Duration::from_micros(40);
/// In traffic it makes at least so many turns of yields, unless they take ten times as long: where there are many
/// more threads than processors, a yield lets the others work, and what they do is what is waited for.
const LEAST_IN_TRAFFIC: usize = 16;
const AT_MOST: Duration = Duration::from_micros(400);
/// After so many turns with the same number of yields, the number doubles.
const TURNS_ALIKE: usize = 2;
/// It doubles so often.
const DOUBLINGS: usize = 3;

#[cfg(not(loom))]
fn is_modelled() -> bool {
    false
}
#[cfg(loom)]
fn is_modelled() -> bool {
    LOOKS_FIRST.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(loom)]
loom::lazy_static! {
    static ref LOOKS_FIRST: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
}

/// From now on, in this execution of a model, a spin has one turn.
#[cfg(loom)]
pub(crate) fn look_first() {
    LOOKS_FIRST.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// One wait's stock of turns.
pub(crate) struct Spin<'l> {
    limit: &'l Limit<'l>,
    turn: usize,
    pauses: &'static [u8],
    /// Turns of yields to be made, even if it takes longer.
    least: usize,
    /// When the yielding began.
    began: Option<Instant>,
    is_over: bool,
}

impl<'l> Spin<'l> {
    /// A new stock, for a wait that does not outlast `limit`.
    pub(crate) fn new(awaited: Awaited, limit: &'l Limit<'l>) -> Spin<'l> {
        // One at a time can do something, so there is nothing to stay awake for; nor in a model, which has
        // no time, unless it looks first.
        let is_alone = cpus() == 1;
        Spin {
            limit,
            turn: 0,
            pauses: match awaited {
                _ if is_alone => &[],
                Awaited::Held => FOR_HELD,
                Awaited::News => FOR_NEWS,
                Awaited::Traffic => FOR_TRAFFIC,
            },
            least: match awaited {
                Awaited::Held | Awaited::News => 0,
                Awaited::Traffic => LEAST_IN_TRAFFIC,
            },
            began: None,
            is_over: is_alone && !is_modelled(),
        }
    }

    /// Passes a moment. False when it is time to sleep.
    #[inline]
    pub(crate) fn turn(&mut self) -> bool {
        match self.pauses.get(self.turn) {
            Some(&pauses) if pauses > 0 => {
                self.turn += 1;
                (0..pauses).for_each(|_| spin_hint());
                true
            }
            _ => self.turn_of_yields(),
        }
    }

    fn turn_of_yields(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        if cfg!(loom) {
            // One look, and what the others do until then is for the model to vary.
            self.is_over = true;
            return true;
        }
        let turn = self.turn;
        self.turn += 1;
        if turn < self.pauses.len() {
            yield_now();
            return true;
        }
        let now = Instant::now();
        let yielding = turn - self.pauses.len();
        let began = *self.began.get_or_insert(now);
        let awake = if yielding < self.least {
            AT_MOST
        } else {
            AWAKE
        };
        let end = began + awake;
        if now >= end || self.limit.is_reached(now) {
            self.is_over = true;
            return false;
        }
        for _ in 0..1 << (yielding / TURNS_ALIKE).min(DOUBLINGS) {
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
            assert_eq!(
                turns,
                FOR_NEWS.len(),
                "pauses only, without a look at the limit"
            );
        }
    }
}
