//! How much memory is asked for, while somebody wants to know.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// The system's allocator, which counts on request; otherwise it costs a load.
pub struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// How much more memory all threads have after `work` than before it, as they asked for it: without what the
/// allocator adds.
pub fn allocated_by(work: impl FnOnce()) -> isize {
    BYTES.store(0, Ordering::Relaxed);
    IS_COUNTING.store(true, Ordering::Relaxed);
    work();
    IS_COUNTING.store(false, Ordering::Relaxed);
    BYTES.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::allocated_by;

    #[test]
    fn what_is_kept_is_counted() {
        let mut kept = Vec::new();
        // Others may allocate meanwhile, but not a megabyte.
        let bytes = allocated_by(|| kept = vec![0_u8; 10 << 20]);
        assert!((10 << 20..11 << 20).contains(&bytes), "{bytes}");
    }
}
