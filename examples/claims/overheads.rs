//! Claims about what a task costs, and from which size on it is worth it.

use crate::claim::{Claim, Line, Scale, Unit};
use crate::cpu::{mapped, processes};
use crate::machine::timed;
use latchwork::executor::{Executor, ThreadPoolExecutor};
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

pub const CLAIMS: &[Claim] = &[
    Claim {
        number: 15,
        what: "a map over small items in 4 processes, item by item and in chunks",
        check: small_items,
    },
    Claim {
        number: 45,
        what: "how long a task must be to be worth it on two workers",
        check: break_even,
    },
    Claim {
        number: 48,
        what: "sums of squares of 100 arrays of 1000, batched by themselves",
        check: batches,
    },
];

fn polynomial(x: u64) -> u64 {
    x * x + x * 2
}

fn polynomials(xs: Vec<u64>) -> Vec<u64> {
    xs.into_iter().map(polynomial).collect()
}

fn small_items(scale: &Scale) -> Vec<Line> {
    const CHUNKS: usize = 16;
    let items: Vec<u64> = (0..scale.pick(10_000, 1_000)).collect();
    let pool = processes(4);
    let count = items.len() as f64;
    let (expected, alone) = timed(|| polynomials(black_box(items.clone())));
    let (one_by_one, took) = mapped(&pool, polynomial, items.clone());
    // By hand. When `map` takes a size of chunks, this is its place.
    let chunks = items.chunks(items.len().div_ceil(CHUNKS));
    let chunks = chunks.map(<[u64]>::to_vec).collect();
    let (chunked, chunked_took) = mapped(&pool, polynomials, chunks);
    let each = |what: &str, bound, took: Duration| {
        let each = took.as_secs_f64() / count;
        Line::at_most(what, scale.enough(bound), each, Unit::Seconds)
    };
    vec![
        Line::shown("an item, alone", alone.as_secs_f64() / count, Unit::Seconds),
        each("an item, each by itself", 50e-6, took),
        each(&format!("an item, in {CHUNKS} chunks"), 1e-6, chunked_took),
        Line::holds(
            "the same results",
            one_by_one == expected && chunked.concat() == expected,
        ),
    ]
}

/// Steps that each need the one before.
fn steps(count: u32) -> u64 {
    let step = |value: u64, _| {
        value
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1)
    };
    (0..count).fold(black_box(1), step)
}

/// How many steps take a microsecond here.
fn steps_a_microsecond() -> f64 {
    static KNOWN: OnceLock<f64> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        const STEPS: u32 = 100_000;
        let tries = (0..20).map(|_| timed(|| black_box(steps(black_box(STEPS)))).1);
        let best = tries.min().expect("there were some");
        f64::from(STEPS) / (best.as_secs_f64() * 1e6)
    })
}

/// The shortest of these tasks, in microseconds, of which many are done sooner by two workers than by none;
/// and a line for each.
fn shortest<E: Executor>(
    name: &str,
    pool: &E,
    micros: &[f64],
    tasks: usize,
    least_gain: f64,
) -> (Option<f64>, Vec<Line>) {
    let mut lines = Vec::new();
    let mut shortest = None;
    for &micros in micros {
        let count = (micros * steps_a_microsecond()) as u32;
        let (alone, gains) = (0..3)
            .map(|_| {
                let (sums, alone) = timed(|| {
                    (0..tasks)
                        .map(|_| steps(black_box(count)))
                        .collect::<Vec<_>>()
                });
                let (same, took) = mapped(pool, steps, vec![count; tasks]);
                assert!(sums == same);
                (
                    alone.as_secs_f64(),
                    alone.as_secs_f64() / took.as_secs_f64(),
                )
            })
            .fold((0.0, 0.0_f64), |(_, best), (alone, gain)| {
                (alone, best.max(gain))
            });
        let what = format!("{tasks} tasks of {micros} us, {name}");
        let each = alone / tasks as f64 * 1e6;
        lines.push(
            Line::shown(what, gains, Unit::Times).because(format!("{each:.1} us each alone")),
        );
        if gains >= least_gain && shortest.is_none() {
            shortest = Some(micros);
        }
    }
    (shortest, lines)
}

fn break_even(scale: &Scale) -> Vec<Line> {
    if scale.cpus < 2 {
        return vec![Line::absent("tasks on two workers", "one CPU")];
    }
    let tables = [
        shortest(
            "2 threads",
            &ThreadPoolExecutor::new(2),
            scale.pick(&[0.5, 1.0, 2.0, 5.0, 10.0, 20.0], &[2.0, 20.0, 200.0]),
            scale.pick(5_000, 200),
            scale.pick(1.0, 0.4),
        ),
        shortest(
            "2 processes",
            &processes(2),
            scale.pick(&[5.0, 10.0, 20.0, 50.0, 100.0, 200.0], &[100.0, 1_000.0]),
            scale.pick(1_000, 50),
            scale.pick(1.0, 0.4),
        ),
    ];
    let bounds = [("a thread's task", 2e-6), ("a process's task", 100e-6)];
    let mut lines = Vec::new();
    for ((found, table), (what, bound)) in tables.into_iter().zip(bounds) {
        lines.extend(table);
        let found = found.unwrap_or(f64::INFINITY) * 1e-6;
        let what = format!("{what} is worth it from");
        lines.push(Line::at_most(
            what,
            scale.enough(bound),
            found,
            Unit::Seconds,
        ));
    }
    lines
}

/// Batches that find their own size: to be measured here as soon as latchwork has them.
fn batches(_: &Scale) -> Vec<Line> {
    vec![Line::absent(
        "at most 4 batches, within twice the serial time",
        "there is no loop that batches by itself yet",
    )]
}
