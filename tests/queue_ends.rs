//! `Sender` and `Receiver`: row Q33.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::queue::{Fifo, GetError, LifoQueue, PutError, Queue, Receiver, Sender};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_last_sender_ends_the_stream_and_what_is_left_is_got() {
    let (sender, receiver) = Queue::bounded(4).ends();
    let other = sender.clone();
    sender.put(1).unwrap();
    drop(sender);
    other.put(2).unwrap();
    assert!(!receiver.queue().is_shutdown(), "there is another one");
    drop(other);
    assert!(receiver.queue().is_shutdown());
    assert_eq!((receiver.get(), receiver.try_get()), (Ok(1), Ok(2)));
    assert_eq!(receiver.get(), Err(GetError::ShutDown));
}

#[test]
fn the_last_receiver_drops_what_is_left_and_refuses_the_rest() {
    let item = Arc::new(());
    let (sender, receiver) = Queue::unbounded().ends();
    let other = receiver.clone();
    sender.put(Arc::clone(&item)).unwrap();
    drop(receiver);
    sender.put(Arc::clone(&item)).unwrap();
    assert_eq!(Arc::strong_count(&item), 3);
    drop(other);
    assert_eq!(Arc::strong_count(&item), 1);
    assert_eq!(sender.queue().unfinished(), 0);
    let refused = sender.put(Arc::clone(&item)).unwrap_err();
    assert!(refused.is_shutdown());
    assert!(Arc::ptr_eq(&refused.into_inner(), &item));
}

#[test]
fn the_last_sender_wakes_receivers_in_every_face() {
    watchdog(LIMIT, "the_last_sender_wakes_receivers", || {
        let (sender, receiver) = Queue::<u8>::bounded(1).ends();
        thread::scope(|s| {
            let waits = [
                parked(s, || receiver.get()),
                parked(s, || receiver.get_within(HOUR)),
                parked(s, || receiver.get_many(2).map(|_| 0)),
                parked(s, || receiver.get_many_within(2, HOUR).map(|_| 0)),
                parked(s, || receiver.get_task().map(|task| *task)),
                parked(s, || receiver.get_task_within(HOUR).map(|task| *task)),
                parked(s, || receiver.iter().next().ok_or(GetError::ShutDown)),
            ];
            let mut one = pending(receiver.get_async());
            let mut many = pending(receiver.get_many_async(2));
            let mut task = pending(receiver.get_task_async());
            drop(sender);
            for wait in waits {
                assert_eq!(wait.join().unwrap(), Err(GetError::ShutDown));
            }
            assert_eq!(ready(one.as_mut()), Err(GetError::ShutDown));
            assert_eq!(ready(many.as_mut()), Err(GetError::ShutDown));
            assert!(ready(task.as_mut()).is_err());
        });
    });
}

#[test]
fn the_last_receiver_gives_waiting_senders_their_items_back() {
    watchdog(LIMIT, "the_last_receiver_gives_items_back", || {
        for capacity in [0, 1] {
            let (sender, receiver) = Queue::bounded(capacity).ends();
            if capacity > 0 {
                sender.put(0).unwrap();
            }
            thread::scope(|s| {
                let puts = [
                    parked(s, || sender.put(1)),
                    parked(s, || sender.put_within(1, HOUR)),
                    parked(s, || sender.queue().at_front().put(1)),
                ];
                let many = [
                    parked(s, || sender.put_many([1, 2])),
                    parked(s, || sender.put_many_within([1, 2], HOUR)),
                ];
                let mut one = pending(sender.put_async(1));
                let mut two = pending(sender.put_many_async([1, 2]));
                drop(receiver);
                for put in puts {
                    assert_eq!(put.join().unwrap(), Err(PutError::ShutDown(1)));
                }
                for put in many {
                    assert_eq!(put.join().unwrap(), Err(PutError::ShutDown(vec![1, 2])));
                }
                assert_eq!(ready(one.as_mut()), Err(PutError::ShutDown(1)));
                let all = vec![1, 2];
                assert_eq!(ready(two.as_mut()), Err(PutError::ShutDown(all)));
            });
        }
    });
}

#[test]
fn every_face_does_what_the_queue_does() {
    let (sender, receiver) = Queue::bounded(9).ends();
    sender.put(0).unwrap();
    sender.try_put(1).unwrap();
    sender.put_within(2, Duration::ZERO).unwrap();
    ready(sender.put_async(3)).unwrap();
    sender.put_many([4]).unwrap();
    sender.try_put_many([5]).unwrap();
    sender.put_many_within([6], Duration::ZERO).unwrap();
    ready(sender.put_many_async([7, 8])).unwrap();
    assert_eq!(sender.try_put(9), Err(PutError::Full(9)));
    assert_eq!(sender.try_put_many([9]), Err(PutError::Full(vec![9])));

    assert_eq!(receiver.get(), Ok(0));
    assert_eq!(receiver.try_get(), Ok(1));
    assert_eq!(receiver.get_within(Duration::ZERO), Ok(2));
    assert_eq!(ready(receiver.get_async()), Ok(3));
    assert_eq!(receiver.get_many(1), Ok(vec![4]));
    assert_eq!(receiver.try_get_many(1), Ok(vec![5]));
    assert_eq!(receiver.get_many_within(1, Duration::ZERO), Ok(vec![6]));
    assert_eq!(ready(receiver.get_many_async(1)), Ok(vec![7]));
    assert_eq!(sender.queue().unfinished(), 9);
    assert_eq!(*receiver.get_task().unwrap(), 8);
    assert_eq!(sender.queue().unfinished(), 8);
    assert_eq!(receiver.try_get(), Err(GetError::Empty));

    sender.put_many(0..4).unwrap();
    assert_eq!(*receiver.try_get_task().unwrap(), 0);
    assert_eq!(*receiver.get_task_within(Duration::ZERO).unwrap(), 1);
    assert_eq!(*ready(receiver.get_task_async()).unwrap(), 2);
    assert_eq!(sender.queue().unfinished(), 9);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_loop_over_a_receiver_is_a_receiver() {
    let (sender, receiver) = LifoQueue::unbounded().ends();
    sender.put_many([1, 2, 3]).unwrap();
    let mut all = receiver.into_iter();
    assert_eq!(all.next(), Some(3));
    assert!(!sender.queue().is_shutdown());
    drop(all);
    assert!(sender.queue().is_shutdown());

    let (sender, receiver) = Queue::unbounded().ends();
    sender.put_many([1, 2, 3]).unwrap();
    drop(sender);
    let mut got = Vec::new();
    for item in &receiver {
        got.push(item);
    }
    assert_eq!(got, [1, 2, 3]);
    assert_eq!(receiver.into_iter().next(), None);
}

/// A handle is no end, and each pair counts for itself.
#[test]
fn only_the_ends_of_a_pair_are_counted() {
    let queue = Queue::unbounded();
    let (sender, receiver) = queue.clone().ends();
    let (second, _second_receiver) = queue.clone().ends();
    queue.put(1).unwrap();
    drop(sender);
    assert_eq!(queue.put(2), Err(PutError::ShutDown(2)));
    assert_eq!(second.put(2), Err(PutError::ShutDown(2)));
    assert_eq!(receiver.get(), Ok(1));
    drop(second);
    drop(receiver);
    assert!(queue.is_shutdown());
}

#[test]
fn ends_that_go_at_once_shut_it_down_once_and_lose_nothing() {
    watchdog(LIMIT, "ends_that_go_at_once", || {
        for capacity in [0, 1, 3] {
            for _ in 0..100 {
                let (sender, receiver) = Queue::bounded(capacity).ends();
                let put = |sender: Sender<Fifo<u32>>| {
                    (0..5).take_while(|n| sender.put(*n).is_ok()).count()
                };
                let (put_total, got) = thread::scope(|s| {
                    let putters = [sender.clone(), sender].map(|end| s.spawn(move || put(end)));
                    let getters = [receiver.clone(), receiver]
                        .map(|end: Receiver<_>| s.spawn(move || end.into_iter().count()));
                    (
                        putters.map(|end| end.join().unwrap()).iter().sum::<usize>(),
                        getters.map(|end| end.join().unwrap()).iter().sum::<usize>(),
                    )
                });
                assert_eq!((put_total, got), (10, 10));
            }
        }
    });
}

#[test]
fn an_end_that_is_dropped_by_a_panic_counts_as_gone() {
    watchdog(LIMIT, "an_end_that_is_dropped_by_a_panic", || {
        let (sender, receiver) = Queue::unbounded().ends();
        let worker = thread::spawn(move || {
            sender.put(1).unwrap();
            panic!("on purpose");
        });
        assert_eq!(receiver.into_iter().collect::<Vec<i32>>(), [1]);
        assert!(worker.join().is_err());
    });
}

/// It keeps the queue open, but is dropped with the others' items, and not under the lock.
#[test]
fn an_item_that_is_itself_a_sender_goes_with_the_last_receiver() {
    watchdog(LIMIT, "an_item_that_is_itself_a_sender", || {
        struct Order {
            reply_to: Sender<Fifo<Order>>,
            _held: Arc<()>,
        }
        let held = Arc::new(());
        let (sender, receiver) = Queue::<Order>::unbounded().ends();
        for reply_to in [sender.clone(), sender.clone()] {
            let order = Order {
                reply_to,
                _held: Arc::clone(&held),
            };
            sender.put(order).unwrap();
        }
        drop(sender);
        let order = receiver.get().unwrap();
        assert!(!order.reply_to.queue().is_shutdown());
        drop(receiver);
        assert_eq!(Arc::strong_count(&held), 2, "but for the one that was got");
        let reply_to = order.reply_to.clone();
        assert!(reply_to.put(order).is_err());
        drop(reply_to);
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

/// `put("EOF")`, one for each consumer, is what this is instead of.
#[test]
fn a_pool_of_workers_ends_when_there_is_no_more_work() {
    watchdog(LIMIT, "a_pool_of_workers_ends", || {
        let (work, todo) = Queue::bounded(2).ends();
        let (done, results) = Queue::bounded(2).ends();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (todo, done) = (todo.clone(), done.clone());
                thread::spawn(move || todo.into_iter().for_each(|n: u64| done.put(n * n).unwrap()))
            })
            .collect();
        drop((todo, done));
        let source = thread::spawn(move || (0..100).for_each(|n| work.put(n).unwrap()));
        assert_eq!(results.into_iter().sum::<u64>(), 328_350);
        workers.into_iter().for_each(|w| w.join().unwrap());
        source.join().unwrap();
    });
}

#[test]
fn debug_shows_how_many_there_are() {
    let (sender, receiver) = Queue::<u8>::unbounded().ends();
    let _other = sender.clone();
    let queue = format!("{:?}", sender.queue());
    assert_eq!(
        format!("{sender:?}"),
        format!("Sender {{ senders: 2, queue: {queue} }}")
    );
    let end = format!("Receiver {{ receivers: 1, queue: {queue} }}");
    assert_eq!(format!("{receiver:?}"), end);
    assert_eq!(
        format!("{:?}", receiver.into_iter()),
        format!("ReceiverIter({end})")
    );
}
