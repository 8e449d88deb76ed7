//! `ipc::RwLock`: reading, writing and what is in between, alone and while somebody else is inside.

use super::{SOON, free_or_held, inherit};
use crate::case::{Case, End, Found, Subject};
use crate::storm::{self, Audit, Load, Storm};
use latchwork::ipc::{LockError, RwLock};
use std::hint::black_box;
use std::time::Duration;

type Pair = [u64; 2];

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("RwLock::read", Shelf::new, |s, begin| {
            begin();
            drop(s.lock.read().unwrap());
        }),
        Case::new("RwLock::write", Shelf::written, |s, begin| {
            begin();
            count(&mut s.lock.write().unwrap());
        }),
        Case::new("RwLock, downgrade", Shelf::new, |s, begin| {
            let writer = s.lock.write().unwrap();
            begin();
            drop(writer.downgrade().unwrap());
        }),
        // A refusal looks at everybody who may be inside: too many instructions to step through, so that
        // is stormed.
    ]
}

pub fn storm() -> Storm {
    Storm {
        name: "RwLock::write",
        rage: |length| storm::run("RwLock::write", &Counted::new(), 4, length),
    }
}

/// Both numbers are the same whenever nobody is between the two increments.
fn count(pair: &mut Pair) {
    pair[0] += 1;
    black_box(&mut *pair);
    pair[1] += 1;
}

struct Shelf {
    lock: RwLock<Pair>,
    count: u64,
    /// By how much a finished operation raises the count.
    adds: u64,
}

impl Shelf {
    fn new() -> Shelf {
        Shelf {
            lock: RwLock::new([0; 2]).unwrap(),
            count: 0,
            adds: 0,
        }
    }

    fn written() -> Shelf {
        Shelf {
            adds: 1,
            ..Shelf::new()
        }
    }
}

impl Subject for Shelf {
    fn after(&mut self, end: End) -> Result<Found, String> {
        let (mut guard, found) = inherit(self.lock.write_within(SOON))?;
        let [first, second] = *guard;
        let all = self.count + self.adds;
        let as_it_may_be = match (end, found) {
            (End::Finished, _) => first == all && second == all,
            (End::Killed, Found::Free) => first == second && (first == self.count || first == all),
            (End::Killed, Found::Held) => {
                [first, second].iter().all(|&n| n == self.count || n == all)
            }
        };
        if !as_it_may_be {
            let before = self.count;
            *guard = [before; 2];
            return Err(format!("{before} became {first} and {second}, {found:?}"));
        }
        self.count = first;
        *guard = [first; 2];
        Ok(found)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        free_or_held(self.lock.write_within(limit))
    }
}

/// A pair that many processes count in and look at.
struct Counted {
    lock: RwLock<Pair>,
}

impl Counted {
    fn new() -> Counted {
        Counted {
            lock: RwLock::new([0; 2]).unwrap(),
        }
    }
}

impl Load for Counted {
    fn turn(&self) {
        match self.lock.read() {
            Ok(guard) => assert_eq!(guard[0], guard[1]),
            // Killed between the two increments.
            Err(LockError::OwnerDied(guard)) => assert!(guard[0] - guard[1] <= 1),
            Err(other) => panic!("{other}"),
        }
        let mut guard = match self.lock.write() {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(mut guard)) => {
                // The first increment is the one that counts.
                guard[1] = guard[0];
                guard.mark_consistent();
                guard
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(guard[0], guard[1]);
        count(&mut guard);
        drop(guard.downgrade().unwrap());
    }

    fn audit(&self, audit: Audit) -> Result<(), String> {
        let (guard, _) = inherit(self.lock.write_within(SOON))?;
        let [first, second] = *guard;
        if first - second > 1 || first < audit.turns || first - audit.turns > audit.deaths {
            return Err(format!("{first} and {second} counted, {audit:?}"));
        }
        Ok(())
    }
}
