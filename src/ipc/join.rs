//! Joining a tree: how a process that was not started as a worker gets at the memory of others.

use crate::platform::parcel;
use crate::shm;
use rustix::net::SendFlags;
use std::io;
use std::os::unix::net::UnixStream;

/// What goes with the descriptors, so that a stranger's message is not taken for ours.
const WORD: [u8; 8] = *b"lw-tree1";

/// Lets the process at the other end of `socket` become part of this process's tree.
///
/// It calls [`join`]; from then on handles work in both, sent as bytes of whatever kind. Workers of a
/// [`ProcessPoolExecutor`](crate::executor::ProcessPoolExecutor) and forked children belong to the tree
/// already. Whoever joins can write to everything that the tree shares: invite whom you trust.
///
/// Waits while the socket's buffer is full.
///
/// # Errors
///
/// What the system says about the socket, or about the shared memory if it has to be made first.
///
/// ```
/// use latchwork::ipc::{self, Value};
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// let (ours, theirs) = UnixStream::pair()?;
/// let hits = Value::new(0_u64)?;
/// ipc::invite(&ours)?;
/// // In the other process: `ipc::join(&theirs)?`. This one is in the tree already:
/// let refused = ipc::join(&theirs).unwrap_err();
/// assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
/// # drop(hits);
/// # Ok(())
/// # }
/// ```
pub fn invite(socket: &UnixStream) -> io::Result<()> {
    let descriptors = shm::descriptors()?;
    match parcel::send(socket, &WORD, &descriptors, SendFlags::empty())? {
        sent if sent == WORD.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Becomes part of the tree of the process that [invites](invite) this one through `socket`.
///
/// Waits for the invitation. Call it before this process shares anything: a process belongs to one
/// tree, for as long as it lives.
///
/// # Errors
///
/// `AlreadyExists` if it belongs to one already, `InvalidData` if what arrives is no invitation of this
/// version of the crate, `UnexpectedEof` if the other end closes, else what the system says.
pub fn join(socket: &UnixStream) -> io::Result<()> {
    let mut descriptors = Vec::new();
    let mut word = [0; WORD.len()];
    let mut got = 0;
    while got < word.len() {
        match parcel::receive(socket, &mut word[got..], &mut descriptors)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => got += more,
        }
    }
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    if word != WORD {
        return Err(invalid("this is not an invitation to share memory"));
    }
    let descriptors = descriptors.try_into();
    shm::adopt(descriptors.map_err(|_| invalid("an invitation without the memory"))?)
}
