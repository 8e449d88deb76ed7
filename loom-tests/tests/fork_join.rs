//! Models of fork and join: the protocol around the deque, for which a plain one stands in.

use latchwork::executor::forks_modelled::{Workers, join};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Counts how often it runs, and remembers where.
#[derive(Default)]
struct Ran(AtomicUsize, std::sync::Mutex<Option<thread::ThreadId>>);

impl Ran {
    fn new() -> Arc<Ran> {
        Arc::new(Ran(AtomicUsize::new(0), std::sync::Mutex::new(None)))
    }

    fn run(&self) {
        *self.1.lock().unwrap() = Some(thread::current().id());
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It has run once, and all it did is visible.
    fn assert_once(&self) {
        assert_eq!(self.0.load(Ordering::Relaxed), 1);
    }

    fn place(&self) -> Option<thread::ThreadId> {
        *self.1.lock().unwrap()
    }
}

#[test]
fn pop_against_steal() {
    model(
        "fork: a branch is joined while a thief takes it, and ends while its owner falls asleep",
        || {
            let workers = Workers::new(2);
            let thief = {
                let workers = workers.clone();
                thread::spawn(move || workers.act(|thief| thief.steals()))
            };
            let ran = Ran::new();
            let results = workers.act(|owner| {
                owner.join(
                    || 1,
                    || {
                        ran.run();
                        2
                    },
                )
            });
            assert_eq!(results, (1, 2));
            ran.assert_once();
            thief.join().unwrap();
        },
    );
}

#[test]
fn leapfrog_against_the_end() {
    model(
        "fork: who waits for a branch reaches into its worker while that ends it and goes on to something foreign",
        || {
            let workers = Workers::new(2);
            let foreign = Ran::new();
            let thief = {
                let (workers, foreign) = (workers.clone(), foreign.clone());
                thread::spawn(move || {
                    let taken = workers.act(|thief| {
                        let taken = thief.steals();
                        thief.join(|| (), || foreign.run());
                        taken
                    });
                    // Whatever the owner has done, it has not run this one while it waited for another.
                    let is_here = foreign.place() == Some(thread::current().id());
                    assert!(is_here || !taken);
                })
            };
            let (first, second) = (Ran::new(), Ran::new());
            workers.act(|owner| {
                owner.join(
                    || (),
                    || {
                        join(|| first.run(), || second.run());
                    },
                );
            });
            first.assert_once();
            second.assert_once();
            thief.join().unwrap();
            foreign.assert_once();
        },
    );
}

#[test]
fn a_panic_beside_a_thief() {
    model(
        "fork: one side panics while a thief takes the other",
        || {
            let workers = Workers::new(2);
            let thief = {
                let workers = workers.clone();
                thread::spawn(move || workers.act(|thief| thief.steals()))
            };
            // It must be gone, run or not, when the panic arrives: what it borrows is.
            let captured = Arc::new(());
            let inside = captured.clone();
            let panicked = workers.act(|owner| {
                let fork = || {
                    owner.join(
                        || -> () { std::panic::resume_unwind(Box::new(())) },
                        move || drop(inside),
                    )
                };
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(fork)).is_err()
            });
            assert!(panicked);
            assert_eq!(Arc::strong_count(&captured), 1);
            thief.join().unwrap();
        },
    );
}
