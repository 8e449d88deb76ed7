//! The roster and the arena that this process shares with the rest of its tree.
//!
//! Invariant: at most one tree is ever published in a process, and it is never freed. Used by
//! `shm::handle`, and by `process` through [`descriptors`] and [`adopt`].

use super::arena::Arena;
use super::named::file::FileId;
use super::roster::Roster;
use super::segment::Id;
use super::space::{self, Visit};
use crate::platform::atomic::{AtomicPtr, Ordering};
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

fn tree_if_any() -> Option<&'static Tree> {
    // SAFETY: what was published came from `Box::leak`. Acquire: pairs with `publish`.
    unsafe { TREE.load(Ordering::Acquire).as_ref() }
}

/// The tree, or the named space, with this arena, if this process is part of it.
pub(crate) fn tree_of(arena: Id) -> Option<&'static Tree> {
    let own = tree_if_any().filter(|tree| tree.arena.id() == arena);
    own.or_else(|| space::tree_of(arena))
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
    if tree_if_any().is_some() {
        return Err(already_there(fds));
    }
    let [roster, arena] = fds;
    let roster = Roster::attach(roster)?;
    let arena = Arena::attach(arena, &roster)?;
    publish(Tree { roster, arena })
        .map(drop)
        .map_err(|(_, ours)| {
            // Possibly of the same file as the one in use, see `close`.
            mem::forget(ours);
            io::ErrorKind::AlreadyExists.into()
        })
}

/// Closes a descriptor that another process has sent, unless it is one of a roster in use.
pub(crate) fn close(fd: OwnedFd) {
    // Until it is closed.
    let visit = Visit::begin();
    if is_in_use(&fd, &visit) {
        // One descriptor too many is better than the loss of this process's record lock.
        mem::forget(fd);
    } else {
        drop(fd);
    }
}

/// Is this a descriptor of a roster in use, which must not be closed?
pub(crate) fn is_in_use(fd: &OwnedFd, visit: &Visit) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| {
        tree_if_any().is_some_and(|tree| stat.st_ino == tree.roster.inode())
            || visit.finds(FileId::from(&stat))
    })
}

fn already_there(fds: [OwnedFd; 2]) -> io::Error {
    fds.into_iter().for_each(close);
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "this process already belongs to a tree that shares memory",
    )
}

/// Makes `tree` the process's, or gives back the one that was there first, and `tree`.
fn publish(tree: Tree) -> Result<&'static Tree, (&'static Tree, Box<Tree>)> {
    // Before anybody can have a name in it: a child of a fork in between would be taken for its parent.
    forget_me_in_children();
    let ours = Box::into_raw(Box::new(tree));
    // Release: the tree is complete for whoever reads the pointer.
    let first = TREE.compare_exchange(ptr::null_mut(), ours, Ordering::AcqRel, Ordering::Acquire);
    match first {
        // SAFETY: from `Box::into_raw`, and owned by nobody from here on.
        Ok(_) => Ok(unsafe { &*ours }),
        // SAFETY: the published tree lives for ever, and `ours` was not published.
        Err(faster) => Err(unsafe { (&*faster, Box::from_raw(ours)) }),
    }
}

/// From now on a forked child begins without a name of its own. Several times is as good as once.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limit;
    use crate::shm::handle::Handle;
    use crate::shm::refusal::Refusal;
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    const WORKER: &str = "LATCHWORK_TEST_WORKER";

    /// The other half of the next test, in a program started from scratch.
    #[test]
    #[ignore = "run by the_tree_reaches_across_exec"]
    fn a_worker_that_adopts() {
        let told = std::env::var(WORKER).expect("started by the_tree_reaches_across_exec");
        let told: Vec<u64> = told.split(' ').map(|word| word.parse().unwrap()).collect();
        // SAFETY: the parent left these open for this process, and nobody else here knows them.
        let [roster, arena] =
            [told[0], told[1]].map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) });
        // In the wrong order first: refused. The copies stand in for what would be closed, and no
        // lock is lost with them as none is held yet.
        let swapped = [arena.try_clone().unwrap(), roster.try_clone().unwrap()];
        assert_eq!(
            adopt(swapped).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        adopt([roster, arena]).unwrap();
        let again = descriptors()
            .unwrap()
            .map(|fd| fd.try_clone_to_owned().unwrap());
        assert_eq!(
            adopt(again).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        let bytes: Vec<u8> = told[2..].iter().map(|&byte| byte as u8).collect();
        let handle = deserialize(&bytes);
        let held = handle.lock(Limit::none()).unwrap();
        assert!(held.is_consistent());
        // SAFETY: one byte, locked.
        unsafe { *held.payload().as_ptr() += 1 };
        // Ends without unlocking.
        std::process::exit(0);
    }

    fn deserialize(bytes: &[u8]) -> Handle {
        let mut reader = postcard::Deserializer::from_bytes(bytes);
        Handle::deserialize(&mut reader, 1, 1).unwrap()
    }

    #[test]
    fn the_tree_reaches_across_exec() {
        let handle = Handle::holding(tree().unwrap(), &[41], 1).unwrap();
        let mut serializer = postcard::Serializer {
            output: postcard::ser_flavors::StdVec::new(),
        };
        handle.serialize(&mut serializer).unwrap();
        let bytes = postcard::ser_flavors::Flavor::finalize(serializer.output).unwrap();
        let fds = descriptors().unwrap().map(|fd| fd.as_raw_fd());
        let told = fds
            .iter()
            .map(|&fd| fd as u64)
            .chain(bytes.iter().map(|&byte| byte.into()));
        let told: Vec<String> = told.map(|word: u64| word.to_string()).collect();
        let mut worker = Command::new(std::env::current_exe().unwrap());
        worker
            .args([
                "shm::tree::tests::a_worker_that_adopts",
                "--exact",
                "--ignored",
            ])
            .env(WORKER, told.join(" "));
        // SAFETY: only system calls between fork and exec; the flag is the child's own.
        unsafe {
            worker.pre_exec(move || {
                for fd in fds {
                    if libc::fcntl(fd, libc::F_SETFD, 0) == -1 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let output = worker.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let held = handle.lock(Limit::none()).unwrap();
        assert!(
            !held.is_consistent(),
            "the worker ended with the lock in its hands"
        );
        // SAFETY: one byte, locked.
        assert_eq!(unsafe { *held.payload().as_ptr() }, 42);
    }

    #[test]
    fn a_word_that_nobody_can_have_written_is_corrupt() {
        use crate::platform::atomic::AtomicU32;
        use std::time::Duration;

        let handle = Handle::holding(tree().unwrap(), &[], 1).unwrap();
        let tree = tree().unwrap();
        let me = tree.roster.me().unwrap();
        let never_issued = me.bits() + (1000 << 10);
        let nobody_waits = 1 << 30;
        let no_generation = 5;
        let unclaimed_slot = (me.bits() ^ 512) & 1023 | 700 << 10;
        for word in [never_issued, nobody_waits, no_generation, unclaimed_slot] {
            // SAFETY: the word is one atomic, see `Word`.
            let raw = unsafe { &*std::ptr::from_ref(handle.word()).cast::<AtomicU32>() };
            raw.store(word, Ordering::SeqCst);
            let limit = Limit::from(Duration::from_secs(5));
            assert!(
                matches!(handle.lock(limit), Err(Refusal::Corrupt)),
                "{word:#x}"
            );
            assert!(
                matches!(handle.try_lock(), Err(Refusal::Corrupt)),
                "{word:#x}"
            );
            raw.store(0, Ordering::SeqCst);
            assert!(handle.lock(Limit::none()).is_ok());
        }
    }

    #[test]
    fn who_waits_for_an_object_while_it_is_dropped_is_told() {
        use crate::platform::atomic::AtomicU32;

        let made = Handle::holding(tree().unwrap(), &[1], 1).unwrap();
        let mut serializer = postcard::Serializer {
            output: postcard::ser_flavors::StdVec::new(),
        };
        made.serialize(&mut serializer).unwrap();
        let bytes = postcard::ser_flavors::Flavor::finalize(serializer.output).unwrap();
        let (holder, waiter) = (deserialize(&bytes), deserialize(&bytes));
        // SAFETY: the word is one atomic, see `Word`.
        let raw = unsafe { &*std::ptr::from_ref(made.word()).cast::<AtomicU32>() };
        let held = holder.lock(Limit::none()).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| matches!(waiter.lock(Limit::none()), Err(Refusal::Gone)));
            while raw.load(Ordering::SeqCst) & 1 << 30 == 0 {
                std::thread::yield_now();
            }
            drop(made);
            drop(held);
            assert!(
                waits.join().unwrap(),
                "it got a block that is nobody's, or another's"
            );
        });
    }
}
