//! Tells when a thread has ended, after the destructors of its thread-locals where that is possible:
//! they may use locks, and a lock knows its owner by the id that is given back here.

#[cfg(target_os = "linux")]
pub(super) use late::notify;
#[cfg(not(target_os = "linux"))]
pub(super) use local::notify;

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

/// Rust's own thread-locals: a destructor that runs later may see its thread get another id.
#[cfg(any(test, not(target_os = "linux")))]
mod local {
    use super::super::thread::thread_ended;
    use std::cell::Cell;

    struct End(Cell<u32>);

    impl Drop for End {
        fn drop(&mut self) {
            if self.0.get() != 0 {
                thread_ended(self.0.get());
            }
        }
    }

    std::thread_local! {
        static END: End = const { End(Cell::new(0)) };
    }

    /// Calls [`thread_ended`] with the current thread's `id` when it ends.
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "kept compiling"))]
    pub(in super::super) fn notify(id: u32) {
        // Too late for that: then the id is never given out again.
        let _ = END.try_with(|end| end.0.set(id));
    }
}
