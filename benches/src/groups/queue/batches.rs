//! Batches of 64 against 64 single operations, both on our own queue: what a batch is worth.

use crate::flow::flow;
use crate::run::{Metric, Workload};
use crate::work::nanos_a_call;
use latchwork::Shutdown;
use latchwork::queue::Queue;
use std::time::Duration;

const BATCH: u64 = 64;
const CAPACITY: usize = 1024;

/// How 64 items go in, and how some come out.
trait Way: 'static {
    fn put(queue: &Queue<u64>, first: u64);
    /// How many came; `None` when nothing will any more.
    fn get(queue: &Queue<u64>) -> Option<u64>;
}

struct Single;

impl Way for Single {
    #[inline]
    fn put(queue: &Queue<u64>, first: u64) {
        for item in first..first + BATCH {
            queue.put(item).expect("nobody has shut it down yet");
        }
    }
    #[inline]
    fn get(queue: &Queue<u64>) -> Option<u64> {
        for got in 0..BATCH {
            if queue.get().is_err() {
                return (got > 0).then_some(got);
            }
        }
        Some(BATCH)
    }
}

struct Together;

impl Way for Together {
    #[inline]
    fn put(queue: &Queue<u64>, first: u64) {
        let put = queue.put_many(first..first + BATCH);
        put.expect("nobody has shut it down yet");
    }
    #[inline]
    fn get(queue: &Queue<u64>) -> Option<u64> {
        let items = queue.get_many(BATCH as usize).ok()?;
        Some(items.len() as u64)
    }
}

/// Ours is the batches, the peer our own single operations. That is no comparison with anybody else,
/// so the group's figure leaves it out.
pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = vec![versus(
        "batches of 64 cap=1024, one thread",
        &[Metric::time("ns/item").shown()],
        Alone { sample },
    )];
    for threads in [1, 2, 4] {
        workloads.push(versus(
            &format!("batches of 64 cap=1024 {threads}x{threads}"),
            &[Metric::rate("items/s of 64").shown()],
            Throughput { sample, threads },
        ));
    }
    workloads
}

fn versus(name: &str, metrics: &[Metric], measure: impl Measure) -> Workload {
    let workload = Workload::new(name, metrics);
    let workload = workload.ours(move || measure.of::<Together>());
    workload.peer("(own) single operations", move || measure.of::<Single>())
}

trait Measure: Copy + 'static {
    fn of<W: Way>(self) -> f64;
}

/// One thread puts and gets 64.
#[derive(Clone, Copy)]
struct Alone {
    sample: Duration,
}

impl Measure for Alone {
    fn of<W: Way>(self) -> f64 {
        let queue = Queue::bounded(CAPACITY);
        let mut first = 0;
        let batch = nanos_a_call(self.sample, || {
            W::put(&queue, first);
            let got = W::get(&queue).expect("nobody shuts it down");
            assert_eq!(got, BATCH, "there were as many");
            first += BATCH;
        });
        batch / BATCH as f64
    }
}

/// Some threads put 64 at a time, as many others get them.
#[derive(Clone, Copy)]
struct Throughput {
    sample: Duration,
    threads: usize,
}

impl Measure for Throughput {
    fn of<W: Way>(self) -> f64 {
        let queue = &Queue::bounded(CAPACITY);
        let putters: Vec<_> = (0..self.threads)
            .map(|_| {
                let mut first = 0;
                move || {
                    W::put(queue, first);
                    first += BATCH;
                }
            })
            .collect();
        let getters: Vec<_> = (0..self.threads).map(|_| || W::get(queue)).collect();
        let end = || drop(queue.shutdown(Shutdown::Drain));
        let [items_a_second, ..] = flow(self.sample, putters, getters, end).figures();
        items_a_second
    }
}
