//! Where a lock of readers and writers lives: its state, and behind that the value.
//!
//! Invariant: the value is touched by who is inside, as a reader or as the writer, and has been counted in
//! the state's ledger under the block's lock. That ledger is the one that pins the block, so while
//! anybody alive is inside, the value stays where it is, even if the lock is dropped by who made it.

use crate::Limit;
use crate::shm::Tree;
use crate::shm::arena::Request;
use crate::shm::handle::{Handle, Slices};
use crate::shm::ledger::Ledger;
use crate::shm::monitor::{self, Home, Inside};
use crate::shm::protocol::rwlock::{Access, Occupied};
use crate::shm::refusal::Refusal;
use crate::shm::roster::Roster;
use crate::shm::wait::Operation;
use crate::shm::waiting::Waiting;
use crate::shm::word::{Owner, Word};
use bytemuck::Pod;
use serde::{Deserializer, Serializer};
use std::io;
use std::mem::offset_of;
use std::ptr::NonNull;

/// A pinned block, the ledger of its pins included, with which the state begins.
#[repr(C)]
struct Layout<T> {
    access: Access,
    value: T,
}

const _: () = assert!(Access::LEDGER == 0);

impl<T> Layout<T> {
    const VALUE: usize = offset_of!(Layout<T>, value);

    /// What is asked for is what lies behind the ledger.
    fn request() -> Request {
        let len = size_of::<Layout<T>>() - size_of::<Ledger>();
        Request::new(len, align_of::<Layout<T>>()).pinned()
    }
}

#[derive(Clone)]
pub(super) struct Room(Handle);

impl Room {
    pub(super) fn create<T: Pod>(tree: &'static Tree, value: T) -> io::Result<Room> {
        let handle = Handle::new(tree, Layout::<T>::request(), |payload| {
            // SAFETY: room and alignment are those of the layout, and nobody else has it yet.
            unsafe { place_of(payload).write(value) };
        })?;
        Ok(Room(handle))
    }

    /// Where the value is, of the type that the room was made or received for.
    #[inline]
    pub(super) fn value<T>(&self) -> NonNull<T> {
        place_of(self.0.payload())
    }

    /// Who is inside; a hint.
    pub(super) fn occupied(&self) -> Result<Occupied, Refusal> {
        let look = |payload| state_of(payload).occupied();
        self.0.peek(look).ok_or(Refusal::Gone)
    }

    pub(super) fn enter(&self) -> Result<Inside<'_, Room>, Refusal> {
        monitor::enter(self)
    }

    /// What a guard does that cannot come in to leave: the lock is gone, or corrupt.
    #[cold]
    pub(super) fn leave_behind(&self, me: Owner) {
        self.0.unpin(me);
    }

    pub(super) fn wait<'h, R>(
        &'h self,
        operation: impl Operation<'h, Output = Result<R, Refusal>>,
        limit: Limit<'_>,
    ) -> Result<R, Refusal> {
        monitor::wait(operation, &mut Slices(limit))
    }

    pub(super) fn wait_async<'h, R>(
        &'h self,
        operation: impl Operation<'h, Output = Result<R, Refusal>>,
    ) -> impl Future<Output = Result<R, Refusal>> {
        // SAFETY: the operations of a room sleep on words of its block, in the arena, which stays mapped.
        unsafe { Waiting::new(operation) }
    }

    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Room, D::Error> {
        Handle::receive(deserializer, Layout::<T>::request()).map(Room)
    }
}

impl Home for Room {
    type State = Access;
    type Roster = Roster;

    fn word(&self) -> &Word {
        self.0.word()
    }

    fn state(&self) -> &Access {
        state_of(self.0.payload())
    }

    fn roster(&self) -> &Roster {
        &self.0.tree().roster
    }

    fn me(&self) -> Result<Owner, Refusal> {
        self.roster().me().map_err(Refusal::Unlisted)
    }

    fn is_current(&self) -> bool {
        self.0.is_current()
    }
}

/// The beginning of the layout, from the beginning of what was asked for.
fn base_of(payload: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: a pinned block's ledger lies right before what was asked for.
    unsafe { payload.byte_sub(size_of::<Ledger>()) }
}

fn state_of<'p>(payload: NonNull<u8>) -> &'p Access {
    // SAFETY: the layout begins with it, in memory that is never unmapped. It is made of atomics, so any
    // bytes are one, whoever writes them.
    unsafe { base_of(payload).cast().as_ref() }
}

fn place_of<T>(payload: NonNull<u8>) -> NonNull<T> {
    // SAFETY: within the room for the layout.
    unsafe { base_of(payload).byte_add(Layout::<T>::VALUE) }.cast()
}
