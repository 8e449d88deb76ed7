//! Models of a thread's start and end: who has been told of one sees what came before it.

use latchwork::model::Deadline;
use latchwork::thread;
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Written by one thread and read by another, which loom checks for order.
struct Place(UnsafeCell<usize>);

// SAFETY: loom sees every access that is not in order.
unsafe impl Sync for Place {}
// SAFETY: as above.
unsafe impl Send for Place {}

impl Place {
    fn new() -> Place {
        Place(UnsafeCell::new(0))
    }

    fn set(&self, value: usize) {
        // SAFETY: loom checks.
        self.0.with_mut(|place| unsafe { *place = value });
    }

    fn get(&self) -> usize {
        // SAFETY: loom checks.
        self.0.with(|place| unsafe { *place })
    }
}

#[test]
fn start_and_join() {
    model(
        "thread: a start that returns too early, or a join that misses the end",
        || {
            let place = Arc::new(Place::new());
            let its = place.clone();
            let thread = thread::spawn(move || {
                its.set(1);
                2
            });
            let info = thread.thread().clone();
            assert_eq!(thread.join(), Ok(2));
            assert_eq!(place.get(), 1);
            assert!(!info.is_alive() && !thread::enumerate().contains(&info));
        },
    );
}

#[test]
fn many_wait() {
    model(
        "thread: one of two who wait for the same end is left asleep, or the one that gives up takes it along",
        || {
            let thread = thread::spawn(|| ());
            let info = thread.thread().clone();
            let deadline = Deadline::new();
            let its_deadline = deadline.clone();
            let other = loom::thread::spawn(move || {
                let _ = info.wait_within(&its_deadline);
            });
            deadline.pass();
            thread.join().unwrap();
            other.join().unwrap();
        },
    );
}

#[test]
fn a_dropped_handle() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    model(
        "thread: what a thread returns is lost or dropped twice if its handle goes at the same time",
        || {
            let drops = Arc::new(AtomicUsize::new(0));
            let counted = Counted(drops.clone());
            let thread = thread::spawn(move || counted);
            let info = thread.thread().clone();
            drop(thread);
            info.wait().unwrap();
            assert_eq!(drops.load(Ordering::Relaxed), 1);
        },
    );
}

#[test]
fn the_end_of_a_scope() {
    model(
        "scope: it ends before a thread has let go of what it borrows",
        || {
            let place = Place::new();
            thread::scope(|s| {
                drop(s.spawn(|| place.set(1)));
            });
            // Nobody may be at it any more.
            assert_eq!(place.get(), 1);
            place.set(2);
        },
    );
}

#[test]
fn the_last_act_in_a_scope() {
    model(
        "scope: a thread that another one of the scope starts as its last act is not waited for",
        || {
            let place = Place::new();
            thread::scope(|s| {
                drop(s.spawn(|| drop(s.spawn(|| place.set(1)))));
            });
            assert_eq!(place.get(), 1);
            place.set(2);
        },
    );
}
