//! Child processes that are there to be killed.
//!
//! A victim is a fork of the test process: it has the shared memory already, and does nothing but
//! operations on it, because the other threads of its parent did not come along.

use std::io;
use std::time::{Duration, Instant};

/// A child process. Killed and reaped when dropped, so that a failing test leaves none behind.
pub struct Victim {
    pub pid: libc::pid_t,
    reaped: bool,
}

impl Victim {
    /// Forks a child that runs `work` and exits.
    pub fn new(work: impl FnOnce()) -> Victim {
        // SAFETY: the child only runs `work`, which by the rule of this file is made of lock-word
        // operations and system calls, and leaves with `_exit`.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", io::Error::last_os_error()),
            0 => {
                // A test that dies for whatever reason takes its victims along.
                // SAFETY: plain system calls.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // SAFETY: ends the child without running the parent's exit handlers.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
            pid => Victim { pid, reaped: false },
        }
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: a child that was not reaped keeps its pid.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    /// Kills the child with SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits until the child has exited by itself.
    pub fn join(mut self) {
        let status = self.wait();
        self.reaped = true;
        assert_eq!(status, 0, "the child failed");
    }

    /// One wait(2): a raw status.
    pub fn wait(&self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: waits for our own child.
        let got = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        assert_eq!(got, self.pid, "waitpid: {}", io::Error::last_os_error());
        status
    }

    /// The child ended under `wait`: there is nothing left to kill.
    pub fn reaped(mut self) {
        self.reaped = true;
    }

    fn end(&mut self) {
        if !self.reaped {
            self.reaped = true;
            self.signal(libc::SIGKILL);
            // A traced child may report a stop first, and any may have ended by itself.
            while libc::WIFSTOPPED(self.wait()) {}
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
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
