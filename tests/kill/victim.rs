//! Child processes that are there to be killed, for tests that need no instruction counted.
//!
//! [`Victim`] is `latchwork::testing`'s, from its source, so that it needs no feature; what can only fail
//! in a broken test fails here at once.

#![allow(dead_code, reason = "not every test file needs all of it")]

#[path = "../../src/testing/victim.rs"]
mod published;

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// A child process. Killed and reaped when dropped, so that a failing test leaves none behind.
pub struct Victim {
    pub pid: libc::pid_t,
    child: RefCell<published::Victim>,
}

impl Victim {
    /// Forks a child that runs `work` and exits.
    pub fn new(work: impl FnOnce()) -> Victim {
        // SAFETY: by the rule of this file `work` is made of operations on shared memory and system
        // calls, and what it drops is the parent's alone or nobody's.
        let child = unsafe { published::Victim::fork(work) }.unwrap();
        Victim {
            pid: child.pid().cast_signed(),
            child: RefCell::new(child),
        }
    }

    pub fn signal(&self, signal: libc::c_int) {
        self.child.borrow().signal(signal).unwrap();
    }

    /// Stops the child and waits until it stands still.
    pub fn stop(&self) {
        self.child.borrow_mut().stop().unwrap();
    }

    /// Whether the child has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.child.borrow_mut().try_join().unwrap().is_some()
    }

    /// Kills the child with SIGKILL and waits until it is gone.
    pub fn kill(self) {
        self.child.into_inner().kill();
    }

    /// Waits until the child has exited by itself.
    pub fn join(self) {
        let status = self.child.into_inner().join().unwrap();
        assert!(status.success(), "the child failed: {status}");
    }

    /// One wait(2), for those who trace it: a raw status.
    pub fn wait(&self) -> libc::c_int {
        let status = self.child.borrow_mut().wait(0).unwrap();
        status.expect("this wait waits")
    }

    /// The child ended under `wait`: there is nothing left to kill.
    pub fn reaped(self) {
        assert!(self.has_ended());
    }
}

/// Waits until `condition` holds; the caller's watchdog limits it.
pub fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

/// Runs `work` and says how long it took.
pub fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

/// How many descriptors this process has open.
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Stays here until killed.
pub fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: a plain system call.
        unsafe { libc::pause() };
    }
}
