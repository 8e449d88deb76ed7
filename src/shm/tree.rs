//! The roster and the arena that this process shares with the rest of its tree.
//!
//! Invariant: at most one tree is ever published in a process, and it is never freed. Used by
//! `shm::handle`, and by `process` through [`descriptors`] and [`adopt`].

use super::arena::Arena;
use super::roster::Roster;
use crate::platform::AtomicPtr;
use crate::platform::atomic::Ordering;
use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr;

/// The two segments, each of no use without the other.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) roster: Roster,
    pub(crate) arena: Arena,
}

/// Null until there is one. A pointer and not a `OnceLock`: a process may fork at any moment, and in
/// the child nobody would ever finish an initialisation that another thread had begun.
static TREE: AtomicPtr<Tree> = AtomicPtr::new(ptr::null_mut());

/// This process's tree, made now if there is none yet.
pub(crate) fn tree() -> io::Result<&'static Tree> {
    if let Some(tree) = tree_if_any() {
        return Ok(tree);
    }
    let roster = Roster::create()?;
    let arena = Arena::create(&roster)?;
    // A thread that was faster has published the tree; ours had no members yet.
    publish(Tree { roster, arena }).map_or_else(|(faster, _ours)| Ok(faster), Ok)
}

pub(crate) fn tree_if_any() -> Option<&'static Tree> {
    // SAFETY: what was published came from `Box::leak`. Acquire: pairs with `publish`.
    unsafe { TREE.load(Ordering::Acquire).as_ref() }
}

/// What a worker needs to join the tree: the descriptors of roster and arena, in this order.
///
/// They may be sent over a socket. They must not be duplicated or closed in this process: closing
/// any descriptor of the roster would make everybody believe that this process is dead.
pub(crate) fn descriptors() -> io::Result<[BorrowedFd<'static>; 2]> {
    let tree = tree()?;
    Ok([tree.roster.fd(), tree.arena.fd()])
}

/// Joins the tree of the process that sent these [`descriptors`].
///
/// Anything but a roster and the arena that belongs to it is `InvalidData`. A process that already
/// belongs to a tree stays there and gets `AlreadyExists`.
pub(crate) fn adopt(fds: [OwnedFd; 2]) -> io::Result<()> {
    if let Some(tree) = tree_if_any() {
        return Err(already_there(tree, fds));
    }
    let [roster, arena] = fds;
    let roster = Roster::attach(roster)?;
    let arena = Arena::attach(arena, &roster)?;
    publish(Tree { roster, arena })
        .map(drop)
        .map_err(|(_, ours)| {
            // Possibly of the same file as the one in use, see `already_there`.
            mem::forget(ours);
            io::ErrorKind::AlreadyExists.into()
        })
}

/// Disposes of descriptors that are not needed, without closing one of the roster in use.
fn already_there(tree: &Tree, fds: [OwnedFd; 2]) -> io::Error {
    for fd in fds {
        if !rustix::fs::fstat(&fd).is_ok_and(|stat| stat.st_ino != tree.roster.inode()) {
            // One descriptor too many is better than the loss of this process's record lock.
            mem::forget(fd);
        }
    }
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "this process already belongs to a tree that shares memory",
    )
}

/// Makes `tree` the process's, or gives back the one that was there first, and `tree`.
fn publish(tree: Tree) -> Result<&'static Tree, (&'static Tree, Box<Tree>)> {
    let ours = Box::into_raw(Box::new(tree));
    // Release: the tree is complete for whoever reads the pointer.
    let first = TREE.compare_exchange(ptr::null_mut(), ours, Ordering::AcqRel, Ordering::Acquire);
    match first {
        Ok(_) => {
            forget_me_in_children();
            // SAFETY: from `Box::into_raw`, and owned by nobody from here on.
            Ok(unsafe { &*ours })
        }
        // SAFETY: the published tree lives for ever, and `ours` was not published.
        Err(faster) => Err(unsafe { (&*faster, Box::from_raw(ours)) }),
    }
}

/// From now on a forked child begins without a name of its own.
fn forget_me_in_children() {
    extern "C" fn in_child() {
        if let Some(tree) = tree_if_any() {
            tree.roster.forget_me();
        }
    }
    // The only failure is a lack of memory, and then the child of a fork would be taken for its
    // parent: better to end here than to corrupt what others share.
    // SAFETY: the handler is a function of the program and does atomic operations only.
    let registered = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    assert_eq!(registered, 0, "pthread_atfork is out of memory");
}
