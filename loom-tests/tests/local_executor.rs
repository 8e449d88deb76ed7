//! Models of `block_on` and of the local executor: its thread's sleep against wake-ups, cancellations and its end.
//!
//! async-task's states are std's atomics, in which loom sees nothing: each of its steps is one here. What is explored
//! is the order of these steps among the queue's, the account's and the task's.

use latchwork::executor::{LocalExecutor, SubmitRefusal, TaskError, block_on, block_on_within};
use latchwork::model::Deadline;
use latchwork::sync::Event;
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn block_on_against_wake() {
    model("block_on: woken while it falls asleep", || {
        let event = Arc::new(Event::new());
        let its = event.clone();
        let setter = thread::spawn(move || its.set());
        block_on(event.wait_async());
        setter.join().unwrap();
    });
}

/// Ready when two others have done something, of which they tell by waking alone.
fn two_wakes() -> (impl Future<Output = ()>, Others) {
    let others = Others::default();
    let threads = others.clone();
    let done = Arc::new(AtomicUsize::new(0));
    let future = poll_fn(move |cx| {
        let mut threads = threads.borrow_mut();
        if threads.is_empty() {
            threads.extend((0..2).map(|_| {
                let (waker, done) = (cx.waker().clone(), done.clone());
                thread::spawn(move || {
                    done.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                })
            }));
        }
        match done.load(Ordering::Relaxed) {
            2 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    });
    (future, others)
}

type Others = Rc<RefCell<Vec<thread::JoinHandle<()>>>>;

fn join(others: &Others) {
    for other in others.take() {
        other.join().unwrap();
    }
}

#[test]
fn block_on_against_two_wakes() {
    model(
        "block_on: a wake-up that comes during a poll, or after one for nothing, is not lost",
        || {
            let (future, others) = two_wakes();
            block_on(future);
            join(&others);
        },
    );
}

#[test]
fn main_against_two_wakes() {
    model(
        "local executor: the main future is woken during its turn, and twice before one",
        || {
            let (future, others) = two_wakes();
            LocalExecutor::new().run(future);
            join(&others);
        },
    );
}

#[test]
fn block_on_against_time_out() {
    model("block_on: a time-out races the wake-up", || {
        let event = Arc::new(Event::new());
        let deadline = Deadline::new();
        let (its, passes) = (event.clone(), deadline.clone());
        let setter = thread::spawn(move || its.set());
        let timer = thread::spawn(move || passes.pass());
        let mut waits = Box::pin(event.wait_async());
        if block_on_within(&mut waits, &deadline).is_err() {
            block_on(waits);
        }
        setter.join().unwrap();
        timer.join().unwrap();
    });
}

#[test]
fn main_against_wake() {
    model(
        "local executor: the main future is woken while the thread falls asleep",
        || {
            let event = Arc::new(Event::new());
            let its = event.clone();
            let setter = thread::spawn(move || its.set());
            LocalExecutor::new().run(event.wait_async());
            setter.join().unwrap();
        },
    );
}

#[test]
fn coroutine_against_wake() {
    model(
        "local executor: a coroutine is woken while the thread falls asleep",
        || {
            let event = Arc::new(Event::new());
            let executor = LocalExecutor::new();
            let (waits, sets) = (event.clone(), event.clone());
            let task = executor.spawn(async move { waits.wait_async().await });
            let setter = thread::spawn(move || sets.set());
            executor.join();
            assert_eq!(task.try_result().unwrap(), Ok(()));
            setter.join().unwrap();
        },
    );
}

#[test]
fn spawn_against_sleep() {
    model(
        "local executor: a future and a call come while the thread falls asleep",
        || {
            let executor = LocalExecutor::new();
            let handle = executor.handle();
            let called = Arc::new(Event::new());
            let its = called.clone();
            let other = thread::spawn(move || {
                let task = handle.spawn(async { 1 }).unwrap();
                handle.call_soon(move || assert!(its.set())).unwrap();
                task
            });
            executor.run(called.wait_async());
            let task = other.join().unwrap();
            assert_eq!(task.result(), Ok(1), "before the call");
            assert!(executor.is_empty());
        },
    );
}

#[test]
fn cancel_against_wake() {
    model(
        "local executor: a suspended coroutine is cancelled while it is woken",
        || {
            let event = Arc::new(Event::new());
            let drops = Arc::new(AtomicUsize::new(0));
            let executor = LocalExecutor::new();
            let waits = event.clone();
            let counted = Counted(drops.clone());
            let task = executor.spawn(async move {
                let _counted = counted;
                waits.wait_async().await;
                1
            });
            assert_eq!(executor.run_until_idle(), 1);
            let setter = thread::spawn(move || event.set());
            // It is not to be sent, so the other thread cancels what may be.
            let canceller = thread::spawn(move || (task.cancel(), task));
            executor.join();
            // Before whoever waits for the result.
            assert_eq!(drops.load(Ordering::Relaxed), 1);
            let (cancelled, task) = canceller.join().unwrap();
            match task.result() {
                Ok(value) => assert!(value == 1 && !cancelled),
                Err(why) => assert!(cancelled && why == TaskError::Cancelled),
            }
            setter.join().unwrap();
        },
    );
}

#[test]
fn end_against_wake() {
    model(
        "local executor: it is dropped while a coroutine is woken and another cancelled",
        || {
            let event = Arc::new(Event::new());
            let drops = Arc::new(AtomicUsize::new(0));
            let executor = LocalExecutor::new();
            let coroutine = || {
                let (waits, counted) = (event.clone(), Counted(drops.clone()));
                executor.spawn(async move {
                    let _counted = counted;
                    waits.wait_async().await;
                })
            };
            let (woken, cancelled) = (coroutine(), coroutine());
            executor.run_until_idle();
            let setter = thread::spawn(move || event.set());
            let canceller = thread::spawn(move || (cancelled.cancel(), cancelled));
            drop(executor);
            assert_eq!(drops.load(Ordering::Relaxed), 2, "nothing is left");
            assert_eq!(woken.result(), Err(TaskError::Lost));
            let (in_time, cancelled) = canceller.join().unwrap();
            let expected = if in_time {
                TaskError::Cancelled
            } else {
                TaskError::Lost
            };
            assert_eq!(cancelled.result(), Err(expected));
            setter.join().unwrap();
        },
    );
}

#[test]
fn end_against_spawn() {
    model(
        "local executor: it is dropped while a future and a call come",
        || {
            let drops = Arc::new(AtomicUsize::new(0));
            let executor = LocalExecutor::new();
            let handle = executor.handle();
            let counted = (Counted(drops.clone()), Counted(drops.clone()));
            let other = thread::spawn(move || {
                let (first, second) = counted;
                let task = handle.spawn(async move {
                    let _first = first;
                    std::future::pending::<()>().await;
                });
                let called = handle.call_soon(move || drop(second));
                (task, called.is_ok())
            });
            drop(executor);
            let (task, was_accepted) = other.join().unwrap();
            match task {
                Ok(task) => assert_eq!(task.result(), Err(TaskError::Lost)),
                Err(refused) => {
                    assert!(!was_accepted, "closed for good");
                    assert_eq!(refused.reason, SubmitRefusal::ShutDown);
                }
            }
            assert_eq!(drops.load(Ordering::Relaxed), 2, "nothing is left");
        },
    );
}
