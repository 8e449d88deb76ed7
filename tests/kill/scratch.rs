//! Plain memory that forked children share, for what they tell the test.

use std::sync::atomic::AtomicU64;

/// Eight words, zero, shared with every child forked from here on. Never unmapped.
pub fn scratch() -> &'static [AtomicU64; 8] {
    // SAFETY: a fresh anonymous mapping of a page, never unmapped; zero is a valid atomic.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    }
}
