//! Locks: alone, fought over with critical sections of 10 ns to 1 us, how evenly they serve, and how
//! soon a sleeper has what it was woken for.

mod mutexes;

use crate::instructions::{Operation, repeat};
use crate::run::{Figures, Metric, Workload};
use crate::work::{Waits, calls_a_second, nanos_a_call, spin, steps, waits};
use latchwork::sync::Lock;
use mutexes::{Floor, Mutex, Nothing, Pthread};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A lock whose cache lines hold nothing else, so that luck with neighbours decides nothing.
#[repr(align(128))]
struct Alone<M>(M);

/// One workload, for whichever lock.
trait Measure: Copy + 'static {
    type Output: Into<Figures>;
    fn of<M: Mutex>(self) -> Self::Output;
}

/// Everybody who can be a lock, at one workload.
fn everybody(name: &str, metrics: &[Metric], measure: impl Measure) -> Workload {
    Workload::new(name, metrics)
        .ours(move || measure.of::<Lock<u64>>())
        .peer("std", move || measure.of::<std::sync::Mutex<u64>>())
        .peer("parking_lot", move || {
            measure.of::<parking_lot::Mutex<u64>>()
        })
        .peer("usync", move || measure.of::<usync::Mutex<u64>>())
        .peer("pthread", move || measure.of::<Pthread>())
        .limit("parking_lot FairMutex", move || {
            measure.of::<parking_lot::FairMutex<u64>>()
        })
        .limit("CAS+store, yield", move || measure.of::<Floor>())
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let work = [("10ns", 10), ("100ns", 100), ("1us", 1_000)];
    let pauses = [("0", 0), ("1us", 1_000)];
    let fight = |threads, inside, outside| Fight {
        sample,
        threads,
        inside: steps(Duration::from_nanos(inside)),
        outside: steps(Duration::from_nanos(outside)),
    };

    let alone = [Metric::time("ns/lock+unlock")];
    let mut workloads = vec![everybody("uncontended", &alone, Uncontended(sample))];
    for threads in [2, 4, 8, 16] {
        for (cs, inside) in work {
            for (out, outside) in pauses {
                let name = format!("contended t={threads} cs={cs} out={out}");
                let fight = fight(threads, inside, outside);
                workloads.push(
                    everybody(&name, &[Metric::rate("ops/s")], fight)
                        .limit("no lock", move || fight.of::<Nothing>()),
                );
            }
        }
    }
    // A section as short as the reading of the clock inside it would measure the clock.
    for threads in [4, 8] {
        for (cs, inside) in &work[1..] {
            for (out, outside) in pauses {
                let name = format!("fairness t={threads} cs={cs} out={out}");
                let fight = fight(threads, *inside, outside);
                workloads.push(everybody(&name, &FAIRNESS, Fairness(fight)));
            }
        }
    }
    workloads.push(everybody("wake latency", &WAKE, Wake(sample)));
    workloads
}

#[derive(Clone, Copy)]
struct Uncontended(Duration);

impl Measure for Uncontended {
    type Output = f64;
    fn of<M: Mutex>(self) -> f64 {
        let mutex = Alone(M::new());
        let mutex = black_box(&mutex);
        nanos_a_call(self.0, || {
            mutex.0.with(|value| *value = black_box(*value + 1))
        })
    }
}

#[derive(Clone, Copy)]
struct Fight {
    sample: Duration,
    threads: usize,
    /// Steps of work while the lock is held, and before the next attempt.
    inside: u32,
    outside: u32,
}

impl Measure for Fight {
    type Output = f64;
    fn of<M: Mutex>(self) -> f64 {
        let mutex = Alone(M::new());
        let mutex = &mutex;
        calls_a_second(self.sample, self.threads, || {
            let mut own = 0;
            move || {
                mutex.0.with(|value| *value = spin(*value, self.inside));
                own = spin(own, self.outside);
            }
        })
    }
}

/// A fight in which every acquisition is timed.
///
/// The clock is read before the attempt and when the lock is ours, by a plain `Instant::now` of some
/// 20 ns. The second reading lengthens the critical section by that much, for everybody alike; the
/// throughput of these rows is therefore not compared with that of the others.
#[derive(Clone, Copy)]
struct Fairness(Fight);

/// What these have to be is another question than how fast a lock is: judged apart.
const FAIRNESS: [Metric; 3] = [
    Metric::time("p99.9 wait us").shown(),
    Metric::time("max wait us").shown(),
    // Its operations times the threads to all operations: 1 when all are served alike.
    Metric::rate("least share").shown(),
];

impl Measure for Fairness {
    type Output = [f64; 3];
    fn of<M: Mutex>(self) -> [f64; 3] {
        let Fairness(fight) = self;
        let mutex = Alone(M::new());
        let mutex = &mutex;
        // Thrice as long as others: the rarest waits are what matters here.
        let waits = waits(3 * fight.sample, fight.threads, || {
            let mut own = 0;
            move || {
                let mut waited = Duration::ZERO;
                let begun = Instant::now();
                mutex.0.with(|value| {
                    waited = begun.elapsed();
                    *value = spin(*value, fight.inside);
                });
                own = spin(own, fight.outside);
                waited
            }
        });
        let all = Waits::of_all(&waits);
        let least = waits.iter().map(Waits::count).min().unwrap_or(0);
        [
            all.quantile(0.999).as_secs_f64() * 1e6,
            all.longest().as_secs_f64() * 1e6,
            least as f64 * waits.len() as f64 / all.count() as f64,
        ]
    }
}

/// From the unlock to the moment when a waiter that was asleep has the lock.
///
/// The holder stays awake on its own processor all the time, as a holder that has work to do does,
/// so the waiter is woken on another one, which was idle.
#[derive(Clone, Copy)]
struct Wake(Duration);

/// Most of it is the kernel's and the machine's: not judged.
const WAKE: [Metric; 2] = [
    Metric::time("p50 wake us").shown(),
    Metric::time("p99 wake us").shown(),
];

/// Held for so long after the waiter has come: everybody here has stopped spinning by then.
const ASLEEP_AFTER: Duration = Duration::from_micros(250);

impl Measure for Wake {
    type Output = [f64; 2];
    fn of<M: Mutex>(self) -> [f64; 2] {
        const ENOUGH: u64 = u64::MAX;
        let mutex = Alone(M::new());
        // The turn that the holder has begun, that the waiter is about to wait in, and has had.
        let [begun, waiting, done] = [const { Alone(AtomicU64::new(0)) }; 3];
        let epoch = Instant::now();
        let now = || epoch.elapsed().as_nanos() as u64;
        // When the waiter had the lock, by that clock.
        let had = Alone(AtomicU64::new(0));
        let until = |word: &AtomicU64, turn| {
            let mut seen = word.load(Ordering::Acquire);
            while seen < turn {
                std::hint::spin_loop();
                seen = word.load(Ordering::Acquire);
            }
            seen
        };

        let mut wakes = Waits::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 1.. {
                    if until(&begun.0, turn) == ENOUGH {
                        return;
                    }
                    waiting.0.store(turn, Ordering::Release);
                    mutex.0.with(|_| had.0.store(now(), Ordering::Relaxed));
                    done.0.store(turn, Ordering::Release);
                }
            });
            for turn in 1.. {
                let mut freed = 0;
                mutex.0.with(|_| {
                    begun.0.store(turn, Ordering::Release);
                    until(&waiting.0, turn);
                    let since = Instant::now();
                    while since.elapsed() < ASLEEP_AFTER {
                        std::hint::spin_loop();
                    }
                    freed = now();
                });
                until(&done.0, turn);
                let wake = had.0.load(Ordering::Relaxed).saturating_sub(freed);
                wakes.add(Duration::from_nanos(wake));
                if epoch.elapsed() >= self.0 {
                    break;
                }
            }
            begun.0.store(ENOUGH, Ordering::Release);
        });
        [0.5, 0.99].map(|q| wakes.quantile(q).as_secs_f64() * 1e6)
    }
}

pub const OPERATIONS: &[Operation] = &[
    alone("latchwork", lock_unlock::<Lock<u64>>),
    alone("std", lock_unlock::<std::sync::Mutex<u64>>),
    alone("parking_lot", lock_unlock::<parking_lot::Mutex<u64>>),
    alone("usync", lock_unlock::<usync::Mutex<u64>>),
    alone("pthread", lock_unlock::<Pthread>),
    alone(
        "(limit) parking_lot FairMutex",
        lock_unlock::<parking_lot::FairMutex<u64>>,
    ),
    alone("(limit) CAS+store, yield", lock_unlock::<Floor>),
    alone("(limit) no lock", lock_unlock::<Nothing>),
];

const fn alone(contender: &'static str, times: fn(u64)) -> Operation {
    Operation {
        name: "mutex lock+unlock",
        contender,
        times,
    }
}

fn lock_unlock<M: Mutex>(times: u64) {
    repeat(times, M::new(), |mutex| mutex.with(|_| ()));
}
