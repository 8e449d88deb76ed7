//! Our process pool, doing what the Python script beside does.

use super::WORKERS;
use crate::work::micros_mean_and_median;
use latchwork::executor::{Executor as _, ProcessPoolExecutor};
use std::time::{Duration, Instant};

fn tiny(argument: u64) -> u64 {
    argument + 1
}

/// A pool whose workers have started.
fn started() -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::new(WORKERS).expect("workers start");
    assert_eq!(sum_of_map(&pool, 100), 5050);
    pool
}

fn sum_of_map(pool: &ProcessPoolExecutor, items: u64) -> u64 {
    let results = pool.map(tiny, 0..items).expect("the pool is open");
    results
        .map(|result| result.expect("the task does not fail"))
        .sum()
}

pub fn start() -> f64 {
    let begin = Instant::now();
    let pool = ProcessPoolExecutor::new(WORKERS).expect("workers start");
    let submit = |argument| pool.submit(tiny, argument).expect("the pool is open");
    let futures: Vec<_> = (0..WORKERS as u64).map(submit).collect();
    let results = futures
        .into_iter()
        .map(|future| future.result().expect("it does not fail"));
    assert_eq!(results.collect::<Vec<_>>(), [1, 2]);
    begin.elapsed().as_secs_f64() * 1e3
}

pub fn round_trips(sample: Duration) -> [f64; 2] {
    let pool = started();
    let mut argument = 0;
    micros_mean_and_median(sample, || {
        let future = pool.submit(tiny, argument).expect("the pool is open");
        argument = future.result().expect("the task does not fail");
    })
}

pub fn items_a_second(sample: Duration) -> f64 {
    const ITEMS: u64 = 500;
    let pool = started();
    let mut items = 0;
    let begin = Instant::now();
    while begin.elapsed() < sample {
        assert_eq!(sum_of_map(&pool, ITEMS), ITEMS * (ITEMS + 1) / 2);
        items += ITEMS;
    }
    items as f64 / begin.elapsed().as_secs_f64()
}
