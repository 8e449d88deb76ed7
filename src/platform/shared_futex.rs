//! Sleeping on a word that several processes map: `futex(2)` without the PRIVATE flag.
//!
//! The kernel keys such a futex by inode and offset, so every mapping of a segment meets the same
//! sleepers. A sleep here is always bounded: whoever should wake the sleeper may have been killed,
//! so the caller, `shm::word`, looks around after each slice.
//!
//! Under loom the futex is a list of sleepers behind one lock. There is no time in a model: a
//! slice ends because somebody died (`somebody_died`), which is the only thing that slices are
//! there for. A model without a death therefore shows that no wake-up is ever lost: if one were,
//! loom would find everybody asleep.

#[cfg(loom)]
pub(crate) use modelled::{deaths, now, ring, somebody_died, wait, wait_for_any, wake, width};
#[cfg(not(loom))]
pub(crate) use native::{wait, wake};
#[cfg(not(loom))]
pub(crate) use several::{now, ring, wait_for_any, width};

use crate::platform::atomic::AtomicU32;

#[cfg(not(loom))]
mod several;

/// A word, and what it has to hold for a sleep on it to go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) expected: u32,
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Somebody woke this sleeper, or nobody did: wake-ups may be spurious.
    Woken,
    /// The word did not hold the expected value; nobody slept.
    Changed,
    /// The slice is over.
    Expired,
}

#[cfg(not(loom))]
mod native {
    use super::Ended;
    use crate::platform::atomic::AtomicU32;
    use std::io;
    use std::time::Duration;

    /// Sleeps while `word` holds `expected`, at most `slice` long on the monotonic clock.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, slice: Duration) -> Ended {
        let timeout = libc::timespec {
            tv_sec: slice.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: slice.subsec_nanos() as libc::c_long,
        };
        // SAFETY: `word` and `timeout` are alive for the whole call, and FUTEX_WAIT only reads.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT,
                expected,
                &raw const timeout,
            )
        };
        if result == 0 {
            return Ended::Woken;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => Ended::Woken,
            Some(libc::EAGAIN) => Ended::Changed,
            Some(libc::ETIMEDOUT) => Ended::Expired,
            // A sandbox that forbids the call: sleep the slice, so that waiting stays cheap.
            _ => {
                std::thread::sleep(slice);
                Ended::Expired
            }
        }
    }

    /// Wakes up to `n` sleepers, of any process, and says how many there were.
    pub(crate) fn wake(word: &AtomicU32, n: u32) -> u32 {
        let n = i32::try_from(n).unwrap_or(i32::MAX);
        // SAFETY: FUTEX_WAKE uses the address as a key and does not write to it.
        let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, n) };
        // A sandbox that forbids the call: whoever sleeps wakes at the end of its slice.
        u32::try_from(woken).unwrap_or(n.unsigned_abs())
    }
}

#[cfg(loom)]
mod modelled {
    use super::{Awaited, Ended};
    use crate::platform::atomic::{AtomicU32, Ordering};
    use loom::sync::{Mutex, Notify};
    use std::cell::Cell;
    use std::sync::{Arc, OnceLock};
    use std::time::{Duration, Instant};

    /// One word that a thread sleeps on. Who sleeps on several has several.
    struct Sleeper {
        address: usize,
        expected: u32,
        /// `None` while asleep. Guarded by the registry's lock, like the kernel's hash bucket.
        ended: std::sync::Mutex<Option<Ended>>,
        notify: Arc<Notify>,
    }

    struct Registry {
        sleepers: Vec<Arc<Sleeper>>,
        deaths: usize,
        /// How many sleeps on several words have come to the end of their time.
        ticks: u32,
    }

    loom::lazy_static! {
        static ref REGISTRY: Mutex<Registry> = Mutex::new(Registry { sleepers: Vec::new(), deaths: 0, ticks: 0 });
    }

    loom::thread_local! {
        /// After how many deaths, and asleep on which value, a slice of this thread last ended.
        static LAST_END: Cell<(usize, u32)> = Cell::new((0, 0));
        /// The same for the sleeps on several words.
        static LAST_END_OF_SEVERAL: Cell<(usize, u64)> = Cell::new((0, 0));
        /// One for each thread, not for each sleep: loom wakes each of them spuriously once, and
        /// spurious wake-ups without end would be models without end.
        static BED: Arc<Notify> = Arc::new(Notify::new());
    }

    pub(crate) fn wait(word: &AtomicU32, expected: u32, _slice: Duration) -> Ended {
        let sleeper = {
            let mut registry = REGISTRY.lock().unwrap();
            // The kernel compares under the bucket's lock, and so does the model: a wake-up that
            // follows a change of the word cannot slip between the comparison and the sleep.
            if word.load(Ordering::Relaxed) != expected {
                return Ended::Changed;
            }
            // Who falls asleep after a death wakes at the end of its slice and looks around. Once
            // for each value is enough: nothing but a death makes the second look different.
            let end = (registry.deaths, expected);
            if registry.deaths != 0 && LAST_END.with(|last| last.replace(end)) != end {
                return Ended::Expired;
            }
            let sleeper = Arc::new(Sleeper {
                address: std::ptr::from_ref(word).addr(),
                expected,
                ended: std::sync::Mutex::new(None),
                notify: BED.with(Arc::clone),
            });
            registry.sleepers.push(sleeper.clone());
            sleeper
        };
        sleeper.notify.wait();
        let mut registry = REGISTRY.lock().unwrap();
        registry
            .sleepers
            .retain(|other| !Arc::ptr_eq(other, &sleeper));
        let ended = *sleeper.ended.lock().unwrap();
        if ended == Some(Ended::Expired) {
            LAST_END.with(|last| last.set((registry.deaths, sleeper.expected)));
        }
        ended.unwrap_or(Ended::Woken)
    }

    pub(crate) fn wake(word: &AtomicU32, n: u32) -> u32 {
        let address = std::ptr::from_ref(word).addr();
        let mut woken = Vec::new();
        {
            let mut registry = REGISTRY.lock().unwrap();
            registry.sleepers.retain(|sleeper| {
                let is_called = woken.len() < n as usize && sleeper.address == address;
                if is_called {
                    *sleeper.ended.lock().unwrap() = Some(Ended::Woken);
                    woken.push(sleeper.clone());
                }
                !is_called
            });
        }
        woken.iter().for_each(|sleeper| sleeper.notify.notify());
        woken.len() as u32
    }

    /// Time passes for everybody: all slices end.
    pub(crate) fn somebody_died() {
        let asleep = {
            let mut registry = REGISTRY.lock().unwrap();
            registry.deaths += 1;
            let asleep = std::mem::take(&mut registry.sleepers);
            for sleeper in &asleep {
                *sleeper.ended.lock().unwrap() = Some(Ended::Expired);
            }
            asleep
        };
        asleep.iter().for_each(|sleeper| sleeper.notify.notify());
    }

    /// As many as a model has.
    pub(crate) fn width() -> usize {
        usize::MAX
    }

    /// As the kernel does it: each word is queued by itself, so that several may be woken before the
    /// sleeper is up, which hears of the last of them.
    pub(crate) fn wait_for_any(
        doorbell: Awaited<'_>,
        words: &[Awaited<'_>],
        timeout: Option<Duration>,
    ) -> Option<usize> {
        let all = || std::iter::once(doorbell).chain(words.iter().copied());
        let queued: Vec<_> = {
            let mut registry = REGISTRY.lock().unwrap();
            if all().any(|awaited| awaited.word.load(Ordering::Relaxed) != awaited.expected) {
                return None;
            }
            // As in `wait`; the bell's count tells nothing of what others do.
            let values = words.iter().map(|awaited| awaited.expected);
            let values = values.fold(1, |all, value| (all ^ u64::from(value)) * 0x0100_0000_01b3);
            let end = (registry.deaths, values);
            if timeout.is_some()
                && registry.deaths != 0
                && LAST_END_OF_SEVERAL.with(|last| last.replace(end)) != end
            {
                registry.ticks += 1;
                return None;
            }
            let queued = all().map(|awaited| {
                Arc::new(Sleeper {
                    address: std::ptr::from_ref(awaited.word).addr(),
                    expected: awaited.expected,
                    ended: std::sync::Mutex::new(None),
                    notify: BED.with(Arc::clone),
                })
            });
            let queued: Vec<_> = queued.collect();
            registry.sleepers.extend(queued.iter().cloned());
            queued
        };
        queued[0].notify.wait();
        let mut registry = REGISTRY.lock().unwrap();
        let is_ours = |other: &Arc<Sleeper>| queued.iter().any(|ours| Arc::ptr_eq(ours, other));
        registry.sleepers.retain(|other| !is_ours(other));
        let how = |sleeper: &Arc<Sleeper>| *sleeper.ended.lock().unwrap();
        let last = queued
            .iter()
            .rposition(|sleeper| how(sleeper) == Some(Ended::Woken));
        if last.is_none()
            && queued
                .iter()
                .any(|sleeper| how(sleeper) == Some(Ended::Expired))
        {
            registry.ticks += 1;
        }
        last.and_then(|last| last.checked_sub(1))
    }

    /// Ends the sleep of whoever sleeps on this doorbell.
    pub(crate) fn ring(doorbell: &AtomicU32) {
        wake(doorbell, 1);
    }

    /// The time of those who sleep on several words: it passes in steps, with their sleeps, and each
    /// step is longer than any slice.
    pub(crate) fn now() -> Instant {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let ticks = REGISTRY.lock().unwrap().ticks;
        *BEGAN.get_or_init(Instant::now) + Duration::from_secs(3600) * ticks
    }

    /// How often time has passed for everybody.
    pub(crate) fn deaths() -> u64 {
        REGISTRY.lock().unwrap().deaths as u64
    }
}
