//! What a worker does after the handshake: one call at a time, until its parent closes the socket.
//!
//! Invariant: a call ends in exactly one reply, or in the end of the process. A panic, an argument
//! that does not decode and a result that does not encode are replies. A second thread watches the
//! parent, so that a worker whose parent died is gone at once, whatever its task is doing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::function::{self, CallFailure, FunctionName, Seal, SealKey};
use super::wire::{self, Fill, Outgoing, Reader};
use crate::panic::catch;
use crate::platform::atomic::{AtomicU32, Ordering};

/// A worker between calls that does not get through its exit handlers in this time is ended.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// Stands before the encoded argument of a call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct CallHeader {
    pub(crate) task: u64,
    pub(crate) name: FunctionName,
    pub(crate) seal: Seal,
}

/// Stands before the encoded result of a call that returned, alone otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplyHeader {
    pub(crate) task: u64,
    pub(crate) outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Returned,
    Panicked {
        message: String,
        location: Option<String>,
        thread: String,
    },
    Failed(CallFailure),
}

/// Serves the parent behind `socket` until it closes, then ends the process.
pub(crate) fn serve(socket: OwnedFd, mut reader: Reader, key: SealKey) -> ! {
    super::pointer::trust(key);
    loop {
        match next_call(&socket, &mut reader, &key) {
            Ok(true) => {}
            // The parent is done with this worker, or has died: either way nobody waits for it.
            Ok(false) => std::process::exit(0),
            Err(error) if gone(&error) => std::process::exit(0),
            Err(error) => super::entry::refuse(&error.to_string()),
        }
    }
}

fn gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

/// Waits for a call and serves it; `false` when the parent has closed the socket.
fn next_call(socket: &OwnedFd, reader: &mut Reader, key: &SealKey) -> io::Result<bool> {
    while reader.frame()?.is_none() {
        let filled = reader.fill(socket, RecvFlags::empty())?;
        if matches!(filled, Fill::Closed | Fill::Unread) {
            return Ok(false);
        }
    }
    let Some(body) = reader.frame()? else {
        return Ok(false);
    };
    let (header, argument) = wire::split::<CallHeader>(body)?;
    if !WATCH.begin_call() {
        return Ok(false);
    }
    let reply = answer(header, argument, key)?;
    reader.consume();
    // Still busy: should the parent die with the reply half written, nothing is left to save.
    Outgoing::new(reply, 0).pump(socket, SendFlags::empty(), usize::MAX)?;
    Ok(WATCH.end_call())
}

/// Runs one call to its finished reply.
fn answer(header: CallHeader, argument: &[u8], key: &SealKey) -> io::Result<Vec<u8>> {
    let call = function::resolve(&header.name, header.seal, key).map_err(wire::corrupt)?;
    let reply = reply(header.task, Outcome::Returned)?;
    let outcome = match catch(|| call.run(argument, reply)) {
        Ok(Ok(reply)) => return Ok(wire::finish(reply)),
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(panic) => Outcome::Panicked {
            message: panic.message,
            location: panic.location,
            // Tasks run on the thread that would have run `main`, which has no name yet.
            thread: super::name().unwrap_or_default().to_owned(),
        },
    };
    self::reply(header.task, outcome).map(wire::finish)
}

fn reply(task: u64, outcome: Outcome) -> io::Result<Vec<u8>> {
    wire::append(wire::begin(), &ReplyHeader { task, outcome }).map_err(io::Error::other)
}

/// Whether a call is running, as the watcher must know it.
///
/// ```text
/// BETWEEN --begin_call--> BUSY --end_call--> BETWEEN      (the loop)
/// BETWEEN --hung_up--> ENDING: the loop leaves through process::exit
/// BUSY    --hung_up--> ENDING: the watcher ends the process under the task
/// ```
struct Watch(AtomicU32);

static WATCH: Watch = Watch(AtomicU32::new(BETWEEN));

const BETWEEN: u32 = 0;
const BUSY: u32 = 1;
const ENDING: u32 = 2;

impl Watch {
    // Relaxed throughout: the word itself is all that the two threads tell each other.
    fn begin_call(&self) -> bool {
        self.step(BETWEEN, BUSY)
    }

    fn end_call(&self) -> bool {
        self.step(BUSY, BETWEEN)
    }

    fn step(&self, from: u32, to: u32) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether a call was running when the parent went away.
    fn hung_up(&self) -> bool {
        self.0.swap(ENDING, Ordering::Relaxed) == BUSY
    }
}

/// Starts the thread that ends this process when the parent is gone.
pub(crate) fn watch(socket: &OwnedFd, parent: u32) -> io::Result<()> {
    let socket = rustix::io::fcntl_dupfd_cloexec(socket, 3)?;
    let pidfd = parent_pidfd(parent);
    // After the opening: a parent that has died since is what the pidfd says. 0: it is in another
    // pid namespace, where nothing but the socket tells.
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get() as u32);
    if now != 0 && now != parent {
        std::process::exit(0);
    }
    let parent = pidfd;
    std::thread::Builder::new()
        .name("latchwork-watch".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            wait_for_hang_up(socket.as_fd(), parent.as_ref().map(AsFd::as_fd));
            if !WATCH.hung_up() {
                // A stranger's copy of the parent's end would keep the loop waiting.
                let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
                // The loop sees the closed socket too and runs the exit handlers.
                std::thread::sleep(EXIT_GRACE);
            }
            // SAFETY: `_exit` takes no lock and runs no code of this process, so it is sound
            // beside a thread that is in the middle of anything.
            unsafe { libc::_exit(0) }
        })?;
    Ok(())
}

/// The parent as a pidfd, which also ends the watch when a stranger holds a copy of the socket.
///
/// `None` when the parent died already (the socket tells) or is in another pid namespace.
fn parent_pidfd(parent: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(parent).ok()?)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Still our parent after the opening, so the descriptor cannot mean a later process of that id.
    (rustix::process::getppid() == Some(pid)).then_some(pidfd)
}

fn wait_for_hang_up(socket: BorrowedFd<'_>, parent: Option<BorrowedFd<'_>>) {
    // Hang-ups are reported without being asked for; bytes to read are the loop's business.
    let mut watched = vec![PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    watched.extend(parent.map(|parent| PollFd::from_borrowed_fd(parent, PollFlags::IN)));
    loop {
        match rustix::event::poll(&mut watched, None) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // An error here means that the parent can no longer be watched: as good as gone.
            Ok(_) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_begins_after_the_parent_went_away() {
        let watch = Watch(AtomicU32::new(BETWEEN));
        assert!(
            !watch.hung_up(),
            "the loop leaves by itself, through its exit handlers"
        );
        assert!(!watch.begin_call());
    }

    #[test]
    fn a_call_that_the_end_overtook_is_the_watchers() {
        let watch = Watch(AtomicU32::new(BETWEEN));
        assert!(watch.begin_call());
        assert!(watch.hung_up());
        assert!(!watch.end_call(), "the loop must not go on beside the end");
    }
}
