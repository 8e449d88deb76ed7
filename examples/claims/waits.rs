//! Claims about tasks that only wait: as many at a time as there are workers, whatever the number of CPUs.

use crate::child::ask;
use crate::claim::{Claim, Line, Scale, Unit};
use crate::machine::{resident, timed};
use latchwork::executor::{Executor, LocalExecutor, ProcessPoolExecutor, ThreadPoolExecutor};
use latchwork::time::{sleep_async, sleep_until_async};
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

pub const CLAIMS: &[Claim] = &[
    Claim {
        number: 5,
        what: "100 pages that take 0.5 s each",
        check: pages,
    },
    Claim {
        number: 7,
        what: "50 waits of 0.1 s on 20 workers, threads and processes",
        check: fifty,
    },
    Claim {
        number: 12,
        what: "how many threads are enough for waits",
        check: sweep,
    },
    Claim {
        number: 14,
        what: "a hundred thousand async waits on one thread",
        check: a_hundred_thousand,
    },
    Claim {
        number: 21,
        what: "8 waits of 0.1 s in 8 threads",
        check: eight,
    },
    Claim {
        number: 47,
        what: "5 items of 1 s on 3 threads, in order",
        check: five,
    },
];

/// What a server of the given slowness makes a task do.
fn nap(millis: u64) -> u64 {
    thread::sleep(Duration::from_millis(millis));
    millis
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many naps, mapped by an executor whose start is timed too, but not its end.
fn naps<E: Executor>(start: impl FnOnce() -> E, count: u64, each: u64) -> Duration {
    let ((pool, sum), took) = timed(|| {
        let pool = start();
        let results = pool.map(nap, (0..count).map(|_| each));
        let results = results.expect("the pool is open");
        let sum: u64 = results.map(|nap| nap.expect("it only sleeps")).sum();
        (pool, sum)
    });
    drop(pool);
    assert_eq!(sum, count * each);
    took
}

fn pages(scale: &Scale) -> Vec<Line> {
    const PAGES: u64 = 100;
    let each = scale.pick(500, 50);
    let line = |what: &str, waves: u32, took| {
        let least = millis(each) * waves;
        let most = scale.enough(least.as_secs_f64() * 1.02);
        Line::time(what, least, most, took)
    };
    let on_threads = |workers| naps(|| ThreadPoolExecutor::new(workers), PAGES, each);
    let ((), alone) = timed(|| {
        let executor = LocalExecutor::new();
        let pages: Vec<_> = (0..PAGES)
            .map(|_| executor.spawn(sleep_async(millis(each))))
            .collect();
        executor.join();
        assert!(pages.iter().all(|page| page.is_done()));
    });
    vec![
        line("20 threads", 5, on_threads(20)),
        line("100 threads", 1, on_threads(100)),
        line("async, one thread", 1, alone),
    ]
}

fn fifty(scale: &Scale) -> Vec<Line> {
    let processes = || ProcessPoolExecutor::new(20).expect("workers start");
    let line = |what: &str, most, took| Line::time(what, millis(300), scale.enough(most), took);
    vec![
        line(
            "20 threads",
            0.303,
            naps(|| ThreadPoolExecutor::new(20), 50, 100),
        ),
        line(
            "20 processes, with their start",
            0.320,
            naps(processes, 50, 100),
        ),
    ]
}

/// The formula that people use for work that waits. `latchwork` is to have it; then this is the place to call it.
fn io_bound(cpus: usize) -> usize {
    (cpus * 4).min(64)
}

fn sweep(scale: &Scale) -> Vec<Line> {
    let (tasks, each) = scale.pick((200, 10), (40, 3));
    let formula = io_bound(scale.cpus);
    let mut sizes = vec![1, 2, 5, 10, 20, 50, 100, 200, formula];
    sizes.sort_unstable();
    sizes.dedup();
    let mut lines = Vec::new();
    let mut times = Vec::new();
    for workers in sizes {
        let took = naps(|| ThreadPoolExecutor::new(workers), tasks, each);
        let waves = tasks.div_ceil(workers as u64);
        let least = millis(each) * waves as u32;
        times.push((workers, took));
        let what = format!("{tasks} waits of {each} ms, {workers} threads");
        lines.push(if workers == formula {
            // By a millisecond a wave: that is how late the kernel may wake a sleeper on a busy machine.
            let most = scale.enough(least.as_secs_f64() + waves as f64 * 1e-3);
            Line::time(what, least, most, took).because("min(64, 4 a CPU)")
        } else {
            Line::shown(what, took.as_secs_f64(), Unit::Seconds)
        });
    }
    // Where twice the threads, or more, are no longer worth half as much again.
    let steps = times.windows(2);
    let mut worth =
        steps.map(|step| (step[0].0, step[0].1.as_secs_f64() / step[1].1.as_secs_f64()));
    let knee = worth.find(|(_, gain)| *gain < 1.5);
    let knee = knee.map_or(200, |(workers, _)| workers);
    lines.push(Line::shown(
        "knee: more threads gain less than half",
        knee as f64,
        Unit::Count,
    ));
    lines
}

/// So many tasks that sleep until one instant, in one thread: the seconds until all have ended, and the
/// megabytes that are resident for them when all are asleep.
///
pub fn waiting(count: u64, millis: u64) -> [f64; 2] {
    let before = resident();
    let start = Instant::now();
    let until = start + Duration::from_millis(millis);
    let executor = LocalExecutor::new();
    let sleep = |number| {
        executor.spawn(async move {
            sleep_until_async(until).await;
            black_box(number)
        })
    };
    let tasks: Vec<_> = (0..count).map(sleep).collect();
    let resident = executor.run(async {
        let mut sum = 0;
        let mut resident_then = 0.0;
        for (number, task) in tasks.into_iter().enumerate() {
            sum += task.await.expect("it does not panic");
            // All of them have been polled, and so were asleep, before the first one was ready.
            if number == 0 {
                resident_then = resident() - before;
            }
        }
        assert_eq!(sum, count * (count - 1) / 2);
        resident_then
    });
    [start.elapsed().as_secs_f64(), resident]
}

fn a_hundred_thousand(scale: &Scale) -> Vec<Line> {
    let (count, asleep) = scale.pick((100_000, 2_000), (10_000, 300));
    let [took, resident] = ask(&format!("tasks {count} {asleep}"));
    let asleep = millis(asleep);
    vec![
        Line::time(
            format!("{count} tasks asleep until one instant"),
            asleep,
            scale.enough(asleep.as_secs_f64() + 0.5),
            Duration::from_secs_f64(took),
        ),
        Line::at_most("resident", 100.0, resident, Unit::Megabytes),
    ]
}

fn eight(scale: &Scale) -> Vec<Line> {
    const THREADS: usize = 8;
    let ((), std) = timed(|| {
        thread::scope(|scope| {
            (0..THREADS).for_each(|_| {
                scope.spawn(|| nap(100));
            });
        });
    });
    let ((), took) = timed(|| {
        let start = || latchwork::thread::spawn(|| nap(100));
        let threads: Vec<_> = (0..THREADS).map(|_| start()).collect();
        for thread in threads {
            assert_eq!(thread.join(), Ok(100));
        }
    });
    // Where std's sleepers are woken late, so are ours.
    let std = std.as_secs_f64();
    let most = scale.enough((0.8 / 7.9_f64).max(std * 1.005));
    let note = "7.9 times as quick as one after the other, or nearly as std's";
    vec![
        Line::time("8 threads", millis(100), most, took).because(note),
        Line::shown("8 threads of std", std, Unit::Seconds),
    ]
}

fn five(scale: &Scale) -> Vec<Line> {
    let each = millis(scale.pick(1_000, 100));
    let pool = ThreadPoolExecutor::new(3);
    let (names, took) = timed(|| {
        let item = |(name, each): (char, Duration)| {
            thread::sleep(each);
            name
        };
        let items = ('A'..='E').map(|name| (name, each));
        let results = pool.map(item, items).expect("the pool is open");
        results
            .map(|name| name.expect("it only sleeps"))
            .collect::<String>()
    });
    let least = each * 2;
    vec![
        Line::time(
            "two waves",
            least,
            scale.enough(least.as_secs_f64() * 1.005),
            took,
        ),
        Line::holds("results in the order of the items", names == "ABCDE"),
    ]
}
