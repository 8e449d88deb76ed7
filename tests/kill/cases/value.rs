//! `ipc::Value`: every operation on what is inside, and processes that count in one under fire.

use super::{SOON, free_or_held, inherit};
use crate::case::{Case, End, Found, Subject};
use crate::storm::{self, Audit, Load, Storm};
use latchwork::ipc::{LockError, Value};
use std::hint::black_box;
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("Value::update", Pair::new, |s, begin| {
            begin();
            s.value.update(count).unwrap();
        }),
        Case::new("Value::set", Pair::new, |s, begin| {
            let next = s.count + 1;
            begin();
            s.value.set([next, next]).unwrap();
        }),
        Case::new("Value::get", Pair::reader, |s, begin| {
            begin();
            assert_eq!(s.value.get().unwrap(), [s.count; 2]);
        }),
    ]
}

pub fn storm() -> Storm {
    Storm {
        name: "Value::update",
        rage: |length| storm::run("Value::update", &Counted::new(), 4, length),
    }
}

/// Both numbers are the same whenever nobody is between the two increments.
fn count(pair: &mut [u64; 2]) {
    pair[0] += 1;
    black_box(&mut *pair);
    pair[1] += 1;
}

/// A value of two numbers that change together.
struct Pair {
    value: Value<[u64; 2]>,
    count: u64,
    /// By how much a finished operation raises the count.
    adds: u64,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            value: Value::new([0; 2]).unwrap(),
            count: 0,
            adds: 1,
        }
    }

    fn reader() -> Pair {
        Pair {
            adds: 0,
            ..Pair::new()
        }
    }
}

impl Subject for Pair {
    fn after(&mut self, end: End) -> Result<Found, String> {
        let (mut guard, found) = inherit(self.value.lock_within(SOON))?;
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
        free_or_held(self.value.lock_within(limit))
    }
}

/// A pair that many processes count in.
struct Counted {
    value: Value<[u64; 2]>,
}

impl Counted {
    fn new() -> Counted {
        Counted {
            value: Value::new([0; 2]).unwrap(),
        }
    }
}

impl Load for Counted {
    fn turn(&self) {
        let mut guard = match self.value.lock() {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(mut guard)) => {
                // Killed between the two increments: the first is the one that counts.
                guard[1] = guard[0];
                guard.mark_consistent();
                guard
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(guard[0], guard[1]);
        count(&mut guard);
    }

    fn audit(&self, audit: Audit) -> Result<(), String> {
        let (guard, _) = inherit(self.value.lock_within(SOON))?;
        let [first, second] = *guard;
        // A victim can be killed between its increment and its tally, once.
        if first - second > 1 || first < audit.turns || first - audit.turns > audit.deaths {
            return Err(format!("{first} and {second} counted, {audit:?}"));
        }
        Ok(())
    }
}
