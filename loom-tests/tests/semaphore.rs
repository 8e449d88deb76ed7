//! Models of `Semaphore` and `BoundedSemaphore`: permits are neither made nor lost, whoever overtakes,
//! gives up, closes or changes the capacity; and nobody sleeps beside permits that could serve it.

use latchwork::model::Deadline;
use latchwork::sync::{AcquireError, BoundedSemaphore, Semaphore};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

#[test]
fn permits_bound_the_holders() {
    model(
        "semaphore: more holders than permits, or an acquirer left asleep",
        || {
            let semaphore = Arc::new(Semaphore::new(1));
            let inside = Arc::new(AtomicUsize::new(0));
            let enter = |semaphore: &Semaphore, inside: &AtomicUsize| {
                let permit = semaphore.acquire().unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                inside.fetch_sub(1, Ordering::Relaxed);
                drop(permit);
            };
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let (semaphore, inside) = (semaphore.clone(), inside.clone());
                    thread::spawn(move || enter(&semaphore, &inside))
                })
                .collect();
            enter(&semaphore, &inside);
            others.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(semaphore.available(), 1);
        },
    );
}

#[test]
fn partial_grant_against_time_out() {
    model(
        "semaphore: permits gathered by a big request that times out",
        || {
            let semaphore = Arc::new(Semaphore::new(0));
            let deadline = Deadline::new();
            let big = {
                let (semaphore, deadline) = (semaphore.clone(), deadline.clone());
                thread::spawn(move || match semaphore.acquire_many_within(2, &deadline) {
                    Ok(permit) => permit.forget(),
                    Err(why) => {
                        assert_eq!(why, AcquireError::TimedOut);
                        // Not all of them came, or came back.
                        semaphore.release(0).unwrap();
                    }
                })
            };
            let giver = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            deadline.pass();
            big.join().unwrap();
            giver.join().unwrap();
            assert_eq!(
                semaphore.available(),
                1,
                "one permit was given, two were wanted"
            );
        },
    );
}

#[test]
fn permits_pass_over_a_time_out() {
    model(
        "semaphore: a permit given to a waiter that times out reaches the next",
        || {
            let semaphore = Arc::new(Semaphore::new(0));
            let deadline = Deadline::new();
            let hasty = {
                let (semaphore, deadline) = (semaphore.clone(), deadline.clone());
                thread::spawn(move || drop(semaphore.acquire_many_within(2, &deadline)))
            };
            let patient = {
                let semaphore = semaphore.clone();
                thread::spawn(move || drop(semaphore.acquire().unwrap()))
            };
            semaphore.release(1).unwrap();
            deadline.pass();
            hasty.join().unwrap();
            patient.join().unwrap();
            assert_eq!(semaphore.available(), 1);
        },
    );
}

#[test]
fn close_against_grant() {
    model(
        "semaphore: close races a release while somebody has gathered half",
        || {
            let semaphore = Arc::new(Semaphore::new(1));
            let waiter = {
                let semaphore = semaphore.clone();
                thread::spawn(move || match semaphore.acquire_many(2) {
                    Ok(permit) => drop(permit),
                    Err(why) => assert_eq!(why, AcquireError::Closed),
                })
            };
            let giver = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            semaphore.close();
            waiter.join().unwrap();
            giver.join().unwrap();
            assert_eq!(semaphore.available(), 2);
            assert!(semaphore.acquire().unwrap_err().is_closed());
        },
    );
}

#[test]
fn dropped_future() {
    model(
        "semaphore: a future dropped while permits are on their way to it",
        || {
            let semaphore = Arc::new(Semaphore::new(0));
            let dropper = {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    let mut future = pin!(semaphore.acquire_many_async(2));
                    drop(
                        future
                            .as_mut()
                            .poll(&mut Context::from_waker(Waker::noop())),
                    );
                })
            };
            let giver = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            semaphore.release(1).unwrap();
            dropper.join().unwrap();
            giver.join().unwrap();
            assert_eq!(semaphore.available(), 2);
        },
    );
}

#[test]
fn a_permit_publishes() {
    model(
        "semaphore: a holder does not see what the one before did",
        || {
            let shared = Arc::new((Semaphore::new(1), UnsafeCell::new(0)));
            let enter = |shared: &(Semaphore, UnsafeCell<i32>)| {
                let permit = shared.0.acquire().unwrap();
                // SAFETY: there is one permit. loom checks that this is enough.
                shared.1.with_mut(|value| unsafe { *value += 1 });
                drop(permit);
            };
            let other = {
                let shared = shared.clone();
                thread::spawn(move || enter(&shared))
            };
            enter(&shared);
            other.join().unwrap();
        },
    );
}

#[test]
fn gathered_permits_publish() {
    model(
        "semaphore: who gathers permits from two does not see what both did",
        || {
            let shared = Arc::new((Semaphore::new(0), [UnsafeCell::new(0), UnsafeCell::new(0)]));
            let givers: Vec<_> = (0..2)
                .map(|n| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        // SAFETY: one cell a giver, before its release. loom checks.
                        shared.1[n].with_mut(|value| unsafe { *value = 1 });
                        shared.0.release(1).unwrap();
                    })
                })
                .collect();
            shared.0.acquire_many(2).unwrap().forget();
            for cell in &shared.1 {
                // SAFETY: both permits are here. loom checks.
                assert_eq!(cell.with(|value| unsafe { *value }), 1);
            }
            givers.into_iter().for_each(|t| t.join().unwrap());
        },
    );
}

#[test]
fn what_is_left_over_publishes() {
    model(
        "semaphore: permits left after the line was served carry what their giver did",
        || {
            let shared = Arc::new((Semaphore::new(0), UnsafeCell::new(0)));
            let giver = {
                let shared = shared.clone();
                thread::spawn(move || {
                    // SAFETY: before the release. loom checks.
                    shared.1.with_mut(|value| unsafe { *value = 1 });
                    shared.0.release(2).unwrap();
                })
            };
            let passer = {
                let shared = shared.clone();
                thread::spawn(move || {
                    if let Ok(permit) = shared.0.try_acquire() {
                        permit.forget();
                        // SAFETY: with a permit. loom checks.
                        assert_eq!(shared.1.with(|value| unsafe { *value }), 1);
                    }
                })
            };
            shared.0.acquire().unwrap().forget();
            giver.join().unwrap();
            passer.join().unwrap();
        },
    );
}

#[test]
fn close_against_wait() {
    model("semaphore: closed while acquirers go to sleep", || {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || assert!(semaphore.acquire().unwrap_err().is_closed()))
            })
            .collect();
        semaphore.close();
        waiters.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn relying_on_the_called() {
    model(
        "semaphore: a release that leaves the line to a called waiter, which does not look",
        || {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    thread::spawn(move || semaphore.acquire().unwrap().forget())
                })
                .collect();
            semaphore.release(1).unwrap();
            semaphore.release(1).unwrap();
            waiters.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(semaphore.available(), 0);
        },
    );
}

#[test]
fn overtaken_and_out_of_time() {
    model(
        "semaphore: a called waiter is overtaken and gives up, and stays called for ever",
        || {
            let semaphore = Arc::new(Semaphore::new(0));
            let deadline = Deadline::new();
            let hasty = {
                let (semaphore, deadline) = (semaphore.clone(), deadline.clone());
                thread::spawn(move || drop(semaphore.acquire_within(&deadline)))
            };
            semaphore.release(1).unwrap();
            semaphore.forget_permits(1);
            deadline.pass();
            hasty.join().unwrap();
            let left = semaphore.forget_permits(1);
            let patient = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire().unwrap().forget())
            };
            semaphore.release(1).unwrap();
            patient.join().unwrap();
            assert!(left <= 1 && semaphore.available() == 0);
        },
    );
}

#[test]
fn a_small_one_behind_a_big_one() {
    model(
        "semaphore: a big request gives up a call, and the small one behind it is not served",
        || {
            let semaphore = Arc::new(Semaphore::new(0));
            let deadline = Deadline::new();
            let big = {
                let (semaphore, deadline) = (semaphore.clone(), deadline.clone());
                thread::spawn(move || {
                    let both = semaphore.acquire_many_within(2, &deadline);
                    both.map(|permit| permit.forget()).is_ok()
                })
            };
            semaphore.release(2).unwrap();
            // Too few left for the big one, enough for the small.
            semaphore.forget_permits(1);
            let small = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire().unwrap().forget())
            };
            deadline.pass();
            if big.join().unwrap() {
                semaphore.release(1).unwrap();
            }
            small.join().unwrap();
            assert_eq!(semaphore.available(), 0);
        },
    );
}

#[test]
fn kept_against_newcomer() {
    model(
        "semaphore: a newcomer takes what a fair semaphore keeps for who waits",
        || {
            let semaphore = Arc::new(Semaphore::fair(1));
            let mut first = pin!(semaphore.acquire_many_async(2));
            let context = &mut Context::from_waker(Waker::noop());
            assert!(first.as_mut().poll(context).is_pending());
            let newcomer = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.try_acquire().is_ok())
            };
            let giver = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            assert!(!newcomer.join().unwrap());
            giver.join().unwrap();
            assert!(first.poll(context).is_ready());
        },
    );
}

#[test]
fn fair_time_out() {
    model(
        "semaphore: what a fair one keeps for who times out reaches the next",
        || {
            let semaphore = Arc::new(Semaphore::fair(1));
            let deadline = Deadline::new();
            let hasty = {
                let (semaphore, deadline) = (semaphore.clone(), deadline.clone());
                thread::spawn(move || drop(semaphore.acquire_many_within(2, &deadline)))
            };
            let patient = {
                let semaphore = semaphore.clone();
                thread::spawn(move || drop(semaphore.acquire().unwrap()))
            };
            deadline.pass();
            hasty.join().unwrap();
            patient.join().unwrap();
            assert_eq!(semaphore.available(), 1);
        },
    );
}

#[test]
fn overtaking_two_ways() {
    model(
        "semaphore: permits of two amounts are overtaken, kept and given back",
        || {
            let semaphore = Arc::new(Semaphore::new(2));
            let others: Vec<_> = [1, 2]
                .into_iter()
                .map(|n| {
                    let semaphore = semaphore.clone();
                    thread::spawn(move || drop(semaphore.acquire_many(n).unwrap()))
                })
                .collect();
            drop(semaphore.acquire_many(2).unwrap());
            others.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(semaphore.available(), 2);
        },
    );
}

#[test]
fn a_task_before_a_thread() {
    model(
        "semaphore: a task is dropped with its permit while a thread waits behind it",
        || {
            let semaphore = Arc::new(Semaphore::new(0));
            let thread = {
                let semaphore = semaphore.clone();
                thread::spawn(move || drop(semaphore.acquire().unwrap()))
            };
            let giver = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            {
                let mut future = pin!(semaphore.acquire_async());
                let context = &mut Context::from_waker(Waker::noop());
                drop(future.as_mut().poll(context));
            }
            thread.join().unwrap();
            giver.join().unwrap();
            assert_eq!(semaphore.available(), 1);
        },
    );
}

#[test]
fn two_releases_of_one_permit() {
    model(
        "bounded semaphore: two releases of one permit both succeed while the capacity falls",
        || {
            let semaphore = Arc::new(BoundedSemaphore::new(2));
            semaphore.acquire().unwrap().forget();
            let other = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).is_ok())
            };
            let lowering = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.set_capacity(1))
            };
            let mine = semaphore.release(1).is_ok();
            assert!(mine ^ other.join().unwrap());
            lowering.join().unwrap();
            assert_eq!(semaphore.available(), 1);
        },
    );
}

#[test]
fn capacity_against_wait() {
    model(
        "bounded semaphore: the capacity falls below what somebody is about to wait for",
        || {
            let semaphore = Arc::new(BoundedSemaphore::new(2));
            let one = semaphore.acquire().unwrap();
            let big = {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    // Served by the permit that comes back, or refused.
                    if let Err(why) = semaphore.acquire_many(2) {
                        assert_eq!(why, AcquireError::OverCapacity);
                    }
                })
            };
            let lowering = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.set_capacity(1))
            };
            drop(one);
            big.join().unwrap();
            lowering.join().unwrap();
            assert_eq!(semaphore.available(), 1);
        },
    );
}

#[test]
fn raised_capacity_against_wait() {
    model(
        "bounded semaphore: the capacity rises while somebody goes to sleep for it",
        || {
            let semaphore = Arc::new(BoundedSemaphore::new(1));
            semaphore.acquire().unwrap().forget();
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    thread::spawn(move || semaphore.acquire().unwrap().forget())
                })
                .collect();
            semaphore.set_capacity(3);
            waiters.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(semaphore.available(), 0);
        },
    );
}

#[test]
fn one_too_many_to_count() {
    model(
        "semaphore: a permit that is one too many to count leaves an acquirer asleep",
        || {
            let semaphore = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
            let dropper = {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    let permit = semaphore.acquire().unwrap();
                    semaphore.release(1).unwrap();
                    drop(permit);
                })
            };
            let acquirer = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire().unwrap().forget())
            };
            dropper.join().unwrap();
            acquirer.join().unwrap();
            let missing = Semaphore::MAX_PERMITS - semaphore.available();
            assert!(missing <= 1, "{missing} are gone");
        },
    );
}

#[test]
fn two_too_many_to_count() {
    model(
        "semaphore: two permits and a release that are too many to count make a full count empty",
        || {
            let semaphore = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
            let droppers: Vec<_> = (0..2)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    thread::spawn(move || {
                        // None if the other's is being taken out of the count again.
                        let permit = semaphore.try_acquire().ok();
                        let _ = semaphore.release(1);
                        drop(permit);
                    })
                })
                .collect();
            droppers.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(semaphore.available(), Semaphore::MAX_PERMITS);
        },
    );
}
