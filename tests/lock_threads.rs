//! Row T68: threads that only lock, made by anybody, leave nothing behind.
//!
//! In a file of its own, because it counts every allocation of the process.

mod common;

use latchwork::sync::Lock;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;
use std::time::Duration;

static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: System does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn threads_that_lock_leave_no_memory_behind() {
    common::watchdog(Duration::from_secs(60), "threads_that_lock", || {
        static LOCK: Lock<u64> = Lock::new(0);
        let burst = || {
            let threads: Vec<_> = (0..8)
                .map(|_| thread::spawn(|| (0..100).for_each(|_| *LOCK.lock() += 1)))
                .collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
            LIVE.load(Ordering::Relaxed)
        };
        // What is made once and kept: the lot, tables that grow.
        let before = (0..8).map(|_| burst()).max().unwrap();
        let after = (0..64).fold(0, |_, _| burst());
        assert_eq!(*LOCK.lock(), 72 * 800);
        assert!(
            after - before < 16,
            "512 threads left {} blocks behind",
            after - before
        );
    });
}
