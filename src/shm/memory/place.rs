//! Where the pages of new memory come from, and that they stay.
//!
//! Invariant: after [`settle_in`] every page exists, so that full memory is an error there and no
//! SIGBUS later. Called by `shm::memory::options` for memory that nobody else has yet.

use crate::shm::named::name::refused;
use crate::shm::segment::no_memory;
use rustix::fs::FallocateFlags;
use rustix::io::retry_on_intr;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

/// How much one system call takes. A call that a signal interrupts has done nothing, so one that takes
/// longer than the signals are apart would never succeed.
const STEP: usize = 4 << 20;

/// Gives a mapping of a whole file all its pages, from one node of the machine if that is asked.
pub(super) fn settle_in(
    fd: BorrowedFd<'_>,
    (base, len): (NonNull<u8>, usize),
    node: Option<u32>,
) -> io::Result<()> {
    if let Some(node) = node {
        bind(base, len, node)?;
    }
    // Asked before, so that what is far too much is refused before memory is filled to the brim. A
    // file system without blocks has no limit of its own.
    let all = rustix::fs::fstatvfs(fd)?;
    if all.f_blocks > 0 && (all.f_bavail.saturating_mul(all.f_frsize)) < len as u64 {
        return Err(no_memory());
    }
    let mut start = 0;
    while start < len {
        let step = (len - start).min(STEP);
        let keep = FallocateFlags::KEEP_SIZE;
        retry_on_intr(|| rustix::fs::fallocate(fd, keep, start as u64, step as u64))?;
        start += step;
    }
    Ok(())
}

/// Keeps the pages of a mapping out of swap, for this process.
pub(super) fn lock((base, len): (NonNull<u8>, usize)) -> io::Result<()> {
    // SAFETY: the range is a mapping of the caller's, whose contents this does not touch.
    unsafe { rustix::mm::mlock(base.as_ptr().cast(), len)? };
    Ok(())
}

/// How many nodes can be named. The kernel has no more than 1,024.
const NODES: usize = 1024;
/// `MPOL_BIND` of `mbind(2)`.
const BIND: libc::c_int = 2;

/// The pages that the mapping's file does not have yet are to come from this node.
fn bind(base: NonNull<u8>, len: usize, node: u32) -> io::Result<()> {
    let mut nodes = [0 as libc::c_ulong; NODES / libc::c_ulong::BITS as usize];
    let word = nodes.get_mut((node / libc::c_ulong::BITS) as usize);
    *word.ok_or_else(|| refused("there is no such NUMA node"))? |=
        1 << (node % libc::c_ulong::BITS);
    // SAFETY: the range is a mapping of the caller's and only its policy changes; `nodes` has as many
    // bits as are stated, one of which the kernel does not count.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            base.as_ptr(),
            len,
            BIND,
            nodes.as_ptr(),
            NODES + 1,
            0,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
