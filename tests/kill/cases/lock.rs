//! `ipc::Lock`: locking and unlocking, alone and while somebody else holds it.

use super::{SOON, free_or_held, inherit};
use crate::case::{Case, End, Found, Subject};
use latchwork::ipc::{Lock, LockGuard};
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("Lock::lock", Free::new, |s, begin| {
            begin();
            drop(s.lock.lock().unwrap());
        }),
        Case::new("Lock::unlock", Free::new, |s, begin| {
            let guard = s.lock.lock().unwrap();
            begin();
            drop(guard);
        }),
        Case::new("Lock::try_lock", Free::new, |s, begin| {
            begin();
            drop(s.lock.try_lock().unwrap().unwrap());
        }),
        Case::new("Lock::lock_within, in vain", Kept::new, |s, begin| {
            begin();
            assert!(s.0.lock.lock_within(Duration::from_millis(4)).is_err());
        }),
        Case::new("Lock::lock_within, waiting", Taken::new, |s, begin| {
            begin();
            drop(s.lock.lock_within(Duration::from_secs(20)).unwrap());
        }),
    ]
}

/// A lock that nobody but the victim wants.
struct Free {
    lock: Lock,
}

impl Free {
    fn new() -> Free {
        Free {
            lock: Lock::new().unwrap(),
        }
    }
}

impl Subject for Free {
    fn after(&mut self, _: End) -> Result<Found, String> {
        inherit(self.lock.lock_within(SOON)).map(|(_, found)| found)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        free_or_held(self.lock.lock_within(limit))
    }
}

/// A lock that the parent holds when the victim comes.
struct Taken {
    lock: &'static Lock,
    guard: Option<LockGuard<'static>>,
}

impl Taken {
    fn new() -> Taken {
        Taken {
            // For the guard beside it; one a case.
            lock: Box::leak(Box::new(Lock::new().unwrap())),
            guard: None,
        }
    }
}

impl Subject for Taken {
    fn before(&mut self) {
        self.guard = Some(self.lock.lock().unwrap());
    }

    fn meanwhile(&mut self) {
        self.guard = None;
    }

    fn after(&mut self, _: End) -> Result<Found, String> {
        inherit(self.lock.lock_within(SOON)).map(|(_, found)| found)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        free_or_held(self.lock.lock_within(limit))
    }
}

/// One that the parent does not give up before the victim has ended.
struct Kept(Taken);

impl Kept {
    fn new() -> Kept {
        Kept(Taken::new())
    }
}

impl Subject for Kept {
    fn before(&mut self) {
        self.0.before();
    }

    fn after(&mut self, end: End) -> Result<Found, String> {
        if !self.0.lock.is_locked() {
            return Err("the parent's lock was unlocked by another".to_owned());
        }
        self.0.meanwhile();
        self.0.after(end)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        match self.0.lock.lock_within(limit) {
            Err(error) if error.gave_up().is_some() => Ok(()),
            other => Err(format!("the parent's lock is {other:?}")),
        }
    }
}
