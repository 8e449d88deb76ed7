//! Models of a queue without room: an item is got once or comes back, never both, and whoever could meet
//! does.

mod beside;

use beside::{beside, poll_once};
use latchwork::model::Deadline;
use latchwork::queue::{GetError, PutError, Queue};
use latchwork::{Shutdown, debug};
use latchwork_loom_tests::model;
use loom::thread;
use std::pin::pin;
use std::task::Poll;

#[test]
fn meeting() {
    model("rendezvous: a putter and a getter, twice", || {
        let queue = Queue::bounded(0);
        let putter = beside(&queue, |queue| {
            queue.put(1).unwrap();
            queue.put(2).unwrap();
        });
        assert_eq!((queue.get(), queue.get()), (Ok(1), Ok(2)));
        putter.join().unwrap();
    });
}

#[test]
fn two_putters() {
    model("rendezvous: two putters and one getter", || {
        let queue = Queue::bounded(0);
        let mut first = pin!(queue.put_async(1));
        assert!(poll_once(first.as_mut()).is_pending());
        let second = beside(&queue, |queue| queue.put(2));
        assert_eq!(queue.get(), Ok(1), "the one offered for longest");
        assert!(queue.shutdown(Shutdown::Drain).is_empty());
        assert_eq!(poll_once(first.as_mut()), Poll::Ready(Ok(())));
        assert_eq!(second.join().unwrap(), Err(PutError::ShutDown(2)));
    });
}

#[test]
fn two_getters() {
    model(
        "rendezvous: two getters go to sleep and two items are offered",
        || {
            let queue = Queue::bounded(0);
            let getters = [(); 2].map(|()| beside(&queue, |queue| queue.get().unwrap()));
            let mut putting = [1, 2].map(|n| Box::pin(queue.put_async(n)));
            for putting in &mut putting {
                let _ = poll_once(putting.as_mut());
            }
            let got: i32 = getters.into_iter().map(|g| g.join().unwrap()).sum();
            assert_eq!(got, 3);
            assert_eq!(queue.unfinished(), 2);
        },
    );
}

#[test]
fn put_against_its_time_out() {
    model(
        "rendezvous: a getter comes while the putter times out",
        || {
            let (queue, deadline) = (Queue::bounded(0), Deadline::new());
            let putter = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                queue.put_within(1, deadline)
            });
            let timer = beside(&deadline, Deadline::pass);
            let got = queue.get_within(&deadline);
            match putter.join().unwrap() {
                Ok(()) => assert_eq!(got, Ok(1)),
                Err(why) => {
                    assert_eq!(why, PutError::TimedOut(1));
                    assert_eq!(got, Err(GetError::TimedOut));
                }
            }
            timer.join().unwrap();
            assert_eq!(queue.unfinished(), usize::from(got.is_ok()));
        },
    );
}

#[test]
fn withdrawn_before_another() {
    model(
        "rendezvous: one offer is withdrawn while another one is taken",
        || {
            let (queue, deadline) = (Queue::bounded(0), Deadline::new());
            let hasty = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                queue.put_within(1, deadline)
            });
            let mut patient = pin!(queue.put_async(2));
            assert!(poll_once(patient.as_mut()).is_pending());
            deadline.pass();
            let mut got = vec![queue.get().unwrap()];
            if got != [2] {
                got.extend(queue.get());
            }
            assert_eq!(poll_once(patient.as_mut()), Poll::Ready(Ok(())));
            let put = hasty.join().unwrap();
            assert_eq!(put.is_ok(), got.contains(&1));
            assert_eq!(queue.unfinished(), got.len());
        },
    );
}

#[test]
fn try_put_against_a_getter() {
    model(
        "rendezvous: a getter goes to sleep while somebody tries to put",
        || {
            let queue = Queue::bounded(0);
            let getter = beside(&queue, |queue| queue.get());
            while let Err(why) = queue.try_put(1) {
                assert_eq!(why, PutError::Full(1));
                thread::yield_now();
            }
            assert_eq!(getter.join().unwrap(), Ok(1));
        },
    );
}

#[test]
fn try_put_for_each_of_two_getters() {
    model(
        "rendezvous: two getters wait and two items are tried to be put in a row",
        || {
            let queue = Queue::bounded(0);
            let getters = [(); 2].map(|()| beside(&queue, |queue| queue.get().unwrap()));
            while debug::waits().len() < 2 {
                thread::yield_now();
            }
            queue.try_put(1).unwrap();
            queue.try_put(2).unwrap();
            let got: i32 = getters.into_iter().map(|g| g.join().unwrap()).sum();
            assert_eq!(got, 3);
        },
    );
}

#[test]
fn try_put_against_a_time_out() {
    model(
        "rendezvous: a getter times out while somebody tries to put",
        || {
            let (queue, deadline) = (Queue::bounded(0), Deadline::new());
            let getter = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                queue.get_within(deadline)
            });
            let timer = beside(&deadline, Deadline::pass);
            let put = queue.try_put(1);
            let got = getter.join().unwrap();
            timer.join().unwrap();
            // It may have been left for the getter that gave up.
            let left = queue.try_get();
            let found = [got, left].into_iter().flatten().count();
            assert_eq!(found, usize::from(put.is_ok()));
        },
    );
}

#[test]
fn dropped_put() {
    model(
        "rendezvous: a putter's future is dropped while a getter comes",
        || {
            let queue = Queue::bounded(0);
            let other = queue.clone();
            let mut dropped = Box::pin(other.put_async(1));
            assert!(poll_once(dropped.as_mut()).is_pending());
            let getter = beside(&queue, |queue| queue.get());
            drop(dropped);
            let expected = match queue.unfinished() {
                0 => {
                    queue.put(2).unwrap();
                    2
                }
                _ => 1,
            };
            assert_eq!(getter.join().unwrap(), Ok(expected));
        },
    );
}

#[test]
fn batches() {
    model(
        "rendezvous: a putter of several and a getter of several",
        || {
            let queue = Queue::bounded(0);
            let putter = beside(&queue, |queue| queue.put_many([1, 2]).unwrap());
            let mut got = queue.get_many(2).unwrap();
            if got.len() < 2 {
                got.extend(queue.get_many(2).unwrap());
            }
            assert_eq!(got, [1, 2]);
            putter.join().unwrap();
        },
    );
}

#[test]
fn batch_against_a_time_out() {
    model(
        "rendezvous: a putter of several times out between two of them",
        || {
            let (queue, deadline) = (Queue::bounded(0), Deadline::new());
            let putter = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                queue.put_many_within([1, 2], deadline)
            });
            let timer = beside(&deadline, Deadline::pass);
            let mut all = Vec::from_iter(queue.get_within(&deadline));
            if let Err(refused) = putter.join().unwrap() {
                all.extend(refused.into_inner());
            }
            assert_eq!(all, [1, 2]);
            timer.join().unwrap();
        },
    );
}

#[test]
fn two_try_puts_for_one_getter() {
    model(
        "queue: two putters that do not wait meet one getter at a rendezvous",
        || {
            let queue = Queue::bounded(0);
            let getter = beside(&queue, |queue| queue.get().unwrap());
            let other = beside(&queue, |queue| queue.try_put(1).is_ok());
            let first = queue.try_put(2).is_ok();
            let put = usize::from(first) + usize::from(other.join().unwrap());
            assert!(put < 2, "there is one to take it");
            if put == 0 {
                queue.put(3).unwrap();
            }
            getter.join().unwrap();
        },
    );
}
