//! Being told when an instant has come: one thread for the whole process.
//!
//! Limits need none of this, because whoever waits under one sleeps until then. An alarm is for what nobody
//! sleeps for: an item that becomes due, of which a future may have to hear. The thread sleeps until the
//! first instant of all, and for ever while nothing is set; it starts with the first [`start`] and never ends.
//!
//! Bells ring with nothing locked. An alarm that is dropped does not ring, unless it is just ringing.

use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// What is to be done at an instant. It should be quick: all others wait for it.
pub(crate) trait Ring: Send + Sync {
    fn ring(&self);
}

/// An instant, and a number that tells alarms for the same instant apart.
type Key = (Instant, u64);

/// A bell that is set to ring. Dropped, it will not.
pub(crate) struct Alarm(Key);

struct Alarms {
    set: BTreeMap<Key, Arc<dyn Ring>>,
    numbers: u64,
    is_running: bool,
}

static ALARMS: Mutex<Alarms> = Mutex::new(Alarms {
    set: BTreeMap::new(),
    numbers: 0,
    is_running: false,
});

/// The first instant of all is another one.
static CHANGED: Condvar = Condvar::new();

/// Makes sure that alarms ring.
pub(crate) fn start() -> io::Result<()> {
    let mut alarms = ALARMS.lock();
    if !alarms.is_running {
        crate::platform::spawn_thread("latchwork-alarm".to_owned(), run)?;
        alarms.is_running = true;
    }
    Ok(())
}

/// Rings `bell` once `at` has come; after [`start`].
#[must_use = "it does not ring when this is dropped"]
pub(crate) fn set(at: Instant, bell: Arc<dyn Ring>) -> Alarm {
    let mut alarms = ALARMS.lock();
    alarms.numbers += 1;
    let key = (at, alarms.numbers);
    alarms.set.insert(key, bell);
    if alarms.set.keys().next() == Some(&key) {
        CHANGED.notify_one();
    }
    Alarm(key)
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let bell = ALARMS.lock().set.remove(&self.0);
        // Outside the lock, in case that this is the last of it.
        drop(bell);
    }
}

fn run() {
    let mut alarms = ALARMS.lock();
    loop {
        match alarms.set.first_entry() {
            None => CHANGED.wait(&mut alarms),
            Some(first) if first.key().0 <= Instant::now() => {
                let bell = first.remove();
                parking_lot::MutexGuard::unlocked(&mut alarms, || {
                    bell.ring();
                    drop(bell);
                });
            }
            Some(first) => {
                let at = first.key().0;
                CHANGED.wait_until(&mut alarms, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    /// Says which one it is and when it rang.
    struct Bell(u8, Mutex<Sender<(u8, Instant)>>);

    impl Ring for Bell {
        fn ring(&self) {
            // The test may be over.
            let _ = self.1.lock().send((self.0, Instant::now()));
        }
    }

    #[test]
    fn bells_ring_in_order_and_not_early_and_a_dropped_one_does_not() {
        start().unwrap();
        let (send, rang) = channel();
        let bell = |n| Arc::new(Bell(n, Mutex::new(send.clone())));
        let begin = Instant::now();
        let after = |n| begin + Duration::from_millis(n);
        let _late = set(after(60), bell(3));
        // Earlier than what the thread sleeps for.
        let _soon = set(after(30), bell(1));
        let _same = set(after(30), bell(2));
        drop(set(after(10), bell(9)));
        for (n, at) in [(1, 30), (2, 30), (3, 60)] {
            let (rung, when) = rang.recv().unwrap();
            assert_eq!(rung, n);
            assert!(when >= after(at));
        }
        let _past = set(begin, bell(4));
        assert_eq!(rang.recv().unwrap().0, 4);
    }
}
