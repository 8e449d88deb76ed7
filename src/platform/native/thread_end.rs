//! Tells when a thread has ended, after the destructors of its thread-locals: they may use locks, and a
//! lock knows its owner by the id that is given back here.

use std::cell::Cell;

#[cfg(target_os = "linux")]
pub(super) use late::notify;

thread_local! {
    /// What [`at_thread_end`] has been given.
    static AT_END: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Has `f` called at the end of the current thread, after the destructors of its thread-locals. False if
/// nobody would call it.
#[cfg(target_os = "linux")]
pub(crate) fn at_thread_end(f: fn()) -> bool {
    let is_told = notify(super::thread_id());
    if is_told {
        AT_END.set(Some(f));
    }
    is_told
}

/// As on Linux, but called with the destructors, before those that were registered earlier.
#[cfg(not(target_os = "linux"))]
pub(crate) fn at_thread_end(f: fn()) -> bool {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            call_at_end();
        }
    }
    thread_local! {
        static LAST: Last = const { Last };
    }
    let is_told = LAST.try_with(|_| ()).is_ok();
    if is_told {
        AT_END.set(Some(f));
    }
    is_told
}

/// What it calls must not panic; should it, the panic goes no further.
fn call_at_end() {
    if let Some(f) = AT_END.take() {
        let _ = std::panic::catch_unwind(f);
    }
}

/// Elsewhere nobody knows which destructor is the last, and a lock held by a later one must not become
/// another thread's. So ids are not given out again there, and end after 2^27 threads.
#[cfg(not(target_os = "linux"))]
pub(super) fn notify(_id: u32) -> bool {
    false
}

/// A POSIX thread key: its destructor runs after those of Rust's thread-locals, and asks to be called
/// again until the last of the rounds that POSIX grants, so that other keys' destructors come first.
#[cfg(target_os = "linux")]
mod late {
    use super::super::thread::thread_ended;
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::OnceLock;

    /// glibc and musl go through the keys four times.
    const ROUNDS: u32 = 4;

    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

    fn key() -> Option<libc::pthread_key_t> {
        *KEY.get_or_init(|| {
            let mut key = 0;
            // SAFETY: `key` is a place for the new key, and `end` has the type of a destructor.
            let made = unsafe { libc::pthread_key_create(&mut key, Some(end)) };
            (made == 0).then_some(key)
        })
    }

    /// Calls [`thread_ended`] with the current thread's `id` when it ends. False if there is no key or no
    /// memory: then the id is never given out again, and nothing else is lost.
    pub(in super::super) fn notify(id: u32) -> bool {
        notify_after(ROUNDS, id)
    }

    fn notify_after(rounds: u32, id: u32) -> bool {
        let Some(key) = key() else {
            return false;
        };
        let value = ptr::without_provenance((id << 3 | rounds) as usize);
        // SAFETY: a key of ours; the value is a number to everybody.
        unsafe { libc::pthread_setspecific(key, value) == 0 }
    }

    unsafe extern "C" fn end(value: *mut c_void) {
        let (id, rounds) = (value.addr() as u32 >> 3, value.addr() as u32 & 7);
        if rounds > 1 {
            notify_after(rounds - 1, id);
        } else {
            super::call_at_end();
            thread_ended(id);
        }
    }
}
