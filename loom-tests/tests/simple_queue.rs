//! Models of `SimpleQueue`: nobody sleeps beside an item, whoever gives up.
//!
//! The storage is a stand-in that promises what `src/queue/simple.rs` says and no more.

use latchwork::CancelToken;
use latchwork::model::Deadline;
use latchwork::queue::SimpleQueue;
use latchwork_loom_tests::model;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Gets on another thread.
fn getter(queue: &SimpleQueue<i32>) -> thread::JoinHandle<i32> {
    let queue = queue.clone();
    thread::spawn(move || queue.get())
}

#[test]
fn hand_over() {
    model(
        "simple: a getter goes to sleep while an item arrives",
        || {
            let queue = SimpleQueue::new();
            let getter = getter(&queue);
            queue.put(1);
            assert_eq!(getter.join().unwrap(), 1);
        },
    );
}

#[test]
fn items_in_a_row() {
    model(
        "simple: a getter goes to sleep again while the next item arrives",
        || {
            let queue = SimpleQueue::new();
            let producer = {
                let queue = queue.clone();
                thread::spawn(move || (1..=3).for_each(|n| queue.put(n)))
            };
            assert_eq!([queue.get(), queue.get(), queue.get()], [1, 2, 3]);
            producer.join().unwrap();
        },
    );
}

#[test]
fn two_getters() {
    model("simple: two getters and two items, each got once", || {
        let queue = SimpleQueue::new();
        let getters = [getter(&queue), getter(&queue)];
        queue.put(1);
        queue.put(2);
        let sum: i32 = getters.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn two_putters() {
    model(
        "simple: two putters at once, and two getters, one on its way to sleep",
        || {
            let queue = SimpleQueue::new();
            let getter = getter(&queue);
            let putter = {
                let queue = queue.clone();
                thread::spawn(move || queue.put(1))
            };
            queue.put(2);
            assert_eq!(queue.get() + getter.join().unwrap(), 3);
            putter.join().unwrap();
        },
    );
}

#[test]
fn newcomer_takes_what_somebody_was_called_for() {
    model(
        "simple: a newcomer takes the item that a getter was called for",
        || {
            let queue = SimpleQueue::new();
            let patient = getter(&queue);
            let newcomer = {
                let queue = queue.clone();
                thread::spawn(move || queue.try_get())
            };
            queue.put(1);
            if newcomer.join().unwrap().is_some() {
                queue.put(1);
            }
            assert_eq!(patient.join().unwrap(), 1);
        },
    );
}

#[test]
fn get_against_time_out() {
    model("simple: an item arrives while its getter times out", || {
        let queue = SimpleQueue::new();
        let deadline = Deadline::new();
        let hasty = {
            let (queue, deadline) = (queue.clone(), deadline.clone());
            thread::spawn(move || queue.get_within(&deadline))
        };
        let timer = thread::spawn(move || deadline.pass());
        queue.put(1);
        match hasty.join().unwrap() {
            Ok(item) => assert_eq!(item, 1),
            Err(why) => {
                assert!(why.is_timed_out());
                assert_eq!(queue.try_get(), Some(1), "still there for somebody else");
            }
        }
        timer.join().unwrap();
    });
}

#[test]
fn call_passes_over_a_cancelled_getter() {
    model(
        "simple: the call for an item reaches the getter behind a cancelled one",
        || {
            let queue = SimpleQueue::new();
            let token = CancelToken::new();
            let hasty = {
                let (queue, token) = (queue.clone(), token.clone());
                thread::spawn(move || {
                    if let Ok(item) = queue.get_within(&token) {
                        queue.put(item);
                    }
                })
            };
            let patient = getter(&queue);
            queue.put(1);
            token.cancel();
            hasty.join().unwrap();
            assert_eq!(patient.join().unwrap(), 1);
        },
    );
}

#[test]
fn dropped_future() {
    model(
        "simple: a getter's future dropped after it was called for an item",
        || {
            let queue = SimpleQueue::new();
            let dropper = {
                let queue = queue.clone();
                thread::spawn(move || {
                    let mut future = pin!(queue.get_async());
                    let mut context = Context::from_waker(Waker::noop());
                    if let Poll::Ready(item) = future.as_mut().poll(&mut context) {
                        queue.put(item);
                    }
                })
            };
            let patient = getter(&queue);
            queue.put(1);
            dropper.join().unwrap();
            assert_eq!(patient.join().unwrap(), 1);
        },
    );
}
