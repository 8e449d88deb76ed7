//! The files of /dev/shm: opening them, telling them apart, and who may be behind them.
//!
//! Invariant: a file that passed [`open`] was no link to another, and one that passed [`Access::check`]
//! can be written by nobody but those whom the caller named. Called by the rest of `shm::named`, and
//! by `shm::sweep`.

use super::name::{FOLDER, Name, refused};
use crate::platform::above_standard;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Which file something is, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(fd: impl AsFd) -> io::Result<FileId> {
        Ok(FileId::from(&rustix::fs::fstat(fd)?))
    }

    /// Does this name lead to this file at this moment?
    pub(crate) fn is_called(self, name: &Name) -> io::Result<bool> {
        match rustix::fs::lstat(name.path()) {
            Ok(stat) => Ok(FileId::from(&stat) == self),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<&Stat> for FileId {
    fn from(stat: &Stat) -> FileId {
        FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// Opens for reading and writing, and never waits, whatever has the name.
pub(crate) fn open(name: &Name) -> io::Result<OwnedFd> {
    // Not moved afterwards: the file may be a space that this process has open, and closing any descriptor
    // of it costs the record lock.
    let _taken = standard_numbers()?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    Ok(rustix::fs::open(name.path(), flags, Mode::empty())?)
}

/// Takes whichever numbers of the standard streams are free, so that no descriptor of the memory
/// gets one of them.
pub(super) fn standard_numbers() -> io::Result<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    loop {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::open(FOLDER, flags, Mode::empty())?;
        if fd.as_raw_fd() > 2 {
            return Ok(taken);
        }
        taken.push(fd);
    }
}

/// Makes a new file of size zero that only this user may open.
pub(crate) fn create(name: &Name) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
    let fd = rustix::fs::open(name.path(), flags, Mode::RUSR | Mode::WUSR)?;
    above_standard(fd)
}

/// Who may open the memory besides this user: permission bits, as for `chmod(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Access(u32);

impl Access {
    /// This user alone.
    pub(crate) const PRIVATE: Access = Access(0o600);

    pub(crate) fn new(mode: u32) -> io::Result<Access> {
        if mode & !0o777 != 0 {
            return Err(refused("a mode has no other bits than 0o777"));
        }
        if mode & 0o600 != 0o600 {
            return Err(refused("a mode must let its own user read and write"));
        }
        Ok(Access(mode))
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn mode(self) -> Mode {
        Mode::from_raw_mode(self.0)
    }

    /// Is it a file that only those can have written who are trusted?
    pub(crate) fn check(self, stat: &Stat) -> io::Result<()> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(denied("what has that name is no memory"));
        }
        // Who owns a file can change its mode at any time.
        let owner_is_trusted = stat.st_uid == rustix::process::geteuid().as_raw()
            || self.0 & 0o020 != 0 && is_ours(stat.st_gid)?
            || self.0 & 0o002 != 0;
        if !owner_is_trusted {
            return Err(denied("the memory of that name is of another user"));
        }
        if stat.st_mode & 0o022 & !self.0 != 0 {
            return Err(denied(
                "the memory of that name can be written by others than the mode says",
            ));
        }
        Ok(())
    }
}

/// Is this process in the group?
fn is_ours(group: u32) -> io::Result<bool> {
    let groups = rustix::process::getgroups()?;
    let mut all = groups.into_iter().chain([rustix::process::getegid()]);
    Ok(all.any(|one| one.as_raw() == group))
}

fn denied(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}
