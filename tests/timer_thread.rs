//! The thread that rings: one for all timers, and asleep while nothing is due. A program of its own, where nobody
//! else sets any.

#![cfg(target_os = "linux")]

mod common;

use common::watchdog;
use latchwork::time::Timer;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// For each thread of that name, how often it has gone to sleep.
fn sleeps(name: &str) -> Vec<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let status = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("status")).ok()
    };
    let count = |status: String| {
        let field = |key| status.lines().find_map(|line| line.strip_prefix(key));
        (field("Name:")?.trim() == name)
            .then(|| field("voluntary_ctxt_switches:")?.trim().parse().ok())
            .flatten()
    };
    tasks.filter_map(status).filter_map(count).collect()
}

/// N27, T117: Python takes a thread for each.
#[test]
fn one_thread_for_100_000_timers_and_it_sleeps_while_nothing_is_due() {
    const MANY: usize = 100_000;
    watchdog(LIMIT, "one_thread", || {
        assert_eq!(
            sleeps("latchwork-timer"),
            [],
            "it starts with the first timer"
        );
        let rung = Arc::new(AtomicUsize::new(0));
        let begin = Instant::now();
        let set = |n: usize| {
            let (rung, delay) = (Arc::clone(&rung), Duration::from_millis(n as u64 % 50));
            Timer::after(delay, move || {
                assert!(begin.elapsed() >= delay);
                rung.fetch_add(1, Ordering::Relaxed);
            })
        };
        let timers: Vec<_> = (0..MANY).map(set).collect();
        assert_eq!(sleeps("latchwork-timer").len(), 1);
        timers.into_iter().for_each(|timer| timer.join().unwrap());
        assert_eq!(rung.load(Ordering::Relaxed), MANY);

        // An hour from now, and some days. What is due wakes the thread, and nothing else does.
        let far = |n: u64| Timer::after(Duration::from_secs(3600 * (1 + n % 70)), || ());
        let _far: Vec<_> = (0..1_000).map(far).collect();
        Timer::after(Duration::from_millis(1), || ())
            .join()
            .unwrap();
        let asleep = |before: &mut u64| {
            let now = sleeps("latchwork-timer")[0];
            std::mem::replace(before, now) == now
        };
        // It may be on its way to sleep.
        let mut before = 0;
        while !asleep(&mut before) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(asleep(&mut before), "it has woken up for nothing");
    });
}
