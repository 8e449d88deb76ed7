//! Who uses a file of /dev/shm, and who may take its name away.
//!
//! Two locks of the kernel, both gone with the process that holds them, however it ends. Whoever
//! uses memory holds a shared `flock(2)` on it, through a descriptor that children of a fork share,
//! as they do the mapping. Hence an exclusive one, [`Claim`], is had only on memory that nobody uses,
//! and keeps everybody from beginning to. Memory that is in use is unlinked under [`NameLock`], a
//! write lock of the open file (`F_OFD_SETLK`), so that no two who want the same name gone look it
//! up, and one of them unlinks what came after.
//!
//! Nobody waits for these locks but in [`settle`], which gives up: their holder may be stopped.

use super::file::FileId;
use super::name::Name;
use rustix::fs::FlockOperation;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

/// How long who unlinks may stand in the way of others: it takes three system calls.
const PATIENCE: Duration = Duration::from_secs(1);

/// Calls `attempt` until it has an answer.
pub(crate) fn settle<T>(mut attempt: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(50);
    loop {
        if let Some(answer) = attempt()? {
            return Ok(answer);
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "the name is being taken away, by a process that may have been stopped",
            ));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Becomes one of the users, for as long as the open file behind `fd` lives. `false` if the memory
/// is claimed.
pub(crate) fn become_user(fd: impl AsFd) -> io::Result<bool> {
    flock(fd.as_fd(), FlockOperation::NonBlockingLockShared)
}

/// The right to remove memory that nobody uses.
pub(crate) struct Claim<'a>(BorrowedFd<'a>);

impl<'a> Claim<'a> {
    /// `None` if somebody uses the memory or has claimed it.
    pub(crate) fn attempt(fd: BorrowedFd<'a>) -> io::Result<Option<Claim<'a>>> {
        let claimed = flock(fd, FlockOperation::NonBlockingLockExclusive)?;
        Ok(claimed.then_some(Claim(fd)))
    }

    /// Takes the name away; `false` if it is that of another file by now.
    pub(crate) fn remove(&self, name: &Name) -> io::Result<bool> {
        let ours = FileId::of(self.0)?.is_called(name)?;
        if ours {
            rustix::fs::unlink(name.path())?;
        }
        Ok(ours)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Closing is not enough if the process has forked meanwhile.
        let _ = rustix::fs::flock(self.0, FlockOperation::Unlock);
    }
}

fn flock(fd: BorrowedFd<'_>, how: FlockOperation) -> io::Result<bool> {
    match rustix::io::retry_on_intr(|| rustix::fs::flock(fd, how)) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes the name away from a file that others may use. `NotFound` if it leads elsewhere or nowhere by now.
///
/// `open` opens what has the name, as an open file of this call's own: locks are the file's, and the
/// user's is shared with other threads and with the children of a fork.
pub(crate) fn take_away<F: AsFd>(
    name: &Name,
    file: FileId,
    open: impl Fn() -> io::Result<F>,
) -> io::Result<()> {
    let called_so = || match file.is_called(name)? {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let mut ours = None;
    settle(|| {
        // Before it is opened, which something else may not allow.
        called_so()?;
        // Once: of a space, every descriptor stays open for good.
        let fd = match &mut ours {
            Some(fd) => fd,
            none => none.insert(open()?),
        };
        let Some(_lock) = NameLock::attempt(fd.as_fd())? else {
            return Ok(None);
        };
        // That it was another file by the time it was opened is found out here, too.
        called_so()?;
        rustix::fs::unlink(name.path())?;
        Ok(Some(()))
    })
}

/// The right to take a name away from memory that others may use.
struct NameLock<'a>(BorrowedFd<'a>);

impl<'a> NameLock<'a> {
    /// `fd` must be of an open file of its own. `None` if somebody else has the right.
    fn attempt(fd: BorrowedFd<'a>) -> io::Result<Option<NameLock<'a>>> {
        match set_lock(fd, libc::F_WRLCK) {
            Ok(()) => Ok(Some(NameLock(fd))),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for NameLock<'_> {
    fn drop(&mut self) {
        // As for a claim.
        let _ = set_lock(self.0, libc::F_UNLCK);
    }
}

/// A byte that no file has, and nobody else locks.
const NAME_BYTE: libc::off_t = 1 << 62;

/// Locks or unlocks that byte, for the open file and not for the process.
fn set_lock(fd: BorrowedFd<'_>, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `flock`, and `l_pid` has to be zero.
    let mut request: libc::flock = unsafe { mem::zeroed() };
    request.l_type = kind as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_start = NAME_BYTE;
    request.l_len = 1;
    // SAFETY: the command takes a pointer to a `flock`, which lives through the call.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::named::file;

    /// The child of a fork has the open file of a claim that its parent has given up.
    #[test]
    fn a_claim_ends_although_its_file_stays_open_elsewhere() {
        let name = Name::draft().unwrap();
        let fd = file::create(&name).unwrap();
        let childs = fd.try_clone().unwrap();
        let other = file::open(&name).unwrap();
        let claim = Claim::attempt(fd.as_fd()).unwrap().unwrap();
        assert!(!become_user(&other).unwrap());
        drop(claim);
        drop(fd);
        assert!(become_user(&other).unwrap());
        assert!(Claim::attempt(childs.as_fd()).unwrap().is_none());
        rustix::fs::unlink(name.path()).unwrap();
    }

    /// The same of the right to take a name away.
    #[test]
    fn a_name_is_not_locked_by_what_a_child_has_open() {
        let name = Name::draft().unwrap();
        let fd = file::create(&name).unwrap();
        let _childs = fd.try_clone().unwrap();
        let other = file::open(&name).unwrap();
        let right = NameLock::attempt(fd.as_fd()).unwrap().unwrap();
        assert!(NameLock::attempt(other.as_fd()).unwrap().is_none());
        drop(right);
        drop(fd);
        assert!(NameLock::attempt(other.as_fd()).unwrap().is_some());
        rustix::fs::unlink(name.path()).unwrap();
    }
}
