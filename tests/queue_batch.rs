//! Batches: row Q37.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::queue::{GetError, PutError, Queue};
use latchwork::{CancelToken, Shutdown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_batch_keeps_its_order_in_every_face() {
    let queue = Queue::unbounded();
    queue.put_many([0, 1]).unwrap();
    queue.try_put_many(vec![2, 3]).unwrap();
    queue.put_many_within(4..6, Duration::ZERO).unwrap();
    ready(queue.put_many_async([6, 7])).unwrap();
    assert_eq!((queue.len(), queue.unfinished()), (8, 8));
    assert_eq!(queue.get_many(2), Ok(vec![0, 1]));
    assert_eq!(queue.try_get_many(2), Ok(vec![2, 3]));
    assert_eq!(queue.get_many_within(2, Duration::ZERO), Ok(vec![4, 5]));
    assert_eq!(ready(queue.get_many_async(2)), Ok(vec![6, 7]));
    assert_eq!(queue.unfinished(), 8);
}

#[test]
fn it_takes_what_there_is_and_does_not_wait_for_more() {
    let queue = Queue::unbounded();
    assert_eq!(queue.try_get_many(3), Err(GetError::Empty));
    let late = queue.get_many_within(3, Duration::ZERO);
    assert_eq!(late, Err(GetError::TimedOut));
    queue.put_many([1, 2]).unwrap();
    assert_eq!(queue.get_many(usize::MAX), Ok(vec![1, 2]));
    queue.put_many([3, 4, 5]).unwrap();
    assert_eq!(queue.get_many(2), Ok(vec![3, 4]));
    assert_eq!(queue.len(), 1);
}

#[test]
fn what_does_not_fit_comes_back_in_order() {
    watchdog(LIMIT, "what_does_not_fit_comes_back", || {
        let queue = Queue::bounded(3);
        assert_eq!(
            queue.try_put_many(0..5),
            Err(PutError::Full(vec![3, 4])),
            "and the others are in"
        );
        assert_eq!(queue.try_put_many([5]), Err(PutError::Full(vec![5])));
        assert_eq!(queue.get(), Ok(0));
        let short = Duration::from_millis(5);
        assert_eq!(
            queue.put_many_within([6, 7, 8], short),
            Err(PutError::TimedOut(vec![7, 8]))
        );
        let token = CancelToken::new();
        assert_eq!(queue.get(), Ok(1));
        thread::scope(|s| {
            let putter = parked(s, || queue.put_many_within([9, 10], &token));
            token.cancel();
            assert_eq!(putter.join().unwrap(), Err(PutError::Cancelled(vec![10])));
        });
        assert_eq!(queue.try_iter().collect::<Vec<_>>(), [2, 6, 9]);
    });
}

#[test]
fn nothing_is_always_put_and_never_got() {
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    assert_eq!(queue.put_many([]), Ok(()));
    assert_eq!(queue.try_put_many([]), Ok(()));
    assert_eq!(queue.put_many_within([], Duration::ZERO), Ok(()));
    assert_eq!(ready(queue.put_many_async([])), Ok(()));
    let panics = |get: &dyn Fn()| catch_unwind(AssertUnwindSafe(get)).is_err();
    assert!(panics(&|| drop(queue.get_many(0))));
    assert!(panics(&|| drop(queue.try_get_many(0))));
    assert!(panics(&|| drop(queue.get_many_within(0, HOUR))));
    assert!(panics(&|| drop(queue.get_many_async(0))));
    assert_eq!((queue.len(), queue.unfinished()), (1, 1));
}

#[test]
fn a_batch_larger_than_the_queue_goes_through_in_order() {
    watchdog(LIMIT, "a_batch_larger_than_the_queue", || {
        for capacity in [1, 2, 7] {
            let queue = Queue::bounded(capacity);
            thread::scope(|s| {
                s.spawn(|| {
                    queue.put_many(0..1000).unwrap();
                    queue.shutdown(Shutdown::Drain)
                });
                let mut got = Vec::new();
                while let Ok(some) = queue.get_many(5) {
                    assert!(some.len() <= capacity.min(5));
                    got.extend(some);
                }
                assert!(got.into_iter().eq(0..1000));
            });
        }
    });
}

#[test]
fn one_batch_wakes_as_many_getters_as_it_has_items() {
    watchdog(LIMIT, "one_batch_wakes_many", || {
        let queue = Queue::unbounded();
        thread::scope(|s| {
            let getters = [(); 5].map(|()| parked(s, || queue.get().unwrap()));
            let mut task = pending(queue.get_async());
            queue.put_many(0..6).unwrap();
            let sum: i32 = getters.map(|getter| getter.join().unwrap()).iter().sum();
            let last = ready(task.as_mut()).unwrap();
            assert_eq!(sum + last, 15);
        });
    });
}

#[test]
fn one_batch_makes_room_for_as_many_putters_as_it_takes() {
    watchdog(LIMIT, "one_batch_makes_room", || {
        let queue = Queue::bounded(4);
        queue.put_many([0; 4]).unwrap();
        thread::scope(|s| {
            let putters = [1, 2, 3].map(|n| {
                let queue = &queue;
                parked(s, move || queue.put(n).unwrap())
            });
            let mut task = pending(queue.put_async(4));
            assert_eq!(queue.get_many(9), Ok(vec![0; 4]));
            putters
                .into_iter()
                .for_each(|putter| putter.join().unwrap());
            assert_eq!(ready(task.as_mut()), Ok(()));
        });
        let mut got = queue.get_many(9).unwrap();
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3, 4]);
    });
}

#[test]
fn a_future_that_is_dropped_has_put_what_was_put_and_got_nothing() {
    let item = Arc::new(());
    let queue = Queue::bounded(2);
    let batch = std::iter::repeat_n(Arc::clone(&item), 5);
    let future = pending(queue.put_many_async(batch));
    assert_eq!((queue.len(), Arc::strong_count(&item)), (2, 6));
    drop(future);
    assert_eq!((queue.len(), Arc::strong_count(&item)), (2, 3));
    drop(queue.get_many(9));
    let future = pending(queue.get_many_async(3));
    queue
        .put_many([Arc::clone(&item), Arc::clone(&item)])
        .unwrap();
    drop(future);
    assert_eq!(queue.len(), 2);
}

#[test]
fn batches_and_single_items_share_a_queue() {
    watchdog(LIMIT, "batches_and_single_items", || {
        let (sender, receiver) = Queue::bounded(5).ends();
        let got: Vec<usize> = thread::scope(|s| {
            let getters = [
                s.spawn(|| receiver.iter().collect::<Vec<_>>()),
                s.spawn(|| {
                    let batches = std::iter::from_fn(|| receiver.get_many(3).ok());
                    batches.flatten().collect()
                }),
                s.spawn(|| {
                    let mut got = Vec::new();
                    loop {
                        match receiver.get_many_within(4, Duration::from_micros(20)) {
                            Ok(some) => got.extend(some),
                            Err(GetError::ShutDown) => return got,
                            Err(_) => {}
                        }
                    }
                }),
            ];
            for producer in 0..3 {
                let sender = sender.clone();
                s.spawn(move || {
                    for n in (0..900).step_by(9) {
                        let mut left: Vec<_> = (n..n + 8).map(|n| n * 3 + producer).collect();
                        while let Err(refused) =
                            sender.put_many_within(left, Duration::from_micros(20))
                        {
                            left = refused.into_inner();
                        }
                        sender.put((n + 8) * 3 + producer).unwrap();
                    }
                });
            }
            drop(sender);
            getters
                .into_iter()
                .flat_map(|g| g.join().unwrap())
                .collect()
        });
        let mut got = got;
        got.sort_unstable();
        assert!(got.into_iter().eq(0..2700));
    });
}
