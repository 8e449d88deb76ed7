//! Which thread of the owning process holds a lock, and how many times.
//!
//! Invariant: the note is written by the thread that holds the lock word, which names its process, and
//! is erased before the word is given back. A holder is a process *and* a thread of it, and a name of a
//! process is never given to another; so whoever finds itself in the note has written that, and
//! still holds the lock, though all accesses are relaxed: what a process left that was killed with the
//! lock names the dead. The generation tells locks apart that were in the same block one after the
//! other.

use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::shm::word::{Owner, State, Word};

/// All zero: nobody holds the lock.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Note {
    /// [`ThisThread::bits`], or 0.
    holder: AtomicU64,
    /// Of the block, when it was locked.
    generation: AtomicU32,
    /// How many levels the holder has.
    depth: AtomicU32,
}

/// A thread that may hold a lock, and which lock of those that have been in its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThisThread {
    process: Owner,
    thread: u32,
    generation: u32,
}

/// The depth in the note is none that a holder can have reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Corrupt;

impl ThisThread {
    pub(crate) fn new(process: Owner, thread: u32, generation: u32) -> ThisThread {
        ThisThread {
            process,
            thread,
            generation,
        }
    }

    fn bits(self) -> u64 {
        u64::from(self.process.bits()) << 32 | u64::from(self.thread)
    }
}

impl Note {
    /// How many levels `me`, the calling thread, has.
    pub(crate) fn depth(&self, me: ThisThread) -> u32 {
        let is_mine = self.holder.load(Relaxed) == me.bits()
            && self.generation.load(Relaxed) == me.generation;
        if is_mine {
            self.depth.load(Relaxed).max(1)
        } else {
            0
        }
    }

    /// The thread that holds the lock, as a thread of the process with this name; a hint.
    pub(crate) fn thread_of(&self, process: Owner) -> Option<u32> {
        let bits = self.holder.load(Relaxed);
        (bits >> 32 == u64::from(process.bits())).then_some(bits as u32)
    }

    /// One level more for `me`, the calling thread, if it holds the lock.
    pub(crate) fn enter(&self, me: ThisThread) -> Result<bool, Corrupt> {
        let depth = self.depth(me);
        if depth == 0 {
            return Ok(false);
        }
        let deeper = depth.checked_add(1).ok_or(Corrupt)?;
        self.depth.store(deeper, Relaxed);
        Ok(true)
    }

    /// Notes that `me`, the calling thread, has just taken the lock and has so many levels.
    pub(crate) fn begin(&self, me: ThisThread, depth: u32) {
        self.generation.store(me.generation, Relaxed);
        self.depth.store(depth, Relaxed);
        self.holder.store(me.bits(), Relaxed);
    }

    /// Leaves so many levels of `me`, the calling thread, and gives the lock back with the last. Says
    /// how many it had: with none, nothing has changed.
    pub(crate) fn leave(&self, me: ThisThread, word: &Word, levels: u32) -> u32 {
        let depth = self.depth(me);
        match depth.checked_sub(levels) {
            _ if depth == 0 => {}
            Some(left @ 1..) => self.depth.store(left, Relaxed),
            _ => {
                self.holder.store(0, Relaxed);
                word.unlock(is_consistent(word));
            }
        }
        depth
    }
}

/// Whether nobody died with the lock, or its present holder, who asks, has vouched since.
pub(crate) fn is_consistent(word: &Word) -> bool {
    let inconsistent = match word.state() {
        State::Held { inconsistent, .. } | State::Free { inconsistent } => inconsistent,
        State::Impossible => true,
    };
    !inconsistent
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model {
    //! Used by loom-tests/tests/ipc_rlock.rs.

    use super::{Note, ThisThread, is_consistent};
    use crate::platform::atomic::{AtomicU32, AtomicU64};
    use crate::platform::thread_id;
    use crate::shm::word::model::{Outcome, Tree};

    /// A lock and those who use it: processes named 0 to 3, and their threads.
    pub struct RLockModel {
        tree: Tree,
        note: Note,
    }

    impl RLockModel {
        #[allow(clippy::new_without_default)]
        pub fn new() -> RLockModel {
            RLockModel {
                tree: Tree::new(),
                note: Note {
                    holder: AtomicU64::new(0),
                    generation: AtomicU32::new(0),
                    depth: AtomicU32::new(0),
                },
            }
        }

        fn thread_of(who: u32) -> ThisThread {
            ThisThread::new(Tree::name(who), thread_id(), 7)
        }

        /// Takes one level, in the calling thread as one of process `who`.
        pub fn lock(&self, who: u32) -> Outcome {
            let me = RLockModel::thread_of(who);
            if self.note.enter(me).unwrap() {
                return self.as_told();
            }
            let outcome = self.tree.lock(who);
            self.note.begin(me, 1);
            outcome
        }

        fn as_told(&self) -> Outcome {
            match is_consistent(self.tree.word()) {
                true => Outcome::Consistent,
                false => Outcome::OwnerDied,
            }
        }

        pub fn mark_consistent(&self) {
            self.tree.mark_consistent();
        }

        /// Leaves one level; says how many there were.
        pub fn unlock(&self, who: u32) -> u32 {
            let me = RLockModel::thread_of(who);
            self.note.leave(me, self.tree.word(), 1)
        }

        /// How many levels the calling thread has, as one of process `who`.
        pub fn depth(&self, who: u32) -> u32 {
            self.note.depth(RLockModel::thread_of(who))
        }

        pub fn die(&self, who: u32) {
            self.tree.die(who);
        }

        pub fn is_free(&self) -> bool {
            self.tree.is_free()
        }
    }
}
