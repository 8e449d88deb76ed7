//! Models of `Lock`: mutual exclusion, and no waiter left asleep whoever else gives up.

use latchwork::model::Deadline;
use latchwork::sync::{Lock, LockGuard, NotLocked};
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn mutual_exclusion() {
    model("lock: two holders at once, or a locker left asleep", || {
        let lock = Arc::new(Lock::new(0));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            })
            .collect();
        *lock.lock() += 1;
        others.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*lock.lock(), 3);
    });
}

#[test]
fn overtaken_waiter() {
    model(
        "lock: a waiter overtaken again and again is handed the lock",
        || {
            let lock = Arc::new(Lock::new(0));
            let other = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            for _ in 0..3 {
                *lock.lock() += 1;
            }
            other.join().unwrap();
            assert_eq!(*lock.lock(), 4);
        },
    );
}

#[test]
fn grant_against_time_out() {
    model(
        "lock: a grant races the time-out of the only waiter",
        || {
            let lock = Arc::new(Lock::new(0));
            let deadline = Deadline::new();
            let held = lock.lock();
            let waiter = {
                let (lock, deadline) = (lock.clone(), deadline.clone());
                thread::spawn(move || match lock.lock_within(&deadline) {
                    Ok(mut guard) => *guard += 1,
                    Err(why) => assert_eq!(why, GaveUp::TimedOut),
                })
            };
            let timer = thread::spawn(move || deadline.pass());
            drop(held);
            waiter.join().unwrap();
            timer.join().unwrap();
            assert!(
                lock.try_lock().is_some(),
                "given up or used, the lock is free"
            );
        },
    );
}

#[test]
fn time_out_before_another_waiter() {
    model(
        "lock: a wake-up spent on a waiter that times out, with another behind it",
        || {
            let lock = Arc::new(Lock::new(0));
            let deadline = Deadline::new();
            let held = lock.lock();
            let hasty = {
                let (lock, deadline) = (lock.clone(), deadline.clone());
                thread::spawn(move || drop(lock.lock_within(&deadline)))
            };
            let patient = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            deadline.pass();
            drop(held);
            hasty.join().unwrap();
            patient.join().unwrap();
            assert_eq!(*lock.try_lock().expect("free"), 1);
        },
    );
}

#[test]
fn grant_against_cancel() {
    model(
        "lock: a grant races a cancellation, with another waiter behind",
        || {
            let lock = Arc::new(Lock::new(0));
            let token = CancelToken::new();
            let held = lock.lock();
            let waiter = {
                let (lock, token) = (lock.clone(), token.clone());
                thread::spawn(move || drop(lock.lock_within(&token)))
            };
            let patient = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            drop(held);
            token.cancel();
            waiter.join().unwrap();
            patient.join().unwrap();
            assert_eq!(*lock.try_lock().expect("free"), 1);
        },
    );
}

#[test]
fn dropped_future() {
    model(
        "lock: a future dropped while it is granted, with a thread behind it",
        || {
            let lock = Arc::new(Lock::new(0));
            let held = lock.lock();
            let dropper = {
                let lock = lock.clone();
                thread::spawn(move || {
                    let mut future = pin!(lock.lock_async());
                    // Granted or not in between: dropped either way.
                    drop(poll_once(future.as_mut()));
                })
            };
            let patient = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            drop(held);
            dropper.join().unwrap();
            patient.join().unwrap();
            assert_eq!(*lock.try_lock().expect("free"), 1);
        },
    );
}

#[test]
fn task_and_thread() {
    model(
        "lock: a task and a thread take turns, and the task is woken",
        || {
            let lock = Arc::new(Lock::new(0));
            let task = {
                let lock = lock.clone();
                thread::spawn(move || {
                    loom::future::block_on(async { *lock.lock_async().await += 1 })
                })
            };
            *lock.lock() += 1;
            task.join().unwrap();
            assert_eq!(*lock.lock(), 2);
        },
    );
}

#[test]
fn handoff_against_time_out() {
    model(
        "lock: handed to an overtaken waiter that has just timed out",
        || {
            let lock = Arc::new(Lock::new(0));
            let deadline = Deadline::new();
            let hasty = {
                let (lock, deadline) = (lock.clone(), deadline.clone());
                thread::spawn(move || drop(lock.lock_within(&deadline)))
            };
            *lock.lock() += 1;
            let mut held = lock.lock();
            *held += 1;
            deadline.pass();
            drop(held);
            hasty.join().unwrap();
            assert!(lock.try_lock().is_some());
        },
    );
}

#[test]
fn freed_for_nobody() {
    model(
        "lock: freed while its only waiter leaves, and then taken by that one",
        || {
            let lock: &'static Lock<i32> = Box::leak(Box::new(Lock::new(0)));
            let deadline = Deadline::new();
            let mut guard = loom::future::block_on(lock.lock_async());
            let holder = thread::spawn(move || {
                // loom checks that whoever comes next sees this.
                *guard += 1;
                drop(guard);
            });
            let timer = {
                let deadline = deadline.clone();
                thread::spawn(move || deadline.pass())
            };
            if let Ok(mut guard) = lock.lock_within(&deadline) {
                *guard += 1;
            }
            holder.join().unwrap();
            timer.join().unwrap();
        },
    );
}

#[test]
fn unlocked_between_others() {
    model(
        "lock: unlocked in the middle of a guard, with a waiter and one that times out",
        || {
            let lock = Arc::new(Lock::new(0));
            let deadline = Deadline::new();
            let mut guard = lock.lock();
            let patient = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            let hasty = {
                let (lock, deadline) = (lock.clone(), deadline.clone());
                thread::spawn(move || match lock.lock_within(&deadline) {
                    Ok(mut guard) => {
                        *guard += 1;
                        1
                    }
                    Err(_) => 0,
                })
            };
            LockGuard::unlocked(&mut guard, || deadline.pass());
            *guard += 1;
            drop(guard);
            patient.join().unwrap();
            let served = hasty.join().unwrap();
            assert_eq!(*lock.try_lock().expect("free"), 2 + served);
        },
    );
}

#[test]
fn dropped_owned_future() {
    model(
        "lock: an owned future dropped while it is granted, with a thread behind it",
        || {
            let lock = std::sync::Arc::new(Lock::new(0));
            let held = lock.lock();
            let dropper = {
                let lock = lock.clone();
                thread::spawn(move || {
                    let mut future = pin!(lock.lock_owned_async());
                    drop(poll_once(future.as_mut()));
                })
            };
            let patient = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock_owned() += 1)
            };
            drop(held);
            dropper.join().unwrap();
            patient.join().unwrap();
            assert_eq!(*lock.try_lock().expect("free"), 1);
        },
    );
}

#[test]
fn mapped_by_a_task_and_freed_elsewhere() {
    model(
        "lock: a part that another thread frees, and the whole's next holder sees it",
        || {
            let lock: &'static Lock<(i32, i32)> = Box::leak(Box::new(Lock::new((0, 0))));
            let whole = loom::future::block_on(lock.lock_async());
            let mut part = LockGuard::map(whole, |pair| &mut pair.1);
            let other = thread::spawn(move || {
                *part += 1;
                drop(part);
            });
            lock.lock().1 += 1;
            other.join().unwrap();
            assert_eq!(lock.try_lock().expect("free").1, 2);
        },
    );
}

#[test]
fn released_by_another() {
    model(
        "lock: acquired here and released there, with a waiter that times out",
        || {
            let door = Arc::new(Lock::new(()));
            let deadline = Deadline::new();
            door.acquire();
            let hasty = {
                let (door, deadline) = (door.clone(), deadline.clone());
                thread::spawn(move || {
                    if door.acquire_within(&deadline).is_ok() {
                        door.release().unwrap();
                    }
                })
            };
            let patient = {
                let door = door.clone();
                thread::spawn(move || {
                    door.acquire();
                    door.release().unwrap();
                })
            };
            deadline.pass();
            door.release().unwrap();
            hasty.join().unwrap();
            patient.join().unwrap();
            assert_eq!(door.release(), Err(NotLocked));
            assert!(door.try_acquire());
        },
    );
}

#[test]
fn released_twice() {
    model(
        "lock: released by two at once, with a waiter that must come last",
        || {
            let door = Arc::new(Lock::new(()));
            door.acquire();
            let rival = {
                let door = door.clone();
                thread::spawn(move || door.release().is_ok())
            };
            let waiter = {
                let door = door.clone();
                thread::spawn(move || {
                    let guard = door.lock();
                    assert_eq!(door.release(), Err(NotLocked), "a guard's");
                    drop(guard);
                })
            };
            let ours = door.release().is_ok();
            assert!(ours != rival.join().unwrap(), "exactly one of them");
            waiter.join().unwrap();
            assert_eq!(door.release(), Err(NotLocked));
        },
    );
}

#[test]
fn overtaken_among_others() {
    model(
        "lock: an overtaken waiter and a newcomer, while the lock is freed and taken over and over",
        || {
            let lock = Arc::new(Lock::new(0));
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let lock = lock.clone();
                    thread::spawn(move || {
                        *lock.lock() += 1;
                    })
                })
                .collect();
            for _ in 0..3 {
                *lock.lock() += 1;
            }
            others.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(*lock.lock(), 5);
        },
    );
}

#[test]
fn called_and_dropped_while_overtaken() {
    model(
        "lock: a called future is dropped while a newcomer has the lock, with a thread behind it",
        || {
            let lock = Arc::new(Lock::new(0));
            let held = lock.lock();
            let mut future = Box::pin(lock.lock_async());
            assert!(poll_once(future.as_mut()).is_pending());
            let patient = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            drop(held);
            let newcomer = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            drop(future);
            newcomer.join().unwrap();
            patient.join().unwrap();
            assert_eq!(*lock.try_lock().expect("free"), 2);
        },
    );
}
