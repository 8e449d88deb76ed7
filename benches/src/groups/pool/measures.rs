//! What is measured of a pool. Each proves by a sum that every task ran, once.

use super::contenders::Pool;
use super::{sum_of, task};
use crate::run::{median, quantile};
use crate::usage::cpu_of_process;
use crate::work::{mean, micros};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A pool that has started its threads: start-up is not what is measured with it.
fn started<P: Pool>(workers: usize) -> P {
    let pool = P::start(workers);
    assert_eq!(pool.submit_all(0..1_000, 0), sum_of(1_000));
    pool
}

/// Tasks a second, submitted by so many threads, each of which takes its results.
pub fn from_outside<P: Pool>(workers: usize, threads: u64, sample: Duration) -> f64 {
    const TASKS: u64 = 10_000;
    let pool = started::<P>(workers);
    let each = TASKS / threads;
    let start = Instant::now();
    let submit = || {
        let mut tasks = 0;
        while start.elapsed() < sample {
            assert_eq!(pool.submit_all(0..each, 0), sum_of(each));
            tasks += each;
        }
        tasks
    };
    let tasks: u64 = if threads == 1 {
        submit()
    } else {
        thread::scope(|scope| {
            let submitters: Vec<_> = (0..threads).map(|_| scope.spawn(submit)).collect();
            let tasks = submitters.into_iter().map(|thread| thread.join());
            tasks.map(|tasks| tasks.expect("it only submits")).sum()
        })
    };
    tasks as f64 / start.elapsed().as_secs_f64()
}

/// Tells the thread that made it when so many tasks have come by, and the sum of what they brought.
struct Tally {
    /// How many in the upper half, their sum in the lower.
    come: AtomicU64,
    expected: u64,
    waiting: thread::Thread,
}

impl Tally {
    fn new(expected: u64) -> Arc<Tally> {
        Arc::new(Tally {
            come: AtomicU64::new(0),
            expected,
            waiting: thread::current(),
        })
    }

    fn add(&self, value: u64) {
        let one = (1 << 32) + value;
        let come = self.come.fetch_add(one, Ordering::AcqRel) + one;
        if come >> 32 == self.expected {
            self.waiting.unpark();
        }
    }

    fn wait(&self) -> u64 {
        loop {
            let come = self.come.load(Ordering::Acquire);
            if come >> 32 == self.expected {
                return come & u64::from(u32::MAX);
            }
            thread::park();
        }
    }
}

/// Tasks whose sum fits into a [`Tally`]: what each brings is its number, or its path, cut to this.
const VALUES: u64 = 0x100;
const TASKS: u64 = 1 << 16;
const SUM: u64 = TASKS / VALUES * (VALUES * (VALUES - 1) / 2);

/// Calls `round`, which runs so many tasks, over and over: tasks a second.
fn rounds(sample: Duration, tasks: u64, round: impl Fn(Arc<Tally>)) -> f64 {
    let mut done = 0;
    let start = Instant::now();
    while done == 0 || start.elapsed() < sample {
        let tally = Tally::new(TASKS);
        round(Arc::clone(&tally));
        assert_eq!(tally.wait(), SUM);
        done += tasks;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

/// From outside, and only counted.
pub fn without_results<P: Pool>(workers: usize, sample: Duration) -> f64 {
    let pool = started::<P>(workers);
    rounds(sample, TASKS, |tally| {
        for number in 0..TASKS {
            let tally = Arc::clone(&tally);
            pool.enter(move |_| tally.add(task(number, 0).wrapping_sub(1) % VALUES));
        }
    })
}

/// One task spawns all.
pub fn flat<P: Pool>(workers: usize, sample: Duration) -> f64 {
    let pool = started::<P>(workers);
    rounds(sample, TASKS + 1, |tally| {
        pool.enter(move |inside| {
            for number in 0..TASKS {
                let tally = Arc::clone(&tally);
                P::fire(inside, move |_| {
                    tally.add(task(number, 0).wrapping_sub(1) % VALUES);
                });
            }
        });
    })
}

/// Each task spawns two, sixteen times over.
pub fn tree<P: Pool>(workers: usize, sample: Duration) -> f64 {
    const DEPTH: u32 = TASKS.ilog2();
    fn node<P: Pool>(inside: &P::Inside, depth: u32, path: u64, tally: Arc<Tally>) {
        if depth == 0 {
            return tally.add(path % VALUES);
        }
        let other = Arc::clone(&tally);
        P::fire(inside, move |inside| {
            node::<P>(inside, depth - 1, path * 2, tally);
        });
        P::fire(inside, move |inside| {
            node::<P>(inside, depth - 1, path * 2 + 1, other);
        });
    }
    let pool = started::<P>(workers);
    rounds(sample, 2 * TASKS - 1, |tally| {
        pool.enter(move |inside| node::<P>(inside, DEPTH, 0, tally));
    })
}

/// One at a time, with pauses in which the workers go to sleep: median and 99th percentile.
pub fn asleep<P: Pool>(workers: usize, sample: Duration) -> [f64; 2] {
    const PAUSE: Duration = Duration::from_millis(1);
    let pool = started::<P>(workers);
    let mut argument = 0;
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < sample * 2 {
        thread::sleep(PAUSE);
        let begun = Instant::now();
        argument = pool.round_trip(argument);
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    assert_eq!(argument, times.len() as u64);
    [median(&times), quantile(&times, 0.99)]
}

/// One right after the other: mean, median and 99th percentile.
pub fn awake<P: Pool>(workers: usize, sample: Duration) -> [f64; 3] {
    let pool = started::<P>(workers);
    let mut argument = 0;
    let times = micros(sample, || argument = pool.round_trip(argument));
    assert_eq!(argument, times.len() as u64);
    [mean(&times), median(&times), quantile(&times, 0.99)]
}

/// Microseconds a batch.
pub fn fan<P: Pool>(workers: usize, steps: u32, sample: Duration) -> f64 {
    let pool = started::<P>(workers);
    let times = micros(sample, || {
        assert_eq!(pool.fan(1_000, steps), sum_of(1_000));
    });
    mean(&times)
}

/// Microseconds from nothing to one result to nothing.
pub fn lifetime<P: Pool>(sample: Duration, end: impl Fn(P)) -> f64 {
    let times = micros(sample, || {
        let pool = P::start(2);
        assert_eq!(pool.round_trip(1), 2);
        end(pool);
    });
    mean(&times)
}

/// Milliseconds for 50 tasks that only sleep, on 20 workers: three rounds of naps at best.
pub fn naps<P: Pool>(nap: Duration) -> f64 {
    const NAPS: u64 = 50;
    let pool = started::<P>(20);
    let tally = Tally::new(NAPS);
    let start = Instant::now();
    for number in 0..NAPS {
        let tally = Arc::clone(&tally);
        pool.enter(move |_| {
            thread::sleep(nap);
            tally.add(number);
        });
    }
    assert_eq!(tally.wait(), NAPS * (NAPS - 1) / 2);
    let time = start.elapsed();
    assert!(time >= nap * 3, "50 tasks are three for some worker of 20");
    time.as_secs_f64() * 1e3
}

/// Microseconds of a processor that a second of nothing to do costs after a thousand tasks.
///
/// Looked at once, by the first sample: a second is long.
pub fn idle<P: Pool>(window: Duration) -> f64 {
    static KNOWN: Mutex<Option<HashMap<TypeId, f64>>> = Mutex::new(None);
    let mut known = KNOWN.lock().expect("nothing panics inside");
    let known = known.get_or_insert_default();
    *known.entry(TypeId::of::<P>()).or_insert_with(|| {
        let pool = started::<P>(2);
        let before = cpu_of_process();
        thread::sleep(window);
        let used = cpu_of_process() - before;
        drop(pool);
        // Something at least: there is no ratio to nothing.
        (used.as_secs_f64() * 1e6 / window.as_secs_f64()).max(1.0)
    })
}
