//! [`Clock`]: what a queue has whose items become due: an alarm for the first of them.
//!
//! The alarm is set for the instant at which the discipline will next have something, whenever getters are
//! parked and nothing is due: by the core, as it releases the short lock. It calls the front getter, and
//! whoever takes an item calls the next as ever. A getter looks once more after it has parked, so whatever
//! becomes due before that is seen by it, and what becomes due later rings for it.
//!
//! The place where getters wait lies in the alarm, which lives until it has rung or the queue is gone: so
//! the thread that rings needs to know nothing of the queue or of its items.

use super::core::{Spot, TOLD};
use crate::platform::Mutex;
use crate::wait::lot;
use crate::wait::time::{self, Alarm, Ring};
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Clock {
    alarm: Arc<Alarm<Bell>>,
    /// By whose clock the alarm was set last.
    set_by: Mutex<time::Clock>,
}

struct Bell {
    getters: Spot,
}

impl Bell {
    fn call(&self) {
        lot::line(self.getters.address(), |line| {
            while !line.grant_front(TOLD) && !line.is_empty() {}
        });
    }
}

impl Ring for Bell {
    fn ring(this: Arc<Alarm<Bell>>) {
        this.body.call();
    }

    /// Who waits for an item that is not due waits on, as for one that never is.
    fn lost(_this: Arc<Alarm<Bell>>) {}
}

/// The calling thread's. It may be the first on the machine's, whatever clock the queue was made on.
fn started() -> time::Clock {
    let clock = time::Clock::current();
    if let Err(error) = clock.start() {
        panic!("a queue with delays needs a thread, and has got none: {error}");
    }
    clock
}

impl Clock {
    pub(super) fn new() -> Clock {
        let clock = started();
        Clock {
            alarm: Arc::new(Alarm::new(Bell {
                getters: Spot::new(),
            })),
            set_by: Mutex::new(clock),
        }
    }

    /// Where getters wait.
    pub(super) fn getters(&self) -> usize {
        self.alarm.body.getters.address()
    }

    /// Sets the alarm for the instant that `next` tells, if any, by the clock that the calling thread is on.
    /// One at a time asks and sets, so that the last answer is the one that counts.
    pub(super) fn set(&self, next: impl FnOnce() -> Option<Instant>) {
        let mut set_by = self.set_by.lock();
        set_by.timeline().disarm(&self.alarm);
        if let Some(at) = next() {
            *set_by = started();
            set_by.timeline().arm(Arc::clone(&self.alarm), at);
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.set_by.lock().timeline().disarm(&self.alarm);
    }
}
