//! Bounded FIFO queues: one thread putting and getting, and throughput between threads.

use crate::instructions::{Operation, repeat};
use crate::run::{Metric, Workload};
use crate::work::nanos_a_call;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Two ends of a channel. `None` for a further receiver: only one thread can receive.
trait Channel: 'static {
    type Sender: Clone + Send;
    type Receiver: Send;
    fn open(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn put(sender: &Self::Sender, item: u64);
    fn get(receiver: &Self::Receiver) -> u64;
    fn further(receiver: &Self::Receiver) -> Option<Self::Receiver>;
}

struct Ours;

impl Channel for Ours {
    type Sender = latchwork::queue::Queue<u64>;
    type Receiver = latchwork::queue::Queue<u64>;
    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        let queue = latchwork::queue::Queue::bounded(capacity);
        (queue.clone(), queue)
    }
    #[inline]
    fn put(queue: &Self::Sender, item: u64) {
        queue.put(item).expect("nobody shuts it down");
    }
    #[inline]
    fn get(queue: &Self::Receiver) -> u64 {
        queue.get().expect("nobody shuts it down")
    }
    fn further(queue: &Self::Receiver) -> Option<Self::Receiver> {
        Some(queue.clone())
    }
}

/// Most channel crates look alike: a constructor with a capacity, `send` and `recv`.
macro_rules! channel {
    ($name:ident, $open:path, $sender:ty, $receiver:ty, $further:expr) => {
        struct $name;

        impl Channel for $name {
            type Sender = $sender;
            type Receiver = $receiver;
            fn open(capacity: usize) -> ($sender, $receiver) {
                $open(capacity)
            }
            #[inline]
            fn put(sender: &$sender, item: u64) {
                sender.send(item).expect("the receivers live");
            }
            #[inline]
            fn get(receiver: &$receiver) -> u64 {
                receiver.recv().expect("the senders live")
            }
            fn further(receiver: &$receiver) -> Option<$receiver> {
                let further: fn(&$receiver) -> Option<$receiver> = $further;
                further(receiver)
            }
        }
    };
}

channel!(
    Crossbeam,
    crossbeam_channel::bounded,
    crossbeam_channel::Sender<u64>,
    crossbeam_channel::Receiver<u64>,
    |receiver| Some(receiver.clone())
);
channel!(
    Flume,
    flume::bounded,
    flume::Sender<u64>,
    flume::Receiver<u64>,
    |receiver| Some(receiver.clone())
);
channel!(
    Kanal,
    kanal::bounded,
    kanal::Sender<u64>,
    kanal::Receiver<u64>,
    |receiver| Some(receiver.clone())
);
channel!(
    Std,
    mpsc::sync_channel,
    mpsc::SyncSender<u64>,
    mpsc::Receiver<u64>,
    |_| None
);

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = vec![
        Workload::new("put+get, one thread, cap=64", &[Metric::time("ns/put+get")])
            .ours(move || uncontended::<Ours>(sample))
            .peer("crossbeam-channel", move || {
                uncontended::<Crossbeam>(sample)
            })
            .peer("flume", move || uncontended::<Flume>(sample))
            .peer("kanal", move || uncontended::<Kanal>(sample))
            .peer("std sync_channel", move || uncontended::<Std>(sample)),
    ];
    for capacity in [1, 64, 1024] {
        for (putters, getters) in [(1, 1), (2, 2), (4, 4), (4, 1)] {
            let name = format!("throughput cap={capacity} {putters}x{getters}");
            let flow = Flow {
                sample,
                capacity,
                putters,
                getters,
            };
            let mut workload = Workload::new(name, &[Metric::rate("items/s")])
                .ours(move || flow.through::<Ours>())
                .peer("crossbeam-channel", move || flow.through::<Crossbeam>())
                .peer("flume", move || flow.through::<Flume>())
                .peer("kanal", move || flow.through::<Kanal>());
            if getters == 1 {
                workload = workload.peer("std sync_channel", move || flow.through::<Std>());
            }
            workloads.push(workload);
        }
    }
    workloads
}

fn uncontended<C: Channel>(sample: Duration) -> f64 {
    let (sender, receiver) = C::open(64);
    let mut item = 0;
    nanos_a_call(sample, || {
        C::put(&sender, item);
        item = C::get(&receiver) + 1;
    })
}

/// Ends a getter; no putter sends it.
const END: u64 = u64::MAX;

#[derive(Clone, Copy)]
struct Flow {
    sample: Duration,
    capacity: usize,
    putters: usize,
    getters: usize,
}

impl Flow {
    /// Items a second from the first put to the last get. Putters stop when the time is over, then
    /// an END for each getter follows everything they put.
    fn through<C: Channel>(self) -> f64 {
        let (sender, receiver) = C::open(self.capacity);
        let mut receivers: Vec<C::Receiver> = (1..self.getters)
            .filter_map(|_| C::further(&receiver))
            .collect();
        receivers.push(receiver);
        assert_eq!(
            receivers.len(),
            self.getters,
            "as many getters as the workload's name says"
        );

        let stop = AtomicBool::new(false);
        let begin = Barrier::new(self.putters + self.getters + 1);
        let (stop, begin) = (&stop, &begin);
        thread::scope(|scope| {
            let getters: Vec<_> = receivers
                .into_iter()
                .map(|receiver| {
                    scope.spawn(move || {
                        begin.wait();
                        let mut items = 0_u64;
                        while C::get(&receiver) != END {
                            items += 1;
                        }
                        // The receiver goes back: it must outlive the other getters' ENDs.
                        (items, receiver)
                    })
                })
                .collect();
            let putters: Vec<_> = (0..self.putters)
                .map(|_| {
                    let sender = sender.clone();
                    scope.spawn(move || {
                        begin.wait();
                        let mut item = 0;
                        while !stop.load(Ordering::Relaxed) {
                            C::put(&sender, item);
                            item += 1;
                        }
                    })
                })
                .collect();
            begin.wait();
            let start = Instant::now();
            thread::sleep(self.sample);
            stop.store(true, Ordering::Relaxed);
            for putter in putters {
                putter.join().expect("the getters still get");
            }
            for _ in 0..self.getters {
                C::put(&sender, END);
            }
            let ended: Vec<_> = getters
                .into_iter()
                .map(|getter| getter.join().expect("it only gets"))
                .collect();
            let items: u64 = ended.iter().map(|(items, _)| items).sum();
            items as f64 / start.elapsed().as_secs_f64()
        })
    }
}

pub const OPERATIONS: &[Operation] = &[
    alone("latchwork", put_get::<Ours>),
    alone("crossbeam-channel", put_get::<Crossbeam>),
    alone("flume", put_get::<Flume>),
    alone("kanal", put_get::<Kanal>),
    alone("std sync_channel", put_get::<Std>),
];

const fn alone(contender: &'static str, times: fn(u64)) -> Operation {
    Operation {
        name: "queue put+get cap=64",
        contender,
        times,
    }
}

fn put_get<C: Channel>(times: u64) {
    let (sender, receiver) = C::open(64);
    let mut item = 0;
    repeat(times, (sender, receiver), |(sender, receiver)| {
        C::put(sender, item);
        item = C::get(receiver) + 1;
    });
}
