//! Thread pools: many tiny tasks from outside and from inside, one at a time, batches, life and idleness.
//!
//! What counts is the best peer that also returns results; those that return nothing are limits.

pub mod contenders;
mod measures;

use crate::python::{self, Script};
use crate::run::{Figures, Metric, Workload};
use crate::work::spin;
use contenders::{
    AsyncExecutor, Blocking, Ours, Rayon, RustyPool, Threadpool, TokioAsync, TokioBlocking,
};
use std::hint::black_box;
use std::time::Duration;

pub const PYTHON: &str = "Python ThreadPoolExecutor";
pub const SCRIPT: Script = Script("groups/pool/thread_pool.py");

/// A micro-second, in [`spin`]'s steps.
pub fn a_microsecond() -> u32 {
    crate::work::steps(Duration::from_micros(1))
}

/// What a task does: nothing to speak of when it is of no steps.
pub fn task(argument: u64, steps: u32) -> u64 {
    if steps > 0 {
        spin(argument, steps);
    }
    black_box(argument + 1)
}

/// The sum of the results of `task` for `0..tasks`: it proves that every one ran.
pub fn sum_of(tasks: u64) -> u64 {
    tasks * (tasks + 1) / 2
}

/// All pools that return a result for each task, at one workload.
macro_rules! with_results {
    ($workload:expr, |$P:ident| $sample:expr) => {{
        macro_rules! with {
            ($contender:ty) => {
                move || {
                    type $P = $contender;
                    $sample
                }
            };
        }
        $workload
            .ours(with!(Ours))
            .peer("rayon", with!(Rayon))
            .peer("threadpool", with!(Threadpool))
            .peer("rusty_pool", with!(RustyPool))
            .peer("tokio spawn_blocking", with!(TokioBlocking))
            .peer("tokio spawn", with!(TokioAsync))
            .peer("async-executor", with!(AsyncExecutor))
    }};
}

/// All pools whose tasks spawn tasks, at one workload: the results of rayon's and threadpool's
/// have nowhere to go.
macro_rules! from_inside {
    ($workload:expr, |$P:ident| $sample:expr) => {{
        macro_rules! with {
            ($contender:ty) => {
                move || {
                    type $P = $contender;
                    $sample
                }
            };
        }
        $workload
            .ours(with!(Ours))
            .peer("rusty_pool", with!(RustyPool))
            .peer("tokio spawn_blocking", with!(TokioBlocking))
            .peer("tokio spawn", with!(TokioAsync))
            .peer("async-executor", with!(AsyncExecutor))
            .limit("rayon", with!(Rayon))
            .limit("threadpool", with!(Threadpool))
    }};
}

/// Python does the same, where there is one.
fn and_python<const N: usize>(workload: Workload, name: &'static str, sample: Duration) -> Workload
where
    Figures: From<[f64; N]>,
{
    if python::is_there() {
        workload.peer(PYTHON, move || SCRIPT.sample::<N>(name, sample))
    } else {
        workload
    }
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = of_two_workers(sample);
    workloads.extend(lives(sample));
    workloads.extend(of_four_workers(sample));
    workloads
}

fn of_two_workers(sample: Duration) -> Vec<Workload> {
    let rate = [Metric::rate("tasks/s")];
    let batch = [Metric::time("us/batch")];
    let asleep = [Metric::time("p50 us"), Metric::time("p99 us").shown()];
    let awake = [
        Metric::time("us/round trip"),
        Metric::time("p50 us"),
        Metric::time("p99 us").shown(),
    ];
    vec![
        and_python::<1>(
            with_results!(
                Workload::new("tiny tasks from outside, results taken", &rate),
                |P| measures::from_outside::<P>(2, 1, sample)
            )
            .peer("blocking (threads as it likes)", move || {
                measures::from_outside::<Blocking>(2, 1, sample)
            })
            .limit("threadpool, no results", move || {
                measures::without_results::<Threadpool>(2, sample)
            }),
            "outside",
            sample,
        ),
        with_results!(
            Workload::new("tiny tasks from 4 threads, results taken", &rate),
            |P| measures::from_outside::<P>(2, 4, sample)
        ),
        from_inside!(Workload::new("tiny tasks from inside, flat", &rate), |P| {
            measures::flat::<P>(2, sample)
        }),
        from_inside!(
            Workload::new("tiny tasks from inside, tree of 16", &rate),
            |P| measures::tree::<P>(2, sample)
        ),
        and_python::<2>(
            with_results!(
                Workload::new("submit->result, workers asleep", &asleep),
                |P| measures::asleep::<P>(2, sample)
            )
            .peer("blocking (threads as it likes)", move || {
                measures::asleep::<Blocking>(2, sample)
            }),
            "asleep",
            sample,
        ),
        and_python::<3>(
            with_results!(
                Workload::new("submit->result, one at a time", &awake),
                |P| measures::awake::<P>(2, sample)
            )
            .peer("blocking (threads as it likes)", move || {
                measures::awake::<Blocking>(2, sample)
            }),
            "awake",
            sample,
        ),
        and_python::<1>(
            with_results!(Workload::new("fan-out/fan-in of 1,000", &batch), |P| {
                measures::fan::<P>(2, 0, sample)
            }),
            "fan",
            sample,
        ),
        with_results!(
            Workload::new("fan-out/fan-in of 1,000 of 1 us", &batch),
            |P| measures::fan::<P>(2, a_microsecond(), sample)
        ),
    ]
}

fn of_four_workers(sample: Duration) -> Vec<Workload> {
    // Beside the rows of two, these need no more than a look.
    let sample = sample / 2;
    let rate = [Metric::rate("tasks/s")];
    vec![
        with_results!(
            Workload::new("4 workers: tiny tasks from outside", &rate),
            |P| measures::from_outside::<P>(4, 1, sample)
        ),
        from_inside!(
            Workload::new("4 workers: tiny tasks, tree of 16", &rate),
            |P| measures::tree::<P>(4, sample)
        ),
        with_results!(
            Workload::new(
                "4 workers: fan-out of 1,000 of 1 us",
                &[Metric::time("us/batch")]
            ),
            |P| measures::fan::<P>(4, a_microsecond(), sample)
        ),
    ]
}

/// Start, end, and what lies between when there is nothing to do.
fn lives(sample: Duration) -> Vec<Workload> {
    // A short sample is a look whether everything runs.
    let (nap, window) = if sample < Duration::from_millis(60) {
        (Duration::from_millis(5), Duration::from_millis(50))
    } else {
        (Duration::from_millis(100), Duration::from_secs(1))
    };
    let naps = format!("50 tasks of {} ms, 20 workers", nap.as_millis());
    let idle = [Metric::time("CPU us in 1 s").shown()];
    vec![
        // Dropped, these wait for their threads' ends. rayon and threadpool leave theirs to end.
        Workload::new("pool lifetime", &[Metric::time("us/new+1 task+drop")])
            .ours(move || measures::lifetime::<Ours>(sample, drop))
            .peer("rusty_pool", move || {
                measures::lifetime::<RustyPool>(sample, |pool| pool.0.shutdown_join())
            })
            .peer("tokio spawn_blocking", move || {
                measures::lifetime::<TokioBlocking>(sample, drop)
            })
            .peer("tokio spawn", move || {
                measures::lifetime::<TokioAsync>(sample, drop)
            })
            .peer("async-executor", move || {
                measures::lifetime::<AsyncExecutor>(sample, drop)
            })
            .limit("rayon", move || measures::lifetime::<Rayon>(sample, drop))
            .limit("threadpool", move || {
                measures::lifetime::<Threadpool>(sample, drop)
            }),
        Workload::new(naps, &[Metric::time("ms")])
            .ours(move || measures::naps::<Ours>(nap))
            .peer("rayon", move || measures::naps::<Rayon>(nap))
            .peer("tokio spawn_blocking", move || {
                measures::naps::<TokioBlocking>(nap)
            }),
        with_results!(Workload::new("idle, after 1,000 tasks", &idle), |P| {
            measures::idle::<P>(window)
        }),
    ]
}
