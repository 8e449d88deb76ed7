//! Models of whose turn it is: a lock calls one waiter at a time, and nobody overtakes one for ever.
//!
//! Most who wait are futures that have been polled once: they stand in the line and need no modelled
//! thread.

use latchwork::model::{Deadline, let_time_pass};
use latchwork::sync::{Lock, TaskLockGuard};
use latchwork_loom_tests::{model, model_at_least};
use loom::thread;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

type Waiting = Pin<Box<dyn Future<Output = TaskLockGuard<'static, i32>> + Send>>;

/// How often a task was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn new_lock() -> &'static Lock<i32> {
    Box::leak(Box::new(Lock::new(0)))
}

fn poll_with(waiting: &mut Waiting, waker: &Waker) -> Poll<TaskLockGuard<'static, i32>> {
    waiting.as_mut().poll(&mut Context::from_waker(waker))
}

fn poll(waiting: &mut Waiting) -> Poll<TaskLockGuard<'static, i32>> {
    poll_with(waiting, Waker::noop())
}

/// The last in the line of a lock that is held.
fn waiting(lock: &'static Lock<i32>) -> Waiting {
    let mut waiting: Waiting = Box::pin(lock.lock_async());
    assert!(poll(&mut waiting).is_pending());
    waiting
}

/// Takes a lock that is free.
fn overtake(lock: &'static Lock<i32>) -> TaskLockGuard<'static, i32> {
    let mut newcomer: Waiting = Box::pin(lock.lock_async());
    match poll(&mut newcomer) {
        Poll::Ready(guard) => guard,
        Poll::Pending => panic!("it is not free"),
    }
}

#[test]
fn overtaken_once_more() {
    // One preemption each: to overtake, to find that out, to free the lock again.
    model_at_least(
        3,
        "lock: who must not be overtaken any more is overtaken, or does not see what others did",
        || {
            let lock = new_lock();
            let held = overtake(lock);
            let mut overtaken = waiting(lock);
            drop(held);
            let held = overtake(lock);
            assert!(poll(&mut overtaken).is_pending(), "called in vain");

            let other = thread::spawn(move || {
                drop(held);
                // Handed over by now, or reserved.
                assert!(lock.try_lock().is_none());
                match poll(&mut overtaken) {
                    Poll::Ready(mut guard) => *guard += 1,
                    Poll::Pending => return Some(overtaken),
                }
                None
            });
            let mut done = 1;
            if let Some(mut newcomer) = lock.try_lock() {
                *newcomer += 1;
                done += 1;
            }
            if let Some(mut overtaken) = other.join().unwrap() {
                let Poll::Ready(mut guard) = poll(&mut overtaken) else {
                    panic!("left in the line");
                };
                *guard += 1;
            }
            assert_eq!(*lock.try_lock().expect("free"), done);
        },
    );
}

#[test]
fn reserved_beside_a_called_one() {
    model(
        "lock: reserved for the first in line, and freed by one who leaves it to the called one",
        || {
            let lock = new_lock();
            let held = overtake(lock);
            let (called, mut first) = (waiting(lock), waiting(lock));
            drop(held);
            let_time_pass();
            // In a model every second unlock beside a called one looks at the line: this is not it.
            drop(overtake(lock));
            let held = overtake(lock);
            let newcomer = thread::spawn(move || drop(lock.try_lock()));
            drop(held);
            newcomer.join().unwrap();
            assert!(poll(&mut first).is_ready(), "it was handed the lock");
            drop(called);
            assert!(lock.try_lock().is_some());
        },
    );
}

#[test]
fn called_one_by_one() {
    model(
        "lock: another one is called while a called one is still to try",
        || {
            let lock = new_lock();
            let counts = [(); 2].map(|()| Arc::new(Count::default()));
            let held = overtake(lock);
            let [first, second] = counts.clone().map(|count| {
                let mut waiting: Waiting = Box::pin(lock.lock_async());
                assert!(poll_with(&mut waiting, &Waker::from(count)).is_pending());
                waiting
            });
            drop(held);
            let come_and_go = move || (0..2).for_each(|_| drop(lock.try_lock()));
            let other = thread::spawn(come_and_go);
            come_and_go();
            other.join().unwrap();
            let woken = || {
                counts
                    .each_ref()
                    .map(|count| count.0.load(Ordering::Relaxed))
            };
            assert_eq!(woken(), [1, 0]);
            drop(first);
            assert_eq!(woken(), [1, 1], "whoever leaves a call passes it on");
            drop(second);
            assert!(lock.try_lock().is_some());
        },
    );
}

#[test]
fn handed_to_one_that_gives_up() {
    model(
        "lock: handed to one that has just timed out or been cancelled, with others around it",
        || {
            let lock = new_lock();
            let deadline = Deadline::new();
            let held = overtake(lock);
            let_time_pass();
            let hasty = {
                let deadline = deadline.clone();
                thread::spawn(move || lock.lock_within(&deadline).map(drop).is_ok())
            };
            let timer = thread::spawn(move || deadline.pass());
            let mut patient = waiting(lock);
            drop(held);
            timer.join().unwrap();
            hasty.join().unwrap();
            assert!(poll(&mut patient).is_ready(), "left in the line");
            assert!(lock.try_lock().is_some());
        },
    );
}
