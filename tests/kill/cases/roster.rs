//! The roster: a process takes its place with the first lock it touches.

use super::{SOON, free_or_held, inherit};
use crate::case::{Case, End, Found, Subject};
use crate::victim::Victim;
use latchwork::ipc::Lock;
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    let first = Case::new("the first claim", Door::new, |s, begin| {
        begin();
        drop(s.lock.lock().unwrap());
    });
    vec![first.unlisted()]
}

/// A lock that each victim and another newcomer are listed for.
struct Door {
    lock: Lock,
}

impl Door {
    fn new() -> Door {
        Door {
            lock: Lock::new().unwrap(),
        }
    }
}

impl Subject for Door {
    fn after(&mut self, _: End) -> Result<Found, String> {
        let (guard, found) = inherit(self.lock.lock_within(SOON))?;
        drop(guard);
        // The place that the victim had, or was about to have, is no trap for the next.
        Victim::new(|| drop(self.lock.lock_within(SOON).unwrap())).join();
        Ok(found)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        free_or_held(self.lock.lock_within(limit))
    }
}
