//! Named memory leaves nothing on the heap; alone in its program, whose allocations are counted.

#![cfg(all(feature = "process", target_os = "linux"))]

use latchwork::shm::SharedMemory;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread has allocated and not freed. No destructor and no lazy start, so the allocator
    /// may use it at any time.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get() + layout.size() as isize);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// M32: a program that makes named memory all day does not grow.
#[test]
fn named_memory_leaves_nothing_on_the_heap() {
    let make = || {
        let made = SharedMemory::create_unique(10).unwrap();
        let opened = SharedMemory::open(made.name().unwrap()).unwrap();
        opened.unlink().unwrap();
    };
    // What is made once for all.
    make();
    let before = LIVE.get();
    for _ in 0..10 {
        make();
    }
    assert_eq!(LIVE.get(), before);
}
