//! A flag that processes wait for.
//!
//! The flag and the number of times it was put up are one word, so a waiter is released by any `set`
//! that happens while it waits, also if a `clear` follows before it runs. A waiter leaves no trace.

use crate::shm::monitor::{Home, Inside, State, Turn, visits};
use crate::shm::refusal::Refusal;
use crate::shm::sequence::Sequence;
use crate::shm::wait::{Look, Operation};
use crate::shm::word::Liveness;

/// All zero: not set.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Flag {
    sequence: Sequence,
}

impl State for Flag {
    fn repair(&self, _roster: &impl Liveness) -> Option<()> {
        // Every change is one store.
        Some(())
    }
}

impl Flag {
    #[cfg(loom)]
    pub(crate) fn new() -> Flag {
        Flag {
            sequence: Sequence::new(),
        }
    }

    /// A hint, and in the absence of a `clear` a promise.
    pub(crate) fn is_up(&self) -> bool {
        self.sequence.flag()
    }

    /// Puts the flag up, and says whether it was down.
    pub(crate) fn set<H: Home<State = Flag>>(mut inside: Inside<'_, H>) -> bool {
        let sequence = &inside.state().sequence;
        match sequence.set_flag() {
            Some(call) => {
                inside.call(sequence, call);
                true
            }
            None => false,
        }
    }

    /// Takes the flag down, and says whether it was up.
    pub(crate) fn clear<H: Home<State = Flag>>(inside: Inside<'_, H>) -> bool {
        inside.state().sequence.clear_flag()
    }

    /// Waits for the flag, or for a `set` from now on.
    pub(crate) fn wait<H: Home<State = Flag>>(
        home: &H,
    ) -> impl Operation<'_, Output = Result<(), Refusal>> {
        let began = home.state().sequence.ticket();
        visits(home, move |inside: &mut Inside<'_, H>, _: Look| {
            let sequence = &inside.state().sequence;
            if sequence.flag() || sequence.ticket() != began {
                Turn::Done(())
            } else {
                Turn::Sleep(sequence)
            }
        })
    }
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model {
    //! Used by loom-tests/tests/ipc_event.rs.

    use super::Flag;
    use crate::shm::monitor::model::{Model, Sleeps};
    use crate::shm::monitor::{self, enter};

    /// An event and its users, named 0 to 3.
    pub struct EventModel(Model<Flag>);

    impl EventModel {
        #[allow(clippy::new_without_default)]
        pub fn new() -> EventModel {
            EventModel(Model::new(Flag::new()))
        }

        pub fn set(&self, who: u32) -> bool {
            Flag::set(enter(&self.0.seat(who)).unwrap())
        }

        pub fn clear(&self, who: u32) -> bool {
            Flag::clear(enter(&self.0.seat(who)).unwrap())
        }

        /// Sleeps at most `sleeps` times, and says whether there was a `set`.
        pub fn wait(&self, who: u32, sleeps: u32) -> bool {
            monitor::wait(Flag::wait(&self.0.seat(who)), &mut Sleeps(sleeps)).is_ok()
        }

        /// Killed inside, after the change and before the wake-up.
        pub fn set_and_die(&self, who: u32) {
            self.0.die_inside(who, |flag| {
                let _ = flag.sequence.set_flag();
            });
        }

        pub fn die(&self, who: u32) {
            self.0.die(who);
        }
    }
}
