//! A child process that is there to be killed.
//!
//! Invariant: a victim that was not reaped keeps its pid, so signals reach it and nobody else; it is
//! killed and reaped at the latest when its owner drops it, or dies. Used by `testing::step`.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitStatus;

/// A forked child. Killed and reaped when dropped, so that a failing test leaves none behind.
///
/// It has the memory that the parent shares already, and a copy of the rest.
#[derive(Debug)]
#[must_use = "it is killed when dropped"]
pub struct Victim {
    pid: libc::pid_t,
    ended: Option<ExitStatus>,
}

impl Victim {
    /// Forks a child that runs `work` and exits: with status 0, or 1 if `work` panics.
    ///
    /// No destructors or exit handlers of the program run in it. It is killed if the thread that
    /// forked it ends.
    ///
    /// # Errors
    ///
    /// What `fork(2)` says.
    ///
    /// # Safety
    ///
    /// The child has one thread. If this process has others, `work` must not use anything that one of
    /// them may have been in the middle of changing: locks of theirs, the standard streams, the
    /// environment. And what `work` drops is a copy of something that the parent goes on using, so
    /// dropping must not affect what both share.
    pub unsafe fn fork(work: impl FnOnce()) -> io::Result<Victim> {
        // SAFETY: the child runs `work`, for which the caller answers, and leaves with `_exit`.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // SAFETY: a plain system call.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let done = panic::catch_unwind(AssertUnwindSafe(work));
                // SAFETY: ends the child without running the parent's exit handlers.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
            pid => Ok(Victim { pid, ended: None }),
        }
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Sends a signal; one that has ended ignores it.
    ///
    /// # Errors
    ///
    /// What `kill(2)` says.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: a child that was not reaped keeps its pid.
        if self.ended.is_none() && unsafe { libc::kill(self.pid, signal) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Stops it with SIGSTOP and returns once it stands still.
    ///
    /// # Errors
    ///
    /// `NotFound` if it has ended, and what the system says.
    pub fn stop(&mut self) -> io::Result<()> {
        self.signal(libc::SIGSTOP)?;
        self.stopped()
    }

    /// Lets it go on after [`stop`](Victim::stop).
    ///
    /// # Errors
    ///
    /// What `kill(2)` says.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(libc::SIGCONT)
    }

    /// Kills it with SIGKILL and returns when it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    ///
    /// What `waitpid(2)` says.
    pub fn join(mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended {
                return Ok(status);
            }
            self.wait(0)?;
        }
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    ///
    /// What `waitpid(2)` says.
    pub fn try_join(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.wait(libc::WNOHANG)?;
        }
        Ok(self.ended)
    }

    /// Waits until a stop that was asked for has happened.
    pub(super) fn stopped(&mut self) -> io::Result<()> {
        loop {
            let status = self.wait(libc::WUNTRACED)?;
            if self.ended.is_some() {
                return Err(io::ErrorKind::NotFound.into());
            }
            if status.is_some_and(|status| libc::WIFSTOPPED(status)) {
                return Ok(());
            }
        }
    }

    /// One wait(2): a raw status, unless there is none yet.
    pub(super) fn wait(&mut self, options: libc::c_int) -> io::Result<Option<libc::c_int>> {
        loop {
            let mut status = 0;
            // SAFETY: waits for a child of ours that was not reaped.
            match unsafe { libc::waitpid(self.pid, &raw mut status, options | libc::__WALL) } {
                0 => return Ok(None),
                -1 => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
                _ => {
                    if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                        self.ended = Some(ExitStatus::from_raw(status));
                    }
                    return Ok(Some(status));
                }
            }
        }
    }

    fn end(&mut self) {
        // A traced child may report a stop first, and any may have ended by itself.
        while self.ended.is_none() {
            let _ = self.signal(libc::SIGKILL);
            if self.wait(0).is_err() {
                return;
            }
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
    }
}
