//! Work of a known length, and the ways to time it.

use rustix::time::{ClockId, clock_gettime};
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

/// The time by a clock that is the same one in all processes.
#[inline]
pub fn nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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

/// Microseconds of each call, called over and over for about `sample`.
pub fn micros(sample: Duration, mut operation: impl FnMut()) -> Vec<f64> {
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < sample {
        let begun = Instant::now();
        operation();
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    times
}

pub fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// Mean and median time of a call in microseconds, called over and over for about `sample`.
pub fn micros_mean_and_median(sample: Duration, operation: impl FnMut()) -> [f64; 2] {
    let times = micros(sample, operation);
    [mean(&times), median(&times)]
}

/// Calls a second of all threads together; each thread calls what `operation` makes for it.
pub fn calls_a_second<F: FnMut() + Send>(
    sample: Duration,
    threads: usize,
    operation: impl Fn() -> F,
) -> f64 {
    let (calls, elapsed) = at_once(sample, threads, || {
        let mut operation = operation();
        move |stop: &AtomicBool| {
            let mut calls = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                operation();
                calls += 1;
            }
            calls
        }
    });
    calls.iter().sum::<u64>() as f64 / elapsed.as_secs_f64()
}

/// How long the calls of each thread waited, as they say; each thread calls what `operation` makes
/// for it.
pub fn waits<F: FnMut() -> Duration + Send>(
    sample: Duration,
    threads: usize,
    operation: impl Fn() -> F,
) -> Vec<Waits> {
    let (waits, _) = at_once(sample, threads, || {
        let mut operation = operation();
        let mut waits = Waits::default();
        move |stop: &AtomicBool| {
            while !stop.load(Ordering::Relaxed) {
                waits.add(operation());
            }
            waits
        }
    });
    waits
}

/// Starts so many threads together, tells them to stop after `sample`, and returns what they return
/// and how long it took.
fn at_once<R: Send, F: FnOnce(&AtomicBool) -> R + Send>(
    sample: Duration,
    threads: usize,
    body: impl Fn() -> F,
) -> (Vec<R>, Duration) {
    let stop = AtomicBool::new(false);
    let begin = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let body = body();
                let (begin, stop) = (&begin, &stop);
                scope.spawn(move || {
                    begin.wait();
                    body(stop)
                })
            })
            .collect();
        begin.wait();
        let start = Instant::now();
        thread::sleep(sample);
        stop.store(true, Ordering::Relaxed);
        let ended = running
            .into_iter()
            .map(|thread| thread.join().expect("it only measures"))
            .collect();
        (ended, start.elapsed())
    })
}

/// How long many calls waited: a histogram whose steps are a thirty-second of what they hold, so
/// that adding to it costs a few nanoseconds and no memory; the longest is kept exactly.
#[derive(Clone)]
pub struct Waits {
    counts: Box<[u64; STEPS]>,
    longest: Duration,
}

/// A power of two.
const STEPS_A_DOUBLING: usize = 32;
/// Enough for every `u64`.
const STEPS: usize = STEPS_A_DOUBLING * 60;

impl Default for Waits {
    fn default() -> Waits {
        Waits {
            counts: Box::new([0; STEPS]),
            longest: Duration::ZERO,
        }
    }
}

impl Waits {
    #[inline]
    pub fn add(&mut self, wait: Duration) {
        self.counts[step_of(wait.as_nanos() as u64)] += 1;
        self.longest = self.longest.max(wait);
    }

    pub fn of_all(parts: &[Waits]) -> Waits {
        let mut all = Waits::default();
        for part in parts {
            for (sum, count) in all.counts.iter_mut().zip(part.counts.iter()) {
                *sum += count;
            }
            all.longest = all.longest.max(part.longest);
        }
        all
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The wait that the fraction `q` of all was shorter than, to a thirty-second.
    pub fn quantile(&self, q: f64) -> Duration {
        let mut left = (self.count() as f64 * q) as u64;
        for (step, &count) in self.counts.iter().enumerate() {
            if left < count {
                return Duration::from_nanos(begin_of(step)).min(self.longest);
            }
            left -= count;
        }
        self.longest
    }
}

/// The step of the histogram that holds so many nanoseconds: below 32 each has its own, and from
/// there every doubling is cut into 32.
fn step_of(nanos: u64) -> usize {
    const BITS: u32 = STEPS_A_DOUBLING.ilog2();
    let doubling = (u64::BITS - nanos.leading_zeros()).saturating_sub(BITS + 1);
    doubling as usize * STEPS_A_DOUBLING + (nanos >> doubling) as usize
}

/// The fewest nanoseconds that a step holds.
fn begin_of(step: usize) -> u64 {
    let doubling = (step / STEPS_A_DOUBLING).saturating_sub(1);
    ((step - doubling * STEPS_A_DOUBLING) as u64) << doubling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_has_a_step_no_wider_than_a_thirty_second_of_it() {
        let some = (0..1_000).chain((0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + power / 3]
        }));
        for nanos in some {
            let begin = begin_of(step_of(nanos));
            assert!(begin <= nanos && nanos - begin <= nanos / 32, "{nanos}");
        }
        assert_eq!(step_of(u64::MAX), STEPS - 1);
    }

    #[test]
    fn quantiles_of_waits_are_those_of_all_threads_together() {
        let micros = |range: std::ops::Range<u64>| {
            let mut waits = Waits::default();
            range.for_each(|micros| waits.add(Duration::from_micros(micros)));
            waits
        };
        let all = Waits::of_all(&[micros(0..500), micros(500..1_000)]);
        assert_eq!(all.count(), 1_000);
        assert_eq!(all.longest(), Duration::from_micros(999));
        let median = all.quantile(0.5).as_nanos();
        assert!((480_000..=500_000).contains(&median), "{median}");
        assert!(all.quantile(0.999) > Duration::from_micros(960));
        assert_eq!(Waits::default().quantile(0.5), Duration::ZERO);
    }
}
