//! Semaphores: alone, and fought over with critical sections of 10 ns and 1 us.

use crate::run::{Metric, Workload};
use crate::work::{calls_a_second, nanos_a_call, spin, steps};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

trait Semaphore: Send + Sync + 'static {
    fn new(permits: usize) -> Self;
    /// Runs `critical` with a permit.
    fn with(&self, critical: impl FnOnce());
    /// As `with`, if there is a permit at once.
    fn try_with(&self, critical: impl FnOnce()) -> bool;
}

impl Semaphore for latchwork::sync::Semaphore {
    fn new(permits: usize) -> Self {
        latchwork::sync::Semaphore::new(permits)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce()) {
        let _permit = self.acquire().expect("nobody closes it");
        critical();
    }
    #[inline]
    fn try_with(&self, critical: impl FnOnce()) -> bool {
        self.try_acquire().map(|_permit| critical()).is_ok()
    }
}

impl Semaphore for tokio::sync::Semaphore {
    fn new(permits: usize) -> Self {
        tokio::sync::Semaphore::new(permits)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce()) {
        let _permit = pollster::block_on(self.acquire()).expect("nobody closes it");
        critical();
    }
    #[inline]
    fn try_with(&self, critical: impl FnOnce()) -> bool {
        self.try_acquire().map(|_permit| critical()).is_ok()
    }
}

impl Semaphore for async_lock::Semaphore {
    fn new(permits: usize) -> Self {
        async_lock::Semaphore::new(permits)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce()) {
        let _permit = self.acquire_blocking();
        critical();
    }
    #[inline]
    fn try_with(&self, critical: impl FnOnce()) -> bool {
        self.try_acquire().map(|_permit| critical()).is_some()
    }
}

/// A count behind a mutex, and a condition for when it is nothing: what everybody writes first.
struct Std {
    count: std::sync::Mutex<usize>,
    given: std::sync::Condvar,
}

impl Std {
    fn release(&self) {
        *self.count.lock().expect("nothing panics inside") += 1;
        self.given.notify_one();
    }
}

impl Semaphore for Std {
    fn new(permits: usize) -> Self {
        Std {
            count: std::sync::Mutex::new(permits),
            given: std::sync::Condvar::new(),
        }
    }
    #[inline]
    fn with(&self, critical: impl FnOnce()) {
        let count = self.count.lock().expect("nothing panics inside");
        let count = self.given.wait_while(count, |count| *count == 0);
        *count.expect("nothing panics inside") -= 1;
        critical();
        self.release();
    }
    #[inline]
    fn try_with(&self, critical: impl FnOnce()) -> bool {
        match &mut *self.count.lock().expect("nothing panics inside") {
            0 => return false,
            count => *count -= 1,
        }
        critical();
        self.release();
        true
    }
}

/// The same with parking_lot.
struct ParkingLot {
    count: parking_lot::Mutex<usize>,
    given: parking_lot::Condvar,
}

impl ParkingLot {
    fn release(&self) {
        *self.count.lock() += 1;
        self.given.notify_one();
    }
}

impl Semaphore for ParkingLot {
    fn new(permits: usize) -> Self {
        ParkingLot {
            count: parking_lot::Mutex::new(permits),
            given: parking_lot::Condvar::new(),
        }
    }
    #[inline]
    fn with(&self, critical: impl FnOnce()) {
        let mut count = self.count.lock();
        while *count == 0 {
            self.given.wait(&mut count);
        }
        *count -= 1;
        drop(count);
        critical();
        self.release();
    }
    #[inline]
    fn try_with(&self, critical: impl FnOnce()) -> bool {
        match &mut *self.count.lock() {
            0 => return false,
            count => *count -= 1,
        }
        critical();
        self.release();
        true
    }
}

/// POSIX's, between the threads of one process.
struct Posix(Box<UnsafeCell<libc::sem_t>>);

// SAFETY: a `sem_t` is made to be shared, and stays in its box.
unsafe impl Send for Posix {}
// SAFETY: as above.
unsafe impl Sync for Posix {}

impl Posix {
    fn release(&self) {
        // SAFETY: initialised in `new`, destroyed in `drop`.
        assert_eq!(unsafe { libc::sem_post(self.0.get()) }, 0);
    }
}

impl Semaphore for Posix {
    fn new(permits: usize) -> Self {
        // SAFETY: any bits are a `sem_t` that has yet to be initialised.
        let semaphore = Posix(Box::new(UnsafeCell::new(unsafe {
            MaybeUninit::zeroed().assume_init()
        })));
        let permits = permits.try_into().expect("a handful");
        // SAFETY: it is in its place, and nobody else knows it yet.
        assert_eq!(unsafe { libc::sem_init(semaphore.0.get(), 0, permits) }, 0);
        semaphore
    }
    #[inline]
    fn with(&self, critical: impl FnOnce()) {
        // SAFETY: initialised in `new`, destroyed in `drop`.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {} // A signal came.
        critical();
        self.release();
    }
    #[inline]
    fn try_with(&self, critical: impl FnOnce()) -> bool {
        // SAFETY: initialised in `new`, destroyed in `drop`.
        if unsafe { libc::sem_trywait(self.0.get()) } != 0 {
            return false;
        }
        critical();
        self.release();
        true
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: nobody waits: they would borrow it.
        unsafe { libc::sem_destroy(self.0.get()) };
    }
}

/// One CAS, one addition, and whoever finds nothing yields: it never sleeps.
struct Floor(AtomicUsize);

impl Semaphore for Floor {
    fn new(permits: usize) -> Self {
        Floor(AtomicUsize::new(permits))
    }
    #[inline]
    fn with(&self, critical: impl FnOnce()) {
        loop {
            let seen = self.0.load(Ordering::Relaxed);
            if seen > 0
                && self
                    .0
                    .compare_exchange_weak(seen, seen - 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                break;
            }
            thread::yield_now();
        }
        critical();
        self.0.fetch_add(1, Ordering::Release);
    }
    #[inline]
    fn try_with(&self, critical: impl FnOnce()) -> bool {
        let seen = self.0.load(Ordering::Relaxed);
        let taken = seen > 0
            && self
                .0
                .compare_exchange(seen, seen - 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if taken {
            critical();
            self.0.fetch_add(1, Ordering::Release);
        }
        taken
    }
}

/// A semaphore whose cache lines hold nothing else, so that luck with neighbours decides nothing.
#[repr(align(128))]
struct Alone<S>(S);

/// Everybody at one workload; `$sample` is called with the type as its parameter.
macro_rules! everybody {
    ($workload:expr, |$S:ident| $sample:expr) => {{
        macro_rules! with {
            ($contender:ty) => {
                move || {
                    type $S = $contender;
                    $sample
                }
            };
        }
        $workload
            .ours(with!(latchwork::sync::Semaphore))
            .peer("tokio (pollster)", with!(tokio::sync::Semaphore))
            .peer("async-lock", with!(async_lock::Semaphore))
            .peer("std Mutex+Condvar", with!(Std))
            .peer("parking_lot Mutex+Condvar", with!(ParkingLot))
            .peer("sem_t", with!(Posix))
            .limit("CAS, yield", with!(Floor))
    }};
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let alone = [Metric::time("ns/acquire+release")];
    let mut workloads = vec![
        everybody!(Workload::new("uncontended acquire", &alone), |S| {
            uncontended::<S>(sample)
        }),
        everybody!(Workload::new("uncontended try_acquire", &alone), |S| {
            uncontended_try::<S>(sample)
        }),
    ];
    for (length, inside) in [("10ns", 10), ("1us", 1_000)] {
        for threads in [2, 4, 8, 16] {
            for permits in [1, 4] {
                let name = format!("contended t={threads} permits={permits} cs={length}");
                let fight = Fight {
                    sample,
                    threads,
                    permits,
                    inside: steps(Duration::from_nanos(inside)),
                };
                workloads.push(everybody!(
                    Workload::new(name, &[Metric::rate("ops/s")]),
                    |S| fight.with::<S>()
                ));
            }
        }
    }
    workloads
}

fn uncontended<S: Semaphore>(sample: Duration) -> f64 {
    let semaphore = Alone(S::new(1));
    let semaphore = black_box(&semaphore);
    let mut value = 0_u64;
    nanos_a_call(sample, || {
        semaphore.0.with(|| value = black_box(value + 1));
    })
}

fn uncontended_try<S: Semaphore>(sample: Duration) -> f64 {
    let semaphore = Alone(S::new(1));
    let semaphore = black_box(&semaphore);
    let mut value = 0_u64;
    nanos_a_call(sample, || {
        assert!(semaphore.0.try_with(|| value = black_box(value + 1)));
    })
}

#[derive(Clone, Copy)]
struct Fight {
    sample: Duration,
    threads: usize,
    permits: usize,
    /// Steps of work with a permit.
    inside: u32,
}

impl Fight {
    fn with<S: Semaphore>(self) -> f64 {
        let semaphore = Alone(S::new(self.permits));
        let semaphore = &semaphore;
        calls_a_second(self.sample, self.threads, || {
            let mut own = 0;
            move || semaphore.0.with(|| own = spin(own, self.inside))
        })
    }
}
