//! Reentrant locks: nested alone, and fought over two levels deep.

use crate::run::{Metric, Workload};
use crate::work::{calls_a_second, nanos_a_call, spin, steps};
use std::cell::{Cell, UnsafeCell};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

trait Reentrant: Send + Sync + 'static {
    /// Moved before its first use, and not after it.
    fn new() -> Self;
    fn with(&self, critical: impl FnOnce(&Cell<u64>));
}

impl Reentrant for latchwork::sync::RLock<Cell<u64>> {
    fn new() -> Self {
        latchwork::sync::RLock::new(Cell::new(0))
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&Cell<u64>)) {
        critical(&self.lock());
    }
}

impl Reentrant for parking_lot::ReentrantMutex<Cell<u64>> {
    fn new() -> Self {
        parking_lot::ReentrantMutex::new(Cell::new(0))
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&Cell<u64>)) {
        critical(&self.lock());
    }
}

/// `PTHREAD_MUTEX_RECURSIVE`.
struct Pthread {
    mutex: Box<UnsafeCell<libc::pthread_mutex_t>>,
    value: Cell<u64>,
}

// SAFETY: `mutex` is made for being shared, and `value` is reached in `with` only, under `mutex`.
unsafe impl Send for Pthread {}
// SAFETY: as above.
unsafe impl Sync for Pthread {}

impl Reentrant for Pthread {
    fn new() -> Self {
        let mutex = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
        let mut kind = MaybeUninit::uninit();
        // SAFETY: `kind` is initialised first and destroyed last, and nobody knows `mutex` yet.
        unsafe {
            assert_eq!(libc::pthread_mutexattr_init(kind.as_mut_ptr()), 0);
            libc::pthread_mutexattr_settype(kind.as_mut_ptr(), libc::PTHREAD_MUTEX_RECURSIVE);
            assert_eq!(libc::pthread_mutex_init(mutex.get(), kind.as_ptr()), 0);
            libc::pthread_mutexattr_destroy(kind.as_mut_ptr());
        }
        Pthread {
            mutex,
            value: Cell::new(0),
        }
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&Cell<u64>)) {
        // SAFETY: the mutex was initialised, and stays where it is.
        let locked = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        assert_eq!(locked, 0);
        critical(&self.value);
        // SAFETY: this thread has locked it.
        unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
    }
}

/// A lock whose cache lines hold nothing else, so that luck with neighbours decides nothing.
#[repr(align(128))]
struct Alone<M>(M);

type Ours = latchwork::sync::RLock<Cell<u64>>;
type ParkingLot = parking_lot::ReentrantMutex<Cell<u64>>;

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let nest = |depth: usize| {
        let name = format!("uncontended depth={depth}");
        Workload::new(name, &[Metric::time("ns/nest")])
            .ours(move || uncontended::<Ours>(sample, depth))
            .peer("parking_lot", move || {
                uncontended::<ParkingLot>(sample, depth)
            })
            .peer("pthread recursive", move || {
                uncontended::<Pthread>(sample, depth)
            })
    };
    let fight = |threads: usize| {
        let name = format!("contended t={threads} depth=2 cs=100ns");
        let inside = steps(Duration::from_nanos(100));
        Workload::new(name, &[Metric::rate("ops/s")])
            .ours(move || contended::<Ours>(sample, threads, inside))
            .peer("parking_lot", move || {
                contended::<ParkingLot>(sample, threads, inside)
            })
            .peer("pthread recursive", move || {
                contended::<Pthread>(sample, threads, inside)
            })
    };
    [1, 2, 4]
        .map(nest)
        .into_iter()
        .chain([2, 8].map(fight))
        .collect()
}

/// One call takes and leaves all levels; the value is touched at the innermost.
#[inline]
fn nested<M: Reentrant>(lock: &M, depth: usize) {
    lock.with(|value| match depth {
        1 => value.set(black_box(value.get() + 1)),
        2 => lock.with(|value| value.set(black_box(value.get() + 1))),
        _ => lock.with(|_| {
            lock.with(|_| lock.with(|value| value.set(black_box(value.get() + 1))));
        }),
    });
}

fn uncontended<M: Reentrant>(sample: Duration, depth: usize) -> f64 {
    let lock = Alone(M::new());
    let lock = black_box(&lock);
    // glibc leaves the atomics out as long as a process has one thread.
    let (end, second_thread) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || second_thread.recv());
        // Known where it is called, so that nothing but the locks is timed.
        let nanos = match depth {
            1 => nanos_a_call(sample, || nested(&lock.0, 1)),
            2 => nanos_a_call(sample, || nested(&lock.0, 2)),
            4 => nanos_a_call(sample, || nested(&lock.0, 4)),
            _ => unreachable!("no workload nests so deep"),
        };
        drop(end);
        nanos
    })
}

fn contended<M: Reentrant>(sample: Duration, threads: usize, inside: u32) -> f64 {
    let lock = Alone(M::new());
    let lock = &lock;
    calls_a_second(sample, threads, || {
        move || {
            lock.0.with(|_| {
                lock.0.with(|value| value.set(spin(value.get(), inside)));
            });
        }
    })
}
