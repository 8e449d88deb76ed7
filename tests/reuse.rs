//! A primitive is gone the moment its last waiter has left: row X19.
//!
//! Each round makes one on the heap, uses it from two threads, and whoever is last frees it at once,
//! perhaps with the other still on its way out of the call that woke it. The next one takes its
//! place in memory, and the waiters' frames take those of the ones before. A wake-up that
//! comes late, a node left in a line or a bit left in a word meets a stranger.

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{BoundedSemaphore, Condition, Event, Lock, Semaphore};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const ROUNDS: usize = 3_000;

/// Gives each round's thing to two threads: `leave` lets go of its own right after it returns, and so
/// does `enter`.
fn stress<T: Send + Sync + 'static>(
    new: impl Fn() -> T,
    enter: impl Fn(&T) + Send + 'static,
    leave: impl Fn(&T),
) {
    let (send, receive) = mpsc::sync_channel::<Arc<T>>(2);
    let waiter = thread::spawn(move || {
        for thing in receive {
            enter(&thing);
            drop(thing);
        }
    });
    for round in 0..ROUNDS {
        let thing = Arc::new(new());
        send.send(Arc::clone(&thing)).unwrap();
        if round % 3 == 0 {
            thread::yield_now();
        }
        leave(&thing);
        drop(thing);
    }
    drop(send);
    waiter.join().unwrap();
}

#[test]
fn semaphores() {
    watchdog(LIMIT, "semaphores", || {
        stress(
            || Semaphore::new(0),
            |semaphore| semaphore.acquire().unwrap().forget(),
            |semaphore| semaphore.release(1).unwrap(),
        );
        stress(
            || Semaphore::fair(1),
            |semaphore| semaphore.acquire_many(3).unwrap().forget(),
            |semaphore| (0..2).for_each(|_| semaphore.release(1).unwrap()),
        );
        stress(
            || BoundedSemaphore::new(1),
            |semaphore| drop(semaphore.acquire_within(Duration::from_micros(5))),
            |semaphore| drop(semaphore.acquire().unwrap()),
        );
    });
}

#[test]
fn events() {
    watchdog(LIMIT, "events", || {
        stress(Event::new, Event::wait, |event| {
            event.set();
        });
        stress(
            Event::new,
            |event| {
                let _ = event.wait_within(Duration::from_micros(5));
            },
            |event| {
                event.set();
                event.clear();
            },
        );
    });
}

#[test]
fn locks_and_conditions() {
    watchdog(LIMIT, "locks_and_conditions", || {
        stress(
            || (Lock::new(0), Condition::new()),
            |(lock, condition)| {
                let mut guard = lock.lock();
                condition.wait_while(&mut guard, |value| *value == 0);
            },
            |(lock, condition)| {
                *lock.lock() = 1;
                condition.notify_one();
            },
        );
        stress(
            || Lock::new(0),
            |lock| *lock.lock() += 1,
            |lock| *lock.lock() += 1,
        );
    });
}

/// Moved after its last waiter has left: the word is all there is.
#[test]
fn moved_between_waits() {
    watchdog(LIMIT, "moved_between_waits", || {
        let mut semaphore = Semaphore::new(0);
        let mut event = Event::new();
        for _ in 0..200 {
            // One place and another.
            let moved = Box::new((semaphore, event));
            thread::scope(|s| {
                s.spawn(|| moved.0.acquire_many(2).unwrap().forget());
                s.spawn(|| moved.1.wait());
                until_parked("Semaphore", &moved.0, 1);
                until_parked("Event", &moved.1, 1);
                moved.0.release(2).unwrap();
                moved.1.set();
                moved.1.clear();
            });
            (semaphore, event) = *moved;
            let late = semaphore.acquire_within(Duration::from_micros(1));
            assert!(late.unwrap_err().is_timed_out());
            assert!(event.wait_within(Duration::from_micros(1)).is_err());
            assert!(!format!("{semaphore:?}{event:?}").contains("waited_for: true"));
        }
    });
}
