//! `Queue::bounded(0)`, where items go from hand to hand: row Q39, and rows Q5-Q10, Q16, Q30 and Q31 there.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::queue::{Fifo, GetError, PutError, Queue};
use latchwork::{CancelToken, Shutdown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

type Hatch = Queue<u32>;
/// A name, and a put that waits; true if it has put 1.
type PutFace = (&'static str, fn(&Hatch) -> bool);
/// A name, and a get that waits.
type GetFace = (&'static str, fn(&Hatch) -> Option<u32>);

const PUTS: &[PutFace] = &[
    ("put", |hatch| hatch.put(1).is_ok()),
    ("put_within", |hatch| hatch.put_within(1, HOUR).is_ok()),
    ("put_within a token", |hatch| {
        hatch.put_within(1, &CancelToken::new()).is_ok()
    }),
    ("at_front", |hatch| hatch.at_front().put(1).is_ok()),
    ("put_many", |hatch| hatch.put_many([1]).is_ok()),
    ("put_many_within", |hatch| {
        hatch.put_many_within([1], HOUR).is_ok()
    }),
];

const GETS: &[GetFace] = &[
    ("get", |hatch| hatch.get().ok()),
    ("get_within", |hatch| hatch.get_within(HOUR).ok()),
    ("get_many", |hatch| hatch.get_many(9).ok()?.pop()),
    ("get_many_within", |hatch| {
        hatch.get_many_within(9, HOUR).ok()?.pop()
    }),
    ("get_task", |hatch| Some(hatch.get_task().ok()?.finish())),
    ("iter", |hatch| hatch.iter().next()),
];

/// Gets that do not wait: the offer is there.
const TRIES: &[GetFace] = &[
    ("try_get", |hatch| hatch.try_get().ok()),
    ("get_within zero", |hatch| {
        hatch.get_within(Duration::ZERO).ok()
    }),
    ("try_get_many", |hatch| hatch.try_get_many(9).ok()?.pop()),
    ("try_get_task", |hatch| {
        Some(hatch.try_get_task().ok()?.finish())
    }),
    ("get_async", |hatch| ready(hatch.get_async()).ok()),
    ("get_many_async", |hatch| {
        ready(hatch.get_many_async(9)).ok()?.pop()
    }),
    ("try_iter", |hatch| hatch.try_iter().next()),
];

#[test]
fn whoever_comes_first_every_put_meets_every_get() {
    watchdog(LIMIT, "every_put_meets_every_get", || {
        let hatch = Hatch::bounded(0);
        for (put_name, put) in PUTS {
            for (get_name, get) in GETS.iter().chain(TRIES) {
                thread::scope(|s| {
                    let putter = parked(s, || put(&hatch));
                    assert_eq!(get(&hatch), Some(1), "{put_name}, then {get_name}");
                    assert!(putter.join().unwrap(), "{put_name}, then {get_name}");
                });
            }
            for (get_name, get) in GETS {
                thread::scope(|s| {
                    let getter = parked(s, || get(&hatch));
                    assert!(put(&hatch), "{get_name}, then {put_name}");
                    assert_eq!(getter.join().unwrap(), Some(1), "{get_name}, {put_name}");
                });
            }
        }
        for (get_name, get) in GETS {
            thread::scope(|s| {
                let getter = parked(s, || get(&hatch));
                assert_eq!(hatch.try_put(1), Ok(()), "{get_name}");
                assert_eq!(getter.join().unwrap(), Some(1), "{get_name}");
            });
        }
        assert!(hatch.is_empty());
    });
}

#[test]
fn tasks_meet_tasks_and_threads() {
    watchdog(LIMIT, "tasks_meet_tasks_and_threads", || {
        let hatch = Queue::bounded(0);
        let mut put = pending(hatch.put_async(1));
        assert_eq!(ready(hatch.get_async()), Ok(1));
        assert_eq!(ready(put.as_mut()), Ok(()));

        let mut get = pending(hatch.get_async());
        let mut put = pending(hatch.put_async(2));
        assert_eq!(ready(get.as_mut()), Ok(2));
        assert_eq!(ready(put.as_mut()), Ok(()));

        let mut many = pending(hatch.put_many_async([3, 4]));
        assert_eq!(hatch.get(), Ok(3));
        assert!(common::poll(many.as_mut(), std::task::Waker::noop()).is_pending());
        assert_eq!(hatch.get(), Ok(4));
        assert_eq!(ready(many.as_mut()), Ok(()));

        let mut get = pending(hatch.get_many_async(3));
        assert_eq!(hatch.try_put(5), Ok(()));
        assert_eq!(ready(get.as_mut()), Ok(vec![5]));
    });
}

#[test]
fn nothing_is_ever_in_it() {
    let hatch = Queue::bounded(0);
    assert_eq!((hatch.capacity(), hatch.len()), (Some(0), 0));
    assert!(hatch.is_empty() && hatch.is_full());
    assert_eq!(hatch.try_put(1), Err(PutError::Full(1)));
    assert_eq!(hatch.at_front().try_put(1), Err(PutError::Full(1)));
    assert_eq!(hatch.try_put_many([1, 2]), Err(PutError::Full(vec![1, 2])));
    assert_eq!(hatch.try_put_many([]), Ok(()));
    let late = hatch.put_within(1, Duration::ZERO);
    assert_eq!(late, Err(PutError::TimedOut(1)));

    let mut put = pending(hatch.put_async(1));
    assert_eq!((hatch.len(), hatch.unfinished()), (0, 0), "only held out");
    assert_eq!(hatch.peek(|n| *n), None);
    assert_eq!(hatch.drain().next(), None);
    assert_eq!(hatch.try_get(), Ok(1));
    assert_eq!((hatch.len(), hatch.unfinished()), (0, 1));
    assert_eq!(ready(put.as_mut()), Ok(()));
    assert_eq!(hatch.try_get(), Err(GetError::Empty));
    assert_eq!(hatch.stats().high_water, 0);
}

#[test]
fn it_stays_one() {
    let hatch = Queue::<u8>::bounded(0);
    let queue = Queue::<u8>::bounded(1);
    let panics = |change: &dyn Fn()| catch_unwind(AssertUnwindSafe(change)).is_err();
    assert!(panics(&|| hatch.set_capacity(1)));
    assert!(panics(&|| hatch.set_capacity(None)));
    assert!(panics(&|| queue.set_capacity(0)));
    assert_eq!((hatch.capacity(), queue.capacity()), (Some(0), Some(1)));
}

#[test]
fn the_longest_waiting_putter_is_served_first() {
    let hatch = Queue::bounded(0);
    let put = |n| pending(hatch.put_async(n));
    let (mut first, second, mut third, mut fourth) = (put(1), put(2), put(3), put(4));
    assert_eq!(hatch.try_get(), Ok(1));
    assert_eq!(ready(first.as_mut()), Ok(()));
    // One that gives up is passed over.
    drop(second);
    assert_eq!(hatch.try_get(), Ok(3));
    assert_eq!(hatch.try_get_many(9), Ok(vec![4]));
    assert_eq!(ready(third.as_mut()), Ok(()));
    assert_eq!(ready(fourth.as_mut()), Ok(()));
    assert_eq!(hatch.try_get(), Err(GetError::Empty));
}

#[test]
fn a_try_put_is_for_a_getter_that_waits_and_for_one_only() {
    watchdog(LIMIT, "a_try_put_is_for_a_getter", || {
        let hatch = Queue::bounded(0);
        let mut get = pending(hatch.get_async());
        assert_eq!(hatch.try_put(1), Ok(()));
        assert_eq!(hatch.try_put(2), Err(PutError::Full(2)));
        assert_eq!(ready(get.as_mut()), Ok(1));
        thread::scope(|s| {
            let getters = [parked(s, || hatch.get()), parked(s, || hatch.get())];
            assert_eq!(hatch.try_put(3), Ok(()));
            // If they have waited for long, the other one may have been called for the first item, too, and not be
            // back in line yet.
            while hatch.try_put(4).is_err() {
                thread::yield_now();
            }
            assert_eq!(hatch.try_put(5), Err(PutError::Full(5)));
            let got: u32 = getters.map(|get| get.join().unwrap().unwrap()).iter().sum();
            assert_eq!(got, 7);
        });
    });
}

/// What was left for it is the next getter's.
#[test]
fn a_getter_that_is_dropped_with_an_item_left_for_it_loses_nothing() {
    watchdog(LIMIT, "a_getter_that_is_dropped", || {
        let hatch = Queue::bounded(0);
        let get = pending(hatch.get_async());
        assert_eq!(hatch.try_put(1), Ok(()));
        drop(get);
        assert_eq!(hatch.get(), Ok(1));
        let get = pending(hatch.get_async());
        thread::scope(|s| {
            let other = parked(s, || hatch.get());
            assert_eq!(hatch.try_put(2), Ok(()));
            drop(get);
            assert_eq!(other.join().unwrap(), Ok(2));
        });
    });
}

#[test]
fn a_put_that_gives_up_takes_its_item_back() {
    watchdog(LIMIT, "a_put_that_gives_up", || {
        let hatch = Queue::bounded(0);
        let short = Duration::from_millis(5);
        assert_eq!(hatch.put_within(1, short), Err(PutError::TimedOut(1)));
        let all = vec![1, 2];
        assert_eq!(
            hatch.put_many_within([1, 2], short),
            Err(PutError::TimedOut(all.clone()))
        );
        let token = CancelToken::new();
        thread::scope(|s| {
            let one = parked(s, || hatch.put_within(1, &token));
            let many = parked(s, || hatch.put_many_within([1, 2], &token));
            token.cancel();
            assert_eq!(one.join().unwrap(), Err(PutError::Cancelled(1)));
            assert_eq!(many.join().unwrap(), Err(PutError::Cancelled(all)));
        });
        drop(pending(hatch.put_async(1)));
        drop(pending(hatch.put_many_async([1, 2])));
        assert_eq!(hatch.try_get(), Err(GetError::Empty));
        assert_eq!(hatch.unfinished(), 0);
    });
}

/// The item may be taken between the cancellation and the moment the putter learns of it: then it was put.
#[test]
fn a_put_that_is_cancelled_while_its_item_is_taken_was_put() {
    watchdog(LIMIT, "cancelled_while_its_item_is_taken", || {
        let hatch = Queue::bounded(0);
        for _ in 0..300 {
            let (one, many) = (CancelToken::new(), CancelToken::new());
            thread::scope(|s| {
                let putter = parked(s, || hatch.put_within(1, &one));
                one.cancel();
                let got = hatch.try_get();
                assert_eq!(got.is_ok(), putter.join().unwrap().is_ok());
                let putter = parked(s, || hatch.put_many_within([1], &many));
                many.cancel();
                let got = hatch.try_get();
                assert_eq!(got.is_ok(), putter.join().unwrap().is_ok());
            });
        }
        assert_eq!(hatch.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn a_batch_goes_from_hand_to_hand_and_comes_back_from_where_it_was() {
    watchdog(LIMIT, "a_batch_goes_from_hand_to_hand", || {
        let hatch = Queue::bounded(0);
        thread::scope(|s| {
            let putter = parked(s, || hatch.put_many(1..=5));
            assert_eq!(hatch.get(), Ok(1));
            assert_eq!(hatch.get(), Ok(2));
            let _ = hatch.shutdown(Shutdown::Drain);
            assert_eq!(
                putter.join().unwrap(),
                Err(PutError::ShutDown(vec![3, 4, 5]))
            );
        });
        let hatch = Queue::bounded(0);
        thread::scope(|s| {
            s.spawn(|| hatch.put_many(0..100).unwrap());
            assert!((0..100).all(|n| hatch.get() == Ok(n)));
        });
    });
}

/// What is held out has not been put: nobody gets it after the shutdown.
#[test]
fn a_shutdown_ends_all_offers() {
    watchdog(LIMIT, "a_shutdown_ends_all_offers", || {
        for how in [Shutdown::Drain, Shutdown::Immediate] {
            let hatch = Queue::bounded(0);
            let mut one = pending(hatch.put_async(1));
            let mut many = pending(hatch.put_many_async([2, 3]));
            let dropped = pending(hatch.put_async(4));
            assert!(hatch.shutdown(how).is_empty(), "it was in nobody's hands");
            assert_eq!(hatch.try_get(), Err(GetError::ShutDown));
            assert_eq!(hatch.get(), Err(GetError::ShutDown));
            assert_eq!(hatch.try_get_many(9), Err(GetError::ShutDown));
            drop(dropped);
            assert_eq!(ready(one.as_mut()), Err(PutError::ShutDown(1)));
            let all = vec![2, 3];
            assert_eq!(ready(many.as_mut()), Err(PutError::ShutDown(all)));
            assert_eq!((hatch.len(), hatch.unfinished()), (0, 0));
        }
    });
}

/// But what a `try_put` has given away is drained or handed back.
#[test]
fn a_shutdown_keeps_what_was_accepted() {
    let leave = || {
        let hatch = Queue::bounded(0);
        let get = pending(hatch.get_async());
        hatch.try_put(1).unwrap();
        drop(get);
        hatch
    };
    let hatch = leave();
    assert!(hatch.shutdown(Shutdown::Drain).is_empty());
    assert_eq!(hatch.get(), Ok(1));
    assert_eq!(hatch.get(), Err(GetError::ShutDown));
    assert_eq!(leave().shutdown(Shutdown::Immediate), [1]);
}

#[test]
fn a_join_waits_for_what_has_changed_hands() {
    watchdog(LIMIT, "a_join_waits_for_what_has_changed_hands", || {
        let hatch = Queue::bounded(0);
        let _offer = pending(hatch.put_async(1));
        hatch.join();
        let task = hatch.get_task().unwrap();
        thread::scope(|s| {
            let joiner = parked(s, || hatch.join());
            drop(task);
            joiner.join().unwrap();
        });
    });
}

/// Each item is got once or comes back, whoever gives up and when.
#[test]
fn nothing_is_lost_and_nothing_got_twice_when_both_sides_give_up() {
    watchdog(LIMIT, "nothing_is_lost_and_nothing_got_twice", || {
        let hatch: Queue<Arc<AtomicUsize>> = Queue::bounded(0);
        let done = AtomicBool::new(false);
        let seed = AtomicUsize::new(1);
        let short = || Duration::from_micros(seed.fetch_add(7, Ordering::Relaxed) as u64 % 40);
        let put = |round: usize| -> bool {
            let got = Arc::new(AtomicUsize::new(0));
            let item = Arc::clone(&got);
            let is_put = match round % 5 {
                0 => hatch.put_within(item, short()).is_ok(),
                1 => hatch.try_put(item).is_ok(),
                2 => {
                    // Polled twice, and then dropped.
                    let mut future = Box::pin(hatch.put_async(item));
                    let mut poll = || common::poll(future.as_mut(), std::task::Waker::noop());
                    let is_over = poll().is_ready();
                    thread::yield_now();
                    is_over || poll().is_ready()
                }
                3 => hatch.put_many_within([item], short()).is_ok(),
                _ => hatch.at_front().put_within(item, short()).is_ok(),
            };
            // A put that says so is got, perhaps in a moment; after any other the item is got or gone.
            let was_got = || got.load(Ordering::Acquire);
            if is_put {
                while was_got() == 0 && !done.load(Ordering::Acquire) {
                    thread::yield_now();
                }
            } else {
                while Arc::strong_count(&got) > 1 {
                    thread::yield_now();
                }
            }
            assert!(was_got() <= 1);
            // Only a future that was dropped cannot tell.
            assert!(is_put == (was_got() == 1) || round % 5 == 2 && !is_put);
            is_put
        };
        let get = |round: usize| {
            let got = match round % 4 {
                0 => hatch.get_within(short()).ok(),
                1 => hatch.try_get().ok(),
                2 => {
                    let mut future = Box::pin(hatch.get_async());
                    let mut poll = || match common::poll(future.as_mut(), std::task::Waker::noop())
                    {
                        std::task::Poll::Ready(got) => got.ok(),
                        std::task::Poll::Pending => None,
                    };
                    poll().or_else(|| {
                        thread::yield_now();
                        poll()
                    })
                }
                _ => hatch
                    .get_many_within(1, short())
                    .ok()
                    .and_then(|mut v| v.pop()),
            };
            if let Some(item) = got {
                item.fetch_add(1, Ordering::AcqRel);
            }
        };
        let total: usize = thread::scope(|s| {
            let getters = [0, 1].map(|first| {
                let (done, get) = (&done, &get);
                s.spawn(move || {
                    let mut round = first;
                    while !done.load(Ordering::Acquire) {
                        get(round);
                        round += 1;
                    }
                })
            });
            let putters = [0, 1].map(|first| {
                let put = &put;
                s.spawn(move || (first..first + 1500).filter(|round| put(*round)).count())
            });
            let total = putters.map(|p| p.join().unwrap()).iter().sum();
            done.store(true, Ordering::Release);
            getters.into_iter().for_each(|g| g.join().unwrap());
            total
        });
        assert!(total > 0);
        assert_eq!(hatch.len(), 0);
    });
}

#[test]
fn many_hands() {
    watchdog(LIMIT, "many_hands", || {
        let (sender, receiver) = Queue::<(usize, usize)>::bounded(0).ends();
        let got: Vec<Vec<_>> = thread::scope(|s| {
            let getters: Vec<_> = (0..3)
                .map(|_| s.spawn(|| receiver.iter().collect::<Vec<_>>()))
                .collect();
            for producer in 0..3 {
                let sender: latchwork::queue::Sender<Fifo<_>> = sender.clone();
                s.spawn(move || (0..500).for_each(|n| sender.put((producer, n)).unwrap()));
            }
            drop(sender);
            getters.into_iter().map(|g| g.join().unwrap()).collect()
        });
        for items in &got {
            for producer in 0..3 {
                assert!(items.iter().filter(|i| i.0 == producer).is_sorted());
            }
        }
        let mut all: Vec<_> = got.into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1500);
    });
}
