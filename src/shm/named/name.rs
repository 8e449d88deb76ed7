//! What named memory is called, and which file of /dev/shm that is.
//!
//! Invariant: a [`Name`] is one component of a path, without a NUL, so that it leads to a file of
//! /dev/shm and nowhere else. Ours begin with [`OURS`], so that a sweep tells them from others' by
//! their names. Called by `shm::named`, `shm::memory` and `shm::sweep`.

use crate::shm::segment::{Id, random_id};
use std::io;

/// Where POSIX shared memory lives on Linux, whichever C library opens it.
pub(crate) const FOLDER: &str = "/dev/shm";

/// How the files of finished memory begin; the name that the user knows follows.
pub(crate) const OURS: &str = "latchwork-";
/// How the files of spaces begin.
const SPACES: &str = "latchwork@";
/// How the files of memory that is still being made begin.
const DRAFTS: &str = "latchwork+";
/// The longest component of a path.
const LONGEST: usize = 255;

/// The name of a file in /dev/shm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name(String);

impl Name {
    /// The file of the memory that users call `name`.
    pub(crate) fn of(name: &str) -> io::Result<Name> {
        check(name)?;
        bounded(format!("{OURS}{name}"))
    }

    /// The file of the space that users call `name`.
    pub(crate) fn of_space(name: &str) -> io::Result<Name> {
        check(name)?;
        bounded(format!("{SPACES}{name}"))
    }

    /// A file that another program made.
    pub(crate) fn foreign(name: &str) -> io::Result<Name> {
        check(name)?;
        if name == "." || name == ".." {
            return Err(refused("`.` and `..` name no memory"));
        }
        if is_ours(name) {
            return Err(refused("memory of latchwork's own is opened by `open`"));
        }
        bounded(name.to_owned())
    }

    /// A name for memory whose user wants none in particular.
    pub(crate) fn random() -> io::Result<Name> {
        Ok(Name(format!("{OURS}{}", hex(random_id()?))))
    }

    /// A name for memory that nobody is to find yet.
    pub(crate) fn draft() -> io::Result<Name> {
        Ok(Name(format!("{DRAFTS}{}", hex(random_id()?))))
    }

    /// A file of /dev/shm, if its name says that it is of ours.
    pub(crate) fn listed(file: &str) -> Option<Name> {
        is_ours(file).then(|| Name(file.to_owned()))
    }

    pub(crate) fn is_draft(&self) -> bool {
        self.0.starts_with(DRAFTS)
    }

    /// As the user knows it, for memory; spaces and drafts are told from that by `latchwork`.
    pub(crate) fn shown(&self) -> &str {
        self.0.strip_prefix(OURS).unwrap_or(&self.0)
    }

    /// Does the name that the user knows begin so?
    pub(crate) fn begins_with(&self, prefix: &str) -> bool {
        let space = self.0.strip_prefix(SPACES);
        space.unwrap_or_else(|| self.shown()).starts_with(prefix)
    }

    pub(crate) fn path(&self) -> String {
        format!("{FOLDER}/{}", self.0)
    }

    /// As `shm_open(3)` wants it.
    pub(crate) fn os_id(&self) -> String {
        format!("/{}", self.0)
    }
}

fn is_ours(file: &str) -> bool {
    [OURS, SPACES, DRAFTS]
        .iter()
        .any(|prefix| file.starts_with(prefix))
}

fn check(name: &str) -> io::Result<()> {
    if name.is_empty() {
        return Err(refused("the name of shared memory is empty"));
    }
    if name.contains(['/', '\0']) {
        return Err(refused(
            "the name of shared memory contains a `/` or a NUL byte",
        ));
    }
    Ok(())
}

fn bounded(file: String) -> io::Result<Name> {
    if file.len() > LONGEST {
        return Err(refused("the name of shared memory is too long"));
    }
    Ok(Name(file))
}

fn hex([high, low]: Id) -> String {
    format!("{high:016x}{low:016x}")
}

/// The error for what the caller should not have asked for.
pub(crate) fn refused(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
