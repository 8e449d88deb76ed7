//! Thread pools that return results: many tiny tasks, one at a time, and batches.
//!
//! rayon and threadpool have no future for a spawned task; beside ours, which returns one for each,
//! they send their results through a channel, as one does with them.

use crate::run::{Metric, Workload};
use crate::work::micros_mean_and_median;
use latchwork::executor::{TaskFuture, ThreadPoolExecutor};
use std::hint::black_box;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;

trait Pool: 'static {
    fn start() -> Self;
    /// Submits a tiny task for each of `0..tasks`, then takes all results; returns their sum.
    fn submit_all(&self, tasks: u64) -> u64;
    /// Submits one tiny task and waits for its result.
    fn round_trip(&self, argument: u64) -> u64;
    /// As `submit_all`, by whatever the pool has for batches.
    fn fan_out_in(&self, tasks: u64) -> u64 {
        self.submit_all(tasks)
    }
}

/// What a tiny task does.
fn tiny(argument: u64) -> u64 {
    black_box(argument + 1)
}

struct Ours(ThreadPoolExecutor);

impl Pool for Ours {
    fn start() -> Self {
        Ours(ThreadPoolExecutor::new(WORKERS))
    }
    fn submit_all(&self, tasks: u64) -> u64 {
        let submit = |argument| {
            self.0
                .spawn(move || tiny(argument))
                .expect("the pool is open")
        };
        let futures: Vec<_> = (0..tasks).map(submit).collect();
        let result = |future: TaskFuture<u64>| future.result().expect("the task does not panic");
        futures.into_iter().map(result).sum()
    }
    fn round_trip(&self, argument: u64) -> u64 {
        let future = self
            .0
            .spawn(move || tiny(argument))
            .expect("the pool is open");
        future.result().expect("the task does not panic")
    }
}

struct Rayon(rayon::ThreadPool);

impl Pool for Rayon {
    fn start() -> Self {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(WORKERS);
        Rayon(builder.build().expect("threads start"))
    }
    fn submit_all(&self, tasks: u64) -> u64 {
        let (sender, results) = mpsc::channel();
        for argument in 0..tasks {
            let sender = sender.clone();
            self.0
                .spawn(move || sender.send(tiny(argument)).expect("the receiver lives"));
        }
        drop(sender);
        results.iter().sum()
    }
    fn round_trip(&self, argument: u64) -> u64 {
        self.0.install(|| tiny(argument))
    }
    fn fan_out_in(&self, tasks: u64) -> u64 {
        let mut results = vec![0; tasks as usize];
        self.0.scope(|scope| {
            for (argument, result) in results.iter_mut().enumerate() {
                scope.spawn(move |_| *result = tiny(argument as u64));
            }
        });
        results.iter().sum()
    }
}

struct Threadpool(threadpool::ThreadPool);

impl Pool for Threadpool {
    fn start() -> Self {
        Threadpool(threadpool::ThreadPool::new(WORKERS))
    }
    fn submit_all(&self, tasks: u64) -> u64 {
        let (sender, results) = mpsc::channel();
        for argument in 0..tasks {
            let sender = sender.clone();
            self.0
                .execute(move || sender.send(tiny(argument)).expect("the receiver lives"));
        }
        drop(sender);
        results.iter().sum()
    }
    fn round_trip(&self, argument: u64) -> u64 {
        let (sender, result) = mpsc::sync_channel(1);
        self.0
            .execute(move || sender.send(tiny(argument)).expect("the receiver lives"));
        result.recv().expect("the task sends")
    }
}

struct Tokio(tokio::runtime::Runtime);

impl Pool for Tokio {
    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // Its async workers have nothing to do here; spawn_blocking has threads of its own.
        builder.worker_threads(1).max_blocking_threads(WORKERS);
        Tokio(builder.build().expect("threads start"))
    }
    fn submit_all(&self, tasks: u64) -> u64 {
        let submit = |argument| self.0.spawn_blocking(move || tiny(argument));
        let handles: Vec<_> = (0..tasks).map(submit).collect();
        self.0.block_on(async {
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.expect("the task does not panic");
            }
            sum
        })
    }
    fn round_trip(&self, argument: u64) -> u64 {
        let handle = self.0.spawn_blocking(move || tiny(argument));
        self.0.block_on(handle).expect("the task does not panic")
    }
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let latency = [Metric::time("us/round trip"), Metric::time("p50 us")];
    vec![
        Workload::new(
            "tiny tasks from outside, results taken",
            &[Metric::rate("tasks/s")],
        )
        .ours(move || tiny_tasks::<Ours>(sample))
        .peer("rayon + channel", move || tiny_tasks::<Rayon>(sample))
        .peer("threadpool + channel", move || {
            tiny_tasks::<Threadpool>(sample)
        })
        .peer("tokio spawn_blocking", move || tiny_tasks::<Tokio>(sample)),
        Workload::new("submit->result one at a time", &latency)
            .ours(move || round_trips::<Ours>(sample))
            .peer("rayon install", move || round_trips::<Rayon>(sample))
            .peer("threadpool + channel", move || {
                round_trips::<Threadpool>(sample)
            })
            .peer("tokio spawn_blocking", move || round_trips::<Tokio>(sample)),
        Workload::new("fan-out/fan-in of 1,000", &[Metric::time("us/batch")])
            .ours(move || batches::<Ours>(sample))
            .peer("rayon scope", move || batches::<Rayon>(sample))
            .peer("threadpool + channel", move || {
                batches::<Threadpool>(sample)
            })
            .peer("tokio spawn_blocking", move || batches::<Tokio>(sample)),
    ]
}

/// The sum that proves that every task of `submit_all` ran.
fn sum_of(tasks: u64) -> u64 {
    tasks * (tasks + 1) / 2
}

/// A pool that has started its threads: start-up is not what is measured here.
fn started<P: Pool>() -> P {
    let pool = P::start();
    assert_eq!(pool.submit_all(1_000), sum_of(1_000));
    pool
}

fn tiny_tasks<P: Pool>(sample: Duration) -> f64 {
    const TASKS: u64 = 10_000;
    let pool = started::<P>();
    let mut tasks = 0;
    let start = Instant::now();
    while start.elapsed() < sample {
        assert_eq!(pool.submit_all(TASKS), sum_of(TASKS));
        tasks += TASKS;
    }
    tasks as f64 / start.elapsed().as_secs_f64()
}

fn round_trips<P: Pool>(sample: Duration) -> [f64; 2] {
    let pool = started::<P>();
    let mut argument = 0;
    micros_mean_and_median(sample, || argument = pool.round_trip(argument))
}

fn batches<P: Pool>(sample: Duration) -> f64 {
    let pool = started::<P>();
    let [mean, _] = micros_mean_and_median(sample, || {
        assert_eq!(pool.fan_out_in(1_000), sum_of(1_000));
    });
    mean
}
