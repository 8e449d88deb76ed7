//! A file of /dev/shm that is still being made.
//!
//! Invariant: it has a name that nobody asks for, and its creator is its user, so that nobody finds it
//! and no sweep removes it. It gets its own name in one step, or is unlinked; if its creator is killed, a
//! sweep does that. Called by `shm::named` and `shm::space`.

use super::claim::become_user;
use super::file::{self, Access, FileId};
use super::name::Name;
use rustix::fs::{CWD, RenameFlags};
use std::io;
use std::os::fd::OwnedFd;

/// How often it may be swept before its creator has become its user.
const ATTEMPTS: usize = 100;

/// The name of a draft, which goes when this is dropped.
pub(crate) struct Draft {
    name: Name,
    file: FileId,
    /// Whether the name is still there and this one's to take away.
    is_ours: bool,
}

impl Draft {
    /// Makes an empty file for these people.
    pub(crate) fn new(access: Access) -> io::Result<(Draft, OwnedFd)> {
        for _ in 0..ATTEMPTS {
            let name = Name::draft()?;
            let fd = match file::create(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            let file = FileId::of(&fd)?;
            let mut draft = Draft {
                name,
                file,
                is_ours: true,
            };
            // A sweep takes a draft whose creator is not yet its user for that of a dead one.
            if !become_user(&fd)? || !file.is_called(&draft.name)? {
                draft.is_ours = false;
                continue;
            }
            // Now, because the process's umask has been taken off the mode it was made with.
            rustix::fs::fchmod(&fd, access.mode())?;
            return Ok((draft, fd));
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "memory is swept away faster than it is made",
        ))
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn file(&self) -> FileId {
        self.file
    }

    /// Lets it be found under `name`. If something else has that, it stays a draft.
    pub(crate) fn publish(mut self, name: &Name) -> io::Result<Option<Draft>> {
        let (from, to) = (self.name.path(), name.path());
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.is_ours = false;
                Ok(None)
            }
            Err(rustix::io::Errno::EXIST) => Ok(Some(self)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.is_ours {
            // If it fails, a sweep will do it.
            let _ = rustix::fs::unlink(self.name.path());
        }
    }
}
