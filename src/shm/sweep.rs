//! `sweep`: removes from /dev/shm what dead users left there.
//!
//! Invariant: a name is only taken away from memory that nobody uses and nobody can begin to use
//! meanwhile (a [`Claim`]), after a look at where the name leads. Called by programs.

use super::named::claim::Claim;
use super::named::file::{FileId, open};
use super::named::header::Header;
use super::named::name::{FOLDER, Name};
use super::space::Visit;
use std::fs;
use std::io;
use std::os::fd::AsFd;

/// What a [`sweep`] has found, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Swept {
    /// What is gone now. Memory that was never finished has a name that begins with `latchwork+`, that of a
    /// [`Space`](crate::ipc::Space) begins with `latchwork@`.
    pub removed: Vec<String>,
    /// What is still there, and why.
    pub kept: Vec<(String, Kept)>,
}

/// Why a [`sweep`] left a name alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kept {
    /// A living process has the memory open.
    InUse,
    /// It was made with [`track(false)`](super::MemoryOptions::track).
    Untracked,
    /// It belongs to another user, or is not what this version of the crate makes.
    NotOurs,
    /// The system did not let it be looked at or removed.
    Failed(io::ErrorKind),
}

/// Removes the named memory that no living process has open.
///
/// Only files of this crate's making, of this user, and only those that are
/// [tracked](super::MemoryOptions::track). The kernel says who has a file open, with a lock that ends with the
/// process: a process that was killed is gone, one that was stopped is not. Who opens memory at the same
/// moment either has it, and keeps it, or finds that there is none.
///
/// Nothing calls it by itself. A program that uses named memory does well to call it at its start.
///
/// # Errors
///
/// What the system says if `/dev/shm` cannot be read. What cannot be removed is [`Kept`].
///
/// ```
/// use latchwork::shm::{SharedMemory, sweep};
///
/// # fn main() -> std::io::Result<()> {
/// let memory = SharedMemory::create_unique(100)?;
/// let name = memory.name().unwrap().to_owned();
/// let swept = sweep()?;
/// assert!(swept.kept.iter().any(|(kept, _)| *kept == name));
/// // As when the process had died:
/// drop(memory);
/// sweep()?;
/// assert!(SharedMemory::open(&name).is_err());
/// # Ok(())
/// # }
/// ```
///
/// Python: what the resource tracker does, without a process that has to survive the others.
#[doc(alias = "resource_tracker")]
pub fn sweep() -> io::Result<Swept> {
    sweep_prefix("")
}

/// As [`sweep`], but only looks at names that begin with `prefix`.
///
/// # Errors
///
/// As for [`sweep`].
pub fn sweep_prefix(prefix: &str) -> io::Result<Swept> {
    let mut swept = Swept::default();
    for entry in fs::read_dir(FOLDER)? {
        // What is no text is no name of ours.
        let Some(name) = entry?.file_name().to_str().and_then(Name::listed) else {
            continue;
        };
        let shown = name.shown();
        if !name.begins_with(prefix) && !shown.starts_with(prefix) {
            continue;
        }
        match look_at(&name) {
            Ok(Found::Removed) => swept.removed.push(shown.to_owned()),
            Ok(Found::Kept(why)) => swept.kept.push((shown.to_owned(), why)),
            Ok(Found::Gone) => {}
            Err(error) => swept
                .kept
                .push((shown.to_owned(), Kept::Failed(error.kind()))),
        }
    }
    Ok(swept)
}

enum Found {
    Removed,
    Kept(Kept),
    /// Somebody else has taken the name away.
    Gone,
}

fn look_at(name: &Name) -> io::Result<Found> {
    let visit = Visit::begin();
    match rustix::fs::lstat(name.path()) {
        Ok(stat) if stat.st_uid != rustix::process::geteuid().as_raw() => {
            return Ok(Found::Kept(Kept::NotOurs));
        }
        // A space of this process: not even opened, see there.
        Ok(stat) if visit.finds(FileId::from(&stat)) => {
            return Ok(Found::Kept(Kept::InUse));
        }
        Ok(_) => {}
        Err(rustix::io::Errno::NOENT) => return Ok(Found::Gone),
        Err(error) => return Err(error.into()),
    }
    let fd = match open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        other => other?,
    };
    let stat = rustix::fs::fstat(&fd)?;
    if !name.is_draft() {
        match Header::read(&fd, stat.st_size) {
            Ok(header) if !header.tracked => return Ok(Found::Kept(Kept::Untracked)),
            Ok(_) => {}
            Err(_) => return Ok(Found::Kept(Kept::NotOurs)),
        }
    }
    let Some(claim) = Claim::attempt(fd.as_fd())? else {
        return Ok(Found::Kept(Kept::InUse));
    };
    Ok(if claim.remove(name)? {
        Found::Removed
    } else {
        Found::Gone
    })
}
