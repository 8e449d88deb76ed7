//! The room in a queue and the places in it: rows Q12-Q14 (len, capacity, and changing it), Q26 (`with_lock`),
//! Q32 (`try_iter`, `drain`), Q38 (`stats`) and Q40 (`at_front`, `peek`).

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::queue::{Discipline, GetError, PutError, Queue};
use latchwork::{CancelToken, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn more_room_wakes_as_many_putters_in_every_face() {
    watchdog(LIMIT, "more_room_wakes_putters", || {
        for room in [Some(8), None] {
            let queue = Queue::bounded(1);
            queue.put(0).unwrap();
            thread::scope(|s| {
                let puts = [
                    parked(s, || queue.put(1).is_ok()),
                    parked(s, || queue.put_within(1, HOUR).is_ok()),
                    parked(s, || queue.put_within(1, &CancelToken::new()).is_ok()),
                    parked(s, || queue.at_front().put(1).is_ok()),
                    parked(s, || queue.put_many([1, 1]).is_ok()),
                ];
                let mut task = pending(queue.put_async(1));
                queue.set_capacity(room);
                assert!(puts.map(|put| put.join().unwrap()).iter().all(|put| *put));
                assert_eq!(ready(task.as_mut()), Ok(()));
            });
            assert_eq!((queue.len(), queue.capacity()), (8, room));
            assert_eq!(queue.is_full(), room.is_some());
        }
    });
}

/// With room for two more, three putters do not all get in.
#[test]
fn more_room_is_for_as_many_as_it_has_room_for() {
    watchdog(LIMIT, "more_room_is_for_as_many", || {
        let queue = Queue::bounded(1);
        queue.put(0).unwrap();
        thread::scope(|s| {
            let puts = [(); 3].map(|()| parked(s, || queue.put(1)));
            queue.set_capacity(3);
            while queue.len() < 3 {
                thread::yield_now();
            }
            assert_eq!(queue.try_put(2), Err(PutError::Full(2)));
            assert_eq!(queue.get(), Ok(0));
            puts.into_iter()
                .for_each(|put| put.join().unwrap().unwrap());
        });
        assert_eq!(queue.len(), 3);
    });
}

/// bpo-10110: nothing is dropped, and puts wait until there is room again.
#[test]
fn less_room_than_items_drops_none_and_makes_puts_wait() {
    watchdog(LIMIT, "less_room_than_items", || {
        let queue = Queue::unbounded();
        queue.put_many(0..4).unwrap();
        queue.set_capacity(2);
        assert_eq!((queue.len(), queue.capacity()), (4, Some(2)));
        assert!(queue.is_full());
        thread::scope(|s| {
            let putter = parked(s, || queue.put(4));
            assert_eq!((queue.get(), queue.get()), (Ok(0), Ok(1)));
            assert_eq!(queue.try_put(5), Err(PutError::Full(5)));
            let late = queue.put_within(5, Duration::ZERO);
            assert_eq!(late, Err(PutError::TimedOut(5)));
            assert!(!putter.is_finished());
            assert_eq!(queue.get(), Ok(2));
            putter.join().unwrap().unwrap();
        });
        assert_eq!(queue.drain().collect::<Vec<_>>(), [3, 4]);
    });
}

#[test]
fn less_room_and_more_again_beside_those_who_wait() {
    watchdog(LIMIT, "less_room_and_more_again", || {
        let (sender, receiver) = Queue::bounded(1).ends();
        let done = AtomicBool::new(false);
        let got: Vec<i32> = thread::scope(|s| {
            let getters = [(); 2].map(|()| s.spawn(|| receiver.iter().collect::<Vec<_>>()));
            s.spawn(|| {
                for capacity in [3, 1, 7, 2].into_iter().map(Some).chain([None]).cycle() {
                    if done.load(Ordering::Acquire) {
                        return;
                    }
                    receiver.queue().set_capacity(capacity);
                    thread::yield_now();
                }
            });
            let putters = [0, 1].map(|first| {
                let sender = sender.clone();
                s.spawn(move || {
                    (first..4000)
                        .step_by(2)
                        .for_each(|n| sender.put(n).unwrap())
                })
            });
            drop(sender);
            putters
                .into_iter()
                .for_each(|putter| putter.join().unwrap());
            done.store(true, Ordering::Release);
            getters.map(|getter| getter.join().unwrap()).concat()
        });
        let mut got = got;
        got.sort_unstable();
        assert!(got.into_iter().eq(0..4000));
    });
}

#[test]
fn a_change_of_room_is_nothing_to_getters() {
    let queue = Queue::<u8>::bounded(3);
    let mut get = pending(queue.get_async());
    queue.set_capacity(9);
    queue.set_capacity(1);
    assert!(common::poll(get.as_mut(), std::task::Waker::noop()).is_pending());
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    queue.put(1).unwrap();
    assert_eq!(ready(get.as_mut()), Ok(1));
}

#[test]
fn at_front_is_before_all_others_in_every_face() {
    watchdog(LIMIT, "at_front_is_before_all_others", || {
        let queue = Queue::bounded(5);
        queue.put(0).unwrap();
        queue.at_front().put(1).unwrap();
        queue.at_front().try_put(2).unwrap();
        queue.at_front().put_within(3, Duration::ZERO).unwrap();
        ready(queue.at_front().put_async(4)).unwrap();
        assert_eq!(queue.at_front().try_put(5), Err(PutError::Full(5)));
        let late = queue.at_front().put_within(5, Duration::from_millis(1));
        assert_eq!(late, Err(PutError::TimedOut(5)));
        assert_eq!(queue.unfinished(), 5);
        thread::scope(|s| {
            let putter = parked(s, || queue.at_front().put(5));
            assert_eq!(queue.get(), Ok(4));
            putter.join().unwrap().unwrap();
        });
        let mut task = pending(queue.at_front().put_async(6));
        drop(pending(queue.at_front().put_async(7)));
        assert_eq!(queue.get(), Ok(5));
        assert_eq!(ready(task.as_mut()), Ok(()));
        assert_eq!(queue.try_iter().collect::<Vec<_>>(), [6, 3, 2, 1, 0]);
    });
}

#[test]
fn at_front_wakes_a_getter() {
    watchdog(LIMIT, "at_front_wakes_a_getter", || {
        let queue = Queue::bounded(1);
        thread::scope(|s| {
            let getter = parked(s, || queue.get());
            queue.at_front().put(1).unwrap();
            assert_eq!(getter.join().unwrap(), Ok(1));
        });
        assert!(format!("{:?}", queue.at_front()).starts_with("Placing"));
    });
}

#[test]
fn peek_shows_the_next_one_and_takes_nothing() {
    let queue = Queue::unbounded();
    assert_eq!(queue.peek(|n: &i32| *n), None);
    queue.put_many([1, 2]).unwrap();
    assert_eq!(queue.peek(|n| n * 10), Some(10));
    queue.at_front().put(0).unwrap();
    assert_eq!(queue.peek(|n| *n), Some(0));
    assert_eq!((queue.len(), queue.unfinished()), (3, 3));
}

#[test]
fn with_lock_is_one_step_and_may_do_anything() {
    watchdog(LIMIT, "with_lock_is_one_step", || {
        let queue = Queue::bounded(2);
        queue.put_many([1, 2]).unwrap();
        // Nobody ever sees more or fewer than two.
        let rounds = AtomicUsize::new(0);
        thread::scope(|s| {
            s.spawn(|| {
                while rounds.load(Ordering::Relaxed) < 2000 {
                    assert_eq!(queue.len(), 2);
                }
            });
            for _ in 0..2000 {
                queue.with_lock(|items| {
                    let first = items.pop().unwrap();
                    items.push(first);
                });
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Beyond the capacity, and what the function returns.
        let len = queue.with_lock(|items| {
            items.push(3);
            items.push(4);
            items.len()
        });
        assert_eq!((len, queue.len(), queue.unfinished()), (4, 4, 4));
        assert!(queue.is_full());
    });
}

#[test]
fn with_lock_wakes_as_many_as_can_go_on() {
    watchdog(LIMIT, "with_lock_wakes", || {
        let queue = Queue::bounded(2);
        thread::scope(|s| {
            let getters = [(); 2].map(|()| parked(s, || queue.get().unwrap()));
            queue.with_lock(|items| (1..=2).for_each(|n| items.push(n)));
            let sum: i32 = getters.map(|getter| getter.join().unwrap()).iter().sum();
            assert_eq!(sum, 3);
        });
        queue.put_many([0, 0]).unwrap();
        thread::scope(|s| {
            let putters = [(); 2].map(|()| parked(s, || queue.put(1)));
            queue.with_lock(|items| while items.pop().is_some() {});
            putters
                .into_iter()
                .for_each(|putter| putter.join().unwrap().unwrap());
        });
        assert_eq!(queue.drain().collect::<Vec<_>>(), [1, 1]);
    });
}

#[test]
fn stats_remember_the_most() {
    let queue = Queue::bounded(5);
    assert_eq!(queue.stats().high_water, 0);
    queue.put_many([1, 2, 3]).unwrap();
    assert_eq!(queue.stats().high_water, 3);
    assert_eq!(queue.get_many(9).unwrap().len(), 3);
    queue.put(1).unwrap();
    assert_eq!(queue.stats().high_water, 3);
    queue.with_lock(|items| (0..6).for_each(|n| items.push(n)));
    assert_eq!(queue.stats().high_water, 7);
    let _ = queue.shutdown(Shutdown::Immediate);
    assert_eq!(queue.stats().high_water, 7);
    let mut most = queue.stats();
    most.high_water += 1;
    assert_ne!(most, queue.stats());
}

#[test]
fn to_take_all_at_once_makes_room() {
    watchdog(LIMIT, "to_take_all_at_once_makes_room", || {
        let queue = Queue::bounded(2);
        queue.put_many([1, 2]).unwrap();
        thread::scope(|s| {
            let putters = [(); 2].map(|()| parked(s, || queue.put(3)));
            let all = queue.drain();
            assert_eq!(all.len(), 2);
            assert_eq!(format!("{all:?}"), "Drain { left: 2 }");
            putters
                .into_iter()
                .for_each(|putter| putter.join().unwrap().unwrap());
            assert_eq!(all.collect::<Vec<_>>(), [1, 2]);
        });
        assert_eq!(queue.try_iter().collect::<Vec<_>>(), [3, 3]);
        assert_eq!(queue.try_iter().next(), None, "and it does not wait");
    });
}

#[test]
fn iterators_end_with_the_queue_and_speak() {
    watchdog(LIMIT, "iterators_end_with_the_queue", || {
        let queue = Queue::unbounded();
        let shown = format!("{queue:?}");
        assert_eq!(format!("{:?}", queue.iter()), format!("Iter({shown})"));
        let by_trying = format!("{:?}", queue.try_iter());
        assert_eq!(by_trying, format!("TryIter({shown})"));
        let by_value = format!("{:?}", queue.clone().into_iter());
        assert_eq!(by_value, format!("IntoIter({shown})"));
        queue.put_many([1, 2]).unwrap();
        thread::scope(|s| {
            let reader = parked(s, || {
                let mut sum = 0;
                for n in &queue {
                    sum += n;
                }
                sum
            });
            queue.put(3).unwrap();
            let _ = queue.shutdown(Shutdown::Drain);
            assert_eq!(reader.join().unwrap(), 6);
        });
        assert_eq!(queue.into_iter().next(), None);
    });
}
