//! `queue::Queue`: rows Q1, Q5-Q13, Q18-Q23, Q27, Q28, Q30-Q33.

mod common;

use common::{until_parked, watchdog};
use latchwork::queue::{BlockingQueue, Discipline, GetError, PutError, Queue};
use latchwork::{CancelToken, Shutdown, debug};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until somebody who was not there before is parked on a queue.
fn until_waiting(kind: &str, place_line: u32) {
    let is_it = |wait: &debug::Wait| wait.kind == kind && wait.place.line() == place_line;
    while !debug::waits().iter().any(is_it) {
        thread::yield_now();
    }
}

#[test]
fn first_in_first_out() {
    let queue = Queue::bounded(3);
    assert_eq!((queue.capacity(), queue.is_empty()), (Some(3), true));
    for n in 0..3 {
        queue.try_put(n).unwrap();
    }
    assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
    assert!(queue.is_full());
    assert_eq!((0..3).map(|_| queue.try_get().unwrap()).sum::<i32>(), 3);
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    let unbounded = Queue::unbounded();
    unbounded.put_many(0..5000).unwrap();
    assert_eq!((unbounded.capacity(), unbounded.len()), (None, 5000));
    assert!(!unbounded.is_full());
}

#[test]
fn many_producers_and_consumers_lose_nothing_and_keep_each_producers_order() {
    watchdog(LIMIT, "many_producers_and_consumers", || {
        for capacity in [1, 3, 64] {
            let queue = Queue::bounded(capacity);
            let got: Vec<Vec<(usize, usize)>> = thread::scope(|s| {
                let consumers: Vec<_> = (0..3)
                    .map(|_| s.spawn(|| queue.iter().collect::<Vec<_>>()))
                    .collect();
                thread::scope(|s| {
                    for producer in 0..3 {
                        let queue = &queue;
                        s.spawn(move || (0..2000).for_each(|n| queue.put((producer, n)).unwrap()));
                    }
                });
                assert!(queue.shutdown(Shutdown::Drain).is_empty());
                consumers.into_iter().map(|c| c.join().unwrap()).collect()
            });
            for items in &got {
                for producer in 0..3 {
                    let mine = items.iter().filter(|item| item.0 == producer);
                    assert!(mine.map(|item| item.1).is_sorted());
                }
            }
            let mut all: Vec<_> = got.into_iter().flatten().collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 6000);
        }
    });
}

#[test]
fn limits_give_the_item_back() {
    watchdog(LIMIT, "limits_give_the_item_back", || {
        let queue = Queue::bounded(1);
        let begin = Instant::now();
        let limit = Duration::from_millis(20);
        assert_eq!(queue.get_within(limit), Err(GetError::TimedOut));
        assert!(begin.elapsed() >= limit);
        queue.put(1).unwrap();
        assert_eq!(queue.put_within(2, limit), Err(PutError::TimedOut(2)));
        assert_eq!(
            queue.put_within(2, Duration::ZERO),
            Err(PutError::TimedOut(2))
        );
        let token = CancelToken::new();
        thread::scope(|s| {
            let line = line!() + 1;
            let putter = s.spawn(|| queue.put_within(2, &token));
            until_waiting("Queue::put", line);
            token.cancel();
            assert_eq!(putter.join().unwrap(), Err(PutError::Cancelled(2)));
        });
        assert_eq!(queue.get_within(Duration::ZERO), Ok(1), "zero polls");
    });
}

/// Row Q10: the limit is for the whole call, however often it was woken in vain meanwhile.
#[test]
fn a_limit_is_for_all_wake_ups_together() {
    watchdog(LIMIT, "a_limit_is_for_all_wake_ups", || {
        let queue = Queue::bounded(1);
        let limit = Duration::from_millis(50);
        thread::scope(|s| {
            let getter = s.spawn(|| {
                let begin = Instant::now();
                let got = queue.get_within(limit);
                assert!(got.is_ok() || begin.elapsed() >= limit);
                got
            });
            let mut taken_back = 0;
            while !getter.is_finished() {
                queue.put(1).unwrap();
                taken_back += usize::from(queue.try_get().is_ok());
            }
            match getter.join().unwrap() {
                Ok(item) => assert_eq!(item, 1),
                Err(why) => assert!(why == GetError::TimedOut && taken_back > 0),
            }
        });
        assert_eq!(queue.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn items_survive_time_outs_that_race_them() {
    watchdog(LIMIT, "items_survive_time_outs", || {
        let queue = Queue::bounded(2);
        const ITEMS: usize = 3000;
        let done = AtomicBool::new(false);
        let total: usize = thread::scope(|s| {
            let consumers: Vec<_> = (0..2)
                .map(|_| {
                    s.spawn(|| {
                        let mut got = 0;
                        loop {
                            match queue.get_within(Duration::from_micros(10)) {
                                Ok(_) => got += 1,
                                Err(GetError::TimedOut) if done.load(Ordering::Acquire) => {
                                    return got;
                                }
                                Err(GetError::TimedOut) => {}
                                Err(other) => panic!("{other}"),
                            }
                        }
                    })
                })
                .collect();
            for n in 0..ITEMS {
                let mut item = n;
                while let Err(refused) = queue.put_within(item, Duration::from_micros(10)) {
                    item = refused.into_inner();
                }
            }
            while !queue.is_empty() {
                thread::yield_now();
            }
            done.store(true, Ordering::Release);
            consumers.into_iter().map(|c| c.join().unwrap()).sum()
        });
        assert_eq!(total, ITEMS);
    });
}

#[test]
fn draining_shutdown_serves_what_was_accepted() {
    let queue = Queue::bounded(4);
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    assert!(queue.shutdown(Shutdown::Drain).is_empty());
    assert!(queue.is_shutdown());
    assert_eq!(queue.put(3), Err(PutError::ShutDown(3)));
    assert_eq!(queue.try_put(3), Err(PutError::ShutDown(3)));
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.shutdown(Shutdown::Immediate), [2]);
    assert_eq!(queue.get(), Err(GetError::ShutDown));
    assert_eq!(queue.try_get(), Err(GetError::ShutDown), "not Empty");
}

#[test]
fn shutdown_wakes_everybody_and_takes_precedence() {
    watchdog(LIMIT, "shutdown_wakes_everybody", || {
        let full = Queue::bounded(1);
        full.put(0).unwrap();
        let empty = Queue::<i32>::bounded(1);
        thread::scope(|s| {
            let put_line = line!() + 1;
            let putter = s.spawn(|| full.put(1));
            let get_line = line!() + 1;
            let getter = s.spawn(|| empty.get());
            until_waiting("Queue::put", put_line);
            until_waiting("Queue::get", get_line);
            assert_eq!(full.shutdown(Shutdown::Immediate), [0]);
            let _ = empty.shutdown(Shutdown::Drain);
            assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(1)));
            assert_eq!(getter.join().unwrap(), Err(GetError::ShutDown));
        });
    });
}

#[test]
fn items_leave_nothing_behind() {
    let item = Arc::new(());
    let queue = Queue::bounded(2);
    queue.put(Arc::clone(&item)).unwrap();
    drop(queue.get());
    assert_eq!(Arc::strong_count(&item), 1);
    queue.put(Arc::clone(&item)).unwrap();
    drop(queue);
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn tasks_put_and_get() {
    watchdog(LIMIT, "tasks_put_and_get", || {
        let queue = Queue::bounded(1);
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || {
                common::block_on(async {
                    for n in 0..500 {
                        queue.put_async(n).await.unwrap();
                    }
                });
                queue.shutdown(Shutdown::Drain)
            })
        };
        let sum = common::block_on(async {
            let mut sum = 0;
            while let Ok(n) = queue.get_async().await {
                sum += n;
            }
            sum
        });
        assert_eq!(sum, 499 * 500 / 2);
        producer.join().unwrap();
    });
}

#[test]
fn debug_and_errors_speak() {
    let queue = Queue::<u8>::bounded(1);
    assert_eq!(
        format!("{queue:?}"),
        "BlockingQueue { len: 0, capacity: Some(1), unfinished: 0, is_shutdown: false }"
    );
    until_parked("Queue::get", &queue, 0);
    assert_eq!(PutError::Full(1).to_string(), "the queue is full");
    assert_eq!(
        GetError::ShutDown.to_string(),
        "the queue is empty and has been shut down"
    );
}

#[derive(Clone, Debug)]
enum Step {
    TryPut,
    PutWithinZero,
    TryGet,
    GetWithinZero,
    Drain,
    Immediate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::TryPut),
        2 => Just(Step::PutWithinZero),
        6 => Just(Step::TryGet),
        2 => Just(Step::GetWithinZero),
        1 => Just(Step::Drain),
        1 => Just(Step::Immediate),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_deque(
        capacity in 1usize..6,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let queue = Queue::bounded(capacity);
        let (mut model, mut is_shut) = (VecDeque::new(), false);
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::TryPut | Step::PutWithinZero => {
                    let (refusal, got) = match step {
                        Step::TryPut => (PutError::Full(n), queue.try_put(n)),
                        _ => (PutError::TimedOut(n), queue.put_within(n, Duration::ZERO)),
                    };
                    let expected = if is_shut {
                        Err(PutError::ShutDown(n))
                    } else if model.len() == capacity {
                        Err(refusal)
                    } else {
                        model.push_back(n);
                        Ok(())
                    };
                    prop_assert_eq!(got, expected);
                }
                Step::TryGet | Step::GetWithinZero => {
                    let (refusal, got) = match step {
                        Step::TryGet => (GetError::Empty, queue.try_get()),
                        _ => (GetError::TimedOut, queue.get_within(Duration::ZERO)),
                    };
                    let refusal = if is_shut { GetError::ShutDown } else { refusal };
                    prop_assert_eq!(got, model.pop_front().ok_or(refusal));
                }
                Step::Drain => {
                    prop_assert!(queue.shutdown(Shutdown::Drain).is_empty());
                    is_shut = true;
                }
                Step::Immediate => {
                    let left = std::mem::take(&mut model);
                    prop_assert_eq!(queue.shutdown(Shutdown::Immediate), Vec::from(left));
                    is_shut = true;
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_full(), model.len() == capacity);
            prop_assert_eq!(queue.is_shutdown(), is_shut);
        }
    }
}

#[test]
fn who_was_called_in_vain_goes_to_the_front() {
    let queue = Queue::unbounded();
    let (mut first, mut second) = (Box::pin(queue.get_async()), Box::pin(queue.get_async()));
    assert!(common::poll(first.as_mut(), Waker::noop()).is_pending());
    assert!(common::poll(second.as_mut(), Waker::noop()).is_pending());
    queue.put(1).unwrap();
    assert_eq!(queue.try_get(), Ok(1), "a newcomer was quicker");
    assert!(common::poll(first.as_mut(), Waker::noop()).is_pending());
    queue.put(2).unwrap();
    let got = common::poll(first.as_mut(), Waker::noop());
    assert_eq!(got, Poll::Ready(Ok(2)));
    assert!(common::poll(second.as_mut(), Waker::noop()).is_pending());
}

#[test]
fn a_putter_that_is_dropped_after_its_call_calls_the_next() {
    let queue = Queue::bounded(1);
    queue.put(0).unwrap();
    let (mut first, mut second) = (Box::pin(queue.put_async(1)), Box::pin(queue.put_async(2)));
    assert!(common::poll(first.as_mut(), Waker::noop()).is_pending());
    let (waker, count) = common::counting_waker();
    assert!(common::poll(second.as_mut(), &waker).is_pending());
    assert_eq!(queue.try_get(), Ok(0));
    drop(first);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let put = common::poll(second.as_mut(), Waker::noop());
    assert_eq!(put, Poll::Ready(Ok(())));
    assert_eq!(queue.try_get(), Ok(2));
}

/// Panics once when it has been told to and is asked for an item.
struct Fragile {
    items: Vec<i32>,
    is_cracked: Arc<AtomicBool>,
}

impl Discipline for Fragile {
    type Item = i32;

    fn push(&mut self, item: i32) {
        self.items.push(item);
    }

    fn pop(&mut self) -> Option<i32> {
        assert!(!self.is_cracked.swap(false, Ordering::Relaxed), "cracked");
        self.items.pop()
    }

    fn len(&self) -> usize {
        self.items.len()
    }
}

#[test]
fn a_called_getter_whose_discipline_panics_leaves_the_item_to_the_next() {
    watchdog(LIMIT, "a_called_getter_whose_discipline_panics", || {
        let is_cracked = Arc::new(AtomicBool::new(false));
        let fragile = Fragile {
            items: Vec::new(),
            is_cracked: Arc::clone(&is_cracked),
        };
        let queue = BlockingQueue::with_discipline(fragile, None);
        thread::scope(|s| {
            let lines = [line!() + 1, line!() + 2];
            let first = s.spawn(|| queue.get());
            let second = s.spawn(|| queue.get());
            for line in lines {
                until_waiting("Queue::get", line);
            }
            is_cracked.store(true, Ordering::Relaxed);
            queue.put(1).unwrap();
            let ends = [first.join(), second.join()];
            let got: Vec<_> = ends.into_iter().flatten().collect();
            assert_eq!(got, [Ok(1)], "one has panicked, one has got the item");
        });
    });
}

#[test]
fn for_two_items_two_are_called_though_the_first_one_is_a_task() {
    watchdog(LIMIT, "for_two_items_two_are_called", || {
        let queue = Queue::unbounded();
        let mut task = Box::pin(queue.get_async());
        assert!(common::poll(task.as_mut(), Waker::noop()).is_pending());
        thread::scope(|s| {
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get());
            until_waiting("Queue::get", line);
            queue.put_many([1, 2]).unwrap();
            assert_eq!(getter.join().unwrap(), Ok(1), "before the task is polled");
        });
        let got = common::poll(task.as_mut(), Waker::noop());
        assert_eq!(got, Poll::Ready(Ok(2)));
    });
}

#[test]
fn a_dropped_put_that_was_taken_leaves_the_offer_behind_it_alone() {
    let queue = Queue::bounded(0);
    assert_eq!(queue.try_put(0), Err(PutError::Full(0)), "nobody waits");
    let (mut first, mut second) = (Box::pin(queue.put_async(1)), Box::pin(queue.put_async(2)));
    assert!(common::poll(first.as_mut(), Waker::noop()).is_pending());
    assert!(common::poll(second.as_mut(), Waker::noop()).is_pending());
    assert_eq!(queue.try_get(), Ok(1));
    drop(first);
    assert_eq!(queue.try_get(), Ok(2));
    let put = common::poll(second.as_mut(), Waker::noop());
    assert_eq!(put, Poll::Ready(Ok(())));
}
