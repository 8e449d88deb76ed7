//! What stands before the user's bytes in named memory.
//!
//! Invariant: it is written in full before the memory gets its name, and never after. Whoever reads
//! it has only its bytes to go by, so they are checked against the size of the file. Read by
//! `shm::named` and `shm::sweep` through the descriptor, before anything is mapped.

use crate::shm::segment::{Id, invalid};
use std::io;
use std::os::fd::AsFd;

const MAGIC: u64 = u64::from_ne_bytes(*b"latchnam");
/// Changes with every change of what the words mean.
const LAYOUT: u32 = 1;

/// How many bytes precede the user's: a page, so that theirs are aligned for anything.
pub(crate) const LEN: usize = 4096;

/// A sweep may remove it when nobody uses it.
const TRACKED: u32 = 1;
/// It belongs to one process, and is as good as gone when nobody uses it.
const OWNED: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// How many bytes are the user's.
    pub(crate) len: usize,
    /// Random, so that memory is told from its successors of the same name.
    pub(crate) id: Id,
    pub(crate) tracked: bool,
    pub(crate) owned: bool,
}

impl Header {
    pub(crate) fn write(&self, fd: impl AsFd) -> io::Result<()> {
        let mut flags = 0;
        if self.tracked {
            flags |= TRACKED;
        }
        if self.owned {
            flags |= OWNED;
        }
        let layout_and_flags = u64::from(flags) << 32 | u64::from(LAYOUT);
        let [high, low] = self.id;
        let words = [MAGIC, layout_and_flags, self.len as u64, high, low];
        let bytes = bytemuck::bytes_of(&words);
        match rustix::io::retry_on_intr(|| rustix::io::pwrite(&fd, bytes, 0))? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Reads the header of a file of `size` bytes.
    pub(crate) fn read(fd: impl AsFd, size: i64) -> io::Result<Header> {
        let mut words = [0_u64; 5];
        let bytes = bytemuck::bytes_of_mut(&mut words);
        let wanted = bytes.len();
        if rustix::io::retry_on_intr(|| rustix::io::pread(&fd, &mut *bytes, 0))? != wanted {
            return Err(invalid("the memory of that name is too short for a header"));
        }
        let [magic, layout_and_flags, len, high, low] = words;
        if magic != MAGIC {
            return Err(invalid(
                "the memory of that name does not begin like one of ours",
            ));
        }
        if layout_and_flags as u32 != LAYOUT {
            return Err(invalid(
                "the memory of that name was laid out by another version",
            ));
        }
        let size = usize::try_from(size).ok();
        let len = usize::try_from(len).ok().filter(|&len| len > 0);
        let len = len.filter(|len| len.checked_add(LEN) == size);
        let flags = (layout_and_flags >> 32) as u32;
        Ok(Header {
            len: len.ok_or_else(|| invalid("the memory of that name states a wrong length"))?,
            id: [high, low],
            tracked: flags & TRACKED != 0,
            owned: flags & OWNED != 0,
        })
    }
}
