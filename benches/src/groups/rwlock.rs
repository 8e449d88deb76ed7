//! Reader-writer locks: alone, and in mixes of many reads with few writes.
//!
//! Judged beside std, parking_lot and usync. ShardedLock pays for its reads with its writes, and
//! pthread_rwlock lets readers starve writers for ever: both are shown as limits.

use crate::run::{Metric, Workload};
use crate::work::{nanos_a_call, spin, steps};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

trait ReadWrite: Send + Sync + 'static {
    fn new() -> Self;
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R;
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R;
}

impl ReadWrite for latchwork::sync::RwLock<u64> {
    fn new() -> Self {
        latchwork::sync::RwLock::new(0)
    }
    #[inline]
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R {
        critical(&self.read())
    }
    #[inline]
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        critical(&mut self.write())
    }
}

impl ReadWrite for std::sync::RwLock<u64> {
    fn new() -> Self {
        std::sync::RwLock::new(0)
    }
    #[inline]
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R {
        critical(&self.read().expect("nothing panics inside"))
    }
    #[inline]
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        critical(&mut self.write().expect("nothing panics inside"))
    }
}

impl ReadWrite for parking_lot::RwLock<u64> {
    fn new() -> Self {
        parking_lot::RwLock::new(0)
    }
    #[inline]
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R {
        critical(&self.read())
    }
    #[inline]
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        critical(&mut self.write())
    }
}

impl ReadWrite for usync::RwLock<u64> {
    fn new() -> Self {
        usync::RwLock::new(0)
    }
    #[inline]
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R {
        critical(&self.read())
    }
    #[inline]
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        critical(&mut self.write())
    }
}

impl ReadWrite for crossbeam_utils::sync::ShardedLock<u64> {
    fn new() -> Self {
        crossbeam_utils::sync::ShardedLock::new(0)
    }
    #[inline]
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R {
        critical(&self.read().expect("nothing panics inside"))
    }
    #[inline]
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        critical(&mut self.write().expect("nothing panics inside"))
    }
}

/// The C library's.
struct Pthread {
    lock: UnsafeCell<libc::pthread_rwlock_t>,
    value: UnsafeCell<u64>,
}

// SAFETY: the lock is made for threads, and `value` is reached under it only.
unsafe impl Send for Pthread {}
// SAFETY: as above.
unsafe impl Sync for Pthread {}

impl Pthread {
    fn checked(answer: libc::c_int) {
        assert_eq!(answer, 0, "pthread_rwlock failed");
    }
}

impl ReadWrite for Pthread {
    fn new() -> Self {
        Pthread {
            lock: UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER),
            value: UnsafeCell::new(0),
        }
    }
    #[inline]
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R {
        // SAFETY: the lock is initialised and stays in place while it is borrowed.
        Pthread::checked(unsafe { libc::pthread_rwlock_rdlock(self.lock.get()) });
        // SAFETY: locked for reading until the end of this function.
        let result = critical(unsafe { &*self.value.get() });
        // SAFETY: this thread has locked it.
        Pthread::checked(unsafe { libc::pthread_rwlock_unlock(self.lock.get()) });
        result
    }
    #[inline]
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        // SAFETY: the lock is initialised and stays in place while it is borrowed.
        Pthread::checked(unsafe { libc::pthread_rwlock_wrlock(self.lock.get()) });
        // SAFETY: locked for writing until the end of this function.
        let result = critical(unsafe { &mut *self.value.get() });
        // SAFETY: this thread has locked it.
        Pthread::checked(unsafe { libc::pthread_rwlock_unlock(self.lock.get()) });
        result
    }
}

/// Nobody is kept out: what the threads can do at most.
struct NoLock(std::sync::atomic::AtomicU64);

impl ReadWrite for NoLock {
    fn new() -> Self {
        NoLock(std::sync::atomic::AtomicU64::new(0))
    }
    #[inline]
    fn read<R>(&self, critical: impl FnOnce(&u64) -> R) -> R {
        critical(&self.0.load(Ordering::Relaxed))
    }
    #[inline]
    fn write<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        critical(&mut self.0.load(Ordering::Relaxed))
    }
}

/// A lock whose cache lines hold nothing else, so that luck with neighbours decides nothing.
#[repr(align(128))]
struct Alone<L>(L);

/// Everybody does `$work`, which is generic over the lock.
macro_rules! everybody {
    ($workload:expr, $lock:ident => $work:expr) => {{
        $workload
            .ours({
                type $lock = latchwork::sync::RwLock<u64>;
                move || $work
            })
            .peer("std", {
                type $lock = std::sync::RwLock<u64>;
                move || $work
            })
            .peer("parking_lot", {
                type $lock = parking_lot::RwLock<u64>;
                move || $work
            })
            .peer("usync", {
                type $lock = usync::RwLock<u64>;
                move || $work
            })
            .limit("crossbeam ShardedLock", {
                type $lock = crossbeam_utils::sync::ShardedLock<u64>;
                move || $work
            })
            .limit("pthread_rwlock", {
                type $lock = Pthread;
                move || $work
            })
    }};
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let alone = |name| Workload::new(name, &[Metric::time("ns/lock+unlock")]);
    let mut workloads = vec![
        everybody!(alone("uncontended read"), L => uncontended_read::<L>(sample)),
        everybody!(alone("uncontended write"), L => uncontended_write::<L>(sample)),
    ];
    let metrics = [
        Metric::rate("ops/s"),
        Metric::time("writer p99 wait us").shown(),
    ];
    for (length, inside) in [("10ns", 10), ("100ns", 100), ("1us", 1_000)] {
        for writes in [1, 10] {
            for threads in [2, 4, 8] {
                let name = format!("mix t={threads} writes={writes}% cs={length}");
                let mix = Mix {
                    sample,
                    threads,
                    writes,
                    inside: steps(Duration::from_nanos(inside)),
                };
                let workload = everybody!(Workload::new(name, &metrics), L => mix.with::<L>());
                workloads.push(workload.limit("no lock", move || mix.with::<NoLock>()));
            }
        }
    }
    workloads
}

fn uncontended_read<L: ReadWrite>(sample: Duration) -> f64 {
    let lock = Alone(L::new());
    let lock = black_box(&lock);
    nanos_a_call(sample, || {
        black_box(lock.0.read(|value| *value));
    })
}

fn uncontended_write<L: ReadWrite>(sample: Duration) -> f64 {
    let lock = Alone(L::new());
    let lock = black_box(&lock);
    nanos_a_call(sample, || {
        lock.0.write(|value| *value = black_box(*value + 1))
    })
}

#[derive(Clone, Copy)]
struct Mix {
    sample: Duration,
    threads: usize,
    /// Of a hundred operations.
    writes: u32,
    /// Steps of work while the lock is held.
    inside: u32,
}

impl Mix {
    /// Operations a second of all threads together, and how long the slowest hundredth of the writers
    /// waited for the lock, in microseconds.
    fn with<L: ReadWrite>(self) -> [f64; 2] {
        let lock = Alone(L::new());
        let stop = AtomicBool::new(false);
        let begin = Barrier::new(self.threads + 1);
        thread::scope(|scope| {
            let running: Vec<_> = (0..self.threads)
                .map(|seed| {
                    let (lock, stop, begin) = (&lock.0, &stop, &begin);
                    scope.spawn(move || {
                        begin.wait();
                        self.until(stop, lock, seed as u64)
                    })
                })
                .collect();
            begin.wait();
            let start = Instant::now();
            thread::sleep(self.sample);
            stop.store(true, Ordering::Relaxed);
            let (mut calls, mut waits) = (0, Waits::new());
            for thread in running {
                let (its_calls, its_waits) = thread.join().expect("it only counts");
                calls += its_calls;
                waits.add(&its_waits);
            }
            [
                calls as f64 / start.elapsed().as_secs_f64(),
                waits.quantile(0.99) / 1e3,
            ]
        })
    }

    fn until<L: ReadWrite>(self, stop: &AtomicBool, lock: &L, seed: u64) -> (u64, Waits) {
        let (mut calls, mut waits) = (0, Waits::new());
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut own = seed;
        while !stop.load(Ordering::Relaxed) {
            // Xorshift: cheap beside a critical section of 10 ns.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random % 100 < u64::from(self.writes) {
                let asked = Instant::now();
                let waited = lock.write(|value| {
                    let waited = asked.elapsed();
                    *value = spin(*value, self.inside);
                    waited
                });
                waits.count(waited);
            } else {
                own = lock.read(|value| spin(own ^ *value, self.inside));
            }
            calls += 1;
        }
        black_box(own);
        (calls, waits)
    }
}

/// Times, counted in classes a sixteenth of a power of two wide: no allocation while it is measured.
struct Waits(Box<[u64; CLASSES]>);

const CLASSES: usize = 16 * 64;

impl Waits {
    fn new() -> Waits {
        Waits(Box::new([0; CLASSES]))
    }

    fn count(&mut self, time: Duration) {
        self.0[class(time.as_nanos() as u64)] += 1;
    }

    fn add(&mut self, other: &Waits) {
        let pairs = self.0.iter_mut().zip(other.0.iter());
        pairs.for_each(|(mine, its)| *mine += its);
    }

    /// In nanoseconds: the lower end of the class that the quantile lies in. At least 1, so that it has
    /// a ratio.
    fn quantile(&self, q: f64) -> f64 {
        let all: u64 = self.0.iter().sum();
        let mut left = (all as f64 * q) as u64;
        for (class, &times) in self.0.iter().enumerate() {
            if left < times {
                return lower_end(class).max(1.0);
            }
            left -= times;
        }
        1.0
    }
}

/// Below 16 each number is its own class.
fn class(nanos: u64) -> usize {
    match nanos.checked_ilog2() {
        Some(power @ 4..) => (power as usize - 3) * 16 + (nanos >> (power - 4)) as usize % 16,
        _ => nanos as usize,
    }
}

fn lower_end(class: usize) -> f64 {
    match class / 16 {
        0 => class as f64,
        power => (16 + class % 16) as f64 * 2_f64.powi(power as i32 - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_in_its_class() {
        for nanos in (0..100_000).chain([u64::MAX / 2, u64::MAX]) {
            let class = class(nanos);
            assert!(class < CLASSES);
            assert!(lower_end(class) <= nanos as f64);
            assert!(lower_end(class + 1) > nanos as f64 * 0.999);
        }
    }

    #[test]
    fn a_quantile_of_counted_times() {
        let mut waits = Waits::new();
        (1..=10).for_each(|n| waits.count(Duration::from_nanos(n)));
        assert_eq!(waits.quantile(0.5), 6.0);
        let mut more = Waits::new();
        more.count(Duration::from_nanos(1024));
        waits.add(&more);
        assert_eq!(waits.quantile(0.99), 1024.0);
        assert_eq!(Waits::new().quantile(0.99), 1.0);
    }
}
