//! The guards of an [`RwLock`](super::RwLock): a reader's and a writer's.

use super::room::Room;
use super::{Corrupt, LockError};
use crate::shm::monitor::Home;
use crate::shm::protocol::rwlock::{Access, Admitted};
use bytemuck::Pod;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The right to read what an [`ipc::RwLock`](super::RwLock) protects. Gives it back when dropped.
///
/// It may be sent to and dropped by another thread of the process, if `T` may.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct ReadGuard<'a, T: Pod = ()> {
    room: &'a Room,
    admitted: Admitted,
    _value: PhantomData<&'a T>,
}

/// The right to change what an [`ipc::RwLock`](super::RwLock) protects. Gives it back when dropped.
///
/// It may be sent to and dropped by another thread of the process, if `T` may.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct WriteGuard<'a, T: Pod = ()> {
    room: &'a Room,
    admitted: Admitted,
    has_vouched: bool,
    _value: PhantomData<&'a mut T>,
}

impl<'a, T: Pod> ReadGuard<'a, T> {
    /// The guard of a reader that has just come in.
    #[inline]
    pub(super) fn new(room: &'a Room, admitted: Admitted) -> ReadGuard<'a, T> {
        ReadGuard {
            room,
            admitted,
            _value: PhantomData,
        }
    }

    /// `false` if a writer died and no other had vouched for the value since when this guard was given.
    pub fn is_consistent(&self) -> bool {
        self.admitted.is_consistent
    }
}

impl<'a, T: Pod> WriteGuard<'a, T> {
    /// The guard of a writer that has just come in.
    #[inline]
    pub(super) fn new(room: &'a Room, admitted: Admitted) -> WriteGuard<'a, T> {
        WriteGuard {
            room,
            admitted,
            has_vouched: false,
            _value: PhantomData,
        }
    }

    /// Vouches for the value, after a [writer's death](LockError::OwnerDied).
    ///
    /// Does nothing if there was none. Others learn of it when this guard is dropped or
    /// [downgraded](WriteGuard::downgrade); if this process is killed before, they learn of that
    /// death.
    pub fn mark_consistent(&mut self) {
        self.has_vouched = true;
    }

    /// `false` if a writer died and nobody has vouched for the value since.
    pub fn is_consistent(&self) -> bool {
        self.admitted.is_consistent || self.has_vouched
    }

    /// Makes the writer a reader: others may read from now on, and nobody can have written in between.
    ///
    /// # Errors
    ///
    /// As for [`RwLock::read`](super::RwLock::read); never [`GaveUp`](LockError::GaveUp). Unless it is
    /// [`OwnerDied`](LockError::OwnerDied), nothing is held any more.
    pub fn downgrade(self) -> Result<ReadGuard<'a, T>, LockError<ReadGuard<'a, T>>> {
        let (room, vouched, is_consistent) = (self.room, self.has_vouched, self.is_consistent());
        let admitted = Admitted {
            is_consistent,
            ..self.admitted
        };
        if is_ours(room, admitted) {
            let inside = room.enter()?;
            Access::leave_writing(inside, vouched, true).map_err(|Corrupt| LockError::Corrupt)?;
        }
        mem::forget(self);
        super::granted(ReadGuard::new(room, admitted), is_consistent)
    }

    fn value(&self) -> NonNull<T> {
        self.room.value()
    }
}

/// The child of a fork inherits the guards of its parent, but is not inside.
fn is_ours(room: &Room, admitted: Admitted) -> bool {
    room.roster().current() == Some(admitted.me)
}

impl<T: Pod> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        if is_ours(self.room, self.admitted) {
            match self.room.enter() {
                // If it is corrupt, there is nothing to be given back to.
                Ok(inside) => drop(Access::leave_reading(inside)),
                Err(_) => self.room.leave_behind(self.admitted.me),
            }
        }
    }
}

impl<T: Pod> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        if is_ours(self.room, self.admitted) {
            match self.room.enter() {
                // As for a reader.
                Ok(inside) => drop(Access::leave_writing(inside, self.has_vouched, false)),
                Err(_) => self.room.leave_behind(self.admitted.me),
            }
        }
    }
}

impl<T: Pod> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: an `RwLock<T>` is only made of a room with a `T` in it, and any bytes are a `T`. The
        // guard is counted in the room, so nobody writes who keeps to the protocol.
        unsafe { self.room.value::<T>().as_ref() }
    }
}

impl<T: Pod> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: as for a reader.
        unsafe { self.value().as_ref() }
    }
}

impl<T: Pod> DerefMut for WriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for a reader; the room names this process as the writer, which has this one guard,
        // and that is borrowed exclusively.
        unsafe { self.value().as_mut() }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadGuard")
            .field("value", &**self)
            .field("consistent", &self.is_consistent())
            .finish()
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGuard")
            .field("value", &**self)
            .field("consistent", &self.is_consistent())
            .finish()
    }
}
