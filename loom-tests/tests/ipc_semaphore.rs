//! Models of the semaphore that processes share, each named after the hazard it explores.
//!
//! A modelled process is a thread; slices end only when somebody dies, so in the models without a
//! death a lost wake-up leaves somebody asleep and loom reports it.

#![cfg(loom)]

use latchwork::shm_models::SemaphoreModel;
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::thread;

const FOR_EVER: u32 = u32::MAX;

fn spawn(
    semaphore: &Arc<SemaphoreModel>,
    work: impl FnOnce(&SemaphoreModel) + Send + 'static,
) -> thread::JoinHandle<()> {
    let semaphore = semaphore.clone();
    thread::spawn(move || work(&semaphore))
}

#[test]
fn two_want_the_last_permit() {
    model("ipc semaphore: two want the last permit", || {
        let semaphore = Arc::new(SemaphoreModel::new(1));
        let turn = |semaphore: &SemaphoreModel, who| {
            assert!(semaphore.acquire(who, 1, FOR_EVER));
            semaphore.give_back(who, 1);
        };
        let other = spawn(&semaphore, move |semaphore| turn(semaphore, 1));
        turn(&semaphore, 0);
        other.join().unwrap();
        assert_eq!(semaphore.available(0), 1);
    });
}

#[test]
fn two_who_try_for_the_last_permit() {
    model("ipc semaphore: two who try for the last permit", || {
        let semaphore = Arc::new(SemaphoreModel::new(1));
        let other = semaphore.clone();
        let other = thread::spawn(move || other.try_acquire(1, 1));
        let mine = semaphore.try_acquire(0, 1);
        assert_ne!(mine, other.join().unwrap(), "both or neither");
        assert_eq!(semaphore.available(0), 0);
    });
}

#[test]
fn a_release_races_a_time_out() {
    model("ipc semaphore: a release races a time out", || {
        let semaphore = Arc::new(SemaphoreModel::new(0));
        let hasty = spawn(&semaphore, |semaphore| {
            if semaphore.acquire(1, 1, 1) {
                semaphore.give_back(1, 1);
            }
        });
        let patient = spawn(&semaphore, |semaphore| {
            assert!(semaphore.acquire(2, 1, FOR_EVER));
            semaphore.give_back(2, 1);
        });
        assert!(semaphore.add(0, 1));
        hasty.join().unwrap();
        patient.join().unwrap();
        assert_eq!(semaphore.available(0), 1);
    });
}

#[test]
fn a_release_serves_all_it_can() {
    model("ipc semaphore: a release serves all it can", || {
        let semaphore = Arc::new(SemaphoreModel::new(0));
        let waiters = [1, 2].map(|who| {
            spawn(&semaphore, move |semaphore| {
                assert!(semaphore.acquire(who, 1, FOR_EVER))
            })
        });
        assert!(semaphore.add(0, 2));
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(semaphore.available(0), 0);
    });
}

#[test]
fn who_wants_many_is_woken_instead_of_who_wants_one() {
    model(
        "ipc semaphore: who wants many is woken instead of who wants one",
        || {
            let semaphore = Arc::new(SemaphoreModel::new(0));
            let many = spawn(&semaphore, |semaphore| {
                assert!(semaphore.acquire(1, 2, FOR_EVER));
                semaphore.give_back(1, 2);
            });
            let one = spawn(&semaphore, |semaphore| {
                assert!(semaphore.acquire(2, 1, FOR_EVER));
                semaphore.give_back(2, 1);
            });
            assert!(semaphore.add(0, 1));
            one.join().unwrap();
            assert!(semaphore.add(0, 1));
            many.join().unwrap();
            assert_eq!(semaphore.available(0), 2);
        },
    );
}

#[test]
fn the_permits_of_the_dead_come_back_once() {
    model(
        "ipc semaphore: the permits of the dead come back once",
        || {
            let semaphore = Arc::new(SemaphoreModel::new(1));
            assert!(semaphore.try_acquire(3, 1));
            let takers = [1, 2].map(|who| {
                spawn(&semaphore, move |semaphore| {
                    assert!(semaphore.acquire(who, 1, FOR_EVER));
                    semaphore.give_back(who, 1);
                })
            });
            semaphore.die(3);
            for taker in takers {
                taker.join().unwrap();
            }
            assert_eq!(semaphore.available(0), 1);
        },
    );
}

#[test]
fn who_takes_from_the_dead_is_killed_too() {
    model(
        "ipc semaphore: who takes from the dead is killed too",
        || {
            let semaphore = Arc::new(SemaphoreModel::new(1));
            assert!(semaphore.try_acquire(3, 1));
            let taker = spawn(&semaphore, |semaphore| {
                assert!(semaphore.acquire(1, 1, FOR_EVER));
            });
            semaphore.die(3);
            semaphore.die_burying(2);
            taker.join().unwrap();
            assert!(!semaphore.try_acquire(0, 1));
            semaphore.give_back(1, 1);
            assert_eq!(semaphore.available(0), 1);
        },
    );
}

#[test]
fn a_permit_is_there_once_wherever_its_taker_was_killed() {
    for steps in 0..3 {
        model(
            &format!("ipc semaphore: its taker was killed inside after {steps} steps"),
            move || {
                let semaphore = Arc::new(SemaphoreModel::new(1));
                let taker = spawn(&semaphore, |semaphore| {
                    assert!(semaphore.acquire(1, 1, FOR_EVER));
                });
                let victim = spawn(&semaphore, move |semaphore| {
                    // Whether the permit was there or not: no step may make it two or none.
                    semaphore.die_taking(2, steps);
                });
                victim.join().unwrap();
                taker.join().unwrap();
                assert!(!semaphore.try_acquire(0, 1));
                semaphore.give_back(1, 1);
                assert_eq!(semaphore.available(0), 1);
            },
        );
    }
}

#[test]
fn a_permit_is_there_once_wherever_its_giver_was_killed() {
    for steps in 0..3 {
        model(
            &format!("ipc semaphore: its giver was killed inside after {steps} steps"),
            move || {
                let semaphore = Arc::new(SemaphoreModel::new(1));
                assert!(semaphore.try_acquire(2, 1));
                let taker = spawn(&semaphore, |semaphore| {
                    assert!(semaphore.acquire(1, 1, FOR_EVER));
                });
                semaphore.die_giving_back(2, steps);
                taker.join().unwrap();
                assert!(!semaphore.try_acquire(0, 1));
                semaphore.give_back(1, 1);
                assert_eq!(semaphore.available(0), 1);
            },
        );
    }
}

#[test]
fn who_releases_is_killed_before_the_wake_up() {
    model(
        "ipc semaphore: who releases is killed before the wake up",
        || {
            let semaphore = Arc::new(SemaphoreModel::new(0));
            let taker = spawn(&semaphore, |semaphore| {
                assert!(semaphore.acquire(1, 1, FOR_EVER));
            });
            semaphore.die_adding(2);
            taker.join().unwrap();
            assert_eq!(semaphore.available(0), 0);
        },
    );
}

#[test]
fn a_killed_waiter_that_was_called_strands_nobody() {
    model(
        "ipc semaphore: a killed waiter that was called strands nobody",
        || {
            let semaphore = Arc::new(SemaphoreModel::new(0));
            let victim = spawn(&semaphore, |semaphore| {
                semaphore.acquire(1, 1, 1);
                // Perhaps with the permit, perhaps without.
                semaphore.die(1);
            });
            let waiter = spawn(&semaphore, |semaphore| {
                assert!(semaphore.acquire(2, 1, FOR_EVER));
                semaphore.give_back(2, 1);
            });
            assert!(semaphore.add(0, 1));
            victim.join().unwrap();
            waiter.join().unwrap();
            assert_eq!(semaphore.available(0), 1);
        },
    );
}

#[test]
fn what_is_forgotten_does_not_come_back_with_its_holder_dead() {
    model(
        "ipc semaphore: what is forgotten does not come back with its holder dead",
        || {
            let semaphore = Arc::new(SemaphoreModel::new(2));
            let victim = spawn(&semaphore, |semaphore| {
                assert!(semaphore.acquire(1, 2, FOR_EVER));
                semaphore.forget(1, 1);
                semaphore.die(1);
            });
            let waiter = spawn(&semaphore, |semaphore| {
                if semaphore.acquire(2, 1, 1) {
                    semaphore.give_back(2, 1);
                }
            });
            victim.join().unwrap();
            waiter.join().unwrap();
            assert_eq!(semaphore.available(0), 1);
        },
    );
}
