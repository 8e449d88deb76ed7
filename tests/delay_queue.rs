//! `queue::DelayQueue`: items that become due, and whom that wakes.

mod common;

use common::{block_on, counting_waker, poll, watchdog};
use latchwork::queue::{
    BlockingQueue, DelayQueue, Delayed, Discipline, GetError, PutError, Ticket,
};
use latchwork::{CancelToken, Shutdown, debug};
use proptest::prelude::*;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Long enough for somebody to go to sleep meanwhile.
const SOON: Duration = Duration::from_millis(30);

/// Waits until `n` callers are parked at this line.
fn until_waiting(place_line: u32, n: usize) {
    let is_it = |wait: &&debug::Wait| wait.kind == "Queue::get" && wait.place.line() == place_line;
    while debug::waits().iter().filter(is_it).count() != n {
        thread::yield_now();
    }
}

#[test]
fn nothing_leaves_before_it_is_due_and_the_earliest_first() {
    watchdog(LIMIT, "nothing_leaves_before_it_is_due", || {
        let queue = DelayQueue::unbounded();
        let begin = Instant::now();
        let (soon, later) = (begin + SOON, begin + 2 * SOON);
        queue.put(Delayed::at(later, "c")).unwrap();
        queue.put(Delayed::at(soon, "a")).unwrap();
        queue.put(Delayed::at(soon, "b")).unwrap();
        assert_eq!((queue.len(), queue.next_due()), (3, Some(soon)));
        for (expected, at) in [("a", soon), ("b", soon), ("c", later)] {
            let got = queue.get().unwrap();
            assert!(Instant::now() >= at, "not early");
            assert_eq!((got.item, got.at), (expected, at));
        }
        assert_eq!(queue.next_due(), None);
    });
}

#[test]
fn what_is_not_due_is_there_and_cannot_be_got() {
    let queue = DelayQueue::bounded(2);
    queue.put(Delayed::after(HOUR, 1)).unwrap();
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    assert_eq!(queue.try_get_many(9), Err(GetError::Empty));
    assert_eq!(queue.get_within(Duration::ZERO), Err(GetError::TimedOut));
    assert_eq!(queue.get_within(SOON), Err(GetError::TimedOut));
    assert_eq!(queue.peek(|first| first.item), None);
    queue.put(Delayed::after(Duration::ZERO, 2)).unwrap();
    assert_eq!(queue.peek(|first| first.item), Some(2));
    assert!(queue.is_full());
    assert!(
        queue
            .try_put(Delayed::after(HOUR, 3))
            .unwrap_err()
            .is_full()
    );
    assert_eq!(queue.get_many(9).unwrap().len(), 1);
    assert_eq!(
        queue
            .drain()
            .map(|delayed| delayed.item)
            .collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn a_delay_too_long_for_the_clock_is_as_good_as_never() {
    let queue = DelayQueue::unbounded();
    queue.put(Delayed::after(Duration::MAX, ())).unwrap();
    assert!(queue.next_due() > Some(Instant::now() + 100_000 * HOUR));
    assert!(queue.try_get().is_err());
}

#[test]
fn an_earlier_item_wakes_who_sleeps_for_a_later_one() {
    watchdog(LIMIT, "an_earlier_item_wakes", || {
        let queue = DelayQueue::unbounded();
        queue.put(Delayed::after(HOUR, 0)).unwrap();
        for delay in [Duration::ZERO, SOON] {
            thread::scope(|s| {
                let line = line!() + 1;
                let getter = s.spawn(|| queue.get().unwrap());
                until_waiting(line, 1);
                queue.put(Delayed::after(delay, 1)).unwrap();
                assert_eq!(getter.join().unwrap().item, 1);
            });
        }
    });
}

#[test]
fn a_reset_and_a_cancelled_item() {
    watchdog(LIMIT, "a_reset_and_a_cancelled_item", || {
        let queue = DelayQueue::unbounded();
        let put = |delay, item| queue.ticketed().put(Delayed::after(delay, item)).unwrap();
        let (a, b, c) = (put(HOUR, 'a'), put(HOUR, 'b'), put(SOON, 'c'));
        let due = queue.next_due();
        assert_eq!(queue.cancel(&c).map(|delayed| delayed.item), Some('c'));
        assert_eq!(queue.cancel(&c), None);
        assert_eq!(queue.reset(&c, Instant::now()), None);
        assert_ne!(queue.next_due(), due);
        for (ticket, delay, item) in [(a, Duration::ZERO, 'a'), (b, SOON, 'b')] {
            thread::scope(|s| {
                let line = line!() + 1;
                let getter = s.spawn(|| queue.get().unwrap());
                until_waiting(line, 1);
                let at = Instant::now() + delay;
                assert!(queue.reset(&ticket, at) > Some(at));
                let got = getter.join().unwrap();
                assert_eq!((got.item, got.at), (item, at));
            });
        }
        assert_eq!(queue.unfinished(), 2, "cancelled is acknowledged");

        // Put off: not got at the first instant.
        let late = put(SOON, 'd');
        let at = Instant::now() + 3 * SOON;
        queue.reset(&late, at).unwrap();
        assert_eq!(queue.get().unwrap().at, at);
        assert!(Instant::now() >= at);
    });
}

#[test]
fn each_of_several_items_wakes_somebody() {
    watchdog(LIMIT, "each_of_several_items", || {
        let queue = DelayQueue::unbounded();
        thread::scope(|s| {
            let line = line!() + 1;
            let getters = [(); 4].map(|()| s.spawn(|| queue.get().unwrap().item));
            until_waiting(line, 4);
            let at = Instant::now() + SOON;
            queue
                .put_many([0, 1, 2].map(|n| Delayed::at(at, n)))
                .unwrap();
            queue.put(Delayed::at(at + SOON, 3)).unwrap();
            let mut got = getters.map(|getter| getter.join().unwrap());
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2, 3]);
        });
    });
}

#[test]
fn a_future_is_woken_when_its_item_is_due() {
    watchdog(LIMIT, "a_future_is_woken", || {
        let queue = DelayQueue::unbounded();
        let (waker, wakes) = counting_waker();
        let mut getting = pin!(queue.get_async());
        assert_eq!(poll(getting.as_mut(), &waker), Poll::Pending);
        queue.put(Delayed::after(SOON, 1)).unwrap();
        while wakes.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        assert_eq!(
            poll(getting, &waker).map(|got| got.unwrap().item),
            Poll::Ready(1)
        );
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        queue.put(Delayed::after(SOON, 2)).unwrap();
        assert_eq!(block_on(queue.get_async()).unwrap().item, 2);
    });
}

#[test]
fn a_future_dropped_after_its_call_passes_it_on() {
    watchdog(LIMIT, "a_future_dropped_after_its_call", || {
        let queue = DelayQueue::unbounded();
        let (waker, wakes) = counting_waker();
        let mut getting = Box::pin(queue.get_async());
        assert_eq!(poll(getting.as_mut(), &waker), Poll::Pending);
        thread::scope(|s| {
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get().unwrap().item);
            until_waiting(line, 1);
            queue.put(Delayed::after(SOON, 1)).unwrap();
            while wakes.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            drop(getting);
            assert_eq!(getter.join().unwrap(), 1);
        });
    });
}

#[test]
fn who_gives_up_leaves_the_item_to_others() {
    watchdog(LIMIT, "who_gives_up_leaves_the_item", || {
        let queue = DelayQueue::unbounded();
        let token = CancelToken::new();
        thread::scope(|s| {
            let line = line!() + 1;
            let first = s.spawn(|| queue.get_within(&token));
            until_waiting(line, 1);
            let line = line!() + 1;
            let second = s.spawn(|| queue.get().unwrap().item);
            until_waiting(line, 1);
            queue.put(Delayed::after(SOON, 1)).unwrap();
            token.cancel();
            if let Ok(got) = first.join().unwrap() {
                // It became due before that.
                queue.put(got).unwrap();
            }
            assert_eq!(second.join().unwrap(), 1);
        });
    });
}

#[test]
fn a_draining_shutdown_waits_for_what_is_not_due() {
    watchdog(LIMIT, "a_draining_shutdown_waits", || {
        let queue = DelayQueue::unbounded();
        let at = Instant::now() + SOON;
        queue.put(Delayed::at(at, 1)).unwrap();
        thread::scope(|s| {
            let line = line!() + 1;
            let getter = s.spawn(|| queue.iter().map(|delayed| delayed.item).collect::<Vec<_>>());
            until_waiting_or_done(line, at);
            assert!(queue.shutdown(Shutdown::Drain).is_empty());
            let refused = queue.put(Delayed::at(at, 2));
            assert!(matches!(refused, Err(PutError::ShutDown(_))));
            assert_eq!(getter.join().unwrap(), [1]);
            assert!(Instant::now() >= at);
        });
        assert_eq!(queue.get(), Err(GetError::ShutDown));
    });
}

#[test]
fn who_takes_the_last_item_after_a_shutdown_tells_the_others() {
    watchdog(LIMIT, "who_takes_the_last_item", || {
        let takes: [fn(&DelayQueue<u8>, &Ticket); 3] = [
            |queue, last| assert!(queue.reset(last, Instant::now()).is_some()),
            |queue, last| assert!(queue.cancel(last).is_some()),
            |queue, _| assert_eq!(queue.drain().len(), 1),
        ];
        for take in takes {
            let queue = DelayQueue::unbounded();
            let last = queue.ticketed().put(Delayed::after(HOUR, 1)).unwrap();
            assert!(queue.shutdown(Shutdown::Drain).is_empty());
            thread::scope(|s| {
                let line = line!() + 1;
                let get = || queue.get();
                let getters = [(); 4].map(|()| s.spawn(get));
                until_waiting(line, 4);
                take(&queue, &last);
                let got = getters.map(|getter| getter.join().unwrap());
                let refused = got.into_iter().filter_map(Result::err);
                assert!(refused.clone().count() >= 3);
                assert!(refused.into_iter().all(|why| why == GetError::ShutDown));
            });
        }
    });
}

/// Not one by the other: a task may be polled late.
#[test]
fn every_task_is_told_when_nothing_is_left_after_a_shutdown() {
    let queue = DelayQueue::unbounded();
    let last = queue.ticketed().put(Delayed::after(HOUR, 1)).unwrap();
    assert!(queue.shutdown(Shutdown::Drain).is_empty());
    let (waker, woken) = counting_waker();
    let (mut first, mut second) = (pin!(queue.get_async()), pin!(queue.get_async()));
    assert!(poll(first.as_mut(), &waker).is_pending());
    assert!(poll(second.as_mut(), &waker).is_pending());
    assert!(queue.cancel(&last).is_some());
    assert_eq!(woken.load(Ordering::SeqCst), 2);
    let nothing = Poll::Ready(Err(GetError::ShutDown));
    assert_eq!(poll(second, &waker), nothing);
    assert_eq!(poll(first, &waker), nothing);
}

/// Waits until somebody is parked at this line, or it is too late for that.
fn until_waiting_or_done(line: u32, at: Instant) {
    let is_it = |wait: &debug::Wait| wait.kind == "Queue::get" && wait.place.line() == line;
    while !debug::waits().iter().any(is_it) && Instant::now() < at {
        thread::yield_now();
    }
}

#[test]
fn an_immediate_shutdown_hands_back_what_is_not_due() {
    watchdog(LIMIT, "an_immediate_shutdown", || {
        let queue = DelayQueue::unbounded();
        queue.put(Delayed::after(2 * HOUR, 2)).unwrap();
        queue.put(Delayed::after(HOUR, 1)).unwrap();
        thread::scope(|s| {
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get());
            until_waiting(line, 1);
            let left = queue.shutdown(Shutdown::Immediate);
            assert_eq!(
                left.iter().map(|delayed| delayed.item).collect::<Vec<_>>(),
                [1, 2]
            );
            assert_eq!(getter.join().unwrap(), Err(GetError::ShutDown));
        });
    });
}

#[test]
fn a_queue_with_an_alarm_can_be_dropped() {
    watchdog(LIMIT, "a_queue_with_an_alarm_can_be_dropped", || {
        let alive = Arc::new(());
        // The items need not be 'static, although a thread of the process has the alarm.
        let borrowed = String::from("soup");
        for _ in 0..100 {
            let queue = DelayQueue::unbounded();
            let item = (Arc::clone(&alive), borrowed.as_str());
            queue
                .put(Delayed::after(Duration::from_millis(1), item))
                .unwrap();
            let mut getting = Box::pin(queue.get_async());
            // Sets the alarm, unless it is due by now.
            let _ = poll(getting.as_mut(), Waker::noop());
        }
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

/// Lets one item out every so often.
struct Paced {
    items: Vec<u32>,
    next: Instant,
}

impl Discipline for Paced {
    type Item = u32;
    const IS_TIMED: bool = true;

    fn push(&mut self, item: u32) {
        self.items.push(item);
    }

    fn pop(&mut self) -> Option<u32> {
        if !self.is_ready() {
            return None;
        }
        self.next += SOON;
        self.items.pop()
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn is_ready(&self) -> bool {
        !self.items.is_empty() && self.next <= Instant::now()
    }

    fn next_due(&self) -> Option<Instant> {
        (!self.items.is_empty()).then_some(self.next)
    }
}

#[test]
fn an_order_of_ones_own_may_depend_on_time() {
    watchdog(LIMIT, "an_order_of_ones_own", || {
        let begin = Instant::now();
        let paced = Paced {
            items: vec![3, 2, 1],
            next: begin + SOON,
        };
        let queue = BlockingQueue::with_discipline(paced, None);
        for n in 1..=3 {
            assert_eq!(queue.get(), Ok(n));
            assert!(begin.elapsed() >= SOON * n);
        }
    });
}

#[test]
fn nothing_is_lost_or_early_when_everything_happens_at_once() {
    watchdog(LIMIT, "nothing_is_lost_or_early", || {
        const EACH: u32 = 500;
        let queue = DelayQueue::bounded(64);
        let cancelled = AtomicUsize::new(0);
        let got: usize = thread::scope(|s| {
            let getters: Vec<_> = (1..4u64)
                .map(|n| {
                    let queue = &queue;
                    s.spawn(move || {
                        let mut got = 0;
                        loop {
                            match queue.get_within(Duration::from_micros(300 * n)) {
                                Ok(delayed) => {
                                    assert!(delayed.is_due());
                                    got += 1;
                                }
                                Err(GetError::TimedOut) => {}
                                Err(GetError::ShutDown) => return got,
                                Err(other) => panic!("{other}"),
                            }
                        }
                    })
                })
                .collect();
            thread::scope(|s| {
                for producer in 0..2 {
                    let (queue, cancelled) = (&queue, &cancelled);
                    s.spawn(move || {
                        for n in 0..EACH {
                            let delay = |n: u32| Duration::from_micros(u64::from(n * 7919 % 2000));
                            let item = Delayed::after(delay(n + producer), n);
                            let ticket = queue.ticketed().put(item).unwrap();
                            match n % 5 {
                                0 => {
                                    let is_out = queue.cancel(&ticket).is_some();
                                    cancelled.fetch_add(is_out.into(), Ordering::Relaxed);
                                }
                                1 => drop(queue.reset(&ticket, Instant::now() + delay(n * 3))),
                                _ => {}
                            }
                        }
                    });
                }
            });
            assert!(queue.shutdown(Shutdown::Drain).is_empty());
            getters
                .into_iter()
                .map(|getter| getter.join().unwrap())
                .sum()
        });
        assert_eq!(got + cancelled.load(Ordering::Relaxed), 2 * EACH as usize);
        assert!(queue.is_empty());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Instants that have just passed and in an hour, so that the time it takes changes nothing.
    #[test]
    fn what_is_due_leaves_in_the_order_of_the_instants(
        steps in prop::collection::vec((0..4u8, 0..6u64, any::<usize>()), 1..60),
    ) {
        let start = Instant::now();
        let at = |n: u64| {
            let start = if n < 3 { start } else { start + HOUR };
            start + Duration::from_nanos(n % 3)
        };
        let queue = DelayQueue::unbounded();
        // The instant, the age and the ticket of each item.
        let mut model = Vec::new();
        for (age, (step, when, choice)) in steps.into_iter().enumerate() {
            let chosen = choice.checked_rem(model.len());
            match (step, chosen) {
                (1, Some(chosen)) => {
                    let (instant, age, ticket) = model.remove(chosen);
                    let out = queue.cancel(&ticket).map(|delayed| (delayed.at, delayed.item));
                    prop_assert_eq!(out, Some((instant, age)));
                }
                (2, Some(chosen)) => {
                    let (instant, _, ticket) = &mut model[chosen];
                    prop_assert_eq!(queue.reset(ticket, at(when)), Some(*instant));
                    *instant = at(when);
                }
                (3, _) => {
                    let got = queue.try_get().ok().map(|delayed| (delayed.at, delayed.item));
                    let due = model.iter().filter(|item| item.0 < start + HOUR);
                    let first = due.map(|item| (item.0, item.1)).min();
                    prop_assert_eq!(got, first);
                    model.retain(|item| Some((item.0, item.1)) != first);
                }
                _ => {
                    let ticket = queue.ticketed().put(Delayed::at(at(when), age)).unwrap();
                    model.push((at(when), age, ticket));
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.next_due(), model.iter().map(|item| item.0).min());
        }
    }
}
