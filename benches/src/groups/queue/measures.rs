//! What is measured of a queue, whichever it is.

use super::{Channel, END, Item, Measure};
use crate::flow::flow;
use crate::place::{Pin, Pinned};
use crate::usage::Usage;
use crate::work::nanos_a_call;
use std::thread;
use std::time::{Duration, Instant};

/// One thread puts an item and gets one, with so many left inside.
#[derive(Clone, Copy)]
pub struct Alone {
    pub sample: Duration,
    pub capacity: Option<usize>,
    pub inside: u64,
}

impl Measure<u64> for Alone {
    type Output = f64;
    fn capacity(&self) -> Option<usize> {
        self.capacity
    }
    fn of<C: Channel<u64>>(self) -> f64 {
        let (sender, receiver) = filled::<C>(self.capacity, self.inside);
        let mut numbers = numbers(0, STEP);
        let mut got = 0;
        nanos_a_call(self.sample, || {
            // What comes next hangs on what came: two calls cannot overlap.
            C::put(&sender, numbers() ^ (got & 1));
            got = C::get(&receiver);
        })
    }
}

/// The ends of a queue with so many items inside. Apart, for the put that is measured is to have the
/// compiler's attention for itself.
#[inline(never)]
pub fn filled<C: Channel<u64>>(capacity: Option<usize>, inside: u64) -> (C::Sender, C::Receiver) {
    let (sender, receiver) = C::open(capacity);
    let mut numbers = numbers(1, STEP);
    (0..inside).for_each(|_| C::put(&sender, numbers()));
    (sender, receiver)
}

/// Numbers for things that are due some time soon: each is taken from a range of its own, which rises
/// by `step` from call to call. With a step of [`STEP`] a priority queue that gets one for each one
/// put works among about a thousand; numbers from one range for ever would leave the largest in it,
/// and whatever comes would be the next to go. None is [`END`].
pub fn numbers(seed: u64, step: u64) -> impl FnMut() -> u64 {
    let mut random = seed;
    let mut base = 0;
    move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        base += step;
        base + (random >> 32)
    }
}

/// A two thousandth of the range.
pub const STEP: u64 = (1 << 32) / 2_000;

/// One thread puts a thousand items and then gets them, over and over.
#[derive(Clone, Copy)]
pub struct InThenOut {
    pub sample: Duration,
}

impl Measure<u64> for InThenOut {
    type Output = f64;
    fn capacity(&self) -> Option<usize> {
        Some(1024)
    }
    fn of<C: Channel<u64>>(self) -> f64 {
        const ITEMS: u64 = 1_000;
        let (sender, receiver) = C::open(self.capacity());
        let mut sum = 0;
        let mut items = 0;
        let start = Instant::now();
        while start.elapsed() < self.sample {
            (0..ITEMS).for_each(|item| C::put(&sender, item));
            (0..ITEMS).for_each(|_| sum += C::get(&receiver));
            items += ITEMS;
        }
        let took = start.elapsed();
        assert_eq!(sum, items / ITEMS * (0..ITEMS).sum::<u64>(), "all came");
        took.as_secs_f64() * 1e9 / items as f64
    }
}

/// Some threads put without a pause, others get.
#[derive(Clone, Copy)]
pub struct Throughput {
    pub sample: Duration,
    pub capacity: Option<usize>,
    pub putters: usize,
    pub getters: usize,
}

impl<T: Item> Measure<T> for Throughput {
    type Output = [f64; 3];
    fn capacity(&self) -> Option<usize> {
        self.capacity
    }
    fn getters(&self) -> usize {
        self.getters
    }
    fn of<C: Channel<T>>(self) -> [f64; 3] {
        let (sender, receiver) = C::open(self.capacity);
        let receivers = receivers::<T, C>(receiver, self.getters);
        let getters: Vec<_> = receivers
            .into_iter()
            .map(|receiver| move || (C::get(&receiver).number() != END).then_some(1))
            .collect();
        let putters: Vec<_> = (0..self.putters)
            .map(|_| {
                let sender = sender.clone();
                let mut number = 0;
                move || {
                    C::put(&sender, T::of(number));
                    number += 1;
                }
            })
            .collect();
        let end = || (0..self.getters).for_each(|_| C::put(&sender, T::of(END)));
        flow(self.sample, putters, getters, end).figures()
    }
}

/// So many ends to get from.
pub fn receivers<T: Item, C: Channel<T>>(
    receiver: C::Receiver,
    getters: usize,
) -> Vec<C::Receiver> {
    let mut receivers: Vec<C::Receiver> =
        (1..getters).filter_map(|_| C::further(&receiver)).collect();
    receivers.push(receiver);
    assert_eq!(receivers.len(), getters, "as many getters as it offers");
    receivers
}

/// Two threads hand an item back and forth, each way through a queue of its own.
#[derive(Clone, Copy)]
pub struct PingPong {
    pub sample: Duration,
    pub pinned: Pinned,
}

impl Measure<u64> for PingPong {
    type Output = f64;
    fn capacity(&self) -> Option<usize> {
        Some(1)
    }
    fn of<C: Channel<u64>>(self) -> f64 {
        const BATCH: u32 = 16;
        let [here, there] = self.pinned.places();
        let _pin = here.map(Pin::to);
        let (ping, pinged) = C::open(self.capacity());
        let (pong, ponged) = C::open(self.capacity());
        thread::scope(|scope| {
            scope.spawn(move || {
                let _pin = there.map(Pin::to);
                loop {
                    let item = C::get(&pinged);
                    if item == END {
                        return;
                    }
                    C::put(&pong, item);
                }
            });
            let mut item = 0;
            let mut round_trip = || {
                C::put(&ping, item);
                item = C::get(&ponged) + 1;
            };
            round_trip(); // It runs, and is where it has to be.
            let mut trips = 0;
            let start = Instant::now();
            while start.elapsed() < self.sample {
                (0..BATCH).for_each(|_| round_trip());
                trips += BATCH;
            }
            let took = start.elapsed();
            C::put(&ping, END);
            took.as_secs_f64() * 1e6 / f64::from(trips)
        })
    }
}

/// What eight getters use of the processors while nothing comes for 200 ms.
#[derive(Clone, Copy)]
pub struct Idle;

impl Measure<u64> for Idle {
    type Output = f64;
    fn capacity(&self) -> Option<usize> {
        Some(64)
    }
    fn getters(&self) -> usize {
        8
    }
    fn of<C: Channel<u64>>(self) -> f64 {
        let (sender, receiver) = C::open(self.capacity());
        let receivers = receivers::<u64, C>(receiver, self.getters());
        thread::scope(|scope| {
            let idle: Vec<_> = receivers
                .into_iter()
                .map(|receiver| scope.spawn(move || Usage::of(|| C::get(&receiver))))
                .collect();
            thread::sleep(Duration::from_millis(200));
            (0..self.getters()).for_each(|_| C::put(&sender, END));
            let used = idle.into_iter().map(|getter| {
                let (_, usage) = getter.join().expect("it only gets");
                usage
            });
            let all = used.fold(Usage::default(), Usage::and);
            all.cpu.as_secs_f64() * 1e6
        })
    }
}
