//! Starting a worker: another process of this very program, with a socket for its stdin.
//!
//! `posix_spawn` of `/proc/self/exe` through the standard library, never a fork of a threaded
//! process. Invariant: both ends of the socket are close-on-exec and this process keeps only its
//! own, so the worker sees the end of the stream exactly when the parent is gone, and the reverse.
//! Called by the reactor of a process pool.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use super::function::SealKey;
use super::handshake::{self, DEEPEST, Greeting, Hello, Nonce};
use super::image::{BuildId, Image};
use super::wire::{self, Outgoing};
use crate::platform::above_standard;

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
    pid: u32,
    pidfd: OwnedFd,
    nonce: Nonce,
    build: BuildId,
}

impl Worker {
    /// Starts a worker and greets it. Its answer arrives on the socket as a [`Greeting`].
    pub(crate) fn spawn(name: &str) -> io::Result<(Worker, OwnedFd, Outgoing)> {
        let depth = check_depth()?;
        let descriptors = super::inherited()?;
        let nonce = Nonce::fresh()?;
        let hello = Hello {
            build: Image::main().build_id()?,
            nonce,
            key: SealKey::own()?,
            parent: std::process::id(),
            depth,
            name: name.to_owned(),
            descriptors: descriptors.len() as u32,
        };
        Worker::start(hello, nonce, &descriptors)
    }

    fn start(
        hello: Hello,
        marker: Nonce,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<(Worker, OwnedFd, Outgoing)> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let (ours, theirs) = (above_standard(ours)?, above_standard(theirs)?);
        // Before the child exists, so that a failure here leaves nothing to clean up.
        let outgoing = hello.send(ours.as_fd(), descriptors)?;
        let child = start(&hello.name, marker, theirs)?;
        let worker = Worker::adopt(child, hello)?;
        Ok((worker, ours, outgoing))
    }

    /// Takes a child under a pidfd, which cannot come to mean another process as a pid can.
    fn adopt(mut child: Child, hello: Hello) -> io::Result<Worker> {
        // Unless the program waits for all its children elsewhere, nobody has waited for this one,
        // and its pid cannot have been given away.
        let pid = Pid::from_child(&child);
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Worker {
                pid: child.id(),
                pidfd: above_standard(pidfd)?,
                nonce: hello.nonce,
                build: hello.build,
            }),
            // The program has waited for it elsewhere: the pid may be another's by now.
            Err(Errno::SRCH) => Err(Errno::SRCH.into()),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let message = format!("cannot watch a worker by pidfd: {error}");
                Err(io::Error::new(io::Error::from(error).kind(), message))
            }
        }
    }

    /// The worker's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
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
            // A task may have made its process another user's. Then its socket is all we can close.
            Ok(()) | Err(Errno::SRCH | Errno::PERM) => {}
            Err(error) => debug_assert!(false, "a child can always be killed: {error}"),
        }
    }

    /// Waits until the process has ended and takes its status. At once when the pidfd is readable.
    pub(crate) fn reap(&mut self) -> Ended {
        // By pidfd and not by pid: the program may wait for all its children elsewhere, or have them
        // reaped by ignoring SIGCHLD, and then the pid may be another's.
        let id = WaitId::PidFd(self.pidfd.as_fd());
        loop {
            return match rustix::process::waitid(id.clone(), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => continue,
                Ok(Some(status)) => match (status.terminating_signal(), status.exit_status()) {
                    (Some(signal), _) => Ended::Signal(signal),
                    (None, Some(code)) => Ended::Code(code),
                    (None, None) => Ended::Unknown,
                },
                Ok(None) | Err(_) => Ended::Unknown,
            };
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

/// How deep a worker of this process would be nested, unless that is too deep.
pub(crate) fn check_depth() -> io::Result<u32> {
    if std::env::var_os(MARKER).is_some() {
        return Err(io::Error::other(
            "this process was started as a worker but runs main: call latchwork::process::init() first in it",
        ));
    }
    // SAFETY: `getauxval` only reads.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "a program with more rights than its caller cannot start workers",
        ));
    }
    match super::depth() + 1 {
        depth if depth <= DEEPEST => Ok(depth),
        _ => Err(io::Error::other(handshake::too_deep())),
    }
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::net::{RecvFlags, SendFlags};

    use super::super::function::{self, FunctionName};
    use super::super::serve::{CallHeader, Outcome, ReplyHeader};
    use super::super::wire::{Fill, Reader};
    use super::*;

    /// The next frame that the worker sends, or `None` when it closes instead.
    fn next(socket: &OwnedFd) -> Option<Vec<u8>> {
        let mut reader = Reader::default();
        while reader.frame().unwrap().is_none() {
            if reader.fill(socket, RecvFlags::empty()).unwrap() == Fill::Closed {
                return None;
            }
        }
        reader.frame().unwrap().map(<[u8]>::to_vec)
    }

    fn ready() -> (Worker, OwnedFd) {
        let (worker, socket, _) = Worker::spawn("unit-test").unwrap();
        worker.check(&next(&socket).unwrap()).unwrap();
        (worker, socket)
    }

    fn send_call(socket: &OwnedFd, header: CallHeader, argument: u32) {
        let frame = wire::append(wire::begin(), &header).unwrap();
        let frame = wire::finish(wire::append(frame, &argument).unwrap());
        assert!(
            Outgoing::new(frame, 0)
                .pump(socket, SendFlags::empty(), usize::MAX)
                .unwrap()
        );
    }

    fn square(x: u32) -> u32 {
        assert!(x < 100, "{x} is too much");
        x * x
    }

    fn header(task: u64) -> CallHeader {
        let name = function::name(square).unwrap();
        let seal = SealKey::own().unwrap().seal(&name);
        CallHeader { task, name, seal }
    }

    #[test]
    fn a_worker_answers_calls_and_leaves_when_its_socket_closes() {
        let (mut worker, socket) = ready();
        for argument in 0..5 {
            send_call(&socket, header(u64::from(argument)), argument);
            let body = next(&socket).unwrap();
            let (reply, result) = wire::split::<ReplyHeader>(&body).unwrap();
            assert_eq!(
                reply,
                ReplyHeader {
                    task: argument.into(),
                    outcome: Outcome::Returned
                }
            );
            assert_eq!(
                wire::split::<u32>(result).unwrap(),
                (argument * argument, &[][..])
            );
        }
        drop(socket);
        assert_eq!(worker.reap(), Ended::Code(0));
    }

    #[test]
    fn a_panic_comes_back_with_its_place_and_the_workers_name() {
        let (mut worker, socket) = ready();
        send_call(&socket, header(1), 100);
        let (reply, _) = wire::split::<ReplyHeader>(&next(&socket).unwrap())
            .map(|(reply, rest)| (reply, rest.to_vec()))
            .unwrap();
        let Outcome::Panicked {
            message,
            location,
            thread,
        } = reply.outcome
        else {
            panic!("{reply:?}");
        };
        assert_eq!(
            (message.as_str(), thread.as_str()),
            ("100 is too much", "unit-test")
        );
        assert!(location.unwrap().contains("spawn.rs:"));
        drop(socket);
        assert_eq!(worker.reap(), Ended::Code(0));
    }

    #[test]
    fn a_call_without_the_seal_ends_the_worker_before_it_runs() {
        let (mut worker, socket) = ready();
        let forged = CallHeader {
            name: function::name(square).unwrap(),
            ..header(1)
        };
        let FunctionName::Offset {
            function,
            trampoline,
        } = forged.name;
        let name = FunctionName::Offset {
            function: function + 1,
            trampoline,
        };
        send_call(&socket, CallHeader { name, ..forged }, 1);
        assert_eq!(next(&socket), None);
        assert_eq!(worker.reap(), Ended::Code(70));
    }

    #[test]
    fn garbage_on_the_socket_ends_the_worker_with_an_error() {
        let (mut worker, socket) = ready();
        rustix::io::write(&socket, b"not a frame at all").unwrap();
        assert_eq!(next(&socket), None);
        assert_eq!(worker.reap(), Ended::Code(70));
    }

    #[test]
    fn a_worker_refuses_a_parent_of_another_build_and_a_foreign_marker() {
        let nonce = Nonce::fresh().unwrap();
        let hello = Hello {
            build: BuildId::Note(vec![1]),
            nonce,
            key: SealKey::own().unwrap(),
            parent: std::process::id(),
            depth: 1,
            name: "stranger".into(),
            descriptors: 0,
        };
        let ours = Hello {
            build: Image::main().build_id().unwrap(),
            ..hello.clone()
        };
        for (hello, marker, says) in [
            (hello, nonce, "another build"),
            (ours.clone(), Nonce::fresh().unwrap(), "marker"),
            (
                Hello {
                    depth: DEEPEST + 1,
                    ..ours
                },
                nonce,
                "nested",
            ),
        ] {
            let (mut worker, socket, _) = Worker::start(hello, marker, &[]).unwrap();
            let reason = worker.check(&next(&socket).unwrap()).unwrap_err();
            assert!(reason.contains(says), "{reason}");
            assert_eq!(worker.reap(), Ended::Code(70));
        }
    }

    #[test]
    fn a_marker_without_a_socket_is_an_error_and_not_a_run_of_main() {
        for marker in [Nonce::fresh().unwrap().to_string(), "nonsense".to_owned()] {
            let mut child = Command::new(PROGRAM)
                .env(MARKER, marker)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let (mut out, mut err) = (String::new(), String::new());
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut err)
                .unwrap();
            child
                .stdout
                .take()
                .unwrap()
                .read_to_string(&mut out)
                .unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(70));
            assert!(err.contains("latchwork worker"), "{err}");
            assert_eq!(out, "", "main was reached");
        }
    }
}
