//! FIFO queues: one thread putting and getting, throughput between threads and what it costs, back
//! and forth between two, idle getters, and batches.

mod batches;
mod channels;
pub mod measures;

use crate::flow;
use crate::instructions::{Operation, repeat};
use crate::place::Pinned;
use crate::run::{Figures, Metric, Workload};
use channels::{AsyncChannel, Crossbeam, Flume, Kanal, Ours, ParkingLot, StdBounded, StdUnbounded};
use measures::{Alone, Idle, InThenOut, PingPong, Throughput};
use std::hint::black_box;
use std::time::Duration;

/// What goes through a queue.
pub trait Item: Send + 'static {
    fn of(number: u64) -> Self;
    fn number(&self) -> u64;
}

/// Ends a getter; nobody else puts it. The last in any order.
pub const END: u64 = u64::MAX;

impl Item for u64 {
    #[inline]
    fn of(number: u64) -> u64 {
        number
    }
    #[inline]
    fn number(&self) -> u64 {
        *self
    }
}

/// An item of 256 bytes.
struct Wide([u64; 32]);

impl Item for Wide {
    #[inline]
    fn of(number: u64) -> Wide {
        Wide([number; 32])
    }
    #[inline]
    fn number(&self) -> u64 {
        black_box(self).0[0] // All of it has to have come.
    }
}

/// Two ends of a queue.
pub trait Channel<T: Item>: 'static {
    const NAME: &'static str;
    type Sender: Clone + Send;
    type Receiver: Send;
    /// Without a capacity it is never full.
    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver);
    /// Whether there is such a queue at all.
    fn offers(_capacity: Option<usize>, _getters: usize) -> bool {
        true
    }
    fn put(sender: &Self::Sender, item: T);
    fn get(receiver: &Self::Receiver) -> T;
    /// `None` for a further receiver: only one thread can receive.
    fn further(receiver: &Self::Receiver) -> Option<Self::Receiver>;
}

/// One workload, for whichever queue.
pub trait Measure<T: Item>: Copy + 'static {
    type Output: Into<Figures>;
    fn capacity(&self) -> Option<usize>;
    fn getters(&self) -> usize {
        1
    }
    fn of<C: Channel<T>>(self) -> Self::Output;
}

/// `C` as a peer, if it has such a queue.
pub fn peer<T: Item, C: Channel<T>>(workload: Workload, measure: impl Measure<T>) -> Workload {
    if !C::offers(measure.capacity(), measure.getters()) {
        return workload;
    }
    workload.peer(C::NAME, move || measure.of::<C>())
}

/// Everybody who has such a queue, at one workload.
fn everybody<T: Item>(name: &str, metrics: &[Metric], measure: impl Measure<T>) -> Workload {
    let workload = Workload::new(name, metrics).ours(move || measure.of::<Ours>());
    let workload = peer::<T, Crossbeam>(workload, measure);
    let workload = peer::<T, Flume>(workload, measure);
    let workload = peer::<T, Kanal>(workload, measure);
    let workload = peer::<T, StdBounded>(workload, measure);
    let workload = peer::<T, StdUnbounded>(workload, measure);
    let workload = peer::<T, AsyncChannel>(workload, measure);
    peer::<T, ParkingLot>(workload, measure)
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = Vec::new();
    let alone = [Metric::time("ns/put+get")];
    for capacity in [Some(1), Some(64), None] {
        let name = format!("uncontended put+get {}", bound(capacity));
        let measure = Alone {
            sample,
            capacity,
            inside: 0,
        };
        workloads.push(everybody::<u64>(&name, &alone, measure));
    }
    let name = "uncontended 1000 in, 1000 out cap=1024";
    workloads.push(everybody::<u64>(name, &alone, InThenOut { sample }));

    let throughput = |capacity, putters, getters| Throughput {
        sample,
        capacity,
        putters,
        getters,
    };
    for capacity in [Some(0), Some(1), Some(64), Some(1024), None] {
        for (putters, getters) in [(1, 1), (2, 2), (4, 4), (8, 8), (4, 1), (8, 1), (1, 8)] {
            let name = format!("throughput {} {putters}x{getters}", bound(capacity));
            let measure = throughput(capacity, putters, getters);
            workloads.push(everybody::<u64>(&name, &flow::METRICS, measure));
        }
    }
    for capacity in [Some(64), Some(1024)] {
        for threads in [1, 2, 4] {
            let name = format!("throughput {} {threads}x{threads} 256 B", bound(capacity));
            let measure = throughput(capacity, threads, threads);
            workloads.push(everybody::<Wide>(&name, &flow::METRICS, measure));
        }
    }
    for pinned in Pinned::ALL {
        let name = format!("ping-pong cap=1 {}", pinned.name());
        let measure = PingPong { sample, pinned };
        workloads.push(everybody::<u64>(
            &name,
            &[Metric::time("us/round trip")],
            measure,
        ));
    }
    workloads.push(everybody::<u64>(
        "8 idle getters, 200 ms",
        &[Metric::time("CPU us of all").shown()],
        Idle,
    ));
    workloads.extend(batches::workloads(sample));
    workloads
}

fn bound(capacity: Option<usize>) -> String {
    capacity.map_or_else(
        || "unbounded".to_owned(),
        |capacity| format!("cap={capacity}"),
    )
}

pub const OPERATIONS: &[Operation] = &[
    alone::<Ours>(),
    alone::<Crossbeam>(),
    alone::<Flume>(),
    alone::<Kanal>(),
    alone::<StdBounded>(),
    alone::<AsyncChannel>(),
    alone::<ParkingLot>(),
];

const fn alone<C: Channel<u64>>() -> Operation {
    Operation {
        name: "queue put+get cap=64",
        contender: C::NAME,
        times: |times| put_get::<C>(times, Some(64), 0),
    }
}

/// One thread puts and gets, with so many items left inside.
pub fn put_get<C: Channel<u64>>(times: u64, capacity: Option<usize>, inside: u64) {
    let mut item = 0;
    repeat(
        times,
        measures::filled::<C>(capacity, inside),
        |(sender, receiver)| {
            C::put(sender, item);
            item = C::get(receiver) + 1;
        },
    );
}
