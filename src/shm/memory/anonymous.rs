//! Memory without a name: a memfd, and its way to another process.
//!
//! Invariant: the file can neither shrink nor grow, so that what is mapped stays there; a
//! descriptor that arrives without these seals is refused. Used by `shm::memory`.

use crate::platform::{above_standard, parcel};
use crate::shm::segment::{SEALS, invalid, set_len};
use crate::shm::space::Visit;
use crate::shm::{close, is_in_use};
use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::net::SendFlags;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::ptr::{self, NonNull};

/// What is sent beside the descriptor: this, and the length.
const MAGIC: u64 = u64::from_ne_bytes(*b"latchmem");
const MESSAGE: usize = 16;

pub(super) struct Anonymous {
    base: NonNull<u8>,
    /// How many bytes were asked for, and how many the file has: huge pages are not split.
    len: usize,
    mapped: usize,
    fd: OwnedFd,
}

// SAFETY: the mapping belongs to the process and not to a thread, and nothing here ever changes.
unsafe impl Send for Anonymous {}
// SAFETY: as above.
unsafe impl Sync for Anonymous {}

impl Anonymous {
    /// Makes `len` bytes, in pages of this size if it is given. They are not yet paid for.
    pub(super) fn new(len: usize, huge: Option<(MemfdFlags, usize)>) -> io::Result<Anonymous> {
        let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut size = len;
        if let Some((huge, page)) = huge {
            flags |= huge;
            size = len
                .checked_next_multiple_of(page)
                .ok_or(io::ErrorKind::OutOfMemory)?;
        }
        let fd = above_standard(rustix::fs::memfd_create("latchwork-memory", flags)?)?;
        set_len(&fd, size)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)?;
        Anonymous::map(fd, len, size)
    }

    fn map(fd: OwnedFd, len: usize, mapped: usize) -> io::Result<Anonymous> {
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing of ours.
        let base = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                mapped,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &fd,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or_else(|| invalid("mapped at address zero"))?;
        Ok(Anonymous {
            base,
            len,
            mapped,
            fd,
        })
    }

    pub(super) fn send(&self, stream: &UnixStream) -> io::Result<()> {
        let message = [MAGIC, self.len as u64];
        let bytes = bytemuck::bytes_of(&message);
        let sent = parcel::send(stream, bytes, &[self.fd.as_fd()], SendFlags::empty())?;
        // Small messages on a Unix socket go whole or not at all.
        if sent != bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }

    pub(super) fn receive(mut stream: &UnixStream) -> io::Result<Anonymous> {
        let mut bytes = [0; MESSAGE];
        let mut descriptors = Vec::new();
        let arrived = parcel::receive(stream, &mut bytes, &mut descriptors)?;
        if arrived == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // What belongs to the next message stays in the socket; ours may have come in parts.
        let rest = stream.read_exact(&mut bytes[arrived..]);
        let [magic, len]: [u64; 2] = bytemuck::pod_read_unaligned(&bytes);
        let visit = Visit::begin();
        // A roster has the seals of such memory: it would be taken for it, and closed when that is dropped.
        let is_sound = rest.is_ok()
            && magic == MAGIC
            && descriptors.len() == 1
            && !is_in_use(&descriptors[0], &visit);
        drop(visit);
        let Some(fd) = is_sound.then(|| descriptors.pop()).flatten() else {
            descriptors.into_iter().for_each(close);
            return Err(rest
                .err()
                .unwrap_or_else(|| invalid("what was sent is no shared memory")));
        };
        Anonymous::attach(above_standard(fd)?, len)
    }

    /// Maps what came from another process, after a look at it.
    fn attach(fd: OwnedFd, len: u64) -> io::Result<Anonymous> {
        let seals = rustix::fs::fcntl_get_seals(&fd)
            .map_err(|_| invalid("the descriptor is not that of anonymous memory"))?;
        if !seals.contains(SEALS) {
            return Err(invalid("the memory can still change its size"));
        }
        let size = usize::try_from(rustix::fs::fstat(&fd)?.st_size).unwrap_or(0);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len == 0 || len > size {
            return Err(invalid("the memory is not as long as it is said to be"));
        }
        Anonymous::map(fd, len, size)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn whole(&self) -> (NonNull<u8>, usize) {
        (self.base, self.mapped)
    }

    pub(super) fn bytes(&self) -> (NonNull<u8>, usize) {
        (self.base, self.len)
    }
}

impl Drop for Anonymous {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and every reference into it borrowed the value.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It has the seals of such memory, and closing any descriptor of it would end this process's record lock.
    #[test]
    fn a_roster_is_not_taken_for_memory() {
        let tree = crate::shm::tree().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let message = [MAGIC, 4096_u64];
        let bytes = bytemuck::bytes_of(&message);
        let fds = [tree.roster.fd()];
        parcel::send(&ours, bytes, &fds, SendFlags::empty()).unwrap();
        let error = Anonymous::receive(&theirs).err().expect("it is refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
