//! A handle: one block of the arena, as a primitive of `ipc` holds it.
//!
//! Invariant: the block's contents are touched by whoever holds its lock *and* has seen the handle's
//! generation under it. A handle that came too late, or from a peer that makes things up, finds
//! another generation and gets [`Refusal::Gone`]; it never reaches another's memory.
//!
//! The process that made a block frees it with its last clone of the handle. Handles that came
//! through serde do not keep it alive, in whatever process.

use super::arena::{Block, Request};
use super::word::{Owner, Patience, Refused, State, Taken};
use super::{Tree, tree, tree_if_any};
use crate::{GaveUp, Limit};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone)]
pub(crate) struct Handle {
    tree: &'static Tree,
    block: &'static Block,
    /// Where the contents are. Room for as many bytes as were asked for when the handle was made.
    payload: NonNull<u8>,
    index: u32,
    generation: u32,
    _creation: Option<Arc<Creation>>,
}

// SAFETY: a handle only points; what it points at is reached under the block's lock.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// What the creating process's clones share: the last one frees the block.
struct Creation {
    tree: &'static Tree,
    index: u32,
    generation: u32,
}

/// Why the block is not locked by the caller.
#[derive(Debug)]
pub(crate) enum Refusal {
    GaveUp(GaveUp),
    Corrupt,
    Gone,
    Unlisted(io::Error),
}

impl Handle {
    /// Takes a block and copies `contents` into it.
    pub(crate) fn new(contents: &[u8], align: usize) -> io::Result<Handle> {
        let tree = tree()?;
        let me = tree.roster.me()?;
        let request = Request::new(contents.len(), align);
        let fresh = tree.arena.allocate(me, &tree.roster, request)?;
        let creation = Creation {
            tree,
            index: fresh.index,
            generation: fresh.generation,
        };
        let mut handle = Handle::find(tree, fresh.index, fresh.generation, request)?;
        // SAFETY: there is room for `contents` (checked by `find`), and the block's lock is held.
        unsafe {
            let payload = handle.payload.as_ptr();
            payload.copy_from_nonoverlapping(contents.as_ptr(), contents.len());
        }
        handle.block.word.unlock(true);
        handle._creation = Some(Arc::new(creation));
        Ok(handle)
    }

    /// The block with this index as a handle for what was asked for, if that is what it can be.
    fn find(
        tree: &'static Tree,
        index: u32,
        generation: u32,
        request: Request,
    ) -> io::Result<Handle> {
        let payload = tree.arena.payload(index, generation, request)?;
        let block = tree.arena.block(index);
        Ok(Handle {
            tree,
            block: block.ok_or(io::ErrorKind::InvalidData)?,
            payload,
            index,
            generation,
            _creation: None,
        })
    }

    /// Locks the block.
    #[inline]
    pub(crate) fn lock(&self, limit: Limit<'_>) -> Result<Held<'_>, Refusal> {
        let me = self.before_locking()?;
        match self
            .block
            .word
            .lock(me, &self.tree.roster, &mut Slices(limit))
        {
            Ok(taken) => self.held(me, taken),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Locks the block if nobody alive has it locked.
    #[inline]
    pub(crate) fn try_lock(&self) -> Result<Option<Held<'_>>, Refusal> {
        let me = self.before_locking()?;
        match self.block.word.try_lock(me, &self.tree.roster)? {
            Some(taken) => self.held(me, taken).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn before_locking(&self) -> Result<Owner, Refusal> {
        // The check that counts comes when the lock is held; this one keeps handles that are out of
        // date from getting in the way of the block's new owner.
        if self.block.generation() != self.generation {
            return Err(Refusal::Gone);
        }
        self.tree.roster.me().map_err(Refusal::Unlisted)
    }

    #[inline]
    fn held(&self, me: Owner, taken: Taken) -> Result<Held<'_>, Refusal> {
        let held = Held {
            handle: self,
            me,
            consistent: taken == Taken::Consistent,
        };
        // Exact: the generation of a block in use only changes under this lock, or by its creator,
        // after whom nobody can take the block while it is locked.
        if self.block.generation() != self.generation {
            return Err(Refusal::Gone);
        }
        Ok(held)
    }

    /// The object was freed while it was locked: its memory has waited for this.
    #[cold]
    fn give_back(&self, me: Owner) {
        let tree = self.tree;
        tree.arena.give_back_if_idle(self.index, me, &tree.roster);
    }

    #[cfg(test)]
    pub(crate) fn word(&self) -> &super::word::Word {
        &self.block.word
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.block.word.state().owner().is_some()
    }

    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.tree.arena.id(), self.index, self.generation).serialize(serializer)
    }

    /// Reads a handle for `len` bytes, which has to be one into this process's arena.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        len: usize,
        align: usize,
    ) -> Result<Handle, D::Error> {
        let (arena, index, generation) = <([u64; 2], u32, u32)>::deserialize(deserializer)?;
        let Some(tree) = tree_if_any().filter(|tree| tree.arena.id() == arena) else {
            return Err(D::Error::custom(
                "the handle belongs to a process tree that this process is not part of",
            ));
        };
        Handle::find(tree, index, generation, Request::new(len, align)).map_err(D::Error::custom)
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        // A forked child has the parent's handles and another name: it frees nothing.
        if let Some(me) = self.tree.roster.current() {
            let tree = self.tree;
            tree.arena
                .free(self.index, self.generation, me, &tree.roster);
        }
    }
}

/// Says who has the block locked.
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.block.generation() != self.generation {
            return f.write_str("gone");
        }
        match self.block.word.state() {
            State::Free {
                inconsistent: false,
            } => f.write_str("free"),
            State::Free { inconsistent: true } => f.write_str("free, its owner died"),
            State::Held { by, .. } => match self.tree.roster.pid_of(by) {
                Some(pid) => write!(f, "held by process {pid}"),
                None => f.write_str("held by a process that has died"),
            },
            State::Impossible => f.write_str("corrupt"),
        }
    }
}

/// A block that this process has locked. Unlocks it when dropped.
pub(crate) struct Held<'a> {
    handle: &'a Handle,
    me: Owner,
    consistent: bool,
}

impl Held<'_> {
    pub(crate) fn is_consistent(&self) -> bool {
        self.consistent
    }

    pub(crate) fn mark_consistent(&mut self) {
        if !self.consistent {
            self.consistent = true;
            self.handle.block.word.mark_consistent();
        }
    }

    #[inline]
    pub(crate) fn payload(&self) -> NonNull<u8> {
        self.handle.payload
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // The child of a fork inherits the guards of its parent, but not the locks.
        let handle = self.handle;
        if handle.tree.roster.current() == Some(self.me) {
            handle.block.word.unlock(self.consistent);
            if handle.block.generation() != handle.generation {
                handle.give_back(self.me);
            }
        }
    }
}

/// A limit, slice by slice.
struct Slices<'a>(Limit<'a>);

impl Patience for Slices<'_> {
    fn slice(&mut self, longest: Duration) -> Result<Duration, GaveUp> {
        self.0.check()?;
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        Ok(self
            .0
            .deadline()
            .map_or(longest, |at| longest.min(left(at))))
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        match refused {
            Refused::GaveUp(why) => Refusal::GaveUp(why),
            Refused::Corrupt => Refusal::Corrupt,
        }
    }
}
