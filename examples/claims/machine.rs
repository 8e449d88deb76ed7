//! What this machine gives: its CPUs, the memory of this process, what others leave of it, and how much
//! faster two plain threads are than one in the very minute in which ours are measured.
//!
//! Keeps: a speed-up is only ever compared with what std's threads reach at the same work beside it, because
//! nobody promises that cores are idle.

use crate::claim::{Line, Scale, Unit};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub fn cpus() -> usize {
    thread::available_parallelism().map_or(1, |cpus| cpus.get())
}

pub fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// A line of `/proc/self/status`, in kilobytes.
fn status(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("it is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let value = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .expect("the kernel says so")
}

/// Megabytes that this process has in memory.
pub fn resident() -> f64 {
    status("VmRSS") / 1e3
}

/// Megabytes of addresses that this process has set aside.
pub fn reserved() -> f64 {
    status("VmSize") / 1e3
}

/// Ours at the work of a [`Race`]: told what one thread came to, it says whether it came to the same, and
/// how long it took.
pub type Ours<'a, R> = Box<dyn FnMut(&[R]) -> (bool, Duration) + 'a>;

/// The same tasks in one thread, in as many std threads as can run at once, and by ours.
///
/// They take turns, and the best of each counts: what disturbs makes slower.
pub struct Race {
    alone: Duration,
    std: Duration,
    threads: usize,
    ours: Vec<(String, bool, Duration)>,
}

impl Race {
    pub fn run<R: Send + PartialEq>(
        scale: &Scale,
        tasks: usize,
        threads: usize,
        task: impl Fn(usize) -> R + Sync,
        ours: Vec<(String, Ours<'_, R>)>,
    ) -> Race {
        let mut race = Race {
            alone: Duration::MAX,
            std: Duration::MAX,
            threads,
            ours: Vec::new(),
        };
        let (names, mut ours): (Vec<_>, Vec<_>) = ours.into_iter().unzip();
        race.ours
            .extend(names.into_iter().map(|name| (name, true, Duration::MAX)));
        for _ in 0..scale.pick(3, 2) {
            let (results, alone) = timed(|| (0..tasks).map(&task).collect::<Vec<R>>());
            race.alone = race.alone.min(alone);
            let (same, std) = timed(|| by_std_threads(tasks, threads, &task));
            assert!(same == results, "std's threads come to something else");
            race.std = race.std.min(std);
            for ((_, all_same, best), ours) in race.ours.iter_mut().zip(&mut ours) {
                let (same, took) = ours(&results);
                *all_same &= same;
                *best = took.min(*best);
            }
        }
        race
    }

    /// How many times as quick std's threads are. No more than there are threads: what goes beyond is a
    /// disturbance of the one thread.
    pub fn given(&self) -> f64 {
        (self.alone.as_secs_f64() / self.std.as_secs_f64()).min(self.threads as f64)
    }

    /// How many times as quick as one thread each of ours is, by its place.
    pub fn speed_up(&self, ours: usize) -> f64 {
        self.alone.as_secs_f64() / self.ours[ours].2.as_secs_f64()
    }

    /// That one of ours, by its place, is nearly as quick as std's threads are.
    pub fn line(&self, ours: usize, scale: &Scale) -> Line {
        let bound = self.given() * scale.part();
        let because = format!(
            "{} of the {:.2}x that {} std threads reach",
            scale.part(),
            self.given(),
            self.threads
        );
        Line::at_least(&self.ours[ours].0, bound, self.speed_up(ours), Unit::Times).because(because)
    }

    /// How quick it is.
    pub fn shown(&self, ours: usize) -> Line {
        Line::shown(&self.ours[ours].0, self.speed_up(ours), Unit::Times)
    }

    /// How long one thread takes, and that all of ours come to the same as it.
    pub fn base(&self) -> Vec<Line> {
        let alone = self.alone.as_secs_f64();
        let mut lines = vec![Line::shown("one after the other", alone, Unit::Seconds)];
        lines.extend(self.ours.iter().map(|(name, all_same, _)| {
            Line::holds(format!("{name}: the same results"), *all_same)
        }));
        lines
    }

    /// All of this, for each of ours.
    pub fn lines(&self, scale: &Scale) -> Vec<Line> {
        let mut lines = self.base();
        lines.extend((0..self.ours.len()).map(|ours| self.line(ours, scale)));
        lines
    }
}

/// The part of all CPUs that other programs have used since then.
pub struct Others {
    since: Instant,
    before: f64,
}

impl Others {
    pub fn begin() -> Others {
        Others {
            since: Instant::now(),
            before: Others::seconds(),
        }
    }

    pub fn part(&self) -> f64 {
        let all = self.since.elapsed().as_secs_f64() * cpus() as f64;
        ((Others::seconds() - self.before) / all).clamp(0.0, 1.0)
    }

    /// Seconds that all CPUs were busy, but not with this process or its ended children.
    fn seconds() -> f64 {
        // Both files count in hundredths of a second.
        let fields = |text: &str| -> Vec<f64> {
            let numbers = text.split_whitespace().map(|n| n.parse().unwrap_or(0.0));
            numbers.collect()
        };
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = machine.lines().next().unwrap_or_default();
        // After its name: user, nice, system, idle, iowait, irq, softirq, steal.
        let busy = fields(line.trim_start_matches("cpu"));
        let busy: f64 = [0, 1, 2, 5, 6, 7]
            .iter()
            .filter_map(|&at| busy.get(at))
            .sum();
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let own = fields(own.rsplit_once(')').map_or("", |(_, rest)| rest));
        let own: f64 = own.iter().skip(11).take(4).sum();
        (busy - own) / 100.0
    }
}

fn by_std_threads<R: Send>(
    tasks: usize,
    threads: usize,
    task: &(impl Fn(usize) -> R + Sync),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(tasks));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= tasks {
                        break;
                    }
                    let result = task(number);
                    let mut results = results.lock().expect("nothing panics inside");
                    results.push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("nothing panicked inside");
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
