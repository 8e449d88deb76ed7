//! Where descriptors of ours must not be.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Moves a descriptor out of the numbers of the standard streams.
///
/// A program that runs with some of them closed gets these numbers for whatever it opens next, and
/// `println!` would then write into our memory and sockets.
pub(crate) fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?)
}
