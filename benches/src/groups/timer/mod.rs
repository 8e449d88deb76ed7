//! Timers: what it costs to set and to cancel one, what it occupies, and how late it is.

mod kinds;

use crate::allocated::allocated_by;
use crate::run::{Figures, Metric, Workload};
use crate::usage::cpu_of_process as cpu;
use crate::work::{Waits, spin, steps};
use kinds::{Heap, Ours, Threads, Timers, Tokio, TokioDelayQueue};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Of the whole process: who rings may be busy with what others have set and cancelled.
const CPU: Metric = Metric::time("cpu ns/set+cancel, all threads");
const WALL: Metric = Metric::time("ns/set+cancel").shown();
/// Handles, and an `Arc` that the function has captured, left out.
const BYTES: Metric = Metric::time("bytes each, of a word captured").shown();

const STANDING: usize = 1_000;

pub fn workloads(sample: Duration) -> Vec<Workload> {
    // A short sample is a look whether everything runs.
    let (many, late) = if sample < Duration::from_millis(60) {
        (10_000, 1_000)
    } else {
        (1_000_000, 10_000)
    };
    let spread = Duration::from_micros(100) * late;
    vec![
        Workload::new(format!("{many} set, then cancelled"), &[CPU, WALL])
            .ours(move || set_then_cancel(&Ours, many))
            .peer("tokio spawn(sleep)+abort", move || {
                set_then_cancel(&Tokio::new(), many)
            })
            .peer("tokio DelayQueue task", move || {
                set_then_cancel(&TokioDelayQueue::new(), many)
            })
            .peer("BinaryHeap+Condvar thread", move || {
                set_then_cancel(&Heap::new(), many)
            }),
        Workload::new("500 set, then cancelled", &[CPU, WALL])
            .ours(|| set_then_cancel(&Ours, 500))
            .peer("std thread each", || set_then_cancel(&Threads, 500)),
        Workload::new(format!("{many} set"), &[BYTES])
            .ours(move || bytes_each(&Ours, many))
            .peer("tokio spawn(sleep)", move || {
                bytes_each(&Tokio::new(), many)
            })
            .peer("tokio DelayQueue task", move || {
                bytes_each(&TokioDelayQueue::new(), many)
            })
            .peer("BinaryHeap+Condvar thread", move || {
                bytes_each(&Heap::new(), many)
            }),
        in_turn(STANDING, sample),
        in_turn(0, sample),
        lateness("idle", 0, late, spread),
        lateness("busy", 2, late, spread),
    ]
}

fn of<T: 'static, R: Into<Figures>>(timers: T, sample: impl Fn(&T) -> R) -> impl FnMut() -> R {
    move || sample(&timers)
}

/// Times in tens of seconds, at random: nothing rings meanwhile.
fn delay(random: &mut u64) -> Duration {
    *random = spin(*random, 1);
    Duration::from_micros(10_000_000 + (*random >> 33) % 60_000_000)
}

fn set_then_cancel<T: Timers>(timers: &T, many: usize) -> [f64; 2] {
    // What a timer has captured: its end tells that it is gone.
    let captured = Arc::new(());
    let mut handles = Vec::with_capacity(many);
    let mut random = 1;
    let (start, used) = (Instant::now(), cpu());
    for _ in 0..many {
        let its = Arc::clone(&captured);
        handles.push(timers.set(delay(&mut random), move || drop(black_box(its))));
    }
    timers.settle();
    let (set_in, set_for) = (start.elapsed(), cpu() - used);
    let (start, used) = (Instant::now(), cpu());
    for handle in handles {
        timers.cancel(handle);
    }
    // Some do it in another thread.
    while Arc::strong_count(&captured) > 1 {
        thread::sleep(Duration::from_micros(100));
    }
    let each = |time: Duration| time.as_secs_f64() * 1e9 / many as f64;
    [each(set_for + cpu() - used), each(set_in + start.elapsed())]
}

/// What a timer occupies while it is set.
fn bytes_each<T: Timers>(timers: &T, many: usize) -> f64 {
    let captured = Arc::new(());
    let mut handles = Vec::with_capacity(many);
    let mut random = 1;
    let bytes = allocated_by(|| {
        for _ in 0..many {
            let its = Arc::clone(&captured);
            handles.push(timers.set(delay(&mut random), move || drop(black_box(its))));
        }
        timers.settle();
    });
    handles.into_iter().for_each(|handle| timers.cancel(handle));
    while Arc::strong_count(&captured) > 1 {
        thread::sleep(Duration::from_micros(100));
    }
    bytes as f64 / many as f64
}

/// With so many others that are set and stay.
fn in_turn(standing: usize, sample: Duration) -> Workload {
    let name = format!("set and cancelled in turn, {standing} standing");
    Workload::new(name, &[CPU, WALL])
        .ours(with_standing(Ours, standing, sample))
        .peer(
            "tokio spawn(sleep)+abort",
            with_standing(Tokio::new(), standing, sample),
        )
        .peer(
            "tokio DelayQueue task",
            with_standing(TokioDelayQueue::new(), standing, sample),
        )
        .peer(
            "BinaryHeap+Condvar thread",
            with_standing(Heap::new(), standing, sample),
        )
}

fn with_standing<T: Timers>(
    timers: T,
    standing: usize,
    sample: Duration,
) -> impl FnMut() -> [f64; 2] {
    move || {
        let mut random = 1;
        let standing: Vec<_> = (0..standing)
            .map(|_| timers.set(delay(&mut random), || ()))
            .collect();
        timers.settle();
        let captured = Arc::new(());
        let mut pairs = 0_u32;
        let (start, used) = (Instant::now(), cpu());
        while start.elapsed() < sample {
            for _ in 0..100 {
                let its = Arc::clone(&captured);
                let handle = timers.set(delay(&mut random), move || drop(black_box(its)));
                timers.cancel(handle);
            }
            pairs += 100;
        }
        while Arc::strong_count(&captured) > 1 {
            thread::sleep(Duration::from_micros(100));
        }
        let (took, used) = (start.elapsed(), cpu() - used);
        standing
            .into_iter()
            .for_each(|handle| timers.cancel(handle));
        [used, took].map(|time| time.as_secs_f64() * 1e9 / f64::from(pairs))
    }
}

/// How late timers are that are spread over a time, while so many threads want a processor all the time.
fn lateness(name: &str, busy: usize, many: u32, spread: Duration) -> Workload {
    let micros = ["p50 us late", "p99 us late", "max us late"];
    let metrics = micros.map(|unit| Metric::time(unit).shown());
    let name = format!("lateness of {many} over {} ms, {name}", spread.as_millis());
    Workload::new(name, &metrics)
        .ours(move || late(&Ours, busy, many, spread))
        .peer(
            "tokio spawn(sleep)",
            of(Tokio::new(), move |t| late(t, busy, many, spread)),
        )
        .peer(
            "tokio DelayQueue task",
            of(TokioDelayQueue::new(), move |t| late(t, busy, many, spread)),
        )
        .peer(
            "BinaryHeap+Condvar thread",
            of(Heap::new(), move |t| late(t, busy, many, spread)),
        )
        .peer("std thread each (a tenth)", move || {
            late(&Threads, busy, many / 10, spread)
        })
}

fn late<T: Timers>(timers: &T, busy: usize, many: u32, spread: Duration) -> [f64; 3] {
    let stop = AtomicBool::new(false);
    let waits = Arc::new(Mutex::new(Waits::default()));
    thread::scope(|s| {
        for _ in 0..busy {
            s.spawn(|| {
                let a_moment = steps(Duration::from_micros(10));
                while !stop.load(Ordering::Relaxed) {
                    spin(1, a_moment);
                }
            });
        }
        let mut random = 1;
        // After all of them have been set.
        let begin = Duration::from_millis(300);
        let handles: Vec<_> = (0..many)
            .map(|_| {
                random = spin(random, 1);
                let delay = begin + spread.mul_f64((random >> 40) as f64 / (1 << 24) as f64);
                let (waits, due) = (Arc::clone(&waits), Instant::now() + delay);
                timers.set(delay, move || {
                    let late = due.elapsed();
                    waits.lock().expect("nothing panics inside").add(late);
                })
            })
            .collect();
        thread::sleep(begin + spread + Duration::from_millis(50));
        while Arc::strong_count(&waits) > 1 {
            thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        drop(handles);
    });
    let waits = waits.lock().expect("nothing panics inside");
    assert_eq!(waits.count(), u64::from(many));
    [waits.quantile(0.5), waits.quantile(0.99), waits.longest()]
        .map(|wait| wait.as_secs_f64() * 1e6)
}
