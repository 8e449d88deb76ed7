//! Models of joining a queue: whoever joins returns once everything has been finished, whatever is put then.

mod beside;

use beside::{beside, poll_once};
use latchwork::model::Deadline;
use latchwork::queue::Queue;
use latchwork::{GaveUp, debug};
use latchwork_loom_tests::model;
use loom::{future::block_on, thread};
use std::pin::pin;

/// With one item that has been got and is not finished.
fn busy() -> Queue<i32> {
    let queue = Queue::unbounded();
    queue.put(1).unwrap();
    assert_eq!(queue.get(), Ok(1));
    queue
}

#[test]
fn last_item_is_finished() {
    model(
        "queue: the last item is finished while two go to sleep to join",
        || {
            let queue = busy();
            let thread = beside(&queue, |queue| queue.join());
            let task = beside(&queue, |queue| block_on(queue.join_async()));
            queue.task_done().unwrap();
            thread.join().unwrap();
            task.join().unwrap();
        },
    );
}

#[test]
fn finished_by_two() {
    model(
        "queue: two finish one item each while somebody joins",
        || {
            let queue = busy();
            queue.put(2).unwrap();
            let joiner = beside(&queue, |queue| {
                queue.join();
                assert_eq!(queue.unfinished(), 0);
            });
            let other = beside(&queue, |queue| queue.task_done().unwrap());
            drop(queue.get_task());
            other.join().unwrap();
            joiner.join().unwrap();
        },
    );
}

#[test]
fn put_right_after() {
    model(
        "queue: an item is put right after the last one was finished",
        || {
            let queue = busy();
            let joining = queue.join_async();
            let worker = beside(&queue, |queue| {
                queue.task_done().unwrap();
                queue.put(2).unwrap();
            });
            block_on(joining);
            worker.join().unwrap();
            assert_eq!(queue.unfinished(), 1);
        },
    );
}

#[test]
fn put_right_after_beside_a_newcomer() {
    model(
        "queue: a newcomer among the joiners waits for the item put after the last",
        || {
            let queue = busy();
            let mut joining = pin!(queue.join_async());
            assert!(poll_once(joining.as_mut()).is_pending());
            queue.task_done().unwrap();
            queue.put(2).unwrap();
            let newcomer = beside(&queue, |queue| {
                queue.join();
                assert_eq!(queue.unfinished(), 0);
            });
            let worker = beside(&queue, |queue| queue.task_done().unwrap());
            assert!(poll_once(joining.as_mut()).is_ready());
            worker.join().unwrap();
            newcomer.join().unwrap();
        },
    );
}

#[test]
fn told_though_an_item_was_put() {
    model(
        "queue: a thread that joins is told although an item was put since",
        || {
            let queue = busy();
            let joiner = beside(&queue, |queue| queue.join());
            while debug::waits().is_empty() {
                thread::yield_now();
            }
            queue.task_done().unwrap();
            queue.put(2).unwrap();
            joiner.join().unwrap();
        },
    );
}

#[test]
fn time_out() {
    model(
        "queue: the last item is finished while one joiner times out and one stays",
        || {
            let (queue, deadline) = (busy(), Deadline::new());
            let hasty = beside(&(queue.clone(), deadline.clone()), |(queue, deadline)| {
                queue.join_within(deadline)
            });
            let patient = beside(&queue, |queue| queue.join());
            let timer = beside(&deadline, Deadline::pass);
            queue.task_done().unwrap();
            assert!(matches!(
                hasty.join().unwrap(),
                Ok(()) | Err(GaveUp::TimedOut)
            ));
            patient.join().unwrap();
            timer.join().unwrap();
        },
    );
}

#[test]
fn dropped_future() {
    model(
        "queue: a joiner's future is dropped while the last item is finished",
        || {
            let queue = busy();
            let patient = beside(&queue, |queue| queue.join());
            let dropper = beside(&queue, |queue| {
                let mut joining = pin!(queue.join_async());
                let _ = poll_once(joining.as_mut());
            });
            queue.task_done().unwrap();
            dropper.join().unwrap();
            patient.join().unwrap();
        },
    );
}
