//! `ipc::Condition`: notifications, and waits that are ended or not.

use super::{SOON, Task, at_length, comes_to, free_or_held, inherit};
use crate::case::{Case, End, Found, Subject};
use latchwork::ipc::{Condition, LockError, Value, ValueGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    let short = vec![
        Case::new("Condition::notify_one", Waited::new, |s, begin| {
            begin();
            s.basket.filled.notify_one().unwrap();
        }),
        Case::new("Condition::notify_all", Waited::new, |s, begin| {
            begin();
            s.basket.filled.notify_all().unwrap();
        }),
    ];
    let long = vec![
        Case::new(
            "Condition::wait_within, in vain",
            Basket::new,
            |s, begin| {
                let guard = s.items.lock().unwrap();
                begin();
                // A step takes many microseconds.
                let limit = Duration::from_millis(40);
                assert!(s.filled.wait_within(guard, limit).unwrap().1.is_err());
            },
        ),
        Case::new("Condition::wait_while", Filled::new, |s, begin| {
            let guard = s.basket.items.lock().unwrap();
            begin();
            let limit = Duration::from_secs(20);
            let filled = s.basket.filled;
            let waited = filled.wait_while_within(guard, |n| *n == 0, limit);
            waited.unwrap().1.unwrap();
        }),
    ];
    short.into_iter().chain(at_length(long)).collect()
}

/// Items, and a condition for them.
struct Basket {
    items: &'static Value<u64>,
    filled: &'static Condition,
}

impl Basket {
    fn new() -> Basket {
        Basket {
            // For those who use them at the same time; one a case.
            items: Box::leak(Box::new(Value::new(0).unwrap())),
            filled: Box::leak(Box::new(Condition::new().unwrap())),
        }
    }

    /// As a survivor does it, who repairs what the dead left.
    fn put(items: &Value<u64>, filled: &Condition) -> Result<Found, String> {
        let (mut guard, found) = inherit(items.lock_within(SOON))?;
        *guard = 1;
        drop(guard);
        let told = filled.notify_all();
        told.map_err(|error| format!("survivors get \"{error}\""))?;
        Ok(found)
    }
}

impl Subject for Basket {
    fn before(&mut self) {
        self.items.set(0).unwrap();
    }

    fn after(&mut self, _: End) -> Result<Found, String> {
        let found = Basket::put(self.items, self.filled)?;
        match self.filled.waiters() {
            Ok(0) => Ok(found),
            other => Err(format!("all were notified, and there wait {other:?}")),
        }
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        free_or_held(self.items.lock_within(limit))
    }
}

/// One that is filled while the victim waits.
struct Filled {
    basket: Basket,
    filler: Option<JoinHandle<Result<Found, String>>>,
}

impl Filled {
    fn new() -> Filled {
        Filled {
            basket: Basket::new(),
            filler: None,
        }
    }
}

impl Subject for Filled {
    fn before(&mut self) {
        self.basket.before();
    }

    fn meanwhile(&mut self) {
        // On a thread of its own: the victim may stand where it keeps others out.
        let Basket { items, filled } = self.basket;
        self.filler.get_or_insert_with(|| {
            thread::spawn(|| {
                let (mut guard, found) = inherit(items.lock())?;
                *guard = 1;
                drop(guard);
                filled.notify_all().unwrap();
                Ok(found)
            })
        });
    }

    fn after(&mut self, end: End) -> Result<Found, String> {
        let filled = match self.filler.take() {
            Some(filler) => filler.join().map_err(|_| "the filler fails".to_owned())??,
            None => Found::Free,
        };
        match self.basket.after(end)? {
            Found::Free => Ok(filled),
            Found::Held => Ok(Found::Held),
        }
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        self.basket.beside(limit)
    }
}

type Guard = ValueGuard<'static, u64>;

/// One that a task of the parent waits for.
struct Waited {
    basket: Basket,
    waiter: Option<Task<Result<Guard, LockError<Guard>>>>,
}

impl Waited {
    fn new() -> Waited {
        Waited {
            basket: Basket::new(),
            waiter: None,
        }
    }
}

impl Subject for Waited {
    fn before(&mut self) {
        self.basket.before();
        let Basket { items, filled } = self.basket;
        let mut waiter = Box::pin(filled.wait_async(items.lock().unwrap()));
        assert!(comes_to(waiter.as_mut(), Duration::ZERO).is_none());
        self.waiter = Some(waiter);
    }

    fn after(&mut self, end: End) -> Result<Found, String> {
        let mut waiter = self.waiter.take().ok_or("nobody waits")?;
        if end == End::Killed {
            Basket::put(self.basket.items, self.basket.filled)?;
        }
        match comes_to(waiter.as_mut(), SOON) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(format!("the waiter gets \"{error}\"")),
            None => return Err("the waiter sleeps on".to_owned()),
        }
        self.basket.after(end)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        self.basket.beside(limit)
    }
}
