//! Models of the lock word that processes share, each named after the hazard it explores.
//!
//! A modelled process is a thread; being killed is `Tree::die`. Slices end only when somebody dies,
//! so in the models without a death a lost wake-up leaves everybody asleep and loom reports it.

#![cfg(loom)]

use latchwork::shm_models::{Outcome, Tree};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

struct Shared {
    tree: Tree,
    /// What the lock protects; loom reports two holders at once.
    count: UnsafeCell<usize>,
    owner_deaths: AtomicUsize,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            tree: Tree::new(),
            count: UnsafeCell::new(0),
            owner_deaths: AtomicUsize::new(0),
        })
    }

    fn add_one(&self) {
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    fn count(&self) -> usize {
        self.count.with(|count| unsafe { *count })
    }

    /// One whole turn: lock, repair if need be, count, unlock.
    fn take_a_turn(&self, who: u32) {
        let outcome = self.tree.lock(who);
        self.finish_turn(outcome);
    }

    fn finish_turn(&self, outcome: Outcome) {
        match outcome {
            Outcome::Consistent => {}
            Outcome::OwnerDied => {
                self.owner_deaths.fetch_add(1, Relaxed);
                self.tree.mark_consistent();
            }
            Outcome::GaveUp => return,
        }
        self.add_one();
        self.tree.unlock(true);
    }
}

fn spawn(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || work(&shared))
}

#[test]
fn two_lockers_exclude_each_other_and_neither_sleeps_on() {
    model(
        "ipc word: two lockers exclude each other and neither sleeps on",
        || {
            let shared = Shared::new();
            let other = spawn(&shared, |shared| {
                shared.take_a_turn(1);
                shared.take_a_turn(1);
            });
            shared.take_a_turn(0);
            other.join().unwrap();
            assert_eq!(shared.count(), 3);
            assert!(shared.tree.is_free());
        },
    );
}

#[test]
fn three_lockers_pass_every_wake_up_on() {
    model("ipc word: three lockers pass every wake up on", || {
        let shared = Shared::new();
        let others = [1, 2].map(|who| spawn(&shared, move |shared| shared.take_a_turn(who)));
        shared.take_a_turn(0);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(shared.count(), 3);
        assert!(shared.tree.is_free());
    });
}

#[test]
fn a_waiter_that_gives_up_after_its_wake_up_owes_it_to_the_next() {
    model(
        "ipc word: a waiter that gives up after its wake up owes it to the next",
        || {
            let shared = Shared::new();
            let hasty = spawn(&shared, |shared| {
                let outcome = shared.tree.lock_for(1, 1);
                shared.finish_turn(outcome);
            });
            let patient = spawn(&shared, |shared| shared.take_a_turn(2));
            shared.take_a_turn(0);
            shared.take_a_turn(0);
            hasty.join().unwrap();
            patient.join().unwrap();
            assert!(shared.count() >= 3);
            assert!(shared.tree.is_free());
        },
    );
}

#[test]
fn a_poll_changes_nothing() {
    model("ipc word: a poll changes nothing", || {
        let shared = Shared::new();
        let poller = spawn(&shared, |shared| {
            let outcome = shared.tree.lock_for(1, 0);
            shared.finish_turn(outcome);
            let outcome = shared.tree.try_lock(1);
            shared.finish_turn(outcome);
        });
        shared.take_a_turn(0);
        poller.join().unwrap();
        assert!((1..=3).contains(&shared.count()));
        assert!(shared.tree.is_free());
    });
}

#[test]
fn the_lock_of_a_dead_owner_goes_to_one_survivor() {
    model(
        "ipc word: the lock of a dead owner goes to one survivor",
        || {
            let shared = Shared::new();
            let victim = spawn(&shared, |shared| {
                shared.tree.lock(3);
                shared.tree.die(3);
            });
            let survivor = spawn(&shared, |shared| shared.take_a_turn(1));
            shared.take_a_turn(0);
            victim.join().unwrap();
            survivor.join().unwrap();
            // Only the first in line after the death hears of it, and the last may be the victim.
            let deaths = shared.owner_deaths.load(Relaxed);
            if deaths == 0 {
                assert_eq!(shared.tree.lock(0), Outcome::OwnerDied);
                shared.tree.unlock(true);
            }
            assert!(deaths <= 1);
            assert_eq!(shared.count(), 2);
            assert!(shared.tree.is_free());
        },
    );
}

#[test]
fn survivors_asleep_when_the_owner_dies_are_not_left_asleep() {
    model(
        "ipc word: survivors asleep when the owner dies are not left asleep",
        || {
            let shared = Shared::new();
            // Locked before anybody else exists: each survivor meets a held lock or a dead owner's.
            shared.tree.lock(3);
            let survivors = [1, 2].map(|who| spawn(&shared, move |shared| shared.take_a_turn(who)));
            shared.tree.die(3);
            for survivor in survivors {
                survivor.join().unwrap();
            }
            assert_eq!(shared.owner_deaths.load(Relaxed), 1);
            assert_eq!(shared.count(), 2);
            assert!(shared.tree.is_free());
        },
    );
}

#[test]
fn an_owner_killed_between_unlocking_and_waking_strands_nobody() {
    model(
        "ipc word: an owner killed between unlocking and waking strands nobody",
        || {
            let shared = Shared::new();
            shared.tree.lock(3);
            let survivors = [1, 2].map(|who| spawn(&shared, move |shared| shared.take_a_turn(who)));
            shared.tree.release_and_wake_nobody();
            shared.tree.die(3);
            for survivor in survivors {
                survivor.join().unwrap();
            }
            assert_eq!(shared.owner_deaths.load(Relaxed), 0);
            assert_eq!(shared.count(), 2);
            assert!(shared.tree.is_free());
        },
    );
}

#[test]
fn a_waiter_killed_with_a_wake_up_in_its_hands_strands_nobody() {
    model(
        "ipc word: a waiter killed with a wake up in its hands strands nobody",
        || {
            let shared = Shared::new();
            let victim = spawn(&shared, |shared| {
                shared.tree.sleep_once();
                shared.tree.die(3);
            });
            let survivor = spawn(&shared, |shared| shared.take_a_turn(1));
            shared.take_a_turn(0);
            survivor.join().unwrap();
            victim.join().unwrap();
            assert_eq!(shared.owner_deaths.load(Relaxed), 0);
            assert_eq!(shared.count(), 2);
            assert!(shared.tree.is_free());
        },
    );
}

#[test]
fn an_owner_death_is_reported_until_somebody_vouches() {
    model(
        "ipc word: an owner death is reported until somebody vouches",
        || {
            let shared = Shared::new();
            shared.tree.lock(3);
            let silent = spawn(&shared, |shared| {
                // Either the first to hear of the death, or told after the other had repaired.
                let outcome = shared.tree.lock(1);
                shared.add_one();
                shared.tree.unlock(outcome == Outcome::Consistent);
            });
            shared.tree.die(3);
            assert_eq!(shared.tree.lock(0), Outcome::OwnerDied);
            shared.tree.mark_consistent();
            shared.add_one();
            shared.tree.unlock(true);
            silent.join().unwrap();
            assert_eq!(shared.count(), 2);
            assert!(shared.tree.is_free());
        },
    );
}

#[test]
fn an_heir_that_dies_too_is_inherited_again() {
    model("ipc word: an heir that dies too is inherited again", || {
        let shared = Shared::new();
        shared.tree.lock(3);
        let heir = spawn(&shared, |shared| {
            let outcome = shared.tree.lock(2);
            if outcome == Outcome::OwnerDied {
                shared.tree.mark_consistent();
            }
            shared.tree.die(2);
        });
        shared.tree.die(3);
        shared.take_a_turn(0);
        heir.join().unwrap();
        let deaths = shared.owner_deaths.load(Relaxed);
        assert_eq!(deaths, 1);
        assert_eq!(shared.count(), 1);
    });
}
