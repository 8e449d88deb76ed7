//! Where a lock of readers and writers lives: its state, and behind that the value.
//!
//! Invariant: the value is touched by who is [inside](crate::shm::protocol::rwlock), as a reader or as
//! the writer, and that is counted in the state.

use crate::Limit;
use crate::shm::Tree;
use crate::shm::handle::{Handle, Slices};
use crate::shm::monitor::{self, Home, Inside};
use crate::shm::protocol::rwlock::Access;
use crate::shm::refusal::Refusal;
use crate::shm::roster::Roster;
use crate::shm::wait::Operation;
use crate::shm::word::{Owner, Word};
use serde::{Deserializer, Serializer};
use std::io;
use std::mem::offset_of;
use std::ptr::NonNull;

#[repr(C)]
struct Layout<T> {
    access: Access,
    value: T,
}

#[derive(Clone)]
pub(super) struct Room(Handle);

impl Room {
    pub(super) fn create<T: bytemuck::Pod>(tree: &'static Tree, value: T) -> io::Result<Room> {
        let (len, align) = (size_of::<Layout<T>>(), align_of::<Layout<T>>());
        let handle = Handle::new(tree, len, align, |payload| {
            // SAFETY: room and alignment are those of the layout, and nobody else has it yet.
            unsafe {
                payload
                    .byte_add(offset_of!(Layout<T>, value))
                    .cast()
                    .write(value)
            };
        })?;
        Ok(Room(handle))
    }

    /// Where the value is; good for what the room was made or deserialised for.
    #[inline]
    pub(super) fn value<T>(&self) -> NonNull<T> {
        // SAFETY: within the room for the layout.
        unsafe { self.0.payload().byte_add(offset_of!(Layout<T>, value)) }.cast()
    }

    pub(super) fn enter(&self) -> Result<Inside<'_, Room>, Refusal> {
        monitor::enter(self)
    }

    pub(super) fn wait<'h, R>(
        &'h self,
        operation: impl Operation<'h, Output = Result<R, Refusal>>,
        limit: Limit<'_>,
    ) -> Result<R, Refusal> {
        monitor::wait(operation, &mut Slices(limit))
    }

    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Room, D::Error> {
        let (len, align) = (size_of::<Layout<T>>(), align_of::<Layout<T>>());
        Handle::deserialize(deserializer, len, align).map(Room)
    }
}

impl Home for Room {
    type State = Access;
    type Roster = Roster;

    fn word(&self) -> &Word {
        self.0.word()
    }

    fn state(&self) -> &Access {
        // SAFETY: the layout begins with it, in memory that is never unmapped. It is made of atomics,
        // so any bytes are one, whoever writes them.
        unsafe { self.0.payload().cast().as_ref() }
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
