//! `ipc::Value`: every operation on what is inside, and processes that count in one under fire.

use super::{SOON, free_or_held, inherit};
use crate::case::{Case, End, Found, Subject};
use crate::storm::{self, Audit, Load, Storm};
use latchwork::ipc::{LockError, Value};
use std::hint::black_box;
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("Value::update", Numbered::new, |s, begin| {
            begin();
            s.value.update(count).unwrap();
        }),
        Case::new("Value::set", Numbered::new, |s, begin| {
            let next = s.count + 1;
            begin();
            s.value.set([next; 16]).unwrap();
        }),
        Case::new("Value::get", Numbered::reader, |s, begin| {
            begin();
            assert_eq!(s.value.get().unwrap(), [s.count; 16]);
        }),
    ]
}

pub fn storm() -> Storm {
    Storm {
        name: "Value::update",
        rage: |length| storm::run("Value::update", &Counted::new(), 4, length),
    }
}

/// All numbers are the same whenever nobody is in here.
fn count(numbers: &mut Numbers) {
    for n in numbers {
        *black_box(n) += 1;
    }
}

/// So many that a death between the first and the last of them is not rare.
type Numbers = [u64; 16];

/// A value of numbers that change together.
struct Numbered {
    value: Value<Numbers>,
    count: u64,
    /// By how much a finished operation raises the count.
    adds: u64,
}

impl Numbered {
    fn new() -> Numbered {
        Numbered {
            value: Value::new([0; 16]).unwrap(),
            count: 0,
            adds: 1,
        }
    }

    fn reader() -> Numbered {
        Numbered {
            adds: 0,
            ..Numbered::new()
        }
    }
}

impl Subject for Numbered {
    fn after(&mut self, end: End) -> Result<Found, String> {
        let (mut guard, found) = inherit(self.value.lock_within(SOON))?;
        let (before, after) = (self.count, self.count + self.adds);
        let seen = *guard;
        let all = |n| seen == [n; 16];
        let as_it_may_be = match (end, found) {
            (End::Finished, _) => all(after),
            (End::Killed, Found::Free) => all(before) || all(after),
            (End::Killed, Found::Held) => seen.iter().all(|&n| n == before || n == after),
        };
        self.count = if as_it_may_be { seen[0] } else { before };
        *guard = [self.count; 16];
        match as_it_may_be {
            true => Ok(found),
            false => Err(format!("{before} became {seen:?}, {found:?}")),
        }
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        free_or_held(self.value.lock_within(limit))
    }
}

/// Numbers that many processes count in.
struct Counted {
    value: Value<Numbers>,
}

impl Counted {
    fn new() -> Counted {
        Counted {
            value: Value::new([0; 16]).unwrap(),
        }
    }
}

impl Load for Counted {
    fn turn(&self) {
        let mut guard = match self.value.lock() {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(mut guard)) => {
                // Killed on its way through them: the first is the one that counts.
                *guard = [guard[0]; 16];
                guard.mark_consistent();
                guard
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(*guard, [guard[0]; 16]);
        count(&mut guard);
    }

    fn audit(&self, audit: Audit) -> Result<(), String> {
        let (guard, found) = inherit(self.value.lock_within(SOON))?;
        let counted = guard[0];
        let whole = *guard == [counted; 16] || found == Found::Held;
        // A victim can be killed between its count and its tally, once.
        if !whole || counted < audit.turns || counted - audit.turns > audit.deaths {
            return Err(format!("{guard:?} counted, {audit:?}"));
        }
        Ok(())
    }
}
