//! Models of a queue's shutdown against every way to wait: nobody sleeps on, and each item is got by
//! somebody, handed back by the shutdown or comes back to its putter.

mod beside;

use beside::beside;
use latchwork::model::Deadline;
use latchwork::queue::{GetError, PutError, Queue};
use latchwork::{GaveUp, Shutdown};
use latchwork_loom_tests::model;
use loom::future::block_on;

/// Both kinds, one model each.
fn models(hazard: &str, f: impl Fn(Shutdown) + Copy + Send + Sync + 'static) {
    for how in [Shutdown::Drain, Shutdown::Immediate] {
        model(&format!("queue: {how:?} shutdown, {hazard}"), move || {
            f(how)
        });
    }
}

/// What is left of one item, with what can still be got.
fn left(queue: &Queue<i32>, how: Shutdown) -> Vec<i32> {
    let left = queue.shutdown(how);
    if how == Shutdown::Drain {
        assert!(left.is_empty());
    }
    left
}

#[test]
fn getters() {
    models("two getters, a thread and a task", |how| {
        let queue = Queue::<i32>::bounded(1);
        let thread = beside(&queue, |queue| queue.get());
        let task = beside(&queue, |queue| block_on(queue.get_async()));
        assert!(left(&queue, how).is_empty());
        assert_eq!(thread.join().unwrap(), Err(GetError::ShutDown));
        assert_eq!(task.join().unwrap(), Err(GetError::ShutDown));
    });
}

#[test]
fn putters() {
    models("two putters, a thread and a task", |how| {
        let queue = Queue::bounded(1);
        queue.put(0).unwrap();
        let thread = beside(&queue, |queue| queue.put(1));
        let task = beside(&queue, |queue| block_on(queue.put_async(2)));
        let left = left(&queue, how);
        assert_eq!(thread.join().unwrap(), Err(PutError::ShutDown(1)));
        assert_eq!(task.join().unwrap(), Err(PutError::ShutDown(2)));
        let still = Vec::from_iter(queue.try_get());
        assert_eq!([left, still].concat(), [0]);
    });
}

#[test]
fn batches() {
    models("a putter and a getter of several", |how| {
        let queue = Queue::bounded(1);
        let putter = beside(&queue, |queue| queue.put_many([0, 1]));
        let getter = beside(&queue, |queue| queue.get_many(2));
        let left = left(&queue, how);
        let mut all = match putter.join().unwrap() {
            Ok(()) => Vec::new(),
            Err(PutError::ShutDown(refused)) => refused,
            Err(other) => panic!("{other}"),
        };
        all.extend(left);
        all.extend(getter.join().unwrap().unwrap_or_default());
        all.extend(queue.drain());
        all.sort_unstable();
        assert_eq!(all, [0, 1]);
    });
}

#[test]
fn joiners() {
    models("a joiner, and an item that nobody has got", |how| {
        let queue = Queue::bounded(1);
        queue.put(0).unwrap();
        let joiner = beside(&queue, |queue| queue.join());
        if left(&queue, how).is_empty() {
            assert_eq!(queue.try_get(), Ok(0));
            queue.task_done().unwrap();
        }
        joiner.join().unwrap();
    });
}

#[test]
fn getter_and_putter() {
    models("a getter and a putter at once", |how| {
        let queue = Queue::bounded(1);
        let putter = beside(&queue, |queue| queue.put(1));
        let getter = beside(&queue, |queue| queue.get());
        let left = left(&queue, how);
        match (putter.join().unwrap(), getter.join().unwrap()) {
            (Ok(()), Ok(1)) => assert!(left.is_empty()),
            (Ok(()), Err(GetError::ShutDown)) => assert_eq!(left, [1]),
            (Err(PutError::ShutDown(1)), Err(GetError::ShutDown)) => assert!(left.is_empty()),
            other => panic!("{other:?}"),
        }
        assert_eq!(queue.len(), 0);
    });
}

#[test]
fn two_shutdowns() {
    model("queue: two shutdowns at once, and a putter", || {
        let queue = Queue::bounded(1);
        queue.put(0).unwrap();
        let putter = beside(&queue, |queue| queue.put(1));
        let drain = beside(&queue, |queue| queue.shutdown(Shutdown::Drain));
        assert_eq!(queue.shutdown(Shutdown::Immediate), [0]);
        assert!(drain.join().unwrap().is_empty());
        assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(1)));
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn limited_getter() {
    models("a getter that times out", |how| {
        let (queue, deadline) = (Queue::<i32>::bounded(1), Deadline::new());
        let getter = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
            queue.get_within(deadline)
        });
        let timer = beside(&deadline, Deadline::pass);
        assert!(left(&queue, how).is_empty());
        let got = getter.join().unwrap();
        assert!(matches!(got, Err(GetError::ShutDown | GetError::TimedOut)));
        timer.join().unwrap();
    });
}

#[test]
fn limited_putter() {
    models("a putter that times out", |how| {
        let (queue, deadline) = (Queue::bounded(1), Deadline::new());
        queue.put(0).unwrap();
        let putter = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
            queue.put_within(1, deadline)
        });
        let timer = beside(&deadline, Deadline::pass);
        let left = left(&queue, how);
        let put = putter.join().unwrap();
        assert!(matches!(
            put,
            Err(PutError::ShutDown(1) | PutError::TimedOut(1))
        ));
        assert_eq!(left.len() + queue.len(), 1);
        timer.join().unwrap();
    });
}

#[test]
fn limited_joiner() {
    models("a joiner that times out", |how| {
        let (queue, deadline) = (Queue::bounded(1), Deadline::new());
        queue.put(0).unwrap();
        let joiner = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
            queue.join_within(deadline)
        });
        let timer = beside(&deadline, Deadline::pass);
        let left = left(&queue, how);
        let joined = joiner.join().unwrap();
        if left.is_empty() {
            assert_eq!(joined, Err(GaveUp::TimedOut), "it is not finished");
        }
        timer.join().unwrap();
    });
}

#[test]
fn offer() {
    models("at a rendezvous, an offer that nobody takes", |how| {
        let queue = Queue::bounded(0);
        let putter = beside(&queue, |queue| queue.put(1));
        let task = beside(&queue, |queue| block_on(queue.put_async(2)));
        assert!(left(&queue, how).is_empty());
        assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(1)));
        assert_eq!(task.join().unwrap(), Err(PutError::ShutDown(2)));
        assert_eq!(queue.unfinished(), 0);
        assert_eq!(queue.try_put(3), Err(PutError::ShutDown(3)));
    });
}

#[test]
fn offer_and_getter() {
    models("at a rendezvous, an offer and a getter", |how| {
        let queue = Queue::bounded(0);
        let putter = beside(&queue, |queue| queue.put(1));
        let getter = beside(&queue, |queue| queue.get());
        assert!(left(&queue, how).is_empty());
        match (putter.join().unwrap(), getter.join().unwrap()) {
            (Ok(()), Ok(1)) => assert_eq!(queue.unfinished(), 1),
            (Err(PutError::ShutDown(1)), Err(GetError::ShutDown)) => {
                assert_eq!(queue.unfinished(), 0);
            }
            other => panic!("{other:?}"),
        }
    });
}
