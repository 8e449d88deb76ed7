//! Sleeping on several words at once: `futex_waitv(2)`, which Linux has since 5.16.
//!
//! A set is the doorbell, which is the process's own, and words that other processes map. Where the
//! system has no such call, or a sandbox forbids it, only the doorbell is slept on; [`width`]
//! tells, and the caller, `shm::sleepers`, then looks at the words itself every now and then.

use super::super::Signal;
use super::Awaited;
use crate::platform::atomic::{AtomicBool, AtomicU32, Ordering};
use rustix::io::Errno;
use rustix::thread::futex::{ClockId, Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags, waitv};
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// How many futexes the call takes, the doorbell among them.
const MOST: usize = 128;

/// For how long the doorbell alone is slept on when the call has failed for want of something.
const BRIEFLY: Duration = Duration::from_millis(1);

/// The call has been tried, and there is none.
static IS_MISSING: AtomicBool = AtomicBool::new(false);

/// How many words can be slept on beside the doorbell: 127, or none at all.
pub(crate) fn width() -> usize {
    match IS_MISSING.load(Ordering::Relaxed) {
        true => 0,
        false => MOST - 1,
    }
}

/// Sleeps while the doorbell and all words hold what is expected of them, at most `timeout` long on
/// the monotonic clock.
///
/// Returns the last of the words by which somebody has woken the sleeper; wake-ups that were meant
/// for any of those before it may have come here, too. `None` says nothing: the bell was rung, a
/// word had changed, the time is over, or none of that. At most [`width`] words.
pub(crate) fn wait_for_any(
    doorbell: Awaited<'_>,
    words: &[Awaited<'_>],
    timeout: Option<Duration>,
) -> Option<usize> {
    if words.is_empty() {
        sleep_on(doorbell, timeout);
        return None;
    }
    // The bell comes first: an index beyond it says that a word was woken.
    let bell = wait(doorbell, WaitFlags::SIZE_U32 | WaitFlags::PRIVATE);
    let others = words.iter().map(|&word| wait(word, WaitFlags::SIZE_U32));
    let set: SmallVec<[Wait; MOST]> = std::iter::once(bell).chain(others).collect();
    let deadline = timeout.map(monotonic_in);
    match waitv(
        &set,
        WaitvFlags::empty(),
        deadline.as_ref(),
        ClockId::Monotonic,
    ) {
        Ok(last) => last.checked_sub(1),
        Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => None,
        Err(Errno::NOSYS | Errno::PERM) => {
            IS_MISSING.store(true, Ordering::Relaxed);
            None
        }
        Err(_) => {
            sleep_on(doorbell, Some(timeout.unwrap_or(BRIEFLY).min(BRIEFLY)));
            None
        }
    }
}

fn wait(awaited: Awaited<'_>, flags: WaitFlags) -> Wait {
    let mut wait = Wait::new();
    wait.val = awaited.expected.into();
    wait.uaddr = WaitPtr::new(awaited.word.as_ptr().cast());
    wait.flags = flags;
    wait
}

fn sleep_on(doorbell: Awaited<'_>, timeout: Option<Duration>) {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    Signal::new().sleep(doorbell.word, doorbell.expected, deadline);
}

/// Ends the sleep of whoever sleeps on this process's doorbell.
pub(crate) fn ring(doorbell: &AtomicU32) {
    Signal::new().handle(doorbell).wake();
}

/// The time by which the sleeps end.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The call wants to know when, not how long.
fn monotonic_in(timeout: Duration) -> Timespec {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a place for the answer. The monotonic clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let now = Timespec {
        tv_sec: now.tv_sec,
        tv_nsec: now.tv_nsec,
    };
    let timeout = Timespec::try_from(timeout).ok();
    let far_future = Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    };
    timeout
        .and_then(|timeout| now.checked_add(timeout))
        .unwrap_or(far_future)
}
