//! Claims about futures of tasks: who is told first, time-outs that are kept, errors that cost one task.

use crate::claim::{Claim, Line, Scale, Unit};
use crate::machine::timed;
use latchwork::executor::{
    ReturnWhen, TaskError, TaskFuture, ThreadPoolExecutor, as_completed, wait,
};
use latchwork::sync::Event;
use latchwork::{CancelToken, GaveUp, Limit};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

pub const CLAIMS: &[Claim] = &[
    Claim {
        number: 8,
        what: "A takes 2 s, B 1 s: B is there after 1 s",
        check: two,
    },
    Claim {
        number: 9,
        what: "as_completed: 5 tasks on 3 threads, in the order of their ends",
        check: in_order_of_ends,
    },
    Claim {
        number: 10,
        what: "a time-out of 5 s on a task of 10 s",
        check: time_outs,
    },
    Claim {
        number: 36,
        what: "10 tasks on 5 threads: the first, then all",
        check: first_then_all,
    },
    Claim {
        number: 46,
        what: "5 tasks of which one fails",
        check: one_fails,
    },
];

fn taken<R>(future: TaskFuture<R>) -> R {
    future.result().expect("the task does not panic")
}

/// Sleeps, and says when it ended.
fn sleeper(pool: &ThreadPoolExecutor, pause: Duration) -> TaskFuture<Instant> {
    let task = move || {
        thread::sleep(pause);
        Instant::now()
    };
    pool.spawn(task).expect("the pool is open")
}

fn two(scale: &Scale) -> Vec<Line> {
    let second = scale.pick(Duration::from_secs(1), Duration::from_millis(100));
    let pool = ThreadPoolExecutor::new(3);
    let start = Instant::now();
    let [a, b] = [second * 2, second].map(|pause| sleeper(&pool, pause));
    let b_is = b.id();
    let mut ended = as_completed([a, b], Limit::none());
    let mut next = || {
        let future = ended.next().expect("there is one").expect("no limit");
        (future.id(), start.elapsed())
    };
    let (first, after_first) = next();
    let (_, after_both) = next();
    let line = |what: &str, least: Duration, took| {
        Line::time(what, least, scale.enough(least.as_secs_f64() * 1.005), took)
    };
    vec![
        Line::holds("the first is B", first == b_is),
        line("B", second, after_first),
        line("both", second * 2, after_both),
    ]
}

/// Pauses at random, of which no two tasks on so many workers end at the same time.
fn pauses(count: usize, workers: usize, scale: &Scale) -> (Vec<Duration>, Vec<f64>) {
    let unit = scale.pick(1.0, 0.1);
    let mut random = fastrand::Rng::with_seed(7);
    loop {
        let pauses: Vec<f64> = (0..count)
            .map(|_| (0.5 + 1.5 * random.f64()) * unit)
            .collect();
        let ends = ends(&pauses, workers);
        if ends.windows(2).all(|pair| pair[1] - pair[0] > 0.02 * unit) {
            return (
                pauses.into_iter().map(Duration::from_secs_f64).collect(),
                ends,
            );
        }
    }
}

/// When tasks end that are begun in their order, each by whichever worker is free first; sorted.
fn ends(pauses: &[f64], workers: usize) -> Vec<f64> {
    let micros = |seconds: f64| (seconds * 1e6) as u64;
    let mut free: BinaryHeap<_> = (0..workers).map(|_| Reverse(0)).collect();
    let mut ends: Vec<u64> = pauses
        .iter()
        .map(|&pause| {
            let Reverse(begin) = free.pop().expect("there are workers");
            let end = begin + micros(pause);
            free.push(Reverse(end));
            end
        })
        .collect();
    ends.sort_unstable();
    ends.into_iter().map(|end| end as f64 / 1e6).collect()
}

fn in_order_of_ends(scale: &Scale) -> Vec<Line> {
    let (pauses, expected) = pauses(5, 3, scale);
    let pool = ThreadPoolExecutor::new(3);
    let start = Instant::now();
    let futures = pauses.iter().map(|&pause| sleeper(&pool, pause));
    let futures: Vec<_> = futures.collect();
    let mut first = None;
    let ends: Vec<Instant> = as_completed(futures, Limit::none())
        .map(|future| {
            first.get_or_insert_with(|| start.elapsed());
            taken(future.expect("no limit"))
        })
        .collect();
    let first = first.expect("there are five");
    let least = Duration::from_secs_f64(expected[0]);
    vec![
        Line::holds("each after those that ended before it", ends.is_sorted()),
        Line::exactly("given back", 5, ends.len()),
        Line::time(
            "the first, at the shortest of the first three",
            least,
            scale.enough(expected[0] + 0.005),
            first,
        ),
        Line::shown("the last", start.elapsed().as_secs_f64(), Unit::Seconds)
            .because(format!("{:.3} s at best", expected[4])),
    ]
}

fn time_outs(scale: &Scale) -> Vec<Line> {
    let limit = scale.pick(Duration::from_secs(5), Duration::from_millis(200));
    let short = limit / 5;
    let pool = ThreadPoolExecutor::new(2);
    let stop = CancelToken::new();
    let its = stop.clone();
    // Twice as long, unless it is stopped; true if it was.
    let task = move || Event::new().wait_within(its.within(limit * 2)) == Err(GaveUp::Cancelled);
    let future = pool.spawn(task).expect("the pool is open");

    let (late, took) = timed(|| future.result_within(limit));
    let late = late.expect_err("it takes twice as long");
    let why = late.why;
    let is_running = late.future.is_running();
    let was_cancelled = late.future.cancel();

    // Its limit counts from the call, not from the first look.
    let ((ended, given_up), ended_took) = timed(|| {
        let mut ended = as_completed([late.future], short);
        let given_up = ended.next();
        (ended, given_up)
    });
    let timed_out = matches!(given_up, Some(Err(why)) if why.why == GaveUp::TimedOut);
    let future = ended.remaining().pop().expect("it has not ended");

    let begun = Instant::now();
    stop.cancel();
    let stopped = taken(future);
    let stopped_in = begun.elapsed();

    let line = |what: &str, limit: Duration, took| {
        Line::time(what, limit, scale.enough(limit.as_secs_f64() + 0.005), took)
    };
    vec![
        line("result within", limit, took),
        Line::holds("it timed out", why == GaveUp::TimedOut),
        Line::holds("the task is still running", is_running),
        Line::holds("cancel() says that it cannot", !was_cancelled),
        line("as_completed within", short, ended_took),
        Line::holds("that timed out, too", timed_out),
        Line::holds("a token stops the task", stopped),
        Line::at_most(
            "which takes",
            scale.enough(0.001),
            stopped_in.as_secs_f64(),
            Unit::Seconds,
        ),
    ]
}

/// The first end, and then all. `as_completed` does both; when there is a `wait` for either, this is its place.
fn first_then_all(scale: &Scale) -> Vec<Line> {
    let (pauses, expected) = pauses(10, 5, scale);
    let pool = ThreadPoolExecutor::new(5);
    let futures: Vec<_> = pauses.iter().map(|&pause| sleeper(&pool, pause)).collect();
    let ended = wait(&futures, ReturnWhen::FirstCompleted, Limit::none());
    let first_seen = Instant::now();
    let first = ended.done[0];
    wait(&futures, ReturnWhen::AllCompleted, Limit::none());
    let all_seen = Instant::now();
    let mut others: Vec<_> = futures.into_iter().map(taken).collect();
    let first_end = others.swap_remove(first);

    let last_end = others.iter().max().expect("nine are left");
    let is_first = others.iter().all(|end| *end >= first_end);
    let line = |what: &str, seen: Instant, end: Instant| {
        let late = seen.saturating_duration_since(end).as_secs_f64();
        Line::at_most(what, scale.enough(0.001), late, Unit::Seconds)
    };
    vec![
        Line::holds("the first is the one that ended first", is_first),
        line("known after its end", first_seen, first_end),
        Line::exactly("the others", 9, others.len()),
        line("all known after the last one's end", all_seen, *last_end),
        Line::shown(
            "the last ended",
            (*last_end - first_end).as_secs_f64(),
            Unit::Seconds,
        )
        .because(format!(
            "after the first; {:.3} s at best",
            expected[9] - expected[0]
        )),
    ]
}

/// Takes a tenth of a second, and fails at 3. Without the panic hook's message, which is not what this is about.
fn risky(x: u32) -> u32 {
    thread::sleep(Duration::from_millis(100));
    if x == 3 {
        resume_unwind(Box::new("3 is not to be had"));
    }
    x * x
}

fn one_fails(scale: &Scale) -> Vec<Line> {
    let mut lines = Vec::new();
    for (workers, waves) in [(5, 1), (2, 3)] {
        let pool = ThreadPoolExecutor::new(workers);
        let (results, took) = timed(|| {
            let submit = |x| pool.submit(risky, x).expect("the pool is open");
            let futures: Vec<_> = (1..=5).map(submit).collect();
            let second = Duration::from_secs(1);
            let results = futures
                .into_iter()
                .map(|future| future.result_within(second));
            let results = results.map(|result| result.expect("a second is enough"));
            results.collect::<Vec<_>>()
        });
        let good: Vec<_> = results.iter().flatten().copied().collect();
        let told = |error: &TaskError| match error {
            TaskError::Panicked(panic) => panic.message == "3 is not to be had",
            _ => false,
        };
        let failed = results.iter().filter_map(|result| result.as_ref().err());
        let line = |what: &str| format!("{workers} workers: {what}");
        let least = Duration::from_millis(100) * waves;
        lines.extend([
            Line::holds(line("the results of the others"), good == [1, 4, 16, 25]),
            Line::exactly(
                line("errors that say why"),
                1,
                failed.filter(|e| told(e)).count(),
            ),
            Line::time(
                line("all"),
                least,
                scale.enough(least.as_secs_f64() * 1.05),
                took,
            ),
        ]);
    }
    lines
}
