//! Locks: alone, and fought over with critical sections of 10 ns to 1 us.

use crate::run::{Metric, Workload};
use crate::work::{calls_a_second, nanos_a_call, spin, steps};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

trait Mutex: Send + Sync + 'static {
    fn new() -> Self;
    fn with(&self, critical: impl FnOnce(&mut u64));
}

impl Mutex for latchwork::sync::Lock<u64> {
    fn new() -> Self {
        latchwork::sync::Lock::new(0)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        critical(&mut self.lock());
    }
}

impl Mutex for std::sync::Mutex<u64> {
    fn new() -> Self {
        std::sync::Mutex::new(0)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        critical(&mut self.lock().expect("nothing panics inside"));
    }
}

impl Mutex for parking_lot::Mutex<u64> {
    fn new() -> Self {
        parking_lot::Mutex::new(0)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        critical(&mut self.lock());
    }
}

/// The least that excludes anybody: one CAS, one store, and whoever loses yields. It never sleeps,
/// so nobody can use it, but nothing can be quicker.
struct Floor {
    taken: AtomicBool,
    value: UnsafeCell<u64>,
}

// SAFETY: `value` is reached in `with` only, between the exchange of `taken` from false to true
// and the store of false, so by one thread at a time.
unsafe impl Sync for Floor {}

impl Mutex for Floor {
    fn new() -> Self {
        Floor {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(0),
        }
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        while self
            .taken
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            thread::yield_now();
        }
        // SAFETY: `taken` went from false to true in this thread and is not given back yet.
        critical(unsafe { &mut *self.value.get() });
        self.taken.store(false, Ordering::Release);
    }
}

/// A lock whose cache lines hold nothing else, so that luck with neighbours decides nothing.
#[repr(align(128))]
struct Alone<M>(M);

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = vec![
        Workload::new("uncontended", &[Metric::time("ns/lock+unlock")])
            .ours(move || uncontended::<latchwork::sync::Lock<u64>>(sample))
            .peer("std", move || uncontended::<std::sync::Mutex<u64>>(sample))
            .peer("parking_lot", move || {
                uncontended::<parking_lot::Mutex<u64>>(sample)
            })
            .limit("CAS+store, yield", move || uncontended::<Floor>(sample)),
    ];
    let times = [("10ns", 10), ("100ns", 100), ("1us", 1_000)];
    for threads in [2, 4, 8] {
        for (length, inside) in times {
            for (pause, outside) in [("0", 0), ("1us", 1_000)] {
                let name = format!("contended t={threads} cs={length} out={pause}");
                let fight = Fight {
                    sample,
                    threads,
                    inside: steps(Duration::from_nanos(inside)),
                    outside: steps(Duration::from_nanos(outside)),
                };
                workloads.push(
                    Workload::new(name, &[Metric::rate("ops/s")])
                        .ours(move || fight.with::<latchwork::sync::Lock<u64>>())
                        .peer("std", move || fight.with::<std::sync::Mutex<u64>>())
                        .peer("parking_lot", move || {
                            fight.with::<parking_lot::Mutex<u64>>()
                        })
                        .limit("CAS+store, yield", move || fight.with::<Floor>()),
                );
            }
        }
    }
    workloads
}

fn uncontended<M: Mutex>(sample: Duration) -> f64 {
    let mutex = Alone(M::new());
    let mutex = black_box(&mutex);
    nanos_a_call(sample, || {
        mutex.0.with(|value| *value = black_box(*value + 1))
    })
}

#[derive(Clone, Copy)]
struct Fight {
    sample: Duration,
    threads: usize,
    /// Steps of work while the lock is held, and before the next attempt.
    inside: u32,
    outside: u32,
}

impl Fight {
    fn with<M: Mutex>(self) -> f64 {
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
