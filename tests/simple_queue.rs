//! `queue::SimpleQueue`: rows Q4, Q28, Q29, and of its operations Q27, Q30, Q31.

mod common;

use common::{block_on, counting_waker, poll, until_parked, watchdog};
use latchwork::queue::SimpleQueue;
use latchwork::{CancelToken, GaveUp, debug};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// More than the storage has in a block.
const BLOCKS: usize = 100;

/// Waits until so many are parked in a call of this line.
fn until_waiting(line: u32, n: usize) {
    let is_it = |wait: &&debug::Wait| wait.kind == "SimpleQueue::get" && wait.place.line() == line;
    while debug::waits().iter().filter(is_it).count() != n {
        thread::yield_now();
    }
}

#[test]
fn first_in_first_out() {
    let queue = SimpleQueue::new();
    assert!(queue.is_empty());
    for n in 0..BLOCKS {
        queue.put(n);
        assert_eq!(queue.len(), n + 1);
    }
    assert!(!queue.is_empty());
    for n in 0..BLOCKS {
        let got = match n % 4 {
            0 => queue.get(),
            1 => queue.try_get().unwrap(),
            2 => queue.get_within(Duration::ZERO).unwrap(),
            _ => block_on(queue.get_async()),
        };
        assert_eq!((got, queue.len()), (n, BLOCKS - n - 1));
    }
    assert!(queue.is_empty());
    assert_eq!(queue.try_get(), None);
}

#[test]
fn clones_are_handles_to_the_same_queue() {
    let queue = SimpleQueue::default();
    queue.clone().put(1);
    assert_eq!(queue.clone().get(), 1);
    assert_eq!(format!("{queue:?}"), "SimpleQueue { len: 0 }");
}

#[test]
fn a_queue_goes_wherever_its_items_go() {
    fn goes<T: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &T) {}
    fn is_send<T: Send>(_: T) {}
    let queue = SimpleQueue::<std::cell::Cell<u8>>::new();
    goes(&queue);
    is_send(queue.get_async());
}

#[test]
fn iterators_take_what_is_there() {
    let queue = SimpleQueue::new();
    (0..BLOCKS).for_each(|n| queue.put(n));
    assert!(queue.try_iter().take(3).eq(0..3));
    assert_eq!(queue.len(), BLOCKS - 3, "the rest stays");
    assert!(queue.drain().into_iter().eq(3..BLOCKS));
    assert!(queue.drain().is_empty());
    // What is put meanwhile is taken, too.
    queue.put(3);
    let counted_down: Vec<_> = queue
        .try_iter()
        .inspect(|&n| {
            if n > 0 {
                queue.put(n - 1);
            }
        })
        .collect();
    assert_eq!(counted_down, [3, 2, 1, 0]);
}

/// An item that puts another one when it is dropped, as a `__del__` in Python may.
struct Reborn {
    queue: SimpleQueue<Reborn>,
    lives: usize,
}

impl Drop for Reborn {
    fn drop(&mut self) {
        if self.lives > 0 {
            self.queue.put(Reborn {
                queue: self.queue.clone(),
                lives: self.lives - 1,
            });
        }
    }
}

#[test]
fn an_item_may_put_when_it_is_dropped() {
    watchdog(LIMIT, "an_item_may_put_when_it_is_dropped", || {
        let queue = SimpleQueue::new();
        let reborn = || Reborn {
            queue: queue.clone(),
            lives: BLOCKS,
        };
        queue.put(reborn());
        assert_eq!(queue.try_iter().map(drop).count(), BLOCKS + 1);
        // Drained are those that are in it, not those that come of it.
        queue.put(reborn());
        queue.put(reborn());
        assert_eq!(queue.drain().len(), 2);
        assert_eq!(queue.len(), 2);
        queue.try_iter().for_each(drop);
        // A getter on another thread, asleep, is called by the put in a destructor.
        thread::scope(|s| {
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get().lives);
            until_waiting(line, 1);
            drop(reborn());
            assert_eq!(getter.join().unwrap(), BLOCKS - 1);
        });
        queue.try_iter().for_each(drop);
    });
}

/// A waker whose every turn, and its end, puts in the queue that it waits for.
fn putting_waker(queue: &SimpleQueue<&'static str>) -> Waker {
    type Data = SimpleQueue<&'static str>;
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, end);
    fn raw(queue: Data) -> RawWaker {
        RawWaker::new(Box::into_raw(Box::new(queue)).cast(), &TABLE)
    }
    fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the waker that is cloned owns the box.
        let queue = unsafe { &*data.cast::<Data>() };
        queue.put("cloned");
        raw(queue.clone())
    }
    fn wake(data: *const ()) {
        wake_by_ref(data);
        end(data);
    }
    fn wake_by_ref(data: *const ()) {
        // SAFETY: the waker that wakes owns the box.
        unsafe { &*data.cast::<Data>() }.put("woken");
    }
    fn end(data: *const ()) {
        // SAFETY: the waker that ends owned the box, which came from `raw`.
        unsafe { Box::from_raw(data.cast::<Data>().cast_mut()) }.put("dropped");
    }
    // SAFETY: the functions do what a waker's must: each clone owns a box of its own, and the queue
    // in it may be used by any thread.
    unsafe { Waker::from_raw(raw(queue.clone())) }
}

#[test]
fn a_waker_may_put_inside_a_get_and_a_put_of_the_same_queue() {
    watchdog(LIMIT, "a_waker_may_put", || {
        let queue = SimpleQueue::new();
        let waker = putting_waker(&queue);
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(queue.get_async());
        // Inside the poll the waker is cloned, so there is an item before the future lines up; it looks
        // again and takes it. What it gives back of the clone is another item.
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready("cloned"));
        assert_eq!(queue.drain(), ["dropped"]);

        let mut waiting = Box::pin(queue.get_async());
        assert!(poll(waiting.as_mut(), Waker::noop()).is_pending());
        // Asked again by another waker: that one is cloned, and its put calls the future that is in the
        // middle of being polled.
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready("cloned"));
        drop(queue.drain());

        // A put wakes a waker that puts.
        struct Echo(SimpleQueue<&'static str>);
        impl Wake for Echo {
            fn wake(self: Arc<Self>) {
                self.0.put("echo");
            }
        }
        let echo = Waker::from(Arc::new(Echo(queue.clone())));
        let mut waiting = Box::pin(queue.get_async());
        assert!(poll(waiting.as_mut(), &echo).is_pending());
        queue.put("call");
        assert_eq!(queue.drain(), ["call", "echo"]);
    });
}

#[test]
fn limits_are_kept_and_take_nothing() {
    watchdog(LIMIT, "limits_are_kept_and_take_nothing", || {
        let queue = SimpleQueue::new();
        let begin = Instant::now();
        let limit = Duration::from_millis(20);
        assert_eq!(queue.get_within(limit), Err(GaveUp::TimedOut));
        assert!(begin.elapsed() >= limit);
        let token = CancelToken::new();
        thread::scope(|s| {
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get_within(&token));
            until_waiting(line, 1);
            token.cancel();
            assert_eq!(getter.join().unwrap(), Err(GaveUp::Cancelled));
        });
        queue.put(1);
        assert_eq!(queue.get_within(Duration::ZERO), Ok(1), "zero polls");
        assert_eq!(queue.try_get(), None);
    });
}

#[test]
fn every_sleeper_is_woken() {
    watchdog(LIMIT, "every_sleeper_is_woken", || {
        let queue = SimpleQueue::new();
        thread::scope(|s| {
            let line = line!() + 1;
            let getters: Vec<_> = (0..4).map(|_| s.spawn(|| queue.get())).collect();
            until_waiting(line, 4);
            (0..4).for_each(|n| queue.put(n));
            let got: HashSet<_> = getters.into_iter().map(|g| g.join().unwrap()).collect();
            assert_eq!(got, (0..4).collect());
        });
    });
}

#[test]
fn an_item_calls_one_getter_the_oldest() {
    let queue = SimpleQueue::new();
    let (mut first, mut second) = (Box::pin(queue.get_async()), Box::pin(queue.get_async()));
    let ((one, called), (two, called_too)) = (counting_waker(), counting_waker());
    assert!(poll(first.as_mut(), &one).is_pending());
    assert!(poll(second.as_mut(), &two).is_pending());
    queue.put(1);
    let calls = || [&called, &called_too].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(calls(), [1, 0]);
    // A newcomer is quicker; the called one goes to the front again, and is called again.
    assert_eq!(queue.try_get(), Some(1));
    assert!(poll(first.as_mut(), &one).is_pending());
    queue.put(2);
    assert_eq!(calls(), [2, 0]);
    queue.put(3);
    assert_eq!(calls(), [2, 1]);
    assert_eq!(poll(second.as_mut(), &two), Poll::Ready(2), "quicker");
    assert_eq!(poll(first.as_mut(), &one), Poll::Ready(3));
    assert_eq!(calls(), [2, 1]);
}

#[test]
fn a_dropped_future_passes_its_call_on_if_it_is_of_use() {
    let queue = SimpleQueue::new();
    let pair = || (Box::pin(queue.get_async()), Box::pin(queue.get_async()));
    let (waker, calls) = counting_waker();

    let (mut first, mut second) = pair();
    assert!(poll(first.as_mut(), Waker::noop()).is_pending());
    assert!(poll(second.as_mut(), &waker).is_pending());
    queue.put(1);
    drop(first);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(1));

    let (mut first, mut second) = pair();
    assert!(poll(first.as_mut(), Waker::noop()).is_pending());
    assert!(poll(second.as_mut(), &waker).is_pending());
    queue.put(2);
    assert_eq!(queue.try_get(), Some(2));
    drop(first);
    assert_eq!(
        calls.load(Ordering::SeqCst),
        1,
        "there is nothing to come for"
    );
    queue.put(3);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(3));
}

#[test]
fn a_waiting_future_that_is_dropped_leaves_the_line() {
    let queue = SimpleQueue::new();
    let (mut gone, mut stays) = (Box::pin(queue.get_async()), Box::pin(queue.get_async()));
    let (waker, calls) = counting_waker();
    assert!(poll(gone.as_mut(), Waker::noop()).is_pending());
    assert!(poll(stays.as_mut(), &waker).is_pending());
    drop(gone);
    queue.put(1);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(poll(stays.as_mut(), &waker), Poll::Ready(1));
}

#[test]
fn many_producers_and_consumers_lose_nothing_and_keep_each_producers_order() {
    watchdog(LIMIT, "many_producers_and_consumers", || {
        const EACH: usize = 5000;
        let queue = SimpleQueue::new();
        let got: Vec<Vec<(usize, usize)>> = thread::scope(|s| {
            let consumers: Vec<_> = (0..3)
                .map(|_| {
                    s.spawn(|| {
                        let items = std::iter::repeat_with(|| queue.get());
                        items.map_while(|item| item).collect()
                    })
                })
                .collect();
            thread::scope(|s| {
                for producer in 0..3 {
                    let queue = &queue;
                    s.spawn(move || (0..EACH).for_each(|n| queue.put(Some((producer, n)))));
                }
            });
            // One sentinel each: there is no shutdown.
            (0..3).for_each(|_| queue.put(None));
            consumers.into_iter().map(|c| c.join().unwrap()).collect()
        });
        for items in &got {
            for producer in 0..3 {
                let mine = items.iter().filter(|item| item.0 == producer);
                assert!(mine.map(|item| item.1).is_sorted());
            }
        }
        let all: Vec<_> = got.into_iter().flatten().collect();
        assert_eq!(all.len(), 3 * EACH);
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 3 * EACH);
    });
}

/// Getters that give up after next to no time, threads and tasks, against puts.
#[test]
fn items_survive_those_who_give_up() {
    watchdog(LIMIT, "items_survive_those_who_give_up", || {
        const ITEMS: usize = 5000;
        let queue = SimpleQueue::new();
        let (got, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    while !is_over.load(Ordering::Acquire) {
                        if queue.get_within(Duration::from_micros(10)).is_ok() {
                            got.fetch_add(1, Ordering::Relaxed);
                        }
                        let mut future = pin!(queue.get_async());
                        for _ in 0..2 {
                            if poll(future.as_mut(), Waker::noop()).is_ready() {
                                got.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                            thread::yield_now();
                        }
                    }
                });
            }
            // Gets by sleeping in the line, so a call that is lost hangs here.
            let patient = s.spawn(|| {
                let items = std::iter::repeat_with(|| queue.get());
                items.take_while(|&item| item < ITEMS).count()
            });
            (0..ITEMS).for_each(|n| {
                queue.put(n);
                if n % 8 == 0 {
                    thread::yield_now();
                }
            });
            while !queue.is_empty() {
                thread::yield_now();
            }
            is_over.store(true, Ordering::Release);
            // The hasty ones may take it, too: as often as it takes.
            while !patient.is_finished() {
                if queue.is_empty() {
                    queue.put(ITEMS);
                }
                thread::yield_now();
            }
            got.fetch_add(patient.join().unwrap(), Ordering::Relaxed);
        });
        let sentinels = queue.drain();
        assert!(sentinels.iter().all(|&item| item == ITEMS));
        assert!(got.load(Ordering::Relaxed) >= ITEMS);
    });
}

#[test]
fn tasks_and_threads_wait_side_by_side() {
    watchdog(LIMIT, "tasks_and_threads", || {
        let (there, back) = (SimpleQueue::new(), SimpleQueue::new());
        thread::scope(|s| {
            s.spawn(|| {
                block_on(async {
                    for _ in 0..500 {
                        back.put(there.get_async().await + 1);
                    }
                });
            });
            for n in 0..500 {
                there.put(n);
                assert_eq!(back.get(), n + 1);
            }
        });
    });
}

#[test]
fn items_leave_nothing_behind() {
    let item = Arc::new(());
    let queue = SimpleQueue::new();
    queue.put(Arc::clone(&item));
    drop(queue.get());
    assert_eq!(Arc::strong_count(&item), 1);
    (0..BLOCKS).for_each(|_| queue.put(Arc::clone(&item)));
    assert_eq!(Arc::strong_count(&item), BLOCKS + 1);
    let other = queue.clone();
    drop(queue);
    assert_eq!(Arc::strong_count(&item), BLOCKS + 1, "there is a handle");
    drop(other);
    assert_eq!(Arc::strong_count(&item), 1);
}

/// Counts its end, and may not want to go.
struct Stubborn<'a> {
    ends: &'a AtomicUsize,
    panics: bool,
}

impl Drop for Stubborn<'_> {
    fn drop(&mut self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
        if self.panics {
            panic!("an item that will not go, on purpose");
        }
    }
}

#[test]
fn an_item_that_panics_when_it_is_dropped_harms_nothing() {
    let ends = AtomicUsize::new(0);
    let queue = SimpleQueue::new();
    let put = |n: usize| {
        queue.put(Stubborn {
            ends: &ends,
            panics: n == 1,
        });
    };
    (0..4).for_each(put);
    let taken = catch_unwind(AssertUnwindSafe(|| queue.try_iter().for_each(drop)));
    assert!(taken.is_err());
    assert_eq!((ends.load(Ordering::Relaxed), queue.len()), (2, 2));
    (0..BLOCKS).for_each(put);
    let ended = catch_unwind(AssertUnwindSafe(|| drop(queue)));
    assert!(ended.is_err());
    assert_eq!(ends.load(Ordering::Relaxed), BLOCKS + 4, "each was dropped");
}

#[test]
fn a_wait_shows_in_the_graph() {
    watchdog(LIMIT, "a_wait_shows_in_the_graph", || {
        let queue = SimpleQueue::new();
        thread::scope(|s| {
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get());
            until_waiting(line, 1);
            queue.put(());
            getter.join().unwrap();
        });
        until_parked("SimpleQueue::get", &queue, 0);
    });
}
