//! Work of a known length, and the ways to time it.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::median;

/// Keeps one core busy: each step needs the last one's result.
///
/// So does the first: fed with what the last call returned, the processor cannot overlap two calls,
/// nor a call with the lock around it.
#[inline]
pub fn spin(mut value: u64, steps: u32) -> u64 {
    for _ in 0..steps {
        value = value
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
    }
    black_box(value)
}

/// How many steps of [`spin`] take about so long here.
pub fn steps(time: Duration) -> u32 {
    static NANOS_A_STEP: OnceLock<f64> = OnceLock::new();
    let nanos_a_step = NANOS_A_STEP.get_or_init(|| {
        const STEPS: u32 = 100_000;
        let one = || {
            let start = Instant::now();
            spin(black_box(1), STEPS);
            start.elapsed().as_secs_f64() * 1e9 / f64::from(STEPS)
        };
        // The quickest: whatever disturbs makes it slower, never faster.
        (0..50).map(|_| one()).fold(f64::INFINITY, f64::min)
    });
    (time.as_secs_f64() * 1e9 / nanos_a_step).round() as u32
}

/// Nanoseconds a call of `operation`, called over and over for about `sample`.
pub fn nanos_a_call(sample: Duration, mut operation: impl FnMut()) -> f64 {
    const BATCH: u32 = 1_000;
    let mut calls = 0_u64;
    let start = Instant::now();
    loop {
        for _ in 0..BATCH {
            operation();
        }
        calls += u64::from(BATCH);
        let elapsed = start.elapsed();
        if elapsed >= sample {
            return elapsed.as_secs_f64() * 1e9 / calls as f64;
        }
    }
}

/// Mean and median time of a call in microseconds, called over and over for about `sample`.
pub fn micros_mean_and_median(sample: Duration, mut operation: impl FnMut()) -> [f64; 2] {
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < sample {
        let begun = Instant::now();
        operation();
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    [
        times.iter().sum::<f64>() / times.len() as f64,
        median(&times),
    ]
}

/// Calls a second of all threads together; each thread calls what `operation` makes for it.
pub fn calls_a_second<F: FnMut() + Send>(
    sample: Duration,
    threads: usize,
    operation: impl Fn() -> F,
) -> f64 {
    let stop = AtomicBool::new(false);
    let begin = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let mut operation = operation();
                let (begin, stop) = (&begin, &stop);
                scope.spawn(move || {
                    begin.wait();
                    let mut calls = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        operation();
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        begin.wait();
        let start = Instant::now();
        thread::sleep(sample);
        stop.store(true, Ordering::Relaxed);
        let calls: u64 = running
            .into_iter()
            .map(|t| t.join().expect("it only counts"))
            .sum();
        calls as f64 / start.elapsed().as_secs_f64()
    })
}
