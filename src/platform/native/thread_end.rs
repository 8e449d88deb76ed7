//! Tells when a thread has ended, after the destructors of its thread-locals: they may use locks, and a
//! lock knows its owner by the id that is given back here.

#[cfg(target_os = "linux")]
pub(super) use late::notify;

/// Elsewhere nobody knows which destructor is the last, and a lock held by a later one must not become
/// another thread's. So ids are not given out again there, and end after 2^27 threads.
#[cfg(not(target_os = "linux"))]
pub(super) fn notify(_id: u32) {}

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

    /// Calls [`thread_ended`] with the current thread's `id` when it ends.
    pub(in super::super) fn notify(id: u32) {
        notify_after(ROUNDS, id);
    }

    fn notify_after(rounds: u32, id: u32) {
        // Without a key the id is never given out again, and nothing else is lost.
        if let Some(key) = key() {
            let value = ptr::without_provenance((id << 3 | rounds) as usize);
            // SAFETY: a key of ours; the value is a number to everybody.
            unsafe { libc::pthread_setspecific(key, value) };
        }
    }

    unsafe extern "C" fn end(value: *mut c_void) {
        let (id, rounds) = (value.addr() as u32 >> 3, value.addr() as u32 & 7);
        if rounds > 1 {
            notify_after(rounds - 1, id);
        } else {
            thread_ended(id);
        }
    }
}
