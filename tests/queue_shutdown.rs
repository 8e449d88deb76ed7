//! Shutting queues down: rows Q18-Q23. It beats Full, Empty, TimedOut and Cancelled, in every face.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::queue::{Discipline, GetError, LifoQueue, PutError, Queue, TaskDoneError};
use latchwork::{CancelToken, Shutdown};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const HOWS: [Shutdown; 2] = [Shutdown::Drain, Shutdown::Immediate];

fn cancelled() -> CancelToken {
    let token = CancelToken::new();
    token.cancel();
    token
}

/// Every face of put says `ShutDown` and gives everything back.
fn assert_puts_are_refused(queue: &Queue<i32>) {
    let token = cancelled();
    let one = Err(PutError::ShutDown(7));
    assert_eq!(queue.put(7), one, "put");
    assert_eq!(queue.try_put(7), one, "not Full");
    assert_eq!(queue.put_within(7, Duration::ZERO), one, "not TimedOut");
    assert_eq!(queue.put_within(7, &token), one, "not Cancelled");
    assert_eq!(ready(queue.put_async(7)), one);
    assert_eq!(queue.at_front().put(7), one);
    assert_eq!(queue.at_front().try_put(7), one);
    assert_eq!(queue.at_front().put_within(7, Duration::ZERO), one);
    assert_eq!(ready(queue.at_front().put_async(7)), one);

    let many = Err(PutError::ShutDown(vec![7, 8]));
    assert_eq!(queue.put_many([7, 8]), many);
    assert_eq!(queue.try_put_many([7, 8]), many, "not Full");
    assert_eq!(queue.put_many_within([7, 8], Duration::ZERO), many);
    assert_eq!(queue.put_many_within([7, 8], &token), many);
    assert_eq!(ready(queue.put_many_async([7, 8])), many);
}

/// Every face of get says `ShutDown`, now that there is nothing left.
fn assert_gets_are_refused(queue: &Queue<i32>) {
    let token = cancelled();
    assert_eq!(queue.get(), Err(GetError::ShutDown));
    assert_eq!(queue.try_get(), Err(GetError::ShutDown), "not Empty");
    let zero = Duration::ZERO;
    assert_eq!(queue.get_within(zero), Err(GetError::ShutDown), "not late");
    assert_eq!(queue.get_within(&token), Err(GetError::ShutDown));
    assert_eq!(ready(queue.get_async()), Err(GetError::ShutDown));

    assert_eq!(queue.get_many(2), Err(GetError::ShutDown));
    assert_eq!(queue.try_get_many(2), Err(GetError::ShutDown));
    assert_eq!(queue.get_many_within(2, zero), Err(GetError::ShutDown));
    assert_eq!(queue.get_many_within(2, &token), Err(GetError::ShutDown));
    assert_eq!(ready(queue.get_many_async(2)), Err(GetError::ShutDown));

    assert_eq!(queue.get_task().unwrap_err(), GetError::ShutDown);
    assert_eq!(queue.try_get_task().unwrap_err(), GetError::ShutDown);
    let late = queue.get_task_within(zero).unwrap_err();
    assert_eq!(late, GetError::ShutDown);
    assert_eq!(
        ready(queue.get_task_async()).unwrap_err(),
        GetError::ShutDown
    );

    assert_eq!(queue.iter().next(), None);
    assert_eq!(queue.try_iter().next(), None);
    assert_eq!(queue.drain().next(), None);
}

#[test]
fn it_takes_precedence_in_every_face() {
    watchdog(LIMIT, "it_takes_precedence_in_every_face", || {
        for how in HOWS {
            let full = Queue::bounded(1);
            full.put(1).unwrap();
            let left = full.shutdown(how);
            assert!(full.is_shutdown());
            assert_puts_are_refused(&full);
            match how {
                Shutdown::Drain => assert_eq!((left, full.get()), (vec![], Ok(1))),
                Shutdown::Immediate => assert_eq!(left, [1]),
            }
            assert_puts_are_refused(&full);
            assert_gets_are_refused(&full);

            let unbounded = Queue::unbounded();
            assert!(unbounded.shutdown(how).is_empty());
            assert_puts_are_refused(&unbounded);
            assert_gets_are_refused(&unbounded);

            let rendezvous = Queue::bounded(0);
            assert!(rendezvous.shutdown(how).is_empty());
            assert_puts_are_refused(&rendezvous);
            assert_gets_are_refused(&rendezvous);
        }
    });
}

#[test]
fn what_is_left_can_be_got_in_every_face() {
    let queue = Queue::unbounded();
    queue.put_many(0..12).unwrap();
    assert!(queue.shutdown(Shutdown::Drain).is_empty());
    assert_eq!(queue.len(), 12);
    assert_eq!(queue.peek(|n| *n), Some(0));
    assert_eq!((queue.get(), queue.try_get()), (Ok(0), Ok(1)));
    assert_eq!(queue.get_within(Duration::ZERO), Ok(2));
    assert_eq!(ready(queue.get_async()), Ok(3));
    assert_eq!(queue.get_many(2), Ok(vec![4, 5]));
    assert_eq!(queue.try_get_many(1), Ok(vec![6]));
    assert_eq!(*queue.get_task().unwrap(), 7);
    assert_eq!(queue.try_iter().next(), Some(8));
    assert_eq!(queue.iter().collect::<Vec<_>>(), [9, 10, 11]);
    assert_eq!(queue.get(), Err(GetError::ShutDown));
}

#[test]
fn it_wakes_everybody_in_every_face() {
    watchdog(LIMIT, "it_wakes_everybody_in_every_face", || {
        for how in HOWS {
            let full = Queue::bounded(1);
            full.put(0).unwrap();
            let refused = || Err(PutError::ShutDown(1));
            thread::scope(|s| {
                let puts = [
                    parked(s, || full.put(1)),
                    parked(s, || full.put_within(1, HOUR)),
                    parked(s, || full.at_front().put(1)),
                ];
                let many = [
                    parked(s, || full.put_many([1, 2])),
                    parked(s, || full.put_many_within([1, 2], HOUR)),
                ];
                let mut task = pending(full.put_async(1));
                let mut tasks = pending(full.put_many_async([1, 2]));
                let left = full.shutdown(how);
                assert_eq!(ready(task.as_mut()), refused());
                assert_eq!(ready(tasks.as_mut()), Err(PutError::ShutDown(vec![1, 2])));
                assert_eq!(left.len(), usize::from(how == Shutdown::Immediate));
                for put in puts {
                    assert_eq!(put.join().unwrap(), refused());
                }
                for put in many {
                    let all = vec![1, 2];
                    assert_eq!(put.join().unwrap(), Err(PutError::ShutDown(all)));
                }
            });
            let empty = Queue::<i32>::bounded(1);
            thread::scope(|s| {
                let gets = [
                    parked(s, || empty.get()),
                    parked(s, || empty.get_within(HOUR)),
                    parked(s, || empty.get_many(2).map(|_| 0)),
                    parked(s, || empty.get_many_within(2, HOUR).map(|_| 0)),
                    parked(s, || empty.get_task().map(|task| *task)),
                    parked(s, || empty.get_task_within(HOUR).map(|task| *task)),
                    parked(s, || empty.iter().next().ok_or(GetError::ShutDown)),
                ];
                let mut task = pending(empty.get_async());
                let mut tasks = pending(empty.get_many_async(2));
                assert!(empty.shutdown(how).is_empty());
                assert_eq!(ready(task.as_mut()), Err(GetError::ShutDown));
                assert_eq!(ready(tasks.as_mut()), Err(GetError::ShutDown));
                for get in gets {
                    assert_eq!(get.join().unwrap(), Err(GetError::ShutDown));
                }
            });
        }
    });
}

#[test]
fn a_batch_that_is_half_in_gives_the_other_half_back() {
    watchdog(LIMIT, "a_batch_that_is_half_in", || {
        let queue = Queue::bounded(2);
        thread::scope(|s| {
            let putter = parked(s, || queue.put_many([1, 2, 3, 4]));
            assert_eq!(queue.shutdown(Shutdown::Drain), []);
            assert_eq!(
                putter.join().unwrap(),
                Err(PutError::ShutDown(vec![3, 4])),
                "in order, and without what is in"
            );
        });
        assert_eq!(queue.iter().collect::<Vec<_>>(), [1, 2]);
    });
}

#[test]
fn it_returns_what_is_left_the_next_one_first() {
    let queue = Queue::unbounded();
    queue.put_many([1, 2, 3]).unwrap();
    assert_eq!(queue.shutdown(Shutdown::Immediate), [1, 2, 3]);
    let stack = LifoQueue::unbounded();
    stack.put_many([1, 2, 3]).unwrap();
    assert_eq!(stack.shutdown(Shutdown::Immediate), [3, 2, 1]);
    assert!(stack.is_empty());
}

#[test]
fn it_may_be_called_again() {
    let queue = Queue::unbounded();
    queue.put_many([1, 2]).unwrap();
    assert!(!queue.is_shutdown());
    assert_eq!(queue.shutdown(Shutdown::Drain), []);
    assert_eq!(queue.shutdown(Shutdown::Drain), [], "harmless");
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.shutdown(Shutdown::Immediate), [1, 2]);
    assert_eq!(queue.shutdown(Shutdown::Immediate), []);
    assert_eq!(queue.shutdown(Shutdown::Drain), [], "nothing opens it");
    assert!(queue.is_shutdown());
    assert_eq!(queue.unfinished(), 0);
    assert_eq!(queue.put(1), Err(PutError::ShutDown(1)));
}

/// Row Q19: what is being worked on is still to be acknowledged.
#[test]
fn an_item_in_work_keeps_a_join_waiting() {
    watchdog(LIMIT, "an_item_in_work_keeps_a_join_waiting", || {
        let queue = Queue::unbounded();
        queue.put_many([1, 2, 3]).unwrap();
        let task = queue.get_task().unwrap();
        thread::scope(|s| {
            let joiner = parked(s, || queue.join());
            assert_eq!(queue.shutdown(Shutdown::Immediate), [2, 3]);
            assert_eq!(queue.unfinished(), 1);
            assert!(queue.join_within(Duration::from_millis(1)).is_err());
            assert!(!queue.try_join());
            drop(task);
            joiner.join().unwrap();
        });
        assert_eq!(queue.task_done(), Err(TaskDoneError));
    });
}

/// Row Q19: the items that are handed back were all that was unfinished.
#[test]
fn it_ends_a_join_of_what_it_takes_out() {
    watchdog(LIMIT, "it_ends_a_join", || {
        let queue = Queue::unbounded();
        queue.put_many([1, 2]).unwrap();
        thread::scope(|s| {
            let joiner = parked(s, || queue.join());
            let mut future = pending(queue.join_async());
            assert_eq!(queue.shutdown(Shutdown::Immediate), [1, 2]);
            joiner.join().unwrap();
            ready(future.as_mut());
        });
    });
}

/// Row Q22.
#[test]
fn a_join_after_it_waits_for_what_is_unfinished_and_for_nothing_else() {
    watchdog(LIMIT, "a_join_after_it", || {
        let queue = Queue::unbounded();
        queue.put(1).unwrap();
        let _ = queue.shutdown(Shutdown::Drain);
        assert!(queue.join_within(Duration::ZERO).is_err());
        thread::scope(|s| {
            let joiner = parked(s, || queue.join());
            assert_eq!(queue.get(), Ok(1));
            assert_eq!(queue.unfinished(), 1, "got is not done");
            queue.task_done().unwrap();
            joiner.join().unwrap();
        });
        queue.join();
        assert_eq!(queue.join_within(Duration::ZERO), Ok(()));
    });
}

/// Row Q21: there is an error where there is nothing to acknowledge, and nothing is changed by it.
#[test]
fn to_acknowledge_what_was_taken_out_is_an_error() {
    let queue = Queue::unbounded();
    queue.put_many([1, 2]).unwrap();
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.shutdown(Shutdown::Immediate), [2]);
    assert_eq!(queue.task_done(), Ok(()));
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    assert_eq!(queue.unfinished(), 0);
    assert!(queue.try_join());
}

/// Both the shutdown and the deadline have come when the putter looks.
#[test]
fn it_beats_a_deadline_that_passes_meanwhile() {
    watchdog(LIMIT, "it_beats_a_deadline", || {
        for round in 0..50 {
            let full = Queue::bounded(1);
            full.put(0).unwrap();
            let empty = Queue::<u8>::bounded(1);
            let end = Instant::now() + Duration::from_micros(20 * round);
            thread::scope(|s| {
                let putter = s.spawn(|| full.put_within(1, end));
                let getter = s.spawn(|| empty.get_within(end));
                let _ = (full.shutdown(Shutdown::Drain), empty.shutdown(HOWS[0]));
                let put = putter.join().unwrap();
                assert!(matches!(
                    put,
                    Err(PutError::ShutDown(1) | PutError::TimedOut(1))
                ));
                assert!(getter.join().unwrap().is_err());
                assert_eq!(full.put_within(1, end), Err(PutError::ShutDown(1)));
                assert_eq!(empty.get_within(end), Err(GetError::ShutDown));
            });
        }
    });
}

#[test]
fn several_shutdowns_at_once_share_the_items_out() {
    watchdog(LIMIT, "several_shutdowns_at_once", || {
        for _ in 0..200 {
            let queue = Queue::unbounded();
            queue.put_many(0..10).unwrap();
            let taken: usize = thread::scope(|s| {
                let takers: [_; 3] =
                    std::array::from_fn(|_| s.spawn(|| queue.shutdown(Shutdown::Immediate).len()));
                let got = queue.try_iter().count();
                got + takers.map(|t| t.join().unwrap()).iter().sum::<usize>()
            });
            assert_eq!(taken, 10);
        }
    });
}

/// What a capacity or a look at the items changes must not open it again.
#[test]
fn nothing_opens_it_again() {
    let queue = Queue::bounded(1);
    let _ = queue.shutdown(Shutdown::Drain);
    queue.set_capacity(None);
    assert_eq!(queue.try_put(1), Err(PutError::ShutDown(1)));
    queue.with_lock(|items| items.push(5));
    assert_eq!(queue.clone().get(), Ok(5), "that was not a put");
    assert!(queue.is_shutdown() && queue.clone().is_shutdown());
}
