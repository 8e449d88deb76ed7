//! Starting a worker: another process of this very program, with a socket for its stdin.
//!
//! `posix_spawn` of `/proc/self/exe` through the standard library, never a fork of a threaded
//! process. Invariant: both ends of the socket are close-on-exec and this process keeps only its
//! own, so the worker sees the end of the stream exactly when the parent is gone, and the reverse.
//! Called by the reactor of a process pool.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::function::SealKey;
use super::handshake::{self, DEEPEST, Greeting, Hello, Nonce};
use super::image::{BuildId, Image};
use super::wire::{self, Outgoing};

/// The program of a worker: this one, even when its file was replaced or removed meanwhile.
pub(crate) const PROGRAM: &str = "/proc/self/exe";
/// Names the environment variable whose value is a worker's nonce.
pub(crate) const MARKER: &str = "LATCHWORK_WORKER";

/// How a process ended, as far as its parent can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Signal(i32),
    Code(i32),
    /// Somebody else took the status, or `SIGCHLD` is ignored and the kernel kept none.
    Unknown,
}

/// A worker process that was started, seen from its parent.
///
/// Dropping it closes the socket, at which the worker exits; whoever drops it reaps it first.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    pidfd: OwnedFd,
    nonce: Nonce,
    build: BuildId,
}

impl Worker {
    /// Starts a worker and greets it. Its answer arrives on the socket as a [`Greeting`].
    pub(crate) fn spawn(name: &str) -> io::Result<(Worker, OwnedFd, Outgoing)> {
        let depth = super::depth() + 1;
        if depth > DEEPEST {
            return Err(io::Error::other(handshake::too_deep()));
        }
        let descriptors = super::inherited()?;
        let hello = Hello {
            build: Image::main().build_id()?,
            nonce: Nonce::fresh()?,
            key: SealKey::own()?,
            parent: std::process::id(),
            depth,
            name: name.to_owned(),
            descriptors: descriptors.len() as u32,
        };
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // Before the child exists, so that a failure here leaves nothing to clean up.
        let outgoing = hello.send(ours.as_fd(), &descriptors)?;
        let child = start(name, hello.nonce, theirs)?;
        let worker = Worker::adopt(child, hello)?;
        Ok((worker, ours, outgoing))
    }

    /// Takes a child under a pidfd, which cannot come to mean another process as a pid can.
    fn adopt(mut child: Child, hello: Hello) -> io::Result<Worker> {
        // The pid cannot have been given away yet: nobody has waited for this child.
        let pid = Pid::from_child(&child);
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Worker {
                child,
                pidfd,
                nonce: hello.nonce,
                build: hello.build,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    /// The worker's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when the process has ended.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Checks the worker's answer to the greeting.
    pub(crate) fn check(&self, greeting: &[u8]) -> Result<(), String> {
        match wire::split::<Greeting>(greeting) {
            Ok((greeting, [])) => greeting.check(&self.build, self.nonce),
            Ok(_) => Err("the worker's greeting is longer than it should be".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Kills the process. Ending on its own at the same moment is as good.
    pub(crate) fn kill(&self) {
        match rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => debug_assert!(false, "a child can always be killed: {error}"),
        }
    }

    /// Waits until the process has ended and takes its status. At once when the pidfd is readable.
    pub(crate) fn reap(&mut self) -> Ended {
        match self.child.wait() {
            Ok(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => Ended::Signal(signal),
                (None, Some(code)) => Ended::Code(code),
                (None, None) => Ended::Unknown,
            },
            Err(_) => Ended::Unknown,
        }
    }
}

fn start(name: &str, nonce: Nonce, socket: OwnedFd) -> io::Result<Child> {
    let program = std::env::args_os().next().unwrap_or_default();
    Command::new(PROGRAM)
        // What `ps` shows: whose worker this is, and which.
        .arg0(format!("{} ({name})", program.to_string_lossy()))
        .env(MARKER, nonce.to_string())
        .stdin(Stdio::from(socket))
        .spawn()
        .map_err(|error| {
            let message = format!("cannot start {PROGRAM} as a worker: {error}");
            io::Error::new(error.kind(), message)
        })
}

/// Bytes that nobody can guess.
pub(crate) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut bytes[filled..], flags) {
            Ok(got) => filled += got,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}
