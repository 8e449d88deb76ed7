//! [`Clock`]: what a queue has whose items become due: an alarm for the first of them.
//!
//! The alarm is set for the instant at which the discipline will next have something, whenever getters are
//! parked and nothing is due: by the core, as it releases the short lock. It calls the front getter, and
//! whoever takes an item calls the next as ever. A getter looks once more after it has parked, so whatever
//! becomes due before that is seen by it, and what becomes due later rings for it.
//!
//! The place where getters wait lies in the bell, which lives until it has rung or the queue is gone: so
//! the thread that rings needs to know nothing of the queue or of its items.

#[cfg(not(loom))]
mod real {
    use crate::queue::core::{Spot, TOLD};
    use crate::wait::alarm::{self, Alarm, Ring};
    use crate::wait::lot;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use std::time::Instant;

    pub(crate) struct Clock {
        bell: Arc<Bell>,
        /// Dropped with the queue, and then it does not ring any more.
        alarm: Mutex<Option<Alarm>>,
    }

    struct Bell {
        getters: Spot,
    }

    impl Ring for Bell {
        fn ring(&self) {
            lot::line(self.getters.address(), |line| {
                while !line.grant_front(TOLD) && !line.is_empty() {}
            });
        }
    }

    impl Clock {
        pub(crate) fn new() -> Clock {
            if let Err(error) = alarm::start() {
                panic!("a queue with delays needs a thread, and has got none: {error}");
            }
            Clock {
                bell: Arc::new(Bell {
                    getters: Spot::new(),
                }),
                alarm: Mutex::new(None),
            }
        }

        /// Where getters wait.
        pub(crate) fn getters(&self) -> usize {
            self.bell.getters.address()
        }

        /// Sets the alarm for the instant that `next` tells, if any. One at a time asks and sets, so that
        /// the last answer is the one that counts.
        pub(crate) fn set(&self, next: impl FnOnce() -> Option<Instant>) {
            let mut alarm = self.alarm.lock();
            *alarm = next().map(|at| alarm::set(at, Arc::clone(&self.bell) as _));
        }
    }
}
#[cfg(not(loom))]
pub(super) use real::Clock;

/// There is no clock in a model.
#[cfg(loom)]
pub(super) enum Clock {}

#[cfg(loom)]
impl Clock {
    pub(super) fn new() -> Clock {
        panic!("there is no clock in a model");
    }

    pub(super) fn getters(&self) -> usize {
        match *self {}
    }

    pub(super) fn set(&self, _next: impl FnOnce() -> Option<std::time::Instant>) {
        match *self {}
    }
}
