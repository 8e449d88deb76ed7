//! Who excludes: the locks that are compared, and two things that only show what there is to lose.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub trait Mutex: Send + Sync + 'static {
    /// Moved before its first use, and not after it.
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

/// Strictly first come, first served, which nobody else here promises or pays for.
impl Mutex for parking_lot::FairMutex<u64> {
    fn new() -> Self {
        parking_lot::FairMutex::new(0)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        critical(&mut self.lock());
    }
}

impl Mutex for usync::Mutex<u64> {
    fn new() -> Self {
        usync::Mutex::new(0)
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        critical(&mut self.lock());
    }
}

/// The C library's mutex, of the default type.
pub struct Pthread {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    value: UnsafeCell<u64>,
}

// SAFETY: `mutex` is made for being shared, and `value` is reached in `with` only, under `mutex`.
unsafe impl Send for Pthread {}
// SAFETY: as above.
unsafe impl Sync for Pthread {}

impl Mutex for Pthread {
    fn new() -> Self {
        Pthread {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            value: UnsafeCell::new(0),
        }
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        // SAFETY: it is initialised, and stays where it is from its first use on. This thread does
        // not hold it, as `critical` cannot reach it.
        let locked = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        assert_eq!(locked, 0);
        // SAFETY: the mutex is ours.
        critical(unsafe { &mut *self.value.get() });
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
    }
}

/// The least that excludes anybody: one CAS, one store, and whoever loses yields. It never sleeps,
/// so nobody can use it, but nothing can be quicker.
pub struct Floor {
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

/// Excludes nobody: each thread has a value of its own. What is left is the work.
pub struct Nothing;

impl Mutex for Nothing {
    fn new() -> Self {
        Nothing
    }
    #[inline]
    fn with(&self, critical: impl FnOnce(&mut u64)) {
        thread_local! {
            static OWN: Cell<u64> = const { Cell::new(0) };
        }
        let mut own = OWN.get();
        critical(&mut own);
        OWN.set(own);
    }
}
