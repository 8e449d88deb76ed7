//! Parallel loops and recursions: maps, sums, loops of unequal items, forks at every level.
//!
//! rayon is the peer. Limits are: chili, which only forks, has every fork hand on who runs it, and gives
//! work away at its heartbeat alone; who cuts a loop in two by hand; who does it alone.

mod contenders;
mod measures;

use super::pool::a_microsecond;
use crate::run::{Metric, Workload};
use contenders::{Alone, Chili, Halves, Ours, Rayon};
use std::sync::Arc;
use std::time::Duration;

const WORKERS: usize = 2;

/// All who loop, at one workload.
macro_rules! loops {
    ($workload:expr, |$L:ident| $sample:expr) => {{
        macro_rules! with {
            ($contender:ty) => {
                move || {
                    type $L = $contender;
                    $sample
                }
            };
        }
        $workload
            .ours(with!(Ours))
            .peer("rayon", with!(Rayon))
            .limit("halves, scoped threads", with!(Halves))
    }};
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    // A short sample is a look whether everything runs.
    let (items, numbers, n) = if sample < Duration::from_millis(60) {
        (10_000, 100_000, 20)
    } else {
        (1_000_000, 10_000_000, 30)
    };
    let time = [Metric::time("ms")];
    let mut workloads = vec![
        loops!(
            Workload::new(format!("map of {items}, empty"), &time),
            |L| measures::map::<L>(items, 0, sample)
        ),
        loops!(
            Workload::new(format!("map of {items}, 1 us each"), &time),
            // Once is long enough.
            |L| measures::map::<L>(items, a_microsecond(), Duration::ZERO)
        ),
        loops!(
            Workload::new("loop over 2,000 of 0 to 50 us, rising", &time),
            |L| measures::rising::<L>(2_000, sample)
        ),
        summed(numbers, sample),
    ];
    workloads.extend([0, 12].map(|cutoff| forked(n, cutoff, sample)));
    workloads
}

/// All of them sum up the same numbers, which are made once.
fn summed(count: u64, sample: Duration) -> Workload {
    let numbers: Arc<Vec<u64>> = Arc::new((0..count).collect());
    let with = |sum: fn(&Arc<Vec<u64>>, Duration) -> f64| {
        let numbers = Arc::clone(&numbers);
        move || sum(&numbers, sample)
    };
    Workload::new(format!("sum of {count} u64"), &[Metric::time("ms")])
        .ours(with(measures::sum::<Ours>))
        .peer("rayon", with(measures::sum::<Rayon>))
        .limit("halves, scoped threads", with(measures::sum::<Halves>))
}

fn forked(n: u32, cutoff: u32, sample: Duration) -> Workload {
    let name = match cutoff {
        0 => format!("fib({n}), a fork at every level"),
        _ => format!("fib({n}), forks down to {cutoff}"),
    };
    Workload::new(name, &[Metric::time("ms")])
        .ours(move || measures::fib::<Ours>(n, cutoff, sample))
        .peer("rayon", move || measures::fib::<Rayon>(n, cutoff, sample))
        .limit("chili", move || measures::fib::<Chili>(n, cutoff, sample))
        .limit("alone", move || measures::fib::<Alone>(n, cutoff, sample))
}
