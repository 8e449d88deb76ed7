//! `OnDeadlock::Panic`: the thread that closes the circle unwinds, and the others go on. In a program
//! of its own, because the choice is the whole program's.

mod common;

use common::watchdog;
use latchwork::debug::{self, OnDeadlock};
use latchwork::sync::Lock;
use latchwork::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

#[test]
fn whoever_closes_the_circle_panics_and_its_call_has_changed_nothing() {
    watchdog(Duration::from_secs(60), "whoever_closes_the_circle", || {
        debug::on_deadlock(OnDeadlock::Panic);
        for _ in 0..200 {
            let locks = Arc::new([Lock::new(0), Lock::new(0)]);
            let both_hold = Arc::new(Barrier::new(2));
            let threads = [(0, 1), (1, 0)].map(|(first, second)| {
                let (locks, both_hold) = (Arc::clone(&locks), Arc::clone(&both_hold));
                thread::spawn(move || {
                    let mut held = locks[first].lock();
                    both_hold.wait();
                    *locks[second].lock() += 1;
                    *held += 1;
                })
            });
            let outcomes = threads.map(thread::JoinHandle::join);
            let panics: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
            assert_eq!(panics.len(), 1, "{panics:?}");
            assert!(
                panics[0]
                    .panic()
                    .unwrap()
                    .message
                    .starts_with("deadlock: 2 threads")
            );
            let values = [0, 1].map(|n| *locks[n].try_lock().expect("both are free again"));
            assert_eq!(values, [1, 1]);
            let words = locks.each_ref().map(|lock| std::ptr::from_ref(lock).addr());
            assert!(debug::waits().iter().all(|w| !words.contains(&w.address)));
        }
    });
}

#[test]
fn whoever_tries_again_closes_the_circle_again() {
    const ENOUGH: usize = 10;
    watchdog(Duration::from_secs(60), "whoever_tries_again", || {
        debug::on_deadlock(OnDeadlock::Panic);
        let locks = Arc::new([Lock::new(()), Lock::new(())]);
        let both_hold = Arc::new(Barrier::new(2));
        let panics = Arc::new(AtomicUsize::new(0));
        let threads = [(0, 1), (1, 0)].map(|(first, second)| {
            let (locks, both_hold) = (Arc::clone(&locks), Arc::clone(&both_hold));
            let panics = Arc::clone(&panics);
            thread::spawn(move || {
                let _held = locks[first].lock();
                both_hold.wait();
                let wait = || drop(locks[second].lock());
                while catch_unwind(AssertUnwindSafe(wait)).is_err() {
                    if panics.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH {
                        break;
                    }
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(panics.load(Ordering::Relaxed) >= ENOUGH);
    });
}
