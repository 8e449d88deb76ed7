//! [`Histogram`]: how often a time was how long, in a kilobyte or two, to within an eighth of it.
//!
//! Eight classes for each power of two of nanoseconds. One worker writes, with plain loads and stores; whoever
//! reads meanwhile sees each count as it was at some time. Not modelled: nothing depends on a count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Classes for each power of two, as a power of two.
const FINE: u32 = 3;
const CLASSES: usize = (64 - FINE as usize + 1) << FINE;

fn class_of(nanos: u64) -> usize {
    match nanos.checked_ilog2() {
        Some(power) if power >= FINE => {
            let shift = power - FINE;
            ((shift as usize + 1) << FINE) + ((nanos >> shift) as usize & ((1 << FINE) - 1))
        }
        _ => nanos as usize,
    }
}

/// The longest time of a class.
fn longest_of(class: usize) -> u64 {
    let (power, fine) = (class >> FINE, (class & ((1 << FINE) - 1)) as u64);
    match power {
        0 => fine,
        _ => ((((1 << FINE) + fine + 1) as u128) << (power - 1)).saturating_sub(1) as u64,
    }
}

/// See the head of this file.
pub(super) struct Histogram {
    counts: Box<[AtomicU64]>,
    /// In nanoseconds.
    max: AtomicU64,
}

impl Histogram {
    pub(super) fn new() -> Histogram {
        Histogram {
            counts: (0..CLASSES).map(|_| AtomicU64::new(0)).collect(),
            max: AtomicU64::new(0),
        }
    }

    /// Called by one thread, or by one at a time.
    pub(super) fn note(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        add(&self.counts[class_of(nanos)], 1);
        if nanos > self.max.load(Ordering::Relaxed) {
            self.max.store(nanos, Ordering::Relaxed);
        }
    }

    /// As if what `other` has noted had been noted here. Called as `note` is.
    pub(super) fn merge(&self, other: &Histogram) {
        for (mine, its) in self.counts.iter().zip(&other.counts) {
            add(mine, its.load(Ordering::Relaxed));
        }
        let max = other.max.load(Ordering::Relaxed);
        if max > self.max.load(Ordering::Relaxed) {
            self.max.store(max, Ordering::Relaxed);
        }
    }

    pub(super) fn summary(&self) -> Times {
        let counts: Vec<u64> = (self.counts.iter())
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let count: u64 = counts.iter().sum();
        let max = self.max.load(Ordering::Relaxed);
        let percentile = |percent: u64| {
            let rank = (count * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let class = counts.iter().position(|&n| {
                seen += n;
                seen >= rank
            });
            Duration::from_nanos(class.map_or(0, longest_of).min(max))
        };
        Times {
            count,
            p50: percentile(50),
            p99: percentile(99),
            max: Duration::from_nanos(max),
        }
    }
}

/// By the only writer.
pub(super) fn add(counter: &AtomicU64, n: u64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(n), Ordering::Relaxed);
}

/// How long something took, over many times; part of [`Stats`](super::Stats).
///
/// The percentiles are upper bounds, at most an eighth too long; the longest is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// How many there are.
    pub count: u64,
    /// Half of them were no longer.
    pub p50: Duration,
    /// 99 of 100 were no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_falls_into_it_and_is_an_eighth_wide() {
        let mut before = 0;
        for power in 0..64 {
            for nanos in [
                1_u64 << power,
                (1 << power) + (1 << power) / 3,
                u64::MAX >> (63 - power),
            ] {
                let class = class_of(nanos);
                assert!(class >= before && class < CLASSES);
                before = class;
                let longest = longest_of(class);
                assert!(
                    longest >= nanos && longest - nanos <= nanos / 8,
                    "{nanos} {longest}"
                );
            }
        }
    }

    #[test]
    fn percentiles_bound_from_above() {
        let (one, two) = (Histogram::new(), Histogram::new());
        for n in 1..=100 {
            let half = if n % 2 == 0 { &one } else { &two };
            half.note(Duration::from_micros(n));
        }
        one.merge(&two);
        let times = one.summary();
        assert_eq!((times.count, times.max), (100, Duration::from_micros(100)));
        let within = |time: Duration, exact: u64| {
            let exact = Duration::from_micros(exact);
            assert!(time >= exact && time <= exact * 9 / 8, "{time:?}");
        };
        within(times.p50, 50);
        within(times.p99, 99);
        assert_eq!(Histogram::new().summary(), Times::default());
    }
}
