//! A handle: one block of the arena, as a primitive of `ipc` holds it.
//!
//! Invariant: the block's contents are touched by whoever holds its lock *and* has seen the handle's
//! generation under it. A handle that came too late, or from a peer that makes things up, finds
//! another generation and gets [`Refusal::Gone`]; it never reaches another's memory.
//!
//! The process that made a block frees it with its last clone of the handle. Handles that came
//! through serde do not keep it alive, in whatever process.

use super::arena::{Block, NotPinned, Request};
use super::holder::{Holder, monotonic_nanoseconds};
use super::refusal::Refusal;
use super::roster::Roster;
use super::segment::{Id, invalid};
use super::wait::{self, Look, Operation, Patience, Step};
use super::waiting::Waiting;
use super::word::{Debt, Liveness, Owner, State, Taken, Verdict};
use super::{Tree, tree_of};
use crate::platform::atomic::{AtomicU64, Ordering, fence};
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

/// A handle as other processes are sent it. Anybody may have made it up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Address {
    arena: Id,
    index: u32,
    generation: u32,
}

impl Address {
    /// That of the block at this place of the tree.
    pub(crate) fn within(tree: &Tree, (index, generation): (u32, u32)) -> Address {
        Address {
            arena: tree.arena.id(),
            index,
            generation,
        }
    }

    /// Where in its tree the block is.
    pub(crate) fn place(self) -> (u32, u32) {
        (self.index, self.generation)
    }
}

/// What the creating process's clones share: the last one frees the block.
struct Creation {
    tree: &'static Tree,
    index: u32,
    generation: u32,
}

impl Handle {
    /// Takes a block of `tree` for what is asked for, and lets `fill` write into it: all zero, and locked.
    pub(crate) fn new(
        tree: &'static Tree,
        request: Request,
        fill: impl FnOnce(NonNull<u8>),
    ) -> io::Result<Handle> {
        let me = tree.roster.me()?;
        let fresh = tree.arena.allocate(me, &tree.roster, request)?;
        let creation = Creation {
            tree,
            index: fresh.index,
            generation: fresh.generation,
        };
        // Also if what follows fails: a block that stays locked is lost for as long as this process lives.
        let block = tree.arena.block(fresh.index);
        let locked = FreshLock(&block.ok_or_else(|| invalid("no such block"))?.word);
        let mut handle = Handle::find(tree, fresh.index, fresh.generation, request)?;
        fill(handle.payload);
        drop(locked);
        handle._creation = Some(Arc::new(creation));
        Ok(handle)
    }

    /// As [`new`](Handle::new), of `len` bytes that stay zero.
    pub(crate) fn zeroed(tree: &'static Tree, len: usize, align: usize) -> io::Result<Handle> {
        Handle::new(tree, Request::new(len, align), |_| ())
    }

    /// As [`new`](Handle::new), with these contents.
    pub(crate) fn holding(
        tree: &'static Tree,
        contents: &[u8],
        align: usize,
    ) -> io::Result<Handle> {
        let request = Request::new(contents.len(), align);
        Handle::new(tree, request, |payload| {
            // SAFETY: there is room for `contents` there, and nobody else has it yet.
            unsafe {
                let payload = payload.as_ptr();
                payload.copy_from_nonoverlapping(contents.as_ptr(), contents.len());
            }
        })
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

    /// Locks the block if that takes no more than a compare-and-swap: this process has its name, the
    /// handle is in date, and the word is all zero. `None` says nothing; [`lock`](Handle::lock) and
    /// [`try_lock`](Handle::try_lock) find out. All of it is inlined into the caller, and none of what is rare.
    #[inline]
    pub(crate) fn grab(&self) -> Option<Held<'_>> {
        let me = self.tree.roster.current()?;
        if !self.is_current() || !self.block.word.grab(me) {
            return None;
        }
        // Exact, as in `held`.
        if !self.is_current() {
            self.block.word.unlock_cold();
            return None;
        }
        Some(Held::new(self, me, Taken::Consistent))
    }

    /// Locks the block.
    #[cold]
    pub(crate) fn lock(&self, limit: Limit<'_>) -> Result<Held<'_>, Refusal> {
        let me = self.before_locking()?;
        let witness = self.witness();
        let mut locking = self.block.locking(self.generation, me, &witness);
        let taken = wait::wait(&mut locking, &mut Slices(limit)).map_err(Refusal::GaveUp)??;
        self.held(me, taken)
    }

    /// As [`lock`](Handle::lock) without a limit, and without blocking a thread.
    pub(crate) async fn lock_async(&self) -> Result<Held<'_>, Refusal> {
        let taking = Taking {
            handle: self,
            debt: Debt::default(),
        };
        // SAFETY: the word is one of the arena, which stays mapped.
        let (me, taken) = unsafe { Waiting::new(taking) }.await?;
        self.held(me, taken)
    }

    /// Locks the block if nobody alive has it locked.
    #[cold]
    pub(crate) fn try_lock(&self) -> Result<Option<Held<'_>>, Refusal> {
        let me = self.before_locking()?;
        match self.block.word.try_lock(me, &self.witness())? {
            Some(taken) => self.held(me, taken).map(Some),
            None => Ok(None),
        }
    }

    fn witness(&self) -> Witness<'_> {
        Witness {
            roster: &self.tree.roster,
            since: &self.block.since,
        }
    }

    #[inline]
    fn before_locking(&self) -> Result<Owner, Refusal> {
        // The check that counts comes when the lock is held; this one keeps handles that are out of
        // date from getting in the way of the block's new owner.
        if !self.is_current() {
            return Err(Refusal::Gone);
        }
        self.tree.roster.me().map_err(Refusal::Unlisted)
    }

    #[inline]
    fn held(&self, me: Owner, taken: Taken) -> Result<Held<'_>, Refusal> {
        let held = Held::new(self, me, taken);
        // Exact: the generation of a block in use only changes under this lock, or by its creator,
        // after whom nobody can take the block while it is locked.
        if !self.is_current() {
            return Err(Refusal::Gone);
        }
        Ok(held)
    }

    /// Unlocks what nobody has vouched for since an owner's death; a forked child has locked nothing.
    #[cold]
    fn unlock_inconsistent(&self, name: u32) {
        if self.tree.roster.name() | DIED == name {
            self.block.word.unlock(false);
            if !self.is_current() {
                self.give_back();
            }
        }
    }

    /// The object was freed while it was locked: its memory has waited for this.
    #[cold]
    fn give_back(&self) {
        let tree = self.tree;
        if let Some(me) = tree.roster.current() {
            tree.arena.give_back_if_idle(self.index, me, &tree.roster);
        }
    }

    pub(crate) fn tree(&self) -> &'static Tree {
        self.tree
    }

    pub(crate) fn payload(&self) -> NonNull<u8> {
        self.payload
    }

    /// Which of the block's lives this is a handle to.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether the block is still this handle's. Exact under the block's lock, a hint elsewhere.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.block.generation() == self.generation
    }

    /// Who has the block locked, if anybody alive has.
    pub(crate) fn holder(&self) -> Option<Holder> {
        let state = self.block.word.state();
        let since = self.block.since.load(Ordering::Relaxed);
        let owner = state.owner().filter(|_| self.is_current())?;
        let roster = &self.tree.roster;
        if roster.verdict(owner) != Verdict::Alive {
            return None;
        }
        // Written for whoever held the lock when somebody began to wait.
        Holder::new(roster, owner, Some(since).filter(|_| state.has_waiters()))
    }

    pub(crate) fn word(&self) -> &'static super::word::Word {
        &self.block.word
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.block.word.state().owner().is_some() && self.is_current()
    }

    /// Lets `read` look at the contents without the lock; `None` if the block was freed meanwhile.
    ///
    /// What it sees may be half-written, and it may see the contents of another object, before that
    /// comes out and its result is thrown away.
    pub(crate) fn peek<R>(&self, read: impl FnOnce(NonNull<u8>) -> R) -> Option<R> {
        // First of all, because the memory of a freed block may have been given back.
        if !self.is_current() {
            return None;
        }
        let seen = read(self.payload);
        // Whoever writes there for another object has seen the new generation: so does this look.
        fence(Ordering::Acquire);
        self.is_current().then_some(seen)
    }

    /// A handle that does not keep the block alive.
    pub(crate) fn without_creation(&self) -> Handle {
        Handle {
            _creation: None,
            ..*self
        }
    }

    /// Adds a pin of this process to the block, which was asked for as pinned, and says in whose name.
    pub(crate) fn pin(&self) -> Result<Owner, Refusal> {
        let Tree { roster, arena } = self.tree;
        let me = roster.me().map_err(Refusal::Unlisted)?;
        arena
            .pin(
                self.index,
                self.generation,
                me,
                roster,
                &mut Slices(Limit::none()),
            )
            .map(|()| me)
            .map_err(|why| match why {
                NotPinned::GaveUp(why) => Refusal::GaveUp(why),
                NotPinned::Corrupt => Refusal::Corrupt,
                NotPinned::Gone => Refusal::Gone,
                NotPinned::Full(error) => Refusal::Unlisted(error),
            })
    }

    /// Removes a pin that was added in this name, if it is still that of this process.
    pub(crate) fn unpin(&self, me: Owner) {
        let Tree { roster, arena } = self.tree;
        if roster.current() == Some(me) {
            arena.unpin(self.index, me, roster);
        }
    }

    /// As [`at`](Handle::at), in this tree.
    pub(crate) fn within(
        tree: &'static Tree,
        (index, generation): (u32, u32),
        request: Request,
    ) -> io::Result<Handle> {
        Handle::find(tree, index, generation, request)
    }

    /// What another process needs to find the block.
    pub(crate) fn address(&self) -> Address {
        Address {
            arena: self.tree.arena.id(),
            index: self.index,
            generation: self.generation,
        }
    }

    /// The block at `address` as a handle for what was asked for; this process has to have its arena.
    pub(crate) fn at(address: Address, request: Request) -> io::Result<Handle> {
        let tree = tree_of(address.arena).ok_or_else(|| {
            invalid("the handle belongs to a process tree that this process is not part of")
        })?;
        Handle::find(tree, address.index, address.generation, request)
    }

    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.address().serialize(serializer)
    }

    /// Reads a handle for `len` bytes.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        len: usize,
        align: usize,
    ) -> Result<Handle, D::Error> {
        Handle::receive(deserializer, Request::new(len, align))
    }

    /// As [`deserialize`](Handle::deserialize), for what was asked for like this.
    pub(crate) fn receive<'de, D: Deserializer<'de>>(
        deserializer: D,
        request: Request,
    ) -> Result<Handle, D::Error> {
        let address = Address::deserialize(deserializer)?;
        Handle::at(address, request).map_err(D::Error::custom)
    }
}

/// The lock of a block that was just taken.
struct FreshLock<'a>(&'a super::word::Word);

impl Drop for FreshLock<'_> {
    fn drop(&mut self) {
        self.0.unlock(true);
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
        if !self.is_current() {
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
    /// Who locked it, and [`DIED`] until somebody has vouched for the contents. One field and not two: so a
    /// guard is two registers.
    name: u32,
}

/// Beside the bits of an owner.
const DIED: u32 = 1 << 31;

impl<'a> Held<'a> {
    #[inline]
    fn new(handle: &'a Handle, me: Owner, taken: Taken) -> Held<'a> {
        let died = match taken {
            Taken::Consistent => 0,
            Taken::OwnerDied => DIED,
        };
        let name = me.bits() | died;
        Held { handle, name }
    }

    /// The block that is locked, to lock it again after a pause.
    pub(crate) fn handle(&self) -> &'a Handle {
        self.handle
    }

    #[inline]
    pub(crate) fn is_consistent(&self) -> bool {
        self.name & DIED == 0
    }

    pub(crate) fn mark_consistent(&mut self) {
        if !self.is_consistent() {
            self.name &= !DIED;
            // As when it is dropped: the lock is not that of a forked child.
            if self.handle.tree.roster.name() == self.name {
                self.handle.block.word.mark_consistent();
            }
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
        if self.handle.tree.roster.name() == self.name {
            self.handle.block.word.unlock(true);
            if !self.handle.is_current() {
                self.handle.give_back();
            }
        } else {
            self.handle.unlock_inconsistent(self.name);
        }
    }
}

/// A future on its way to the lock. It may be polled on in the child of a fork, which has another name.
struct Taking<'h> {
    handle: &'h Handle,
    debt: Debt,
}

impl<'h> Operation<'h> for Taking<'h> {
    type Output = Result<(Owner, Taken), Refusal>;

    fn attempt(&mut self, look: Look) -> Step<'h, Self::Output> {
        let me = match self.handle.before_locking() {
            Ok(me) => me,
            Err(refusal) => return Step::Done(Err(refusal)),
        };
        let witness = self.handle.witness();
        let Handle {
            block, generation, ..
        } = *self.handle;
        let mut locking = block.locking(generation, me, &witness).owing(self.debt);
        let step = locking.attempt(look);
        self.debt = locking.debt();
        match step {
            Step::Done(taken) => Step::Done(taken.map(|taken| (me, taken))),
            Step::Sleep {
                word,
                expected,
                is_brief,
            } => Step::Sleep {
                word,
                expected,
                is_brief,
            },
        }
    }
}

/// The roster, and where to note since when a lock is waited for.
struct Witness<'a> {
    roster: &'a Roster,
    since: &'a AtomicU64,
}

impl Liveness for Witness<'_> {
    fn verdict(&self, owner: Owner) -> Verdict {
        self.roster.verdict(owner)
    }

    fn contended(&self) {
        // For people who look: it is written without the lock, and may be that of another holder.
        self.since.store(monotonic_nanoseconds(), Ordering::Relaxed);
    }
}

/// A limit, slice by slice.
pub(crate) struct Slices<'a>(pub(crate) Limit<'a>);

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
