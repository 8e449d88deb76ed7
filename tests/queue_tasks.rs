//! Items as work: rows Q15-Q17, Q21 and Q22.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::queue::{GetError, Queue, TaskDoneError};
use latchwork::{CancelToken, GaveUp};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn what_was_put_is_unfinished_until_it_is_acknowledged() {
    let queue = Queue::unbounded();
    assert_eq!(queue.unfinished(), 0);
    queue.put(1).unwrap();
    queue.put_many([2, 3]).unwrap();
    queue.at_front().put(0).unwrap();
    assert_eq!(queue.unfinished(), 4);
    assert_eq!(queue.drain().count(), 4);
    assert_eq!((queue.unfinished(), queue.is_empty()), (4, true));
    for left in (0..4).rev() {
        assert!(!queue.try_join());
        queue.task_done().unwrap();
        assert_eq!(queue.unfinished(), left);
    }
    assert!(queue.try_join());
}

#[test]
fn one_too_many_is_an_error_and_changes_nothing() {
    let queue = Queue::unbounded();
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    queue.put(1).unwrap();
    assert_eq!(queue.unfinished(), 1, "the error was not remembered");
    queue.task_done().unwrap();
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    assert_eq!(queue.unfinished(), 0);
    let error = TaskDoneError.to_string();
    assert_eq!(error, "task_done was called more often than items were put");
}

/// Not until the queue is empty, but until everything is done.
#[test]
fn a_join_waits_for_the_work_and_may_be_called_again() {
    watchdog(LIMIT, "a_join_waits_for_the_work", || {
        let queue = Queue::unbounded();
        queue.join();
        for _ in 0..2 {
            queue.put_many([1, 2]).unwrap();
            thread::scope(|s| {
                let joiner = parked(s, || queue.join());
                assert_eq!(queue.get_many(2).unwrap().len(), 2);
                queue.task_done().unwrap();
                assert!(queue.is_empty() && !joiner.is_finished());
                assert_eq!(queue.unfinished(), 1);
                queue.task_done().unwrap();
                joiner.join().unwrap();
            });
            queue.join();
        }
    });
}

#[test]
fn several_join_in_all_faces_at_once() {
    watchdog(LIMIT, "several_join_in_all_faces", || {
        let queue = Queue::unbounded();
        queue.put(1).unwrap();
        let token = CancelToken::new();
        thread::scope(|s| {
            let joiners = [
                parked(s, || queue.join()),
                parked(s, || queue.join_within(Duration::from_secs(3600)).unwrap()),
                parked(s, || queue.join_within(&token).unwrap()),
            ];
            let mut future = pending(queue.join_async());
            drop(pending(queue.join_async()));
            queue.task_done().unwrap();
            ready(future.as_mut());
            joiners
                .into_iter()
                .for_each(|joiner| joiner.join().unwrap());
        });
    });
}

/// It is given, not called: an item that is put right after does not hold it up.
#[test]
fn a_join_returns_although_there_is_new_work() {
    watchdog(LIMIT, "a_join_returns_although", || {
        let queue = Queue::unbounded();
        for _ in 0..500 {
            queue.put(1).unwrap();
            let mut future = pending(queue.join_async());
            thread::scope(|s| {
                let joiner = parked(s, || queue.join());
                queue.task_done().unwrap();
                queue.put(2).unwrap();
                joiner.join().unwrap();
            });
            ready(future.as_mut());
            assert!(!queue.try_join());
            // Begun, but not polled yet.
            let late = queue.join_async();
            queue.task_done().unwrap();
            queue.put(3).unwrap();
            ready(late);
            queue.task_done().unwrap();
        }
    });
}

#[test]
fn a_join_under_a_limit_says_why_it_gave_up() {
    watchdog(LIMIT, "a_join_under_a_limit", || {
        let queue = Queue::unbounded();
        queue.put(1).unwrap();
        let begun = Instant::now();
        let limit = Duration::from_millis(20);
        assert_eq!(queue.join_within(limit), Err(GaveUp::TimedOut));
        assert!(begun.elapsed() >= limit);
        assert_eq!(queue.join_within(Duration::ZERO), Err(GaveUp::TimedOut));
        let token = CancelToken::new();
        thread::scope(|s| {
            let joiner = parked(s, || queue.join_within(&token));
            let other = parked(s, || queue.join());
            token.cancel();
            assert_eq!(joiner.join().unwrap(), Err(GaveUp::Cancelled));
            queue.task_done().unwrap();
            other.join().unwrap();
        });
        assert_eq!(queue.join_within(Duration::ZERO), Ok(()));
    });
}

#[test]
fn joins_that_give_up_beside_others_take_nothing_from_them() {
    watchdog(LIMIT, "joins_that_give_up", || {
        let queue = Queue::unbounded();
        for round in 0..200 {
            queue.put(1).unwrap();
            let limit = Duration::from_micros(round);
            let hasty = || queue.join_within(limit);
            thread::scope(|s| {
                let others = [s.spawn(hasty), s.spawn(hasty)];
                let patient = s.spawn(|| queue.join());
                thread::yield_now();
                queue.task_done().unwrap();
                patient.join().unwrap();
                for other in others {
                    let _ = other.join().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_task_acknowledges_when_it_is_dropped_however_that_comes() {
    watchdog(LIMIT, "a_task_acknowledges", || {
        let queue = Queue::unbounded();
        queue.put_many([1, 2, 3, 4, 5]).unwrap();
        let mut task = queue.get_task().unwrap();
        assert_eq!(format!("{task:?}"), "Task(1)");
        *task += 10;
        assert_eq!((*task, queue.unfinished()), (11, 5));
        drop(task);
        assert_eq!(queue.unfinished(), 4);

        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _task = queue.try_get_task().unwrap();
            panic!("on purpose");
        }));
        assert!(outcome.is_err());
        assert_eq!(queue.unfinished(), 3);

        let task = queue.get_task_within(Duration::ZERO).unwrap();
        assert_eq!(task.finish(), 3);
        assert_eq!(queue.unfinished(), 2);

        let task = ready(queue.get_task_async()).unwrap();
        queue.task_done().unwrap();
        queue.task_done().unwrap();
        drop(task);
        assert_eq!(queue.unfinished(), 0, "acknowledged besides");
        assert_eq!(*queue.get_task().unwrap(), 5);
        assert_eq!(queue.try_get_task().unwrap_err(), GetError::Empty);
        let late = queue.get_task_within(Duration::ZERO).unwrap_err();
        assert_eq!(late, GetError::TimedOut);
        drop(pending(queue.get_task_async()));
        queue.put(6).unwrap();
        assert_eq!(*queue.get_task().unwrap(), 6);
    });
}

/// A task may outlive every other handle, and end in another thread.
#[test]
fn a_task_keeps_its_queue() {
    watchdog(LIMIT, "a_task_keeps_its_queue", || {
        let queue = Queue::unbounded();
        queue.put(String::from("soup")).unwrap();
        let task = queue.get_task().unwrap();
        let joiner = queue.clone();
        drop(queue);
        let worker = thread::spawn(move || task.len());
        joiner.join();
        assert_eq!(worker.join().unwrap(), 4);
    });
}

/// What a worker puts while it works is unfinished before its own item is finished.
#[test]
fn work_that_makes_work_is_joined_as_a_whole() {
    watchdog(LIMIT, "work_that_makes_work", || {
        let queue = Queue::unbounded();
        let done = AtomicUsize::new(0);
        queue.put(9).unwrap();
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    while let Ok(task) = queue.get_task() {
                        (0..*task).for_each(|n| queue.put(n).unwrap());
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            queue.join();
            let _ = queue.shutdown(latchwork::Shutdown::Drain);
        });
        assert_eq!(done.load(Ordering::Relaxed), 1 << 9);
    });
}

#[test]
fn with_lock_and_drain_keep_the_count() {
    let queue = Queue::unbounded();
    queue.put_many([1, 2, 3]).unwrap();
    queue.with_lock(|items| items.pop_many_and_push_one());
    assert_eq!((queue.len(), queue.unfinished()), (2, 2));
    let mut future = pending(queue.join_async());
    queue.with_lock(|items| items.clear());
    ready(future.as_mut());
    assert_eq!(queue.task_done(), Err(TaskDoneError));
}

/// What the tests above do under the lock.
trait Changes {
    fn pop_many_and_push_one(&mut self);
    fn clear(&mut self);
}

impl<D: latchwork::queue::Discipline<Item = i32>> Changes for D {
    fn pop_many_and_push_one(&mut self) {
        self.pop();
        self.pop();
        self.push(9);
    }

    fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}
