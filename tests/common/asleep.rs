//! A way to see that a process or a thread, which does nothing but wait, sleeps.

use std::thread;

/// Waits until the only thread of process `pid` sleeps. One that does nothing but wait by then sleeps in
/// that wait.
#[allow(dead_code, reason = "not every test file has both")]
pub fn until_asleep(pid: libc::pid_t) {
    while !is_asleep(&format!("/proc/{pid}/stat")) {
        thread::yield_now();
    }
}

/// Starts a thread that does nothing but wait, and returns when it sleeps.
#[allow(dead_code, reason = "not every test file has both")]
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
