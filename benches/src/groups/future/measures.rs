//! What is measured of futures. Each proves by a sum that every result was there, once.

use crate::allocated::allocated_by;
use crate::groups::pool::contenders::{Futures, Ours, TokioBlocking, taken};
use crate::groups::pool::{sum_of, task};
use crate::run::median;
use crate::work::{mean, micros, nanos_a_call};
use futures::stream::{FuturesUnordered, StreamExt};
use latchwork::Limit;
use latchwork::executor::{self, TaskFuture};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tokio::task::JoinSet;

const WORKERS: usize = 2;
const MANY: u64 = 1_000;

/// A pool that has started its threads.
fn started<P: Futures>(workers: usize) -> P {
    let pool = P::start(workers);
    assert_eq!(pool.submit_all(0..100, 0), sum_of(100));
    pool
}

/// What a task that waits for its turn occupies, with its future, which lies in a list.
pub fn bytes_each<P: Futures>(many: u64) -> f64 {
    let pool = started::<P>(1);
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::sync_channel(1);
    let busy = pool.spawn(move || {
        begin.send(()).expect("it is waited for");
        u64::from(released.recv().is_err())
    });
    begun.recv().expect("the worker begins");
    let mut futures = Vec::with_capacity(many as usize);
    let bytes = allocated_by(|| {
        for argument in 0..many {
            futures.push(pool.spawn(move || task(argument, 0)));
        }
    });
    drop(release);
    assert_eq!(P::value(pollster::block_on(busy)), 1);
    let values = futures.into_iter().map(|f| P::value(pollster::block_on(f)));
    assert_eq!(values.sum::<u64>(), sum_of(many));
    // The list's own place for a future is no allocation of the pool's, but it is memory.
    bytes as f64 / many as f64 + size_of::<P::Future>() as f64
}

pub fn promised(sample: Duration, promise: impl Fn(u64) -> u64) -> f64 {
    let mut sum = 0;
    let mut calls = 0;
    let nanos = nanos_a_call(sample, || {
        sum += promise(black_box(3));
        calls += 1;
    });
    assert_eq!(sum, calls * 3);
    nanos
}

/// This thread awaits one task after the other: mean and median.
pub fn awaited<P: Futures>(sample: Duration) -> [f64; 2] {
    let pool = started::<P>(WORKERS);
    let mut argument = 0;
    let times = micros(sample, || {
        let future = pool.spawn(move || task(argument, 0));
        argument = P::value(pollster::block_on(future));
    });
    assert_eq!(argument, times.len() as u64);
    [mean(&times), median(&times)]
}

/// Microseconds that a thousand tasks take until `sum` has all their results.
pub fn batches<P: Futures>(sample: Duration, sum: impl Fn(&P, Vec<P::Future>) -> u64) -> f64 {
    let pool = started::<P>(WORKERS);
    let times = micros(sample, || {
        let submit = |argument| pool.spawn(move || task(argument, 0));
        let futures = (0..MANY).map(submit).collect();
        assert_eq!(sum(&pool, futures), sum_of(MANY));
    });
    mean(&times)
}

/// As `batches`, where the set of tasks spawns them.
pub fn batches_of_join_set(
    sample: Duration,
    sum: impl Fn(&TokioBlocking, JoinSet<u64>) -> u64,
) -> f64 {
    let pool = started::<TokioBlocking>(WORKERS);
    let times = micros(sample, || {
        let mut set = JoinSet::new();
        for argument in 0..MANY {
            set.spawn_blocking_on(move || task(argument, 0), pool.0.handle());
        }
        assert_eq!(sum(&pool, set), sum_of(MANY));
    });
    mean(&times)
}

pub fn as_completed(_: &Ours, futures: Vec<TaskFuture<u64>>) -> u64 {
    let ended = latchwork::executor::as_completed(futures, Limit::none());
    ended.map(|future| taken(future.expect("no limit"))).sum()
}

pub fn unordered<P: Futures>(_: &P, futures: Vec<P::Future>) -> u64 {
    let ended: FuturesUnordered<P::Future> = futures.into_iter().collect();
    pollster::block_on(ended.fold(0, async |sum, output| sum + P::value(output)))
}

pub fn join_next(pool: &TokioBlocking, mut set: JoinSet<u64>) -> u64 {
    pool.0.block_on(async {
        let mut sum = 0;
        while let Some(result) = set.join_next().await {
            sum += result.expect("the task does not panic");
        }
        sum
    })
}

/// All of ours, as one future.
pub fn all(_: &Ours, futures: Vec<TaskFuture<u64>>) -> u64 {
    let results = executor::join_all(futures)
        .result()
        .expect("nobody cancels it");
    results
        .into_iter()
        .map(|result| result.expect("the task does not panic"))
        .sum()
}

pub fn join_all<P: Futures>(_: &P, futures: Vec<P::Future>) -> u64 {
    let outputs = pollster::block_on(futures::future::join_all(futures));
    outputs.into_iter().map(P::value).sum()
}

pub fn join_set(pool: &TokioBlocking, set: JoinSet<u64>) -> u64 {
    pool.0.block_on(set.join_all()).into_iter().sum()
}

/// Counts callbacks, and tells the thread that waits for the last one.
struct Called {
    count: AtomicU64,
    waiting: thread::Thread,
}

impl Called {
    fn new() -> Arc<Called> {
        Arc::new(Called {
            count: AtomicU64::new(0),
            waiting: thread::current(),
        })
    }

    fn call(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 == MANY {
            self.waiting.unpark();
        }
    }

    fn wait(&self) {
        while self.count.load(Ordering::Acquire) < MANY {
            thread::park();
        }
    }
}

pub fn callbacks(_: &Ours, futures: Vec<TaskFuture<u64>>) -> u64 {
    let called = Called::new();
    for future in &futures {
        let called = Arc::clone(&called);
        future.on_done(move |_| called.call());
    }
    called.wait();
    futures.into_iter().map(taken).sum()
}

/// Who has no callbacks awaits in one task for all, which wakes up for each.
pub fn watched<P: Futures>(_: &P, futures: Vec<P::Future>) -> u64 {
    let called = Called::new();
    let watch = futures.into_iter().map(|future| {
        let called = Arc::clone(&called);
        async move {
            let value = P::value(future.await);
            called.call();
            value
        }
    });
    let watched: FuturesUnordered<_> = watch.collect();
    let sum = pollster::block_on(watched.fold(0, async |sum, value| sum + value));
    called.wait();
    sum
}
