//! Joining a tree: how a process that was not started as a worker gets at the memory of others.

use crate::platform::parcel;
use crate::shm;
use rustix::net::SendFlags;
use std::io;
use std::os::fd::OwnedFd;
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
    let invited = receive(socket, &mut descriptors);
    let pair = <[OwnedFd; 2]>::try_from(descriptors);
    match (invited, pair) {
        (Ok(()), Ok(pair)) => shm::adopt(pair),
        (invited, pair) => {
            // Whatever they are, possibly of the roster that this process has its record lock in.
            let unwanted = pair.map_or_else(|odd| odd, Vec::from);
            unwanted.into_iter().for_each(shm::close);
            invited?;
            Err(invalid("an invitation without the memory"))
        }
    }
}

/// Reads the word of an invitation, and takes the descriptors beside it.
fn receive(socket: &UnixStream, descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut word = [0; WORD.len()];
    let mut got = 0;
    while got < word.len() {
        match parcel::receive(socket, &mut word[got..], descriptors)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => got += more,
        }
    }
    if word != WORD {
        return Err(invalid("this is not an invitation to share memory"));
    }
    Ok(())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor of the roster that is closed takes the record lock along by which others know that this
    /// process lives.
    #[test]
    fn what_is_no_invitation_does_not_cost_the_record_lock() {
        let [roster, arena] = shm::descriptors().unwrap();
        shm::tree().unwrap().roster.me().unwrap();
        let parcels = [
            (*b"lw-tree0", vec![roster, arena]),
            (WORD, vec![roster]),
            (WORD, vec![roster, roster, arena]),
            (WORD, vec![roster, arena]),
        ];
        for (word, descriptors) in parcels {
            let (ours, theirs) = UnixStream::pair().unwrap();
            parcel::send(&ours, &word, &descriptors, SendFlags::empty()).unwrap();
            join(&theirs).unwrap_err();
        }
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let inode = shm::tree().unwrap().roster.inode();
        // number: POSIX ADVISORY WRITE pid device:device:inode start end
        let (pid, inode) = (std::process::id().to_string(), format!(":{inode}"));
        let is_ours = |line: &str| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            fields[1] == "POSIX" && fields[4] == pid && fields[5].ends_with(&inode)
        };
        assert!(locks.lines().any(is_ours), "{locks}");
    }
}
