//! Models of whom a queue calls: as long as there is something for a side, nobody of that side sleeps
//! while nobody is on the way to it.

mod beside;

use beside::{beside, poll_once};
use latchwork::model::{Deadline, look_first};
use latchwork::queue::{GetError, LifoQueue, Queue};
use latchwork_loom_tests::model;
use std::pin::{Pin, pin};

/// What two threads get that have one item each to get.
fn two_getters(queue: &Queue<i32>) -> [loom::thread::JoinHandle<i32>; 2] {
    [(); 2].map(|()| beside(queue, |queue| queue.get().unwrap()))
}

fn sum(getters: [loom::thread::JoinHandle<i32>; 2]) -> i32 {
    getters.into_iter().map(|g| g.join().unwrap()).sum()
}

#[test]
fn room_for_two() {
    model(
        "queue: a full queue grows by two while two putters go to sleep",
        || {
            let queue = Queue::bounded(1);
            queue.put(0).unwrap();
            let putters = [1, 2].map(|n| beside(&queue, move |queue| queue.put(n).unwrap()));
            queue.set_capacity(3);
            putters.into_iter().for_each(|p| p.join().unwrap());
            assert_eq!(queue.len(), 3);
        },
    );
}

#[test]
fn batch_for_two() {
    model(
        "queue: two items are put at once while two getters go to sleep",
        || {
            let queue = Queue::unbounded();
            let getters = two_getters(&queue);
            queue.put_many([1, 2]).unwrap();
            assert_eq!(sum(getters), 3);
        },
    );
}

#[test]
fn batch_makes_room_for_two() {
    model(
        "queue: two items are got at once while two putters go to sleep",
        || {
            let queue = Queue::bounded(2);
            queue.put_many([1, 2]).unwrap();
            let putters = [3, 4].map(|n| beside(&queue, move |queue| queue.put(n).unwrap()));
            assert_eq!(queue.get_many(2), Ok(vec![1, 2]));
            putters.into_iter().for_each(|p| p.join().unwrap());
        },
    );
}

#[test]
fn batch_that_is_larger_than_the_queue() {
    model(
        "queue: more items are put at once than there is room for",
        || {
            let queue = Queue::bounded(1);
            let putter = beside(&queue, |queue| queue.put_many([1, 2]).unwrap());
            assert_eq!((queue.get(), queue.get()), (Ok(1), Ok(2)));
            putter.join().unwrap();
        },
    );
}

#[test]
fn called_future_is_dropped() {
    model(
        "queue: a getter's future is dropped after its call, a thread sleeps behind it",
        || {
            let queue = Queue::unbounded();
            let other = queue.clone();
            let mut called: Pin<Box<_>> = Box::pin(other.get_async());
            assert!(poll_once(called.as_mut()).is_pending());
            let patient = beside(&queue, |queue| assert_eq!(queue.get(), Ok(1)));
            let putter = beside(&queue, |queue| queue.put(1).unwrap());
            drop(called);
            patient.join().unwrap();
            putter.join().unwrap();
        },
    );
}

#[test]
fn called_putter_is_dropped() {
    model(
        "queue: a putter's future is dropped after its call, a thread sleeps behind it",
        || {
            let queue = Queue::bounded(1);
            queue.put(0).unwrap();
            let other = queue.clone();
            let mut called: Pin<Box<_>> = Box::pin(other.put_async(1));
            assert!(poll_once(called.as_mut()).is_pending());
            let patient = beside(&queue, |queue| queue.put(2).unwrap());
            let getter = beside(&queue, |queue| assert_eq!(queue.get(), Ok(0)));
            drop(called);
            patient.join().unwrap();
            getter.join().unwrap();
            assert_eq!(queue.try_get(), Ok(2));
        },
    );
}

#[test]
fn task_is_not_counted() {
    model(
        "queue: a task is called and not polled, a thread gets the second item",
        || {
            let queue = Queue::unbounded();
            let other = queue.clone();
            let mut task = pin!(other.get_async());
            assert!(poll_once(task.as_mut()).is_pending());
            let thread = beside(&queue, |queue| queue.get().unwrap());
            queue.put(1).unwrap();
            queue.put(2).unwrap();
            thread.join().unwrap();
            assert!(poll_once(task.as_mut()).is_ready());
        },
    );
}

#[test]
fn task_is_called_by_one_of_two_putters() {
    model(
        "queue: a task is called and not polled, two putters at once",
        || {
            let queue = Queue::unbounded();
            let other = queue.clone();
            let mut task = pin!(other.get_async());
            assert!(poll_once(task.as_mut()).is_pending());
            let thread = beside(&queue, |queue| queue.get().unwrap());
            let putter = beside(&queue, |queue| queue.put(1).unwrap());
            queue.put(2).unwrap();
            thread.join().unwrap();
            putter.join().unwrap();
            assert!(poll_once(task.as_mut()).is_ready());
        },
    );
}

#[test]
fn task_is_called_for_one_of_a_batch() {
    model(
        "queue: a task is called for one of two items, a thread sleeps behind it",
        || {
            let queue = Queue::unbounded();
            let other = queue.clone();
            let mut task = pin!(other.get_async());
            assert!(poll_once(task.as_mut()).is_pending());
            let thread = beside(&queue, |queue| queue.get().unwrap());
            queue.put_many([1, 2]).unwrap();
            thread.join().unwrap();
            assert!(poll_once(task.as_mut()).is_ready());
            // And the count of who is awake is right again.
            let thread = beside(&queue, |queue| queue.get().unwrap());
            queue.put(3).unwrap();
            assert_eq!(thread.join().unwrap(), 3);
        },
    );
}

#[test]
fn task_gets_and_is_kept() {
    model(
        "queue: a task has got its item and its future is still there when the next item comes",
        || {
            let queue = Queue::unbounded();
            let other = queue.clone();
            let mut task = Box::pin(other.get_async());
            assert!(poll_once(task.as_mut()).is_pending());
            let thread = beside(&queue, |queue| queue.get().unwrap());
            queue.put(1).unwrap();
            let got = poll_once(task.as_mut());
            queue.put(2).unwrap();
            let item = thread.join().unwrap();
            assert!(got.is_pending() || item == 2);
        },
    );
}

#[test]
fn called_and_out_of_time() {
    model(
        "queue: a called getter finds nothing and is out of time as the next item comes",
        || {
            let (queue, deadline) = (Queue::unbounded(), Deadline::new());
            let hasty = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                if let Ok(item) = queue.get_within(deadline) {
                    queue.put(item).unwrap();
                }
            });
            let patient = beside(&queue, |queue| queue.get().unwrap());
            queue.put(1).unwrap();
            // A newcomer may be quicker than the one who was called.
            let newcomer = queue.try_get();
            deadline.pass();
            if newcomer.is_ok() {
                queue.put(2).unwrap();
            }
            hasty.join().unwrap();
            patient.join().unwrap();
            assert_eq!(queue.try_get(), Err(GetError::Empty));
        },
    );
}

#[test]
fn called_putter_out_of_time() {
    model(
        "queue: a called putter finds no room and is out of time as there is some",
        || {
            let (queue, deadline) = (Queue::bounded(1), Deadline::new());
            queue.put(0).unwrap();
            let hasty = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                if queue.put_within(1, deadline).is_ok() {
                    queue.get().unwrap();
                }
            });
            let patient = beside(&queue, |queue| queue.put(2).unwrap());
            queue.get().unwrap();
            deadline.pass();
            patient.join().unwrap();
            hasty.join().unwrap();
        },
    );
}

#[test]
fn last_in_first_out() {
    model(
        "lifo queue: two getters go to sleep while two items arrive",
        || {
            let stack = LifoQueue::bounded(1);
            let getter = beside(&stack, |stack| stack.get().unwrap());
            let putter = beside(&stack, |stack| stack.put(1).unwrap());
            stack.put(2).unwrap();
            assert_eq!(getter.join().unwrap() + stack.get().unwrap(), 3);
            putter.join().unwrap();
        },
    );
}

#[test]
fn at_front() {
    model(
        "queue: an item is put at the front while a putter waits for room",
        || {
            let queue = Queue::bounded(1);
            queue.put(0).unwrap();
            let putter = beside(&queue, |queue| queue.at_front().put(1).unwrap());
            assert_eq!((queue.get(), queue.get()), (Ok(0), Ok(1)));
            putter.join().unwrap();
        },
    );
}

// From here on whoever waits has a look first, and counts as awake while it has.

#[test]
fn awake_beside_a_sleeper() {
    model(
        "queue: one getter is awake, one asleep, and two items arrive",
        || {
            look_first();
            let queue = Queue::bounded(2);
            let getters = two_getters(&queue);
            queue.put(1).unwrap();
            queue.put(2).unwrap();
            assert_eq!(sum(getters), 3);
        },
    );
}

#[test]
fn awake_and_in_vain() {
    model(
        "queue: one getter is awake, one asleep, and a newcomer takes an item of two",
        || {
            look_first();
            let queue = Queue::bounded(2);
            let getters = two_getters(&queue);
            queue.put(1).unwrap();
            let mut put = 1;
            if queue.try_get().is_ok() {
                put = 0;
            }
            for _ in put..2 {
                queue.put(5).unwrap();
            }
            assert!(sum(getters) >= 6);
        },
    );
}

#[test]
fn awake_and_out_of_time() {
    model(
        "queue: one getter is awake and out of time, one asleep, and an item arrives",
        || {
            look_first();
            let (queue, deadline) = (Queue::bounded(1), Deadline::new());
            let hasty = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                if let Ok(item) = queue.get_within(deadline) {
                    queue.put(item).unwrap();
                }
            });
            let patient = beside(&queue, |queue| assert_eq!(queue.get(), Ok(1)));
            deadline.pass();
            queue.put(1).unwrap();
            hasty.join().unwrap();
            patient.join().unwrap();
        },
    );
}

#[test]
fn awake_putter_beside_a_sleeper() {
    model(
        "queue: one putter is awake, one asleep, and there is room twice",
        || {
            look_first();
            let queue = Queue::bounded(2);
            queue.put_many([0, 0]).unwrap();
            let putters = [1, 2].map(|n| beside(&queue, move |queue| queue.put(n).unwrap()));
            assert_eq!((queue.get(), queue.try_get().is_ok()), (Ok(0), true));
            putters.into_iter().for_each(|p| p.join().unwrap());
        },
    );
}

#[test]
fn awake_at_a_rendezvous() {
    model(
        "rendezvous: a getter and a putter have a look before they sleep",
        || {
            look_first();
            let queue = Queue::bounded(0);
            let putter = beside(&queue, |queue| queue.put(1).unwrap());
            assert_eq!(queue.get(), Ok(1));
            putter.join().unwrap();
        },
    );
}
