//! How long to stay awake before sleeping: one policy for every wait.
//!
//! A sleep and its wake-up cost 35 to 40 microseconds in a virtual machine, so a wait that ends
//! sooner should not sleep. Turns begin with a few pauses, for an owner who is about to finish on
//! another core, and go on with `sched_yield`, which lets an owner on this core finish. All of it
//! together stays well below the price of one sleep. With a single CPU nobody can make progress
//! while we spin, so there is none; nor when somebody is parked already (the callers ask).

use crate::platform::{cpus, spin_hint, yield_now};

/// Turns made of pauses: 2, 4, 8 of them.
const PAUSING: u32 = 3;
/// Turns altogether; the rest yield.
const TURNS: u32 = 13;

/// One wait's stock of turns.
pub(crate) struct Spin {
    turn: u32,
}

impl Spin {
    pub(crate) fn new() -> Spin {
        Spin {
            turn: if cpus() > 1 { 0 } else { TURNS },
        }
    }

    /// Passes a moment. False when it is time to sleep.
    pub(crate) fn turn(&mut self) -> bool {
        if self.turn == TURNS {
            return false;
        }
        self.turn += 1;
        if self.turn <= PAUSING {
            (0..1 << self.turn).for_each(|_| spin_hint());
        } else {
            yield_now();
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_spin_ends() {
        let mut spin = Spin { turn: 0 };
        assert_eq!((0..100).filter(|_| spin.turn()).count() as u32, TURNS);
    }
}
