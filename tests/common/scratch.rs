//! What tests with forked children need besides the children: plain memory that they share with their
//! parent, and a way to see that one of them sleeps.

use std::sync::atomic::AtomicU64;
use std::thread;

/// Fresh memory that forked children share, all zero, for what they tell the test.
pub fn scratch() -> &'static [AtomicU64; 64] {
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

/// Waits until the only thread of process `pid` sleeps. One that does nothing but wait by then sleeps in
/// that wait.
#[allow(dead_code, reason = "not every test file looks for sleepers")]
pub fn until_asleep(pid: libc::pid_t) {
    while !is_asleep(&format!("/proc/{pid}/stat")) {
        thread::yield_now();
    }
}

/// Starts a thread that does nothing but wait, and returns when it sleeps.
#[allow(dead_code, reason = "not every test file looks for sleepers")]
pub fn asleep<'s, T: Send + 's>(
    scope: &'s thread::Scope<'s, '_>,
    wait: impl FnOnce() -> T + Send + 's,
) -> thread::ScopedJoinHandle<'s, T> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let waiter = scope.spawn(move || {
        // SAFETY: a plain system call.
        tell.send(unsafe { libc::gettid() }).unwrap();
        wait()
    });
    let stat = format!("/proc/self/task/{}/stat", told.recv().unwrap());
    while !waiter.is_finished() && !is_asleep(&stat) {
        thread::yield_now();
    }
    waiter
}

fn is_asleep(stat: &str) -> bool {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    // The state follows the name, which is in parentheses and may contain anything.
    text.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('S'))
}
