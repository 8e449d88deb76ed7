//! Models of `Queue`: every accepted item is got once, and nobody sleeps beside one.

use latchwork::model::Deadline;
use latchwork::queue::{GetError, PutError, Queue};
use latchwork::{CancelToken, Shutdown};
use latchwork_loom_tests::model;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

#[test]
fn hand_over() {
    model(
        "queue: a getter goes to sleep while an item arrives",
        || {
            let queue = Queue::bounded(1);
            let producer = {
                let queue = queue.clone();
                thread::spawn(move || {
                    queue.put(1).unwrap();
                    queue.put(2).unwrap();
                })
            };
            assert_eq!(queue.get(), Ok(1));
            assert_eq!(queue.get(), Ok(2));
            producer.join().unwrap();
        },
    );
}

#[test]
fn two_getters() {
    model("queue: two getters and two items, each got once", || {
        let queue = Queue::unbounded();
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || queue.get().unwrap())
            })
            .collect();
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        let sum: i32 = getters.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn get_against_time_out() {
    model("queue: an item arrives while its getter times out", || {
        let queue = Queue::unbounded();
        let deadline = Deadline::new();
        let hasty = {
            let (queue, deadline) = (queue.clone(), deadline.clone());
            thread::spawn(move || queue.get_within(&deadline))
        };
        let timer = thread::spawn(move || deadline.pass());
        queue.put(1).unwrap();
        match hasty.join().unwrap() {
            Ok(item) => assert_eq!(item, 1),
            Err(why) => {
                assert_eq!(why, GetError::TimedOut);
                assert_eq!(queue.try_get(), Ok(1), "still there for somebody else");
            }
        }
        timer.join().unwrap();
    });
}

#[test]
fn wake_up_passes_over_a_cancelled_getter() {
    model(
        "queue: the call for an item reaches the getter behind a cancelled one",
        || {
            let queue = Queue::unbounded();
            let token = CancelToken::new();
            let hasty = {
                let (queue, token) = (queue.clone(), token.clone());
                thread::spawn(move || {
                    if let Ok(item) = queue.get_within(&token) {
                        queue.put(item).unwrap();
                    }
                })
            };
            let patient = {
                let queue = queue.clone();
                thread::spawn(move || assert_eq!(queue.get(), Ok(1)))
            };
            queue.put(1).unwrap();
            token.cancel();
            hasty.join().unwrap();
            patient.join().unwrap();
        },
    );
}

#[test]
fn put_against_time_out() {
    model("queue: room appears while a putter times out", || {
        let queue = Queue::bounded(1);
        queue.put(1).unwrap();
        let deadline = Deadline::new();
        let putter = {
            let (queue, deadline) = (queue.clone(), deadline.clone());
            thread::spawn(move || queue.put_within(2, &deadline))
        };
        let timer = thread::spawn(move || deadline.pass());
        assert_eq!(queue.get(), Ok(1));
        match putter.join().unwrap() {
            Ok(()) => assert_eq!(queue.try_get(), Ok(2)),
            Err(refused) => {
                assert_eq!(refused, PutError::TimedOut(2), "the item came back");
                assert_eq!(queue.try_get(), Err(GetError::Empty));
            }
        }
        timer.join().unwrap();
    });
}

#[test]
fn shutdown_wakes_getters() {
    model("queue: shutdown with getters on their way to sleep", || {
        let queue = Queue::<u8>::unbounded();
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || assert_eq!(queue.get(), Err(GetError::ShutDown)))
            })
            .collect();
        let left = queue.shutdown(Shutdown::Drain);
        assert!(left.is_empty());
        getters.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn shutdown_against_put() {
    model(
        "queue: an item is accepted or comes back when shutdown races its put",
        || {
            let queue = Queue::bounded(1);
            queue.put(1).unwrap();
            let putter = {
                let queue = queue.clone();
                thread::spawn(move || queue.put(2))
            };
            let getter = {
                let queue = queue.clone();
                thread::spawn(move || queue.get())
            };
            let left = queue.shutdown(Shutdown::Immediate);
            let accepted = usize::from(putter.join().unwrap().is_ok());
            let got = usize::from(getter.join().unwrap().is_ok());
            assert_eq!(1 + accepted, got + left.len());
            assert!(queue.is_empty());
        },
    );
}

#[test]
fn dropped_future() {
    model(
        "queue: a getter's future dropped after it was called for an item",
        || {
            let queue = Queue::unbounded();
            let dropper = {
                let queue = queue.clone();
                thread::spawn(move || {
                    let mut future = pin!(queue.get_async());
                    if let std::task::Poll::Ready(item) = future
                        .as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()))
                    {
                        queue.put(item.unwrap()).unwrap();
                    }
                })
            };
            let patient = {
                let queue = queue.clone();
                thread::spawn(move || assert_eq!(queue.get(), Ok(1)))
            };
            queue.put(1).unwrap();
            dropper.join().unwrap();
            patient.join().unwrap();
        },
    );
}

#[test]
fn shutdown_wakes_putters() {
    model("queue: shutdown with a putter on its way to sleep", || {
        let queue = Queue::bounded(1);
        queue.put(0).unwrap();
        let putter = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.put(1), Err(PutError::ShutDown(1))))
        };
        let left = queue.shutdown(Shutdown::Drain);
        assert!(left.is_empty());
        putter.join().unwrap();
    });
}
