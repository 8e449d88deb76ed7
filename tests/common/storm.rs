//! Waits under a storm of signals that interrupt system calls.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a wait takes that nobody ends.
pub const PATIENCE: Duration = Duration::from_millis(150);
/// A deadline that began anew with each interruption would not be reached while the storm lasts.
const AT_MOST: Duration = Duration::from_secs(10);
/// So many interruptions make a storm, also where a busy machine holds it up.
const MANY: usize = 20;

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

/// Runs `wait` in this thread while another interrupts it, all the time, and at least so often that it
/// counts as a storm.
pub fn in_a_storm<R>(wait: impl FnOnce() -> R) -> R {
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
    let interruptions = interruptions() - before;
    assert!(interruptions >= MANY, "only {interruptions} interruptions");
    result
}

/// A wait that is to time out does so after its time and not later, though it is interrupted.
pub fn times_out_in_a_storm<R>(wait: impl FnOnce(Duration) -> R) -> R {
    let start = Instant::now();
    let result = in_a_storm(|| wait(PATIENCE));
    let took = start.elapsed();
    assert!(took >= PATIENCE, "early: {took:?}");
    assert!(took < AT_MOST, "stretched: {took:?}");
    result
}

/// A wait that somebody ends, after many interruptions, has not ended before that.
pub fn is_granted_in_a_storm<R: Send>(wait: impl FnOnce() -> R + Send, grant: impl FnOnce()) -> R {
    let granted = AtomicBool::new(false);
    std::thread::scope(|s| {
        let waiter = s.spawn(|| {
            in_a_storm(|| {
                let result = wait();
                let granted = granted.load(Ordering::SeqCst);
                assert!(granted, "it ended before it was granted");
                result
            })
        });
        // The time for many; that they have come is checked by the waiter.
        std::thread::sleep(PATIENCE);
        granted.store(true, Ordering::SeqCst);
        grant();
        waiter.join().unwrap()
    })
}
