//! Waits under a storm of signals that interrupt system calls: none ends early, and no deadline is
//! stretched. Row T23 (PEP 475).

#![cfg(target_os = "linux")]

mod common;

use common::watchdog;
use latchwork::queue::{GetError, Queue};
use latchwork::sync::{Condition, Event, Lock, Semaphore};
use latchwork::{GaveUp, thread};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// How long a wait takes that nobody ends.
const PATIENCE: Duration = Duration::from_millis(150);
/// A deadline that began anew with each interruption would not be reached while the storm lasts.
const AT_MOST: Duration = Duration::from_secs(10);
/// So many interruptions make a storm.
const MANY: usize = 200;

thread_local! {
    static INTERRUPTIONS: AtomicUsize = const { AtomicUsize::new(0) };
}

extern "C" fn count(_signal: libc::c_int) {
    // A thread-local without a destructor, and initialised: safe in a handler.
    INTERRUPTIONS.with(|count| count.fetch_add(1, Ordering::Relaxed));
}

/// A handler without `SA_RESTART`, so that system calls come back with `EINTR`.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: all zeros is an empty mask and no flags; the handler only counts.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
            assert_eq!(
                libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()),
                0
            );
        }
    });
}

/// Runs `wait` in this thread while another interrupts it, all the time. Returns how often that was, too.
fn in_a_storm<R>(wait: impl FnOnce() -> R) -> (R, usize) {
    install();
    let interruptions = || INTERRUPTIONS.with(|count| count.load(Ordering::Relaxed));
    let before = interruptions();
    let is_over = AtomicBool::new(false);
    // SAFETY: it only says who we are.
    let target = unsafe { libc::pthread_self() };
    let result = std::thread::scope(|s| {
        s.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // SAFETY: the thread lives, since it waits for this one.
                assert_eq!(unsafe { libc::pthread_kill(target, libc::SIGUSR2) }, 0);
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let result = wait();
        is_over.store(true, Ordering::Relaxed);
        result
    });
    (result, interruptions() - before)
}

/// A wait that is to time out does so after its time and not later, though it is interrupted.
fn times_out<R>(wait: impl FnOnce(Duration) -> R) -> R {
    let start = Instant::now();
    let (result, interruptions) = in_a_storm(|| wait(PATIENCE));
    let took = start.elapsed();
    assert!(took >= PATIENCE, "early: {took:?}");
    assert!(took < AT_MOST, "stretched: {took:?}");
    assert!(interruptions >= MANY, "only {interruptions} interruptions");
    result
}

/// A wait that somebody ends, after many interruptions, has not ended before that.
fn is_granted<R: Send>(wait: impl FnOnce() -> R + Send, grant: impl FnOnce()) -> R {
    let granted = AtomicBool::new(false);
    let storms = AtomicUsize::new(0);
    std::thread::scope(|s| {
        let waiter = s.spawn(|| {
            let counted = || {
                let result = wait();
                assert!(
                    granted.load(Ordering::SeqCst),
                    "it ended before it was granted"
                );
                result
            };
            in_a_storm(|| {
                storms.store(1, Ordering::SeqCst);
                counted()
            })
        });
        while storms.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        // The time for many; that they have come is checked at the end.
        std::thread::sleep(PATIENCE);
        granted.store(true, Ordering::SeqCst);
        grant();
        let (result, interruptions) = waiter.join().unwrap();
        assert!(interruptions >= MANY, "only {interruptions} interruptions");
        result
    })
}

/// T23: waits with a deadline.
#[test]
fn a_storm_neither_ends_nor_stretches_a_wait_with_a_deadline() {
    watchdog(LIMIT, "a_storm_neither_ends_nor_stretches", || {
        let (lock, event, queue) = (Lock::new(()), Event::new(), Queue::<u8>::unbounded());
        let (semaphore, condition) = (Semaphore::new(0), Condition::new());
        let timed_out = Err(GaveUp::TimedOut);
        let (held, release) = (Event::new(), Event::new());
        std::thread::scope(|s| {
            s.spawn(|| {
                let _held = lock.lock();
                held.set();
                release.wait();
            });
            held.wait();
            assert_eq!(
                times_out(|limit| lock.lock_within(limit).map(drop)),
                timed_out
            );
            release.set();
        });
        assert_eq!(times_out(|limit| event.wait_within(limit)), timed_out);
        assert_eq!(
            times_out(|limit| queue.get_within(limit)),
            Err(GetError::TimedOut)
        );
        let acquired = times_out(|limit| semaphore.acquire_within(limit).map(drop));
        assert!(acquired.unwrap_err().is_timed_out());
        let waited = times_out(|limit| condition.wait_within(&mut lock.lock(), limit));
        assert_eq!(waited, timed_out);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || wait.recv().is_err());
        let joined = times_out(|limit| thread.join_within(limit)).unwrap_err();
        assert_eq!(joined.why, thread::WaitError::TimedOut);
        drop(go);
        joined.handle.join().unwrap();
    });
}

/// T23: waits without one.
#[test]
fn a_storm_does_not_end_a_wait_without_a_deadline() {
    watchdog(LIMIT, "a_storm_does_not_end", || {
        let (lock, event, queue) = (Lock::new(()), Event::new(), Queue::unbounded());
        let held = lock.lock();
        is_granted(|| drop(lock.lock()), || drop(held));
        is_granted(|| event.wait(), || assert!(event.set()));
        assert_eq!(is_granted(|| queue.get(), || queue.put(5).unwrap()), Ok(5));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || wait.recv().is_err());
        assert!(is_granted(|| thread.join(), || drop(go)).unwrap());
    });
}
