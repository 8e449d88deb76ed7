//! Who the current thread is, how many run at once, and how to wait a moment without sleeping.

use super::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::cell::Cell;
use std::io;

/// The first id given out; smaller ones are reserved for owners that are not threads.
const FIRST_ID: u32 = 2;
/// Ids end here, so that a lock's word has room for three bits beside its owner.
const END_OF_IDS: u32 = 1 << 29;

thread_local! {
    static ID: Cell<u32> = const { Cell::new(0) };
}

/// The current thread's id: never 0, never given to another thread.
///
/// On a 64-bit machine ids do not run out. On a 32-bit one the 2^31st thread aborts the program.
#[inline]
pub(crate) fn thread_id() -> u32 {
    match ID.get() {
        0 => assign_id(),
        id => id,
    }
}

#[cold]
fn assign_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(FIRST_ID);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    if id >= END_OF_IDS {
        // A lock word could name the wrong owner from here on.
        std::process::abort();
    }
    ID.set(id);
    id
}

/// How many threads of this process can run at the same time; asked once.
pub(crate) fn cpus() -> usize {
    static CPUS: AtomicUsize = AtomicUsize::new(0);
    match CPUS.load(Ordering::Relaxed) {
        0 => {
            let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
            CPUS.store(cpus, Ordering::Relaxed);
            cpus
        }
        cpus => cpus,
    }
}

pub(crate) use std::hint::spin_loop as spin_hint;
pub(crate) use std::thread::yield_now;
pub(crate) use std::thread_local;

/// Starts a thread that nobody joins.
pub(crate) fn spawn_thread(name: String, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name).spawn(f).map(drop)
}

/// The same checks for each way to sleep.
#[cfg(test)]
macro_rules! signal_tests {
    ($signal:ty) => {
        use crate::platform::atomic::{AtomicU32, Ordering};
        use std::sync::{Arc, mpsc};
        use std::time::{Duration, Instant};

        #[test]
        fn a_word_that_has_moved_on_does_not_sleep() {
            let word = AtomicU32::new(7);
            <$signal>::new().sleep(&word, 8, None);
        }

        #[test]
        fn a_deadline_ends_the_sleep() {
            let word = AtomicU32::new(7);
            let deadline = Instant::now() + Duration::from_millis(20);
            let signal = <$signal>::new();
            while Instant::now() < deadline {
                signal.sleep(&word, 7, Some(deadline));
            }
        }

        #[test]
        fn a_wake_ends_the_sleep() {
            let word = Arc::new(AtomicU32::new(0));
            let (send, receive) = mpsc::channel();
            let sleeper = {
                let word = Arc::clone(&word);
                std::thread::spawn(move || {
                    let signal = <$signal>::new();
                    send.send(signal.handle(&word)).unwrap();
                    while word.load(Ordering::Acquire) == 0 {
                        signal.sleep(&word, 0, None);
                    }
                })
            };
            let handle = receive.recv().unwrap();
            word.store(1, Ordering::Release);
            handle.wake();
            sleeper.join().unwrap();
        }
    };
}
#[cfg(test)]
pub(super) use signal_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_within_a_thread_and_differ_between_threads() {
        let here = thread_id();
        assert_eq!(here, thread_id());
        let there = std::thread::spawn(thread_id).join().unwrap();
        assert_ne!(here, there);
        assert!(here >= FIRST_ID && there >= FIRST_ID);
    }
}
