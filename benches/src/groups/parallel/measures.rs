//! What is measured of loops and forks: milliseconds for the whole, and every result is checked.

use super::contenders::{Forks, Loops};
use crate::groups::pool::sum_of;
use crate::work::{mean, micros, spin, steps};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Mean milliseconds of `work`, over and over for about `sample` and once at least.
fn millis(sample: Duration, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    let first = start.elapsed();
    if first >= sample {
        return first.as_secs_f64() * 1e3;
    }
    // Threads start in the first.
    mean(&micros(sample, work)) / 1e3
}

pub fn map<L: Loops>(items: u64, steps: u32, sample: Duration) -> f64 {
    let loops = L::start();
    assert_eq!(loops.map(1_000, steps).iter().sum::<u64>(), sum_of(1_000));
    millis(sample, || {
        let results = black_box(loops.map(items, steps));
        assert_eq!(results.len() as u64, items);
        assert_eq!(results.last(), Some(&items));
    })
}

pub fn sum<L: Loops>(numbers: &Arc<Vec<u64>>, sample: Duration) -> f64 {
    let loops = L::start();
    let expected = numbers.len() as u64 * (numbers.len() as u64 - 1) / 2;
    millis(sample, || assert_eq!(loops.sum(numbers), expected))
}

/// A loop whose last item takes 50 us, and each other as much less as it comes before.
pub fn rising<L: Loops>(items: u64, sample: Duration) -> f64 {
    let loops = L::start();
    let longest = f64::from(steps(Duration::from_micros(50)));
    let steps_an_item = longest / items as f64;
    let sum = Arc::new(AtomicU64::new(0));
    let its = Arc::clone(&sum);
    let body = Arc::new(move |item: u64| {
        spin(item, (item as f64 * steps_an_item) as u32);
        its.fetch_add(item + 1, Ordering::Relaxed);
    });
    millis(sample, || {
        loops.for_each(items, Arc::clone(&body));
        assert_eq!(sum.swap(0, Ordering::Relaxed), sum_of(items));
    })
}

pub fn fib<F: Forks>(n: u32, cutoff: u32, sample: Duration) -> f64 {
    let forks = F::start();
    let (expected, _) = (0..n).fold((0, 1), |(a, b), _| (b, a + b));
    millis(sample, || {
        assert_eq!(forks.fib(black_box(n), cutoff), expected);
    })
}
