//! Models of `RLock`: a level is never lost, and nobody gets in between two of them.

use latchwork::model::Deadline;
use latchwork::sync::RLock;
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A lock around a value that loom watches.
struct Watched(RLock<UnsafeCell<usize>>);

impl Watched {
    fn new() -> Arc<Watched> {
        Arc::new(Watched(RLock::new(UnsafeCell::new(0))))
    }

    /// Two levels, with a write under each and the outer one dropped first.
    fn add_two(&self) {
        let outer = self.0.lock();
        // SAFETY: with the lock, and no reference outlives the closure. loom checks.
        outer.with_mut(|value| unsafe { *value += 1 });
        let inner = self.0.lock();
        drop(outer);
        // SAFETY: as above.
        inner.with_mut(|value| unsafe { *value += 1 });
    }

    fn read(&self) -> usize {
        // SAFETY: as above.
        self.0.lock().with(|value| unsafe { *value })
    }
}

#[test]
fn two_levels_against_two_levels() {
    model(
        "rlock: freed with the outer level, or the depth left behind",
        || {
            let watched = Watched::new();
            let other = {
                let watched = watched.clone();
                thread::spawn(move || watched.add_two())
            };
            watched.add_two();
            other.join().unwrap();
            assert_eq!(watched.read(), 4);
            assert!(!watched.0.is_locked());
        },
    );
}

#[test]
fn time_out_against_the_last_level() {
    model("rlock: a time-out that races the last level's end", || {
        let watched = Watched::new();
        let deadline = Deadline::new();
        let hasty = {
            let (watched, deadline) = (watched.clone(), deadline.clone());
            thread::spawn(move || match watched.0.lock_within(&deadline) {
                Ok(guard) => {
                    // Held, so the limit that may have passed by now is nobody's business.
                    assert!(watched.0.lock_within(&deadline).is_ok());
                    // SAFETY: with the lock. loom checks.
                    guard.with_mut(|value| unsafe { *value += 1 });
                    1
                }
                Err(why) => {
                    assert_eq!(why, GaveUp::TimedOut);
                    assert_eq!(watched.0.depth(), 0);
                    0
                }
            })
        };
        let timer = thread::spawn(move || deadline.pass());
        watched.add_two();
        let added = hasty.join().unwrap();
        timer.join().unwrap();
        assert_eq!(watched.read(), 2 + added);
        assert!(!watched.0.is_locked());
    });
}

#[test]
fn cancellation_against_the_last_level() {
    model(
        "rlock: a cancellation that races the last level's end",
        || {
            let lock = Arc::new(RLock::new(()));
            let token = CancelToken::new();
            let hasty = {
                let (lock, token) = (lock.clone(), token.clone());
                thread::spawn(move || match lock.acquire_within(&token) {
                    Ok(()) => assert_eq!(lock.release(), Ok(())),
                    Err(_) => assert!(lock.release().is_err()),
                })
            };
            let canceller = thread::spawn(move || {
                token.cancel();
            });
            {
                let _outer = lock.lock();
                let _inner = lock.lock();
            }
            hasty.join().unwrap();
            canceller.join().unwrap();
            assert!(!lock.is_locked());
        },
    );
}

#[test]
fn who_asks_while_it_changes_hands() {
    model("rlock: somebody else's levels taken for one's own", || {
        let watched = Watched::new();
        let asker = {
            let watched = watched.clone();
            thread::spawn(move || {
                assert!(!watched.0.is_owned());
                if let Some(guard) = watched.0.try_lock() {
                    assert_eq!(watched.0.depth(), 1);
                    // SAFETY: with the lock. loom checks.
                    guard.with_mut(|value| unsafe { *value += 1 });
                }
                assert_eq!(watched.0.depth(), 0);
            })
        };
        watched.add_two();
        asker.join().unwrap();
        assert!(matches!(watched.read(), 2 | 3));
    });
}

/// One thread after another, so that each finds notes of others that are no longer true, or not yet.
#[test]
fn three_in_turn() {
    model(
        "rlock: an old note taken for one's own, or written over a new one",
        || {
            let watched = Watched::new();
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let watched = watched.clone();
                    thread::spawn(move || {
                        if let Some(guard) = watched.0.try_lock() {
                            assert_eq!(watched.0.depth(), 1);
                            // SAFETY: with the lock. loom checks.
                            guard.with_mut(|value| unsafe { *value += 1 });
                            1
                        } else {
                            0
                        }
                    })
                })
                .collect();
            let taken: usize = others.into_iter().map(|t| t.join().unwrap()).sum();
            assert!(taken >= 1);
            assert_eq!(watched.read(), taken);
        },
    );
}
