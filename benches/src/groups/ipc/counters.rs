//! Numbers that processes share: who counts.

use super::mutexes::{CacheLines, Pthread};
use crate::shared::Shared;
use latchwork::ipc::Value;
use std::cell::UnsafeCell;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

/// Made before the processes that use it are forked.
pub trait Counter {
    fn new() -> Self;
    fn increment(&self);
    fn get(&self) -> u64;
}

impl Counter for Value<u64> {
    fn new() -> Self {
        Value::new(0).expect("there is shared memory")
    }
    #[inline]
    fn increment(&self) {
        self.update(|number| *number += 1).expect("nobody dies");
    }
    fn get(&self) -> u64 {
        self.get().expect("nobody died")
    }
}

/// A number beside its mutex, in the same cache line, as ours is.
pub struct Guarded<const ROBUST: bool>(Shared<CacheLines<Fields>>);

struct Fields {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    number: UnsafeCell<u64>,
}

impl<const ROBUST: bool> Guarded<ROBUST> {
    #[inline]
    fn with<R>(&self, critical: impl FnOnce(&mut u64) -> R) -> R {
        let Fields { mutex, number } = &self.0.0;
        // SAFETY: it is initialised, and not held by this process.
        let locked = unsafe { libc::pthread_mutex_lock(mutex.get()) };
        assert_eq!(locked, 0);
        // SAFETY: the mutex is ours.
        let result = critical(unsafe { &mut *number.get() });
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_unlock(mutex.get()) };
        result
    }
}

impl<const ROBUST: bool> Counter for Guarded<ROBUST> {
    fn new() -> Self {
        let shared = Shared::new(CacheLines(Fields {
            // SAFETY: all zeros is a value of this union of integers.
            mutex: UnsafeCell::new(unsafe { mem::zeroed() }),
            number: UnsafeCell::new(0),
        }));
        // SAFETY: nobody else knows it yet, and its memory never moves.
        unsafe { Pthread::<ROBUST>::initialise(shared.0.mutex.get()) };
        Guarded(shared)
    }
    #[inline]
    fn increment(&self) {
        self.with(|number| *number += 1);
    }
    fn get(&self) -> u64 {
        self.with(|number| *number)
    }
}

/// One instruction and no lock: for numbers, and for nothing else.
pub struct Atomic(Shared<CacheLines<AtomicU64>>);

impl Counter for Atomic {
    fn new() -> Self {
        Atomic(Shared::new(CacheLines(AtomicU64::new(0))))
    }
    #[inline]
    fn increment(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
    fn get(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }
}
