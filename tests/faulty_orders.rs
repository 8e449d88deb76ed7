//! Orders that panic, and orders that change between two looks: what a queue owes to those who wait then.

mod common;

use common::watchdog;
use latchwork::queue::{BlockingQueue, Discipline, GetError, PriorityQueue};
use latchwork::{Shutdown, debug};
use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `n` callers are parked at this line.
fn until_waiting(place_line: u32, n: usize) {
    let is_it = |wait: &&debug::Wait| wait.place.line() == place_line;
    while debug::waits().iter().filter(is_it).count() != n {
        thread::yield_now();
    }
}

/// Its comparisons panic as long as the flag is set.
#[derive(Clone)]
struct Fragile(u8, Arc<AtomicBool>);

impl Ord for Fragile {
    fn cmp(&self, other: &Fragile) -> Ordering {
        assert!(!self.1.load(SeqCst), "on purpose");
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Fragile {
    fn partial_cmp(&self, other: &Fragile) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fragile {
    fn eq(&self, other: &Fragile) -> bool {
        self.0 == other.0
    }
}

impl Eq for Fragile {}

#[test]
fn a_getter_whose_comparison_panics_is_not_counted_on_any_more() {
    watchdog(LIMIT, "a_getter_whose_comparison_panics", || {
        let is_broken = Arc::new(AtomicBool::new(false));
        let item = |n| Fragile(n, Arc::clone(&is_broken));
        let queue = PriorityQueue::unbounded();
        thread::scope(|s| {
            // More than run at a time.
            for _ in 0..4 {
                let line = line!() + 1;
                let getter = s.spawn(|| queue.get());
                until_waiting(line, 1);
                queue.with_lock(|heap| {
                    (1..=3).for_each(|n| heap.push(item(n)));
                    is_broken.store(true, SeqCst);
                });
                assert!(getter.join().is_err(), "called, and it panicked");
                is_broken.store(false, SeqCst);
                assert_eq!(queue.drain().len(), 3);
            }
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get());
            until_waiting(line, 1);
            queue.put(item(4)).unwrap();
            assert_eq!(getter.join().unwrap().unwrap().0, 4);
        });
    });
}

#[test]
fn a_shutdown_whose_comparison_panics_has_happened_and_lost_nothing() {
    watchdog(LIMIT, "a_shutdown_whose_comparison_panics", || {
        let is_broken = Arc::new(AtomicBool::new(false));
        let item = |n| Fragile(n, Arc::clone(&is_broken));
        let queue = PriorityQueue::bounded(2);
        queue.put_many([item(1), item(2)]).unwrap();
        thread::scope(|s| {
            let line = line!() + 1;
            let putter = s.spawn(|| queue.put(item(3)));
            until_waiting(line, 1);
            is_broken.store(true, SeqCst);
            let shutdown = AssertUnwindSafe(|| queue.shutdown(Shutdown::Immediate));
            assert!(catch_unwind(shutdown).is_err());
            is_broken.store(false, SeqCst);
            assert!(queue.is_shutdown());
            assert_eq!(queue.shutdown(Shutdown::Immediate).len(), 2);
            assert!(putter.join().unwrap().is_err());
        });
    });
}

/// One item that is due as soon as somebody has looked so often.
#[derive(Default)]
struct Blinking {
    item: Option<u8>,
    looks_left: Cell<u32>,
    at: Option<Instant>,
}

impl Discipline for Blinking {
    type Item = u8;
    const IS_TIMED: bool = true;

    fn push(&mut self, item: u8) {
        self.item = Some(item);
        self.at = Some(Instant::now());
    }

    fn pop(&mut self) -> Option<u8> {
        if self.is_ready() {
            self.item.take()
        } else {
            None
        }
    }

    fn len(&self) -> usize {
        usize::from(self.item.is_some())
    }

    fn is_ready(&self) -> bool {
        let left = self.looks_left.get();
        self.looks_left.set(left.saturating_sub(1));
        self.item.is_some() && left == 0
    }

    fn next_due(&self) -> Option<Instant> {
        self.at.filter(|_| self.item.is_some())
    }
}

#[test]
fn what_becomes_due_between_two_looks_is_noticed() {
    watchdog(LIMIT, "what_becomes_due_between_two_looks", || {
        for looks in 0..6 {
            let queue = BlockingQueue::with_discipline(Blinking::default(), None);
            thread::scope(|s| {
                let line = line!() + 1;
                let getter = s.spawn(|| queue.get());
                until_waiting(line, 1);
                // It looks once more when it has parked; not meant to be the one who notices.
                thread::sleep(Duration::from_millis(5));
                queue.with_lock(|blinking| {
                    blinking.push(7);
                    blinking.looks_left.set(looks);
                });
                assert_eq!(getter.join().unwrap(), Ok(7), "after {looks} looks");
            });
        }
    });
}

/// Not even able to say when something will be due.
struct Clueless;

impl Discipline for Clueless {
    type Item = u8;
    const IS_TIMED: bool = true;

    fn push(&mut self, _item: u8) {}

    fn pop(&mut self) -> Option<u8> {
        None
    }

    fn len(&self) -> usize {
        1
    }

    fn is_ready(&self) -> bool {
        false
    }

    fn next_due(&self) -> Option<Instant> {
        panic!("on purpose");
    }
}

/// A getter that parks asks the order what will be due, and stands in the line by then.
#[test]
fn a_panic_while_a_getter_parks_leaves_nobody_in_the_line() {
    watchdog(LIMIT, "a_panic_while_a_getter_parks", || {
        let queue = BlockingQueue::with_discipline(Clueless, None);
        let get = || queue.get_within(Duration::from_millis(20));
        for _ in 0..3 {
            let got = catch_unwind(AssertUnwindSafe(get));
            assert!(!matches!(got, Ok(Ok(_) | Err(GetError::ShutDown))));
            let me = Some(debug::current_thread());
            let waits = debug::waits();
            let is_in_line = waits.iter().any(|wait| wait.thread == me);
            assert!(!is_in_line, "a frame that is gone stands in the line");
        }
    });
}
