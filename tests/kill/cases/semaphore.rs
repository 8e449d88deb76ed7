//! `ipc::Semaphore`: taking and giving back, waiting, and what changes how many permits there are.

use super::SOON;
use crate::case::{Case, End, Found, Subject};
use crate::storm::{self, Audit, Load, Storm};
use latchwork::GaveUp;
use latchwork::ipc::Semaphore;
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("Semaphore::acquire", Permits::new, |s, begin| {
            begin();
            drop(s.semaphore.acquire().unwrap());
        }),
        Case::new("Semaphore, permit dropped", Permits::new, |s, begin| {
            let permit = s.semaphore.acquire_many(2).unwrap();
            begin();
            drop(permit);
        }),
        Case::new("Semaphore::try_acquire", Permits::new, |s, begin| {
            begin();
            drop(s.semaphore.try_acquire_many(2).unwrap().unwrap());
        }),
        Case::new("Semaphore::release", Permits::one_more, |s, begin| {
            begin();
            s.semaphore.release(1).unwrap();
        }),
        Case::new("Permit::forget", Permits::one_less, |s, begin| {
            let permit = s.semaphore.acquire().unwrap();
            begin();
            permit.forget().unwrap();
        }),
        Case::new("Semaphore::acquire_within", Permits::new, |s, begin| {
            begin();
            let limit = Duration::from_secs(20);
            drop(s.semaphore.acquire_many_within(3, limit).unwrap());
        }),
        // A refusal looks at everybody who may hold something: too many instructions to step through, so
        // that is stormed.
    ]
}

pub fn storm() -> Storm {
    Storm {
        name: "Semaphore::acquire",
        rage: |length| storm::run("Semaphore::acquire", &Shared::new(), 4, length),
    }
}

const TOTAL: u32 = 3;

struct Permits {
    semaphore: Semaphore,
    /// How many there are when the operation has been done.
    goal: u32,
}

impl Permits {
    fn new() -> Permits {
        Permits {
            semaphore: Semaphore::new(TOTAL).unwrap(),
            goal: TOTAL,
        }
    }

    fn one_more() -> Permits {
        Permits {
            goal: TOTAL + 1,
            ..Permits::new()
        }
    }

    fn one_less() -> Permits {
        Permits {
            goal: TOTAL - 1,
            ..Permits::new()
        }
    }

    /// How many there are, those of a dead victim included.
    fn count(&self) -> Result<u32, String> {
        let lost = |error: &dyn std::error::Error| format!("survivors get \"{error}\"");
        let count = self.semaphore.available().map_err(|e| lost(&e))?;
        let all = self.semaphore.acquire_many_within(count, SOON);
        all.map(|all| all.count()).map_err(|e| lost(&e))
    }
}

impl Subject for Permits {
    fn after(&mut self, end: End) -> Result<Found, String> {
        let seen = format!("{:?}", self.semaphore);
        let count = self.count()?;
        let as_it_may_be = match end {
            End::Finished => count == self.goal,
            End::Killed => count == TOTAL || count == self.goal,
        };
        let extra = count.saturating_sub(TOTAL);
        self.semaphore
            .acquire_many(extra)
            .unwrap()
            .forget()
            .unwrap();
        self.semaphore.release(TOTAL.saturating_sub(count)).unwrap();
        if !as_it_may_be {
            return Err(format!("{TOTAL} became {count}, {end:?}"));
        }
        let all_were_there = [0, TOTAL, self.goal]
            .iter()
            .any(|n| seen.contains(&format!("available: {n},")));
        Ok(match end {
            End::Killed if !all_were_there => Found::Held,
            _ => Found::Free,
        })
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        match self.semaphore.acquire_many_within(TOTAL, limit) {
            Ok(_) => Ok(()),
            Err(error) if error.gave_up() == Some(GaveUp::TimedOut) => Ok(()),
            Err(error) => Err(format!("beside a stopped one there is \"{error}\"")),
        }
    }
}

/// Permits that many processes take turns at.
struct Shared {
    semaphore: Semaphore,
}

impl Shared {
    fn new() -> Shared {
        Shared {
            semaphore: Semaphore::new(TOTAL).unwrap(),
        }
    }
}

impl Load for Shared {
    fn turn(&self) {
        let one = self.semaphore.acquire().unwrap();
        let two = self
            .semaphore
            .acquire_many_within(2, Duration::from_micros(50));
        drop((one, two));
    }

    fn audit(&self, audit: Audit) -> Result<(), String> {
        match self.semaphore.available() {
            Ok(TOTAL) => Ok(()),
            other => Err(format!("{TOTAL} permits became {other:?}, {audit:?}")),
        }
    }
}
