//! `ipc::RLock`: going in and out of several levels, alone and while somebody else holds it.

use super::{SOON, free_or_held, inherit};
use crate::case::{Case, End, Found, Subject};
use latchwork::ipc::{RLock, RLockGuard};
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("RLock::lock, nested", Nested::new, |s, begin| {
            begin();
            let outer = s.lock.lock().unwrap();
            let inner = s.lock.lock().unwrap();
            drop((outer, inner));
        }),
        Case::new("RLock::release, nested", Nested::new, |s, begin| {
            s.lock.acquire().unwrap();
            s.lock.acquire().unwrap();
            begin();
            s.lock.release().unwrap();
            s.lock.release().unwrap();
            assert!(s.lock.release().is_err());
        }),
        Case::new("RLock::lock_within, waiting", Nested::taken, |s, begin| {
            begin();
            drop(s.lock.lock_within(Duration::from_secs(20)).unwrap());
        }),
    ]
}

struct Nested {
    lock: &'static RLock,
    is_taken: bool,
    /// The parent's two levels.
    guards: Option<[RLockGuard<'static>; 2]>,
}

impl Nested {
    fn new() -> Nested {
        Nested {
            // For the guards beside it; one a case.
            lock: Box::leak(Box::new(RLock::new().unwrap())),
            is_taken: false,
            guards: None,
        }
    }

    fn taken() -> Nested {
        Nested {
            is_taken: true,
            ..Nested::new()
        }
    }
}

impl Subject for Nested {
    fn before(&mut self) {
        if self.is_taken {
            self.guards = Some([self.lock.lock().unwrap(), self.lock.lock().unwrap()]);
        }
    }

    fn meanwhile(&mut self) {
        self.guards = None;
    }

    fn after(&mut self, _: End) -> Result<Found, String> {
        let (_guard, found) = inherit(self.lock.lock_within(SOON))?;
        match self.lock.depth() {
            1 => Ok(found),
            depth => Err(format!("the survivor is {depth} levels deep")),
        }
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        free_or_held(self.lock.lock_within(limit))
    }
}
