//! Models of the search for deadlocks: whoever closes a circle finds it, and only one of them.

use latchwork::debug::{self, OnDeadlock};
use latchwork::model::watch_deadlocks;
use latchwork::sync::Lock;
use latchwork_loom_tests::{model, model_at_least};
use loom::sync::Arc;
use loom::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Takes both locks, the other one second. False if that would have been for ever.
fn nest(first: &Lock<i32>, second: &Lock<i32>) -> bool {
    let nesting = || {
        let mut held = first.lock();
        *second.lock() += 1;
        *held += 1;
    };
    catch_unwind(AssertUnwindSafe(nesting)).is_ok()
}

#[test]
fn both_close_it() {
    // The panics are many and expected.
    std::panic::set_hook(Box::new(|_| ()));
    debug::on_deadlock(OnDeadlock::Panic);
    model(
        "deadlock: two threads close a circle at once, and none or both of them find it",
        || {
            watch_deadlocks();
            let locks = Arc::new((Lock::new(0), Lock::new(0)));
            let other = {
                let locks = locks.clone();
                thread::spawn(move || nest(&locks.1, &locks.0))
            };
            let here = nest(&locks.0, &locks.1);
            let there = other.join().unwrap();
            assert!(here || there, "one is enough");
            let done = i32::from(here) + i32::from(there);
            assert_eq!(*locks.0.try_lock().expect("free"), done);
            assert_eq!(*locks.1.try_lock().expect("free"), done);
        },
    );
}

#[test]
fn stale_link() {
    std::panic::set_hook(Box::new(|_| ()));
    debug::on_deadlock(OnDeadlock::Panic);
    // With two preemptions nobody moves on in time.
    model_at_least(
        3,
        "deadlock: a circle is seen that never was, because a wait moves on while it is read",
        || {
            watch_deadlocks();
            let locks = Arc::new([Lock::new(()), Lock::new(()), Lock::new(())]);
            // Lets go of what the next one waits for before it waits for the first one.
            let mover = {
                let locks = locks.clone();
                thread::spawn(move || {
                    drop(locks[2].lock());
                    drop(locks[0].lock());
                })
            };
            let middle = {
                let locks = locks.clone();
                thread::spawn(move || {
                    let _held = locks[1].lock();
                    drop(locks[2].lock());
                })
            };
            let looker = {
                let _held = locks[0].lock();
                catch_unwind(AssertUnwindSafe(|| drop(locks[1].lock())))
            };
            assert!(looker.is_ok(), "no circle");
            mover.join().unwrap();
            middle.join().unwrap();
        },
    );
}
