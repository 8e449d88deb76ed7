//! Claims about what a task costs, and from which size on it is worth it.

use crate::claim::{Claim, Line, Scale, Unit};
use crate::cpu::{mapped, processes};
use crate::machine::timed;
use latchwork::executor::{Executor, ThreadPoolExecutor};
use latchwork::parallel::{Jobs, parallel};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::OnceLock;
use std::thread;
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

/// The shortest of these tasks, in microseconds, from which on two workers have many of them done sooner than one
/// thread has by itself; and a line for each.
///
/// That takes two cores. Where others use them, a half of what two std threads reach is enough, of whom each
/// does half of the tasks without any overhead: on idle cores that is the same.
fn shortest<E: Executor>(
    scale: &Scale,
    name: &str,
    pool: &E,
    micros: &[f64],
    tasks: usize,
) -> (f64, Vec<Line>) {
    let mut lines = Vec::new();
    let mut shortest = f64::INFINITY;
    for &micros in micros {
        let count = (micros * steps_a_microsecond()) as u32;
        let run = |tasks| (0..tasks).map(|_| steps(black_box(count))).collect();
        // The best of each: what disturbs makes slower.
        let mut best = [Duration::MAX; 3];
        for _ in 0..3 {
            let (sums, alone): (Vec<u64>, _) = timed(|| run(tasks));
            let (halves, std): ([Vec<u64>; 2], _) = timed(|| {
                thread::scope(|scope| {
                    [tasks / 2, tasks - tasks / 2]
                        .map(|half| scope.spawn(move || run(half)))
                        .map(|half| half.join().expect("it only computes"))
                })
            });
            let (same, took) = mapped(pool, steps, vec![count; tasks]);
            assert!(halves.concat() == sums && same == sums);
            best = [alone.min(best[0]), std.min(best[1]), took.min(best[2])];
        }
        let [alone, std, took] = best.map(|time| time.as_secs_f64());
        let (gain, given) = (alone / took, (alone / std).min(2.0));
        let is_worth_it = gain >= given / 2.0 * scale.pick(1.0, 0.4);
        shortest = if is_worth_it {
            shortest.min(micros)
        } else {
            f64::INFINITY
        };
        let what = format!("{tasks} tasks of {micros} us, {name}");
        let note = format!("2 std threads, half each: {given:.2}x");
        lines.push(Line::shown(what, gain, Unit::Times).because(note));
    }
    (shortest, lines)
}

fn break_even(scale: &Scale) -> Vec<Line> {
    if scale.cpus < 2 {
        return vec![Line::absent("tasks on two workers", "one CPU")];
    }
    let tables = [
        shortest(
            scale,
            "2 threads",
            &ThreadPoolExecutor::new(2),
            scale.pick(&[0.5, 1.0, 2.0, 5.0, 10.0, 20.0], &[2.0, 20.0, 200.0]),
            scale.pick(5_000, 200),
        ),
        shortest(
            scale,
            "2 processes",
            &processes(2),
            scale.pick(&[5.0, 10.0, 20.0, 50.0, 100.0, 200.0], &[100.0, 1_000.0]),
            scale.pick(1_000, 50),
        ),
    ];
    let bounds = [("a thread's task", 2e-6), ("a process's task", 100e-6)];
    let mut lines = Vec::new();
    for ((found, table), (what, bound)) in tables.into_iter().zip(bounds) {
        lines.extend(table);
        let what = format!("{what} is worth it from");
        let line = Line::at_most(what, scale.enough(bound), found * 1e-6, Unit::Seconds);
        lines.push(line.because("at least half of what std's threads gain"));
    }
    lines
}

/// Batches that find their own size: to be measured here as soon as latchwork has them.
fn batches(scale: &Scale) -> Vec<Line> {
    let arrays: Vec<Vec<f64>> = (0..100)
        .map(|row| {
            (0..1000)
                .map(|column| f64::from(row * column % 97))
                .collect()
        })
        .collect();
    let squares = |array: &Vec<f64>| array.iter().map(|x| x * x).sum::<f64>();
    let (expected, alone) = timed(|| black_box(&arrays).iter().map(squares).collect::<Vec<_>>());
    let batches = Cell::new(0);
    let loop_ = || {
        parallel(black_box(&arrays))
            .jobs(Jobs::N(4))
            .progress(|progress| batches.set(progress.batches))
            .map(squares)
            .collect()
    };
    let (results, took) = timed(loop_);
    vec![
        Line::holds("the same results", results.as_ref() == Ok(&expected)),
        Line::at_most("batches", 4.0, batches.get() as f64, Unit::Count),
        Line::at_most(
            "100 arrays of 1,000, 4 jobs",
            scale.enough(2.0 * alone.as_secs_f64()),
            took.as_secs_f64(),
            Unit::Seconds,
        )
        .because("twice as long as one thread alone"),
    ]
}
