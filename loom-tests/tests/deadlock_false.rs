//! A model of what must not be reported as a deadlock. Alone, because the hook is the whole program's.

use latchwork::debug::{self, OnDeadlock};
use latchwork::model::watch_deadlocks;
use latchwork::sync::Lock;
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering};

static REPORTS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn handed_while_it_looks() {
    debug::on_deadlock(OnDeadlock::Call(std::sync::Arc::new(|_| {
        REPORTS.fetch_add(1, Ordering::Relaxed);
    })));
    model(
        "deadlock: a waiter that is being handed the lock takes itself for its owner",
        || {
            watch_deadlocks();
            let lock = Arc::new(Lock::fair(0));
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let lock = lock.clone();
                    thread::spawn(move || *lock.lock() += 1)
                })
                .collect();
            *lock.lock() += 1;
            others.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(*lock.lock(), 3);
            assert_eq!(REPORTS.load(Ordering::Relaxed), 0);
        },
    );
}
