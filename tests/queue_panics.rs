//! Rows Q24 and Q25: disciplines of one's own, and what a panic leaves: in a discipline, in a function that is
//! called under the lock, and in the drop of an item. The queue can be used after each of them.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::Shutdown;
use latchwork::queue::{BlockingQueue, Discipline, GetError, PutError, Queue};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Which calls of a [`Failing`] discipline panic: the `n`th from now on, once; 0 is none.
#[derive(Default)]
struct Plan {
    push: AtomicUsize,
    pop: AtomicUsize,
}

impl Plan {
    fn step(when: &AtomicUsize, what: &str) {
        let left = when.load(Ordering::SeqCst);
        if left > 0 {
            when.store(left - 1, Ordering::SeqCst);
            assert!(left > 1, "{what}, on purpose");
        }
    }
}

/// First in, first out; fails as planned, and is then as it was.
struct Failing<T> {
    items: std::collections::VecDeque<T>,
    plan: Arc<Plan>,
}

impl<T> Discipline for Failing<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        Plan::step(&self.plan.push, "push");
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        Plan::step(&self.plan.pop, "pop");
        self.items.pop_front()
    }

    fn len(&self) -> usize {
        self.items.len()
    }
}

fn failing<T>(capacity: impl Into<Option<usize>>) -> (BlockingQueue<Failing<T>>, Arc<Plan>) {
    let plan = Arc::new(Plan::default());
    let discipline = Failing {
        items: Default::default(),
        plan: Arc::clone(&plan),
    };
    (BlockingQueue::with_discipline(discipline, capacity), plan)
}

fn ignore<R>(_: R) {}

#[track_caller]
fn panics<R>(body: impl FnOnce() -> R) {
    assert!(
        catch_unwind(AssertUnwindSafe(body)).is_err(),
        "it does not panic"
    );
}

/// Python's FailingQueue test.
#[test]
fn a_put_that_fails_puts_nothing() {
    watchdog(LIMIT, "a_put_that_fails_puts_nothing", || {
        let (queue, plan) = failing(2);
        queue.put(1).unwrap();
        type Face = fn(&BlockingQueue<Failing<i32>>);
        let faces: [Face; 7] = [
            |queue| ignore(queue.put(7)),
            |queue| ignore(queue.try_put(7)),
            |queue| ignore(queue.put_within(7, Duration::ZERO)),
            |queue| ignore(ready(queue.put_async(7))),
            |queue| ignore(queue.put_many([7])),
            |queue| ignore(queue.try_put_many([7])),
            |queue| ignore(ready(queue.put_many_async([7]))),
        ];
        for face in faces {
            plan.push.store(1, Ordering::SeqCst);
            panics(|| face(&queue));
            assert_eq!((queue.len(), queue.unfinished()), (1, 1));
        }
        queue.put(2).unwrap();
        assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
        assert_eq!(queue.get_many(5), Ok(vec![1, 2]));
        assert_eq!(queue.unfinished(), 2);
    });
}

#[test]
fn a_get_that_fails_takes_nothing() {
    watchdog(LIMIT, "a_get_that_fails_takes_nothing", || {
        let (queue, plan) = failing(2);
        queue.put_many([1, 2]).unwrap();
        type Face = fn(&BlockingQueue<Failing<i32>>);
        let faces: [Face; 9] = [
            |queue| ignore(queue.get()),
            |queue| ignore(queue.try_get()),
            |queue| ignore(queue.get_within(Duration::ZERO)),
            |queue| ignore(ready(queue.get_async())),
            |queue| ignore(queue.get_many(2)),
            |queue| ignore(queue.try_get_many(2)),
            |queue| ignore(ready(queue.get_many_async(2))),
            |queue| ignore(queue.get_task()),
            |queue| ignore(queue.drain()),
        ];
        for face in faces {
            plan.pop.store(1, Ordering::SeqCst);
            panics(|| face(&queue));
            assert_eq!((queue.len(), queue.unfinished()), (2, 2));
        }
        assert!(queue.is_full());
        assert_eq!((queue.get(), queue.get()), (Ok(1), Ok(2)));
        assert_eq!(queue.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn a_batch_that_fails_half_way_has_put_the_first_half() {
    let (queue, plan) = failing(None);
    plan.push.store(3, Ordering::SeqCst);
    panics(|| queue.put_many([1, 2, 3, 4]));
    assert_eq!((queue.len(), queue.unfinished()), (2, 2));
    assert_eq!(queue.try_iter().collect::<Vec<_>>(), [1, 2]);
}

/// Otherwise the item would lie there, since the one that panicked was called for it.
#[test]
fn when_the_one_that_was_called_panics_the_next_is_called() {
    watchdog(LIMIT, "when_the_one_that_was_called_panics", || {
        let (queue, plan) = failing(1);
        // As many as can ever be awake, and some more.
        for _ in 0..20 {
            thread::scope(|s| {
                let get = || catch_unwind(AssertUnwindSafe(|| queue.get()));
                let getters = [parked(s, get), parked(s, get)];
                plan.pop.store(1, Ordering::SeqCst);
                queue.put(1).unwrap();
                let ends = getters.map(|getter| getter.join().unwrap());
                assert_eq!(ends.iter().filter(|end| end.is_err()).count(), 1);
                assert_eq!(
                    ends.iter().filter(|end| matches!(end, Ok(Ok(1)))).count(),
                    1
                );
            });
            queue.task_done().unwrap();
        }
    });
}

#[test]
fn when_a_putter_that_was_called_panics_the_next_is_called() {
    watchdog(LIMIT, "when_a_putter_that_was_called_panics", || {
        let (queue, plan) = failing(1);
        for _ in 0..20 {
            queue.put(0).unwrap();
            thread::scope(|s| {
                let put = || catch_unwind(AssertUnwindSafe(|| queue.put(1))).is_ok();
                let putters = [parked(s, put), parked(s, put)];
                plan.push.store(1, Ordering::SeqCst);
                assert_eq!(queue.get(), Ok(0));
                let ends = putters.map(|putter| putter.join().unwrap());
                assert_eq!(ends.iter().filter(|is_in| **is_in).count(), 1);
            });
            assert_eq!(queue.get(), Ok(1));
        }
    });
}

#[test]
fn a_task_that_panics_when_it_was_called_calls_the_next() {
    let (queue, plan) = failing(1);
    let mut first = pending(queue.get_async());
    let (waker, count) = common::counting_waker();
    let mut second = Box::pin(queue.get_async());
    assert!(common::poll(second.as_mut(), &waker).is_pending());
    plan.pop.store(1, Ordering::SeqCst);
    queue.put(1).unwrap();
    panics(|| common::poll(first.as_mut(), &waker).is_pending());
    drop(first);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(ready(second.as_mut()), Ok(1));
}

#[test]
fn a_shutdown_that_fails_has_shut_it_down_and_told_everybody() {
    watchdog(LIMIT, "a_shutdown_that_fails", || {
        // It may fail before there is room, which would call the putter anyway, or after.
        for taken in 0..3 {
            let (queue, plan) = failing(3);
            queue.put_many([1, 2, 3]).unwrap();
            thread::scope(|s| {
                let putter = parked(s, || queue.put(4));
                let joiner = parked(s, || queue.join());
                plan.pop.store(taken + 1, Ordering::SeqCst);
                panics(|| queue.shutdown(Shutdown::Immediate));
                assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(4)));
                assert!(queue.is_shutdown());
                assert_eq!((queue.len(), queue.unfinished()), (3 - taken, 3 - taken));
                let left = queue.shutdown(Shutdown::Immediate);
                assert_eq!(left, [1, 2, 3][taken..]);
                joiner.join().unwrap();
            });
            assert_eq!(queue.get(), Err(GetError::ShutDown));
        }
    });
}

/// Looks at its queue as it is dropped, which would not end under the lock, and panics if told to.
struct Item {
    queue: Option<Queue<Item>>,
    dropped: Arc<AtomicUsize>,
    panics: bool,
}

impl Item {
    fn new(dropped: &Arc<AtomicUsize>, panics: bool) -> Item {
        Item {
            queue: None,
            dropped: Arc::clone(dropped),
            panics,
        }
    }

    fn of(queue: &Queue<Item>, dropped: &Arc<AtomicUsize>) -> Item {
        let mut item = Item::new(dropped, false);
        item.queue = Some(queue.clone());
        item
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
        if let Some(queue) = &self.queue {
            queue.len();
        }
        assert!(!self.panics || thread::panicking(), "drop, on purpose");
    }
}

#[test]
fn items_are_dropped_without_the_lock() {
    watchdog(LIMIT, "items_are_dropped_without_the_lock", || {
        let (queue, dropped) = (Queue::bounded(3), Arc::default());
        let fill = || {
            while queue.try_put(Item::of(&queue, &dropped)).is_ok() {}
        };
        let empty = || queue.try_iter().for_each(drop);
        fill();
        drop(queue.get());
        drop(queue.drain());
        fill();
        drop(pending(queue.put_async(Item::of(&queue, &dropped))));
        drop(pending(queue.put_many_async([Item::of(&queue, &dropped)])));
        let _ = queue.put_within(Item::of(&queue, &dropped), Duration::ZERO);
        queue.with_lock(|items| items.pop());
        drop(queue.try_get_task());
        empty();
        fill();
        drop(queue.shutdown(Shutdown::Immediate));
        drop(queue.put(Item::of(&queue, &dropped)));

        let hatch = Queue::bounded(0);
        drop(pending(hatch.put_async(Item::of(&hatch, &dropped))));
        drop(pending(hatch.put_many_async([Item::of(&hatch, &dropped)])));
        let offer = pending(hatch.put_async(Item::of(&hatch, &dropped)));
        drop(hatch.shutdown(Shutdown::Immediate));
        drop(offer);
        assert_eq!(hatch.len(), 0);
    });
}

/// The items that had been popped when it panicked are dropped by then, which must not be under the lock.
#[test]
fn items_are_dropped_without_the_lock_when_a_discipline_panics() {
    struct Locks(BlockingQueue<Failing<Locks>>);
    impl Drop for Locks {
        fn drop(&mut self) {
            self.0.len();
        }
    }
    watchdog(LIMIT, "items_are_dropped_without_the_lock_after", || {
        let (queue, plan) = failing(4);
        let fill = || while queue.try_put(Locks(queue.clone())).is_ok() {};
        fill();
        plan.pop.store(3, Ordering::SeqCst);
        panics(|| queue.drain());
        fill();
        plan.pop.store(3, Ordering::SeqCst);
        panics(|| queue.get_many(4));
        fill();
        plan.pop.store(3, Ordering::SeqCst);
        panics(|| queue.shutdown(Shutdown::Immediate));
        assert_eq!(queue.len(), 2);
        drop(queue.shutdown(Shutdown::Immediate));
    });
}

#[test]
fn an_item_whose_drop_panics_does_no_harm() {
    watchdog(LIMIT, "an_item_whose_drop_panics", || {
        let dropped = Arc::default();
        let queue = Queue::bounded(2);
        let (good, bad) = (|| Item::new(&dropped, false), || Item::new(&dropped, true));
        let seen = || dropped.swap(0, Ordering::SeqCst);
        let fill = || {
            queue.put(bad()).unwrap();
            queue.put(good()).unwrap();
        };

        // As it is drained, and the other one is dropped all the same.
        fill();
        panics(|| drop(queue.drain()));
        assert_eq!((seen(), queue.len()), (2, 0));

        // As a future of it is dropped.
        fill();
        let future = pending(queue.put_async(bad()));
        panics(move || drop(future));
        let future = pending(queue.put_many_async([bad(), good()]));
        panics(move || drop(future));
        assert_eq!((seen(), queue.len()), (3, 2));

        // As what was put in vain is dropped.
        panics(|| queue.try_put(bad()).is_ok());
        assert_eq!(seen(), 1);

        // As the item of a task, which is acknowledged.
        let unfinished = queue.unfinished();
        panics(|| drop(queue.get_task()));
        assert_eq!((seen(), queue.unfinished()), (1, unfinished - 1));

        // In a shutdown: who waits is told.
        queue.at_front().put(bad()).unwrap();
        thread::scope(|s| {
            let putter = parked(s, || queue.put(good()).is_err());
            panics(|| drop(queue.shutdown(Shutdown::Immediate)));
            assert!(putter.join().unwrap());
        });
        assert_eq!((seen(), queue.len()), (3, 0));

        // With the queue.
        let queue = Queue::bounded(2);
        queue.put(bad()).unwrap();
        queue.put(good()).unwrap();
        panics(move || drop(queue));
        assert_eq!(seen(), 2);

        // At a rendezvous.
        let hatch = Queue::bounded(0);
        let future = pending(hatch.put_async(bad()));
        panics(move || drop(future));
        let mut offer = pending(hatch.put_async(good()));
        drop(hatch.get().unwrap());
        assert!(ready(offer.as_mut()).is_ok());
        assert_eq!(seen(), 2);
    });
}

#[test]
fn a_panic_under_the_lock_leaves_it_free_and_the_counts_right() {
    watchdog(LIMIT, "a_panic_under_the_lock", || {
        let queue = Queue::bounded(3);
        queue.put_many([1, 2]).unwrap();
        panics(|| queue.peek(|_| panic!("peek, on purpose")));
        panics(|| {
            queue.with_lock(|items| {
                items.push(3);
                panic!("with_lock, on purpose");
            })
        });
        assert_eq!((queue.len(), queue.unfinished()), (3, 3));
        panics(|| {
            queue.with_lock(|items| {
                items.pop();
                items.pop();
                panic!("with_lock, on purpose");
            })
        });
        assert_eq!((queue.len(), queue.unfinished()), (1, 1));
        assert_eq!(queue.get(), Ok(3));
    });
}

/// Whatever the function has done by then is seen by those who wait.
#[test]
fn a_panic_in_with_lock_calls_who_can_go_on() {
    watchdog(LIMIT, "a_panic_in_with_lock_calls", || {
        let queue = Queue::bounded(1);
        thread::scope(|s| {
            let getter = parked(s, || queue.get());
            panics(|| {
                queue.with_lock(|items| {
                    items.push(1);
                    panic!("with_lock, on purpose");
                })
            });
            assert_eq!(getter.join().unwrap(), Ok(1));
            queue.put(2).unwrap();
            queue.task_done().unwrap();
            let putter = parked(s, || queue.put(3));
            panics(|| {
                queue.with_lock(|items| {
                    items.pop();
                    panic!("with_lock, on purpose");
                })
            });
            assert_eq!(putter.join().unwrap(), Ok(()));
        });
        assert_eq!((queue.len(), queue.unfinished()), (1, 1));
    });
}

/// The caller's iterator runs before the lock is taken.
#[test]
fn a_batch_whose_iterator_panics_or_uses_the_queue() {
    let queue = Queue::unbounded();
    panics(|| queue.put_many([1, 2].into_iter().inspect(|n| assert!(*n < 2))));
    assert!(queue.is_empty());
    queue.put(5).unwrap();
    queue
        .put_many([6].into_iter().chain(queue.try_iter()))
        .unwrap();
    assert_eq!(queue.try_iter().collect::<Vec<_>>(), [6, 5]);
}
