//! Priority queues: one thread putting and getting, and throughput between threads with many items
//! inside and with next to none.

use super::queue::{Channel, END, Measure, measures, peer, put_get};
use crate::flow::{self, flow};
use crate::instructions::Operation;
use crate::run::{Metric, Workload};
use measures::{Alone, STEP, filled, numbers, receivers};
use parking_lot::{Condvar, Mutex};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

struct Ours;

impl Channel<u64> for Ours {
    const NAME: &'static str = "latchwork";
    type Sender = latchwork::queue::PriorityQueue<u64>;
    type Receiver = latchwork::queue::PriorityQueue<u64>;
    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        assert_eq!(capacity, None, "as the peers");
        let queue = latchwork::queue::PriorityQueue::unbounded();
        (queue.clone(), queue)
    }
    #[inline]
    fn put(queue: &Self::Sender, item: u64) {
        assert!(queue.put(item).is_ok(), "nobody shuts it down");
    }
    #[inline]
    fn get(queue: &Self::Receiver) -> u64 {
        queue.get().expect("nobody shuts it down")
    }
    fn further(queue: &Self::Receiver) -> Option<Self::Receiver> {
        Some(queue.clone())
    }
}

/// Queues without ends and without a bound, which all threads share: a constructor, `put` and `get`.
macro_rules! heap {
    ($name:ident = $said:literal, $new:expr => $shared:ty, $put:expr, $get:expr) => {
        struct $name;

        impl Channel<u64> for $name {
            const NAME: &'static str = $said;
            type Sender = Arc<$shared>;
            type Receiver = Arc<$shared>;
            fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
                assert_eq!(capacity, None, "none of them has a bound");
                let shared = Arc::new($new);
                (Arc::clone(&shared), shared)
            }
            #[inline]
            fn put(shared: &Self::Sender, item: u64) {
                let put: fn(&$shared, u64) = $put;
                put(shared, item);
            }
            #[inline]
            fn get(shared: &Self::Receiver) -> u64 {
                let get: fn(&$shared) -> u64 = $get;
                get(shared)
            }
            fn further(shared: &Self::Receiver) -> Option<Self::Receiver> {
                Some(Arc::clone(shared))
            }
        }
    };
}

type Heap = BinaryHeap<Reverse<u64>>;

heap!(
    Std = "std Mutex<BinaryHeap>+Condvar",
    (std::sync::Mutex::new(Heap::new()), std::sync::Condvar::new())
        => (std::sync::Mutex<Heap>, std::sync::Condvar),
    |(heap, put), item| {
        heap.lock().expect("nothing panics inside").push(Reverse(item));
        put.notify_one();
    },
    |(heap, put)| {
        let mut heap = heap.lock().expect("nothing panics inside");
        loop {
            match heap.pop() {
                Some(Reverse(item)) => return item,
                None => heap = put.wait(heap).expect("nothing panics inside"),
            }
        }
    }
);
heap!(
    ParkingLot = "parking_lot Mutex<BinaryHeap>+Condvar",
    (Mutex::new(Heap::new()), Condvar::new()) => (Mutex<Heap>, Condvar),
    |(heap, put), item| {
        heap.lock().push(Reverse(item));
        put.notify_one();
    },
    |(heap, put)| {
        let mut heap = heap.lock();
        loop {
            match heap.pop() {
                Some(Reverse(item)) => return item,
                None => put.wait(&mut heap),
            }
        }
    }
);
// Without its stash: an item is there for others when the call returns, as with everybody else.
heap!(
    Mpmcpq = "mpmcpq",
    mpmcpq::PriorityQueue::new() => mpmcpq::PriorityQueue<(), u64>,
    |queue, item| queue.send_nostash((), item),
    |queue| loop {
        // It says when it has run empty, between the items.
        if let mpmcpq::Message::Msg((), item) = queue.recv() {
            return item;
        }
    }
);
heap!(
    Yielding = "parking_lot heap, yield",
    Mutex::new(Heap::new()) => Mutex<Heap>,
    |heap, item| heap.lock().push(Reverse(item)),
    |heap| loop {
        if let Some(Reverse(item)) = heap.lock().pop() {
            return item;
        }
        thread::yield_now();
    }
);

fn everybody(name: &str, metrics: &[Metric], measure: impl Measure<u64>) -> Workload {
    let workload = Workload::new(name, metrics);
    let workload = workload.ours(move || measure.of::<Ours>());
    let workload = peer::<u64, Std>(workload, measure);
    let workload = peer::<u64, ParkingLot>(workload, measure);
    let workload = peer::<u64, Mpmcpq>(workload, measure);
    workload.limit(Yielding::NAME, move || measure.of::<Yielding>())
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = Vec::new();
    for inside in [1_000, 1] {
        let measure = Alone {
            sample,
            capacity: None,
            inside,
        };
        workloads.push(everybody(
            &format!("uncontended put+get, {inside} inside"),
            &[Metric::time("ns/put+get")],
            measure,
        ));
    }
    for level in [Level::Thousand, Level::NearEmpty] {
        for threads in [2, 4] {
            workloads.push(everybody(
                &format!("throughput {threads}x{threads}, {}", level.name()),
                &flow::METRICS,
                Throughput {
                    sample,
                    threads,
                    level,
                },
            ));
        }
    }
    workloads
}

/// How many items are inside while they flow.
#[derive(Clone, Copy)]
enum Level {
    /// Around a thousand: nobody ever finds it empty.
    Thousand,
    /// At most [`NEAR_EMPTY`] for each getter, who waits for many of them.
    NearEmpty,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Thousand => "1000 inside",
            Level::NearEmpty => "near empty",
        }
    }

    /// How many there are to begin with.
    fn first(self) -> u64 {
        match self {
            Level::Thousand => 1_000,
            Level::NearEmpty => 0,
        }
    }
}

/// As many threads put as get, and keep to the level.
#[derive(Clone, Copy)]
struct Throughput {
    sample: Duration,
    threads: usize,
    level: Level,
}

impl Measure<u64> for Throughput {
    type Output = [f64; 3];
    fn capacity(&self) -> Option<usize> {
        None
    }
    fn getters(&self) -> usize {
        self.threads
    }
    fn of<C: Channel<u64>>(self) -> [f64; 3] {
        let Throughput {
            sample,
            threads,
            level,
        } = self;
        let (sender, receiver) = filled::<C>(None, level.first());
        let (put, got) = (&Counts::of(threads), &Counts::of(threads));
        let over = &AtomicBool::new(false);

        let putters: Vec<_> = (0..threads)
            .map(|thread| {
                let sender = sender.clone();
                let mut number = numbers(thread as u64, STEP * threads as u64);
                let ahead = match level {
                    Level::Thousand => SLACK,
                    Level::NearEmpty => NEAR_EMPTY * threads as u64,
                };
                let mut share = put.share(thread, got, ahead);
                move || {
                    share.take(|| C::put(&sender, number()));
                }
            })
            .collect();
        let getters: Vec<_> = receivers::<u64, C>(receiver, threads)
            .into_iter()
            .enumerate()
            .map(|(thread, receiver)| {
                let mut share = got.share(thread, put, SLACK);
                move || match level {
                    Level::Thousand if over.load(Ordering::Relaxed) => None,
                    Level::Thousand => Some(u64::from(share.take(|| {
                        C::get(&receiver);
                    }))),
                    Level::NearEmpty => {
                        let is_item = C::get(&receiver) != END;
                        share.count();
                        is_item.then_some(1)
                    }
                }
            })
            .collect();
        let end = || match level {
            Level::Thousand => over.store(true, Ordering::Relaxed),
            Level::NearEmpty => (0..threads).for_each(|_| C::put(&sender, END)),
        };
        flow(sample, putters, getters, end).figures()
    }
}

/// With fewer the putters yield so often that a row tells the cost of that.
const NEAR_EMPTY: u64 = 16;

/// How far the putters may be ahead of the getters, and these of them, in all.
const SLACK: u64 = 500;

/// How many items each of some threads has put, or got.
struct Counts(Vec<Count>);

/// In a cache line of its own, written by its thread only. The others look now and then: counting
/// together would be one more thing that all fight for.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicU64);

impl Counts {
    fn of(threads: usize) -> Counts {
        Counts((0..threads).map(|_| Count::default()).collect())
    }

    fn sum(&self) -> u64 {
        let counts = self.0.iter();
        counts.map(|count| count.0.load(Ordering::Relaxed)).sum()
    }

    /// What `thread` may do: its part of what the `others` have done and `ahead` of that.
    fn share<'a>(&'a self, thread: usize, others: &'a Counts, ahead: u64) -> Share<'a> {
        Share {
            own: &self.0[thread].0,
            others,
            threads: self.0.len() as u64,
            ahead,
            done: 0,
            allowed: 0,
        }
    }
}

struct Share<'a> {
    own: &'a AtomicU64,
    others: &'a Counts,
    threads: u64,
    ahead: u64,
    done: u64,
    /// By what the others had done at the last look.
    allowed: u64,
}

impl Share<'_> {
    /// Does it, or yields when it is the others' turn.
    #[inline]
    fn take(&mut self, what: impl FnOnce()) -> bool {
        if self.done >= self.allowed {
            self.allowed = (self.others.sum() + self.ahead) / self.threads;
            if self.done >= self.allowed {
                thread::yield_now();
                return false;
            }
        }
        what();
        self.count();
        true
    }

    #[inline]
    fn count(&mut self) {
        self.done += 1;
        self.own.store(self.done, Ordering::Relaxed);
    }
}

pub const OPERATIONS: &[Operation] = &[
    alone::<Ours>(),
    alone::<Std>(),
    alone::<ParkingLot>(),
    alone::<Mpmcpq>(),
];

const fn alone<C: Channel<u64>>() -> Operation {
    Operation {
        name: "priority queue put+get, 1 inside",
        contender: C::NAME,
        times: |times| put_get::<C>(times, None, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_used_up_and_grows_with_what_the_others_have_done() {
        let (put, got) = (Counts::of(2), Counts::of(2));
        let mut putter = put.share(0, &got, 4);
        let mut getter = got.share(1, &put, 0);
        let mut taken = || (0..10).filter(|_| putter.take(|| {})).count();
        assert_eq!(taken(), 2, "half of four");
        assert!(getter.take(|| {}) && !getter.take(|| {}), "half of two");
        assert_eq!(taken(), 0, "half of five is two");
        got.0[0].0.store(1, Ordering::Relaxed);
        assert_eq!((taken(), put.sum()), (1, 3));
    }
}
