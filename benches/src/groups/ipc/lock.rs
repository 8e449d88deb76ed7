//! Locks between processes: alone, in time and in instructions, and fought over.

use super::mutexes::{CacheLines, Flock, Futex, Mutex, Plain, Robust, Semaphore};
use super::{death, handover};
use crate::instructions::stepped;
use crate::run::{Figures, Metric, Workload};
use crate::shared::{Shared, WARM_UP, calls};
use crate::work::{nanos_a_call, spin, steps};
use latchwork::ipc::Lock;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One workload, for whichever lock.
trait Measure: Copy + 'static {
    type Output: Into<Figures>;
    fn of<M: Mutex>(self) -> Self::Output;
}

/// Everybody who can be a lock, at one workload; but for the kernel's, whose instructions don't count.
fn in_user_space(name: &str, metrics: &[Metric], measure: impl Measure) -> Workload {
    Workload::new(name, metrics)
        .ours(move || measure.of::<Lock>())
        .peer("pthread", move || measure.of::<Plain>())
        .peer("pthread robust", move || measure.of::<Robust>())
        .peer("sem_t", move || measure.of::<Semaphore>())
        .limit("bare futex", move || measure.of::<Futex>())
}

fn everybody(name: &str, metrics: &[Metric], measure: impl Measure) -> Workload {
    in_user_space(name, metrics, measure).peer("flock", move || measure.of::<Flock>())
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    // A count is no time: an atomic instruction takes as long as twenty others.
    let instructions = [Metric::time("instructions").shown()];
    let alone = [Metric::time("ns/lock+unlock")];
    let tried = [Metric::time("ns/try+unlock")];
    let fought = [
        Metric::rate("increments/s"),
        Metric::rate("least share").shown(),
    ];
    let mut workloads = vec![
        everybody("uncontended", &alone, Uncontended(sample)),
        everybody("uncontended try_lock", &tried, Tried(sample)),
        in_user_space("uncontended instructions", &instructions, Counted),
        in_user_space("try_lock instructions", &instructions, CountedTry),
    ];
    for processes in [2, 4] {
        for (cs, inside) in [("10ns", 10), ("100ns", 100), ("1us", 1_000)] {
            for (out, outside) in [("0", 0), ("1us", 1_000)] {
                let fight = Fight {
                    sample,
                    processes,
                    inside: steps(Duration::from_nanos(inside)),
                    outside: steps(Duration::from_nanos(outside)),
                };
                let name = format!("contended p={processes} cs={cs} out={out}");
                workloads.push(everybody(&name, &fought, fight));
            }
        }
    }
    workloads.extend(handover::workloads(sample));
    workloads.push(death::workload());
    workloads
}

#[derive(Clone, Copy)]
struct Uncontended(Duration);

impl Measure for Uncontended {
    type Output = f64;
    fn of<M: Mutex>(self) -> f64 {
        let mutex = M::new();
        let mutex = black_box(&mutex);
        nanos_a_call(self.0, || drop(mutex.lock()))
    }
}

#[derive(Clone, Copy)]
struct Tried(Duration);

impl Measure for Tried {
    type Output = f64;
    fn of<M: Mutex>(self) -> f64 {
        let mutex = M::new();
        let mutex = black_box(&mutex);
        nanos_a_call(self.0, || drop(mutex.try_lock()))
    }
}

#[derive(Clone, Copy)]
struct Counted;

impl Measure for Counted {
    type Output = f64;
    fn of<M: Mutex>(self) -> f64 {
        let mutex = M::new();
        let mutex = black_box(&mutex);
        stepped::each(|times| (0..times).for_each(|_| drop(mutex.lock())))
    }
}

#[derive(Clone, Copy)]
struct CountedTry;

impl Measure for CountedTry {
    type Output = f64;
    fn of<M: Mutex>(self) -> f64 {
        let mutex = M::new();
        let mutex = black_box(&mutex);
        stepped::each(|times| (0..times).for_each(|_| drop(mutex.try_lock())))
    }
}

#[derive(Clone, Copy)]
struct Fight {
    sample: Duration,
    processes: usize,
    /// Steps of work while the lock is held, and before the next attempt.
    inside: u32,
    outside: u32,
}

/// What everybody changes under the lock. By loads and stores: were the lock none, increments would be lost.
#[derive(Default)]
struct Guarded {
    increments: AtomicU64,
    work: AtomicU64,
}

impl Measure for Fight {
    type Output = [f64; 2];
    fn of<M: Mutex>(self) -> [f64; 2] {
        let mutex = M::new();
        let shared = Shared::new(CacheLines(Guarded::default()));
        let guarded = &shared.0;
        let counted = calls(self.sample, self.processes, |_| {
            mutex.join();
            let mutex = &mutex;
            let mut own = 0;
            move || {
                let guard = mutex.lock();
                let increments = guarded.increments.load(Ordering::Relaxed);
                let work = guarded.work.load(Ordering::Relaxed);
                guarded
                    .work
                    .store(spin(work, self.inside), Ordering::Relaxed);
                guarded.increments.store(increments + 1, Ordering::Relaxed);
                drop(guard);
                own = spin(own, self.outside);
            }
        });
        let increments = guarded.increments.load(Ordering::Relaxed);
        let warm_up = WARM_UP * self.processes as u64;
        assert_eq!(
            increments,
            counted.all() + warm_up,
            "the lock excludes nobody"
        );
        [counted.a_second(), counted.least_share()]
    }
}
