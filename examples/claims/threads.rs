//! Claims about threads themselves: what a thousand cost, how many a pool starts, lost updates, ten
//! thousand that wait.

use crate::child::ask;
use crate::claim::{Claim, Line, Scale, Unit};
use crate::machine::{cpus, reserved, resident, timed};
use latchwork::executor::ThreadPoolExecutor;
use latchwork::sync::{Event, Lock};
use latchwork::thread::Builder;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

pub const CLAIMS: &[Claim] = &[
    Claim {
        number: 1,
        what: "a thousand threads take addresses, not memory",
        check: a_thousand,
    },
    Claim {
        number: 11,
        what: "a pool has min(32, CPUs + 4) threads by default",
        check: default_size,
    },
    Claim {
        number: 22,
        what: "a counter that 10 threads count up",
        check: counters,
    },
    Claim {
        number: 35,
        what: "threads alone carry ten thousand waits",
        check: ten_thousand,
    },
];

const KIB: usize = 1 << 10;

/// Starts as many threads as the system gives, up to `count`, that wait for an event at the same time: how
/// many, the seconds to start and to end them, and the megabytes that are resident and reserved for them.
pub fn waiting(count: usize, stack: usize) -> [f64; 5] {
    let end = Arc::new(Event::new());
    let start = || {
        let end = Arc::clone(&end);
        Builder::new().stack_size(stack).spawn(move || end.wait())
    };
    let before = (resident(), reserved());
    let (threads, started_in) =
        timed(|| (0..count).map_while(|_| start().ok()).collect::<Vec<_>>());
    let (resident, reserved) = (resident() - before.0, reserved() - before.1);
    end.set();
    let (ended, ended_in) = timed(|| {
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.filter(Result::is_ok).count()
    });
    let [started_in, ended_in] = [started_in, ended_in].map(|time| time.as_secs_f64());
    [ended as f64, started_in, ended_in, resident, reserved]
}

struct Waiting {
    threads: usize,
    start: f64,
    end: f64,
    resident: f64,
    reserved: f64,
}

impl Waiting {
    fn of(count: usize, stack: usize) -> Waiting {
        let [threads, start, end, resident, reserved] = ask(&format!("threads {count} {stack}"));
        Waiting {
            threads: threads as usize,
            start,
            end,
            resident,
            reserved,
        }
    }
}

/// The claim that they take 8 GB is one about addresses.
fn a_thousand(scale: &Scale) -> Vec<Line> {
    let count = scale.pick(1_000, 200);
    let std = std_threads(count).as_secs_f64();
    // A start of ours returns when the thread runs, which std's does not wait for.
    let most = f64::max(0.060, 1.5 * std);
    let mut lines = Vec::new();
    for (stack, name) in [(2_048 * KIB, "2 MiB stacks"), (64 * KIB, "64 KiB stacks")] {
        let waiting = Waiting::of(count, stack);
        if waiting.threads < count {
            let why = format!("the system gives {} threads", waiting.threads);
            return vec![Line::absent(format!("{count} threads, {name}"), why)];
        }
        let line = |what: &str| format!("{count} threads, {name}: {what}");
        lines.extend([
            Line::at_most(
                line("started in"),
                scale.enough(most),
                waiting.start,
                Unit::Seconds,
            )
            .because("60 ms, or half as long again as std's if that is longer"),
            Line::at_most(line("resident"), 20.0, waiting.resident, Unit::Megabytes),
            Line::shown(line("reserved"), waiting.reserved, Unit::Megabytes),
        ]);
    }
    lines.push(Line::shown(
        format!("{count} threads of std, 2 MiB stacks: started in"),
        std,
        Unit::Seconds,
    ));
    lines.push(on_twenty_stacks(count));
    lines
}

/// How long it takes to start as many of std, until each runs.
fn std_threads(count: usize) -> Duration {
    let (all, end) = (Barrier::new(count + 1), Barrier::new(count + 1));
    thread::scope(|scope| {
        let ((), took) = timed(|| {
            for _ in 0..count {
                scope.spawn(|| {
                    all.wait();
                    end.wait();
                });
            }
            all.wait();
        });
        end.wait();
        took
    })
}

/// The same number of waits, a millisecond each, on a pool.
fn on_twenty_stacks(count: usize) -> Line {
    let names = Arc::new(Mutex::new(HashSet::new()));
    let pool = ThreadPoolExecutor::new(20);
    let waits: Vec<_> = (0..count)
        .map(|_| {
            let names = Arc::clone(&names);
            let wait = move || {
                thread::sleep(Duration::from_millis(1));
                let mut names = names.lock().expect("nothing panics inside");
                names.insert(thread::current().id());
            };
            pool.spawn(wait).expect("the pool is open")
        })
        .collect();
    let done = waits
        .into_iter()
        .filter_map(|wait| wait.result().ok())
        .count();
    assert_eq!(done, count);
    let threads = names.lock().expect("nothing panicked inside").len();
    let what = format!("{count} waits on a pool of 20: threads");
    Line::at_most(what, 20.0, threads as f64, Unit::Count)
}

/// How many threads run at once when more tasks wait than any default allows.
pub fn threads_by_default() -> usize {
    const TASKS: usize = 64;
    let pool = ThreadPoolExecutor::builder().build();
    let begun = Arc::new(AtomicUsize::new(0));
    let end = Arc::new(Event::new());
    for _ in 0..TASKS {
        let (begun, end) = (Arc::clone(&begun), Arc::clone(&end));
        let task = move || {
            begun.fetch_add(1, Ordering::Relaxed);
            end.wait();
        };
        drop(pool.spawn(task).expect("the pool is open"));
    }
    // No more are coming once it stays the same for a while.
    let mut known = 0;
    loop {
        thread::sleep(Duration::from_millis(50));
        let now = begun.load(Ordering::Relaxed);
        if now == known && now > 0 {
            break;
        }
        known = now;
    }
    end.set();
    known
}

fn default_size(_: &Scale) -> Vec<Line> {
    let expected = |cpus: usize| (cpus + 4).min(32);
    let here = format!("on {} CPUs", cpus());
    vec![
        Line::exactly(here, expected(cpus()), threads_by_default()),
        Line::exactly("bound to one CPU", expected(1), on_one_cpu()),
    ]
}

fn on_one_cpu() -> usize {
    let bound = || {
        let allowed = sched_getaffinity(None).expect("a thread may ask where it runs");
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu));
        let mut one = CpuSet::new();
        one.set(first.expect("it runs somewhere"));
        sched_setaffinity(None, &one).expect("it is one of those allowed");
        // A process is bound as the thread is that starts it.
        let [threads] = ask("pool");
        threads as usize
    };
    thread::spawn(bound).join().expect("it only asks")
}

const COUNTERS: usize = 10;

/// Each of ten threads calls `count` so often, all at the same time; how long that takes.
fn counted(times: usize, count: impl Fn(usize) + Sync) -> Duration {
    let begin = Barrier::new(COUNTERS);
    let (begin, count) = (&begin, &count);
    let count = move |number| {
        begin.wait();
        (0..times).for_each(|_| count(number));
    };
    let ((), took) = timed(|| {
        latchwork::thread::scope(|scope| {
            for number in 0..COUNTERS {
                drop(scope.spawn(move || count(number)));
            }
        });
    });
    took
}

/// Alone in its lines of cache.
#[derive(Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

/// Not exclusive: another thread's count can come between the two, and is lost.
fn racy(counter: &AtomicU64) {
    let seen = black_box(counter.load(Ordering::Relaxed));
    counter.store(seen + 1, Ordering::Relaxed);
}

fn counters(scale: &Scale) -> Vec<Line> {
    let times = scale.pick(1_000_000, 100_000);
    let all = times * COUNTERS;
    let bound = |seconds: f64| scale.enough(seconds * times as f64 / 1e6);

    let lost = AtomicU64::new(0);
    counted(times, |_| racy(&lost));
    let lost = all - lost.into_inner() as usize;

    let locked = Lock::new(0_usize);
    let lock_took = counted(times, |_| *locked.lock() += 1);

    let atomic = AtomicUsize::new(0);
    let atomic_took = counted(times, |_| {
        atomic.fetch_add(1, Ordering::Relaxed);
    });

    // Each thread has one of its own, so that nothing comes between.
    let shards: [Shard; COUNTERS] = Default::default();
    let shards_took = counted(times, |number| racy(&shards[number].0));
    let sharded: u64 = shards
        .iter()
        .map(|Shard(count)| count.load(Ordering::Relaxed))
        .sum();

    let time = |what: &str, seconds, took: Duration| {
        let what = format!("{what}, {all} counts");
        Line::at_most(what, bound(seconds), took.as_secs_f64(), Unit::Seconds)
    };
    vec![
        Line::shown("load and store: lost", lost as f64, Unit::Count)
            .because("without atomics, it does not compile"),
        Line::exactly("Lock: count", all, locked.into_inner()),
        time("Lock", 0.6, lock_took),
        Line::exactly("fetch_add: count", all, atomic.into_inner()),
        time("fetch_add", 0.3, atomic_took),
        Line::exactly("sharded: count", all, sharded as usize),
        time("sharded", 0.02, shards_took),
    ]
}

fn ten_thousand(scale: &Scale) -> Vec<Line> {
    let count = scale.pick(10_000, 500);
    let waiting = Waiting::of(count, 64 * KIB);
    if waiting.threads < count {
        let why = format!("the system gives {} threads", waiting.threads);
        return vec![Line::absent(format!("{count} threads that wait"), why)];
    }
    vec![
        Line::exactly("threads that wait at once", count, waiting.threads),
        Line::shown("started in", waiting.start, Unit::Seconds),
        Line::shown("released and joined in", waiting.end, Unit::Seconds),
        Line::at_most(
            "resident",
            0.02 * count as f64,
            waiting.resident,
            Unit::Megabytes,
        )
        .because("20 kB each, as of a thousand; async: N14"),
    ]
}
