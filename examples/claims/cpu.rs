//! Claims about tasks that compute: as many times as quick as there are CPUs, threads as well as processes.
//!
//! Every speed-up is held against what std's threads reach at the same work beside it.

use crate::claim::{Claim, Line, Scale, Unit};
use crate::machine::{Ours, Race, timed};
use latchwork::executor::{Executor, Portable, ProcessPoolExecutor, ThreadPoolExecutor};
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

pub const CLAIMS: &[Claim] = &[
    Claim {
        number: 6,
        what: "4 sums of squares: threads are as quick as processes",
        check: sums,
    },
    Claim {
        number: 13,
        what: "more processes than CPUs gain nothing, and lose little",
        check: too_many,
    },
    Claim {
        number: 16,
        what: "4 Fibonacci numbers of many digits, in processes",
        check: long_numbers,
    },
    Claim {
        number: 20,
        what: "8 recursive Fibonacci numbers in 8 threads",
        check: recursive,
    },
    Claim {
        number: 34,
        what: "8 tasks that compute and 20 that wait, in two pools",
        check: mixed,
    },
    Claim {
        number: 44,
        what: "tasks of sizes 1 to 4 on 2 threads: the order decides",
        check: sizes,
    },
];

/// The sum of `i * i` for `0..n`, added up one by one.
pub fn squares(n: u64) -> u64 {
    (0..n).fold(0_u64, |sum, i| sum.wrapping_add(black_box(i) * i))
}

/// The argument with which [`squares`] takes about so many milliseconds here.
fn squares_in(millis: f64) -> u64 {
    static A_MILLISECOND: OnceLock<f64> = OnceLock::new();
    let a_millisecond = A_MILLISECOND.get_or_init(|| {
        const N: u64 = 100_000;
        let tries = (0..20).map(|_| timed(|| black_box(squares(black_box(N)))).1);
        let best = tries.min().expect("there were some");
        N as f64 / (best.as_secs_f64() * 1e3)
    });
    (a_millisecond * millis) as u64
}

fn sleep(millis: u64) -> u64 {
    thread::sleep(Duration::from_millis(millis));
    millis
}

/// Sleeps, and says in which process.
fn process(millis: u64) -> u32 {
    sleep(millis);
    std::process::id()
}

/// A process pool whose workers have all had a task.
pub fn processes(workers: usize) -> ProcessPoolExecutor {
    let pool = ProcessPoolExecutor::new(workers).expect("workers start");
    let mut seen = HashSet::new();
    while seen.len() < workers {
        let asked = pool.map(process, (0..workers).map(|_| 5));
        let ids = asked.expect("the pool is open");
        seen.extend(ids.map(|id| id.expect("it only sleeps")));
    }
    pool
}

/// The results of a task for each argument, and how long that takes.
pub fn mapped<E: Executor, A, R>(
    pool: &E,
    task: fn(A) -> R,
    arguments: Vec<A>,
) -> (Vec<R>, Duration)
where
    A: Portable,
    R: Portable,
{
    timed(|| {
        let results = pool.map(task, arguments).expect("the pool is open");
        results
            .map(|result| result.expect("it only computes"))
            .collect()
    })
}

/// A contender of a race that maps.
pub fn mapping<'a, E: Executor, A, R>(
    name: impl Into<String>,
    pool: &'a E,
    task: fn(A) -> R,
    arguments: Vec<A>,
) -> (String, Ours<'a, R>)
where
    A: Portable + Clone,
    R: Portable + PartialEq,
{
    let ours = move |expected: &[R]| {
        let (results, took) = mapped(pool, task, arguments.clone());
        (results == expected, took)
    };
    (name.into(), Box::new(ours))
}

fn sums(scale: &Scale) -> Vec<Line> {
    const TASKS: usize = 4;
    let n = scale.pick(50_000_000, squares_in(20.0));
    let (threads, processes) = (ThreadPoolExecutor::new(TASKS), processes(TASKS));
    let race = Race::run(
        scale,
        TASKS,
        scale.cpus.min(TASKS),
        |_| squares(black_box(n)),
        vec![
            mapping("4 threads", &threads, squares, vec![n; TASKS]),
            mapping("4 processes", &processes, squares, vec![n; TASKS]),
        ],
    );
    race.lines(scale)
}

fn too_many(scale: &Scale) -> Vec<Line> {
    const MOST: usize = 8;
    let tasks = 2 * MOST;
    let n = squares_in(scale.pick(30.0, 4.0));
    let mut sizes = vec![1, 2, 4, MOST, scale.cpus.min(MOST)];
    sizes.sort_unstable();
    sizes.dedup();
    // The best of three at each size, taken in turn: the claim is about 5 %.
    let pools: Vec<_> = sizes.iter().map(|&workers| processes(workers)).collect();
    let mut times = vec![Duration::MAX; sizes.len()];
    for _ in 0..3 {
        for (time, pool) in times.iter_mut().zip(&pools) {
            let (sums, took) = mapped(pool, squares, vec![n; tasks]);
            assert!(sums.iter().all(|sum| *sum == sums[0]));
            *time = took.min(*time);
        }
    }
    let of = |workers| {
        let mut both = sizes.iter().zip(&times);
        let found = both.find(|(size, _)| **size == workers);
        found.expect("it was measured").1.as_secs_f64()
    };
    let mut lines: Vec<_> = sizes
        .iter()
        .map(|&workers| {
            Line::shown(
                format!("{workers} processes"),
                of(1) / of(workers),
                Unit::Times,
            )
        })
        .collect();
    let cpus = scale.cpus.min(MOST);
    lines.push(
        Line::at_most(
            format!("time of {MOST} to time of {cpus}"),
            scale.pick(1.05, 3.0),
            of(MOST) / of(cpus),
            Unit::Times,
        )
        .because("the best of three each"),
    );
    lines
}

/// Fibonacci's number as 64-bit digits, the lowest first, by adding up.
fn long_fibonacci(n: u32) -> Vec<u64> {
    let (mut a, mut b) = (vec![0_u64], vec![1_u64]);
    for _ in 0..n {
        // a, b = b, a + b
        let mut carry = false;
        a.resize(b.len(), 0);
        for (a, &b) in a.iter_mut().zip(&b) {
            let (sum, first) = a.overflowing_add(b);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *a = sum;
            carry = first | second;
        }
        if carry {
            a.push(1);
        }
        std::mem::swap(&mut a, &mut b);
    }
    a
}

fn long_numbers(scale: &Scale) -> Vec<Line> {
    const TASKS: usize = 4;
    let quick = if cfg!(debug_assertions) {
        10_000
    } else {
        50_000
    };
    let n = scale.pick(200_000, quick);
    let pool = processes(TASKS);
    let race = Race::run(
        scale,
        TASKS,
        scale.cpus.min(TASKS),
        |_| long_fibonacci(black_box(n)),
        vec![mapping(
            "4 processes",
            &pool,
            long_fibonacci,
            vec![n; TASKS],
        )],
    );
    // The lowest digit is what arithmetic that wraps around comes to.
    let (lowest, _) = (0..n).fold((0_u64, 1_u64), |(a, b), _| (b, a.wrapping_add(b)));
    let right = long_fibonacci(n)[0] == lowest;
    let mut lines = race.lines(scale);
    lines.push(Line::holds("the lowest 64 bits are right", right));
    lines
}

fn fibonacci(n: u32) -> u64 {
    if n < 2 {
        u64::from(n)
    } else {
        fibonacci(black_box(n - 1)) + fibonacci(n - 2)
    }
}

fn recursive(scale: &Scale) -> Vec<Line> {
    const THREADS: usize = 8;
    let n = scale.pick(35, if cfg!(debug_assertions) { 29 } else { 30 });
    let ours: Ours<'_, u64> = Box::new(|expected| {
        let (numbers, took) = timed(|| {
            let start = || latchwork::thread::spawn(move || fibonacci(black_box(n)));
            let threads: Vec<_> = (0..THREADS).map(|_| start()).collect();
            let ends = threads.into_iter().map(|thread| thread.join());
            let numbers = ends.map(|end| end.expect("it only computes"));
            numbers.collect::<Vec<_>>()
        });
        (numbers == expected, took)
    });
    let race = Race::run(
        scale,
        THREADS,
        scale.cpus.min(THREADS),
        |_| fibonacci(black_box(n)),
        vec![("8 threads".to_owned(), ours)],
    );
    race.lines(scale)
}

fn mixed(scale: &Scale) -> Vec<Line> {
    const COMPUTING: usize = 8;
    let n = squares_in(scale.pick(100.0, 10.0));
    let pause = scale.pick(100, 20);
    let (computers, waiters) = (processes(4), ThreadPoolExecutor::new(10));
    let mut waited_for = Duration::MAX;
    let ours: Ours<'_, u64> = Box::new(|expected| {
        let ((sums, computed_for), (waited, took)) = thread::scope(|scope| {
            let computing = scope.spawn(|| mapped(&computers, squares, vec![n; COMPUTING]));
            let waiting = mapped(&waiters, sleep, vec![pause; 20]);
            (computing.join().expect("it only computes"), waiting)
        });
        waited_for = took.min(waited_for);
        (sums == expected && waited == [pause; 20], computed_for)
    });
    let race = Race::run(
        scale,
        COMPUTING,
        scale.cpus.min(4),
        |_| squares(black_box(n)),
        vec![("8 sums on 4 processes".to_owned(), ours)],
    );
    let least = Duration::from_millis(pause) * 2;
    let most = scale.enough(least.as_secs_f64() * 1.05);
    let waits = Line::time("20 waits on 10 threads, meanwhile", least, most, waited_for);
    let mut lines = race.lines(scale);
    lines.push(waits);
    lines
}

/// What two threads that take the next task when they are free make of tasks of these sizes, at best.
fn ideal(sizes: [u64; 4]) -> f64 {
    let mut threads = [0, 0];
    for size in sizes {
        *threads.iter_mut().min().expect("there are two") += size;
    }
    let whole: u64 = sizes.iter().sum();
    whole as f64 / threads[0].max(threads[1]) as f64
}

/// On four CPUs it is no different: the longest of these is four tenths of the whole.
fn sizes(scale: &Scale) -> Vec<Line> {
    if scale.cpus < 2 {
        return vec![Line::absent("2 threads", "one CPU")];
    }
    let orders = [
        ("in the order 1, 2, 3, 4", [1, 2, 3, 4]),
        ("the longest first", [4, 3, 2, 1]),
    ];
    let unit = squares_in(scale.pick(25.0, 5.0));
    let pool = ThreadPoolExecutor::new(2);
    let ours = orders.map(|(name, sizes)| {
        let arguments: Vec<u64> = sizes.iter().map(|size| size * unit).collect();
        let expected: Vec<u64> = arguments.iter().copied().map(squares).collect();
        let (_, mut map) = mapping(name, &pool, squares, arguments);
        let ours: Ours<'_, u64> = Box::new(move |_| map(&expected));
        (name.to_owned(), ours)
    });
    // As much work in ten tasks of one size: what two threads give here.
    let race = Race::run(scale, 10, 2, |_| squares(black_box(unit)), ours.into());
    let given = race.given() / 2.0;
    let line = |(number, (name, sizes)): (usize, (&str, [u64; 4]))| {
        let possible = ideal(sizes) * given;
        let bound = possible * scale.part();
        Line::at_least(name, bound, race.speed_up(number), Unit::Times).because(format!(
            "{} of the {possible:.2}x that is possible where two std threads reach {:.2}x",
            scale.part(),
            race.given(),
        ))
    };
    orders.into_iter().enumerate().map(line).collect()
}
