//! Shared memory that is used without a lock.
//!
//! Invariant: while a process that lives has a `Pinned`, the memory belongs to that object: it is not given
//! to another. That is what the lock and the generation are for elsewhere. The process that made the object
//! has it as long as it does not free it, others by a pin (`shm::arena::pin`). Used by `ipc::raw_value`,
//! `ipc::raw_array` and `ipc::shared`.
//!
//! The child of a fork has its parent's handles and none of its pins: it adds its own when it first uses
//! one.

use crate::platform::atomic::{AtomicU32, Ordering};
use crate::shm::arena::Request;
use crate::shm::handle::{Address, Handle};
use crate::shm::refusal::Refusal;
use crate::shm::tree;
use crate::shm::word::Owner;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

#[derive(Clone)]
pub(super) struct Pinned {
    handle: Handle,
    pin: Arc<Pin>,
}

/// In whose name the memory stays, shared by all clones of a process.
struct Pin {
    /// A handle that frees nothing.
    handle: Handle,
    /// The process that made the object, if that is where this handle comes from: it has no pin.
    maker: Option<Owner>,
    /// The process that has the memory: [`Owner::bits`].
    by: AtomicU32,
}

impl Pinned {
    /// Takes `len` zeroed bytes.
    pub(super) fn zeroed(len: usize, align: usize) -> io::Result<Pinned> {
        let tree = tree()?;
        let maker = tree.roster.me()?;
        let handle = Handle::new(tree, Request::new(len, align).pinned(), |_| ())?;
        Ok(Pinned::of(handle, maker, Some(maker)))
    }

    /// The `len` bytes that another process has at `address`.
    pub(super) fn at(address: Address, len: usize, align: usize) -> io::Result<Pinned> {
        let handle = Handle::at(address, Request::new(len, align).pinned())?;
        let by = handle.pin().map_err(|refusal| match refusal {
            Refusal::Gone => io::Error::new(
                io::ErrorKind::NotFound,
                "the object was dropped by the process that made it",
            ),
            Refusal::Unlisted(error) => error,
            Refusal::Corrupt | Refusal::GaveUp(_) => io::ErrorKind::InvalidData.into(),
        })?;
        Ok(Pinned::of(handle, by, None))
    }

    fn of(handle: Handle, by: Owner, maker: Option<Owner>) -> Pinned {
        let pin = Pin {
            handle: handle.without_creation(),
            maker,
            by: AtomicU32::new(by.bits()),
        };
        Pinned {
            handle,
            pin: Arc::new(pin),
        }
    }

    /// Where the bytes are, for as long as `self` is there.
    ///
    /// # Panics
    ///
    /// In the child of a fork, if the parent has dropped the object before the child first used it.
    #[inline]
    pub(super) fn payload(&self) -> NonNull<u8> {
        // Relaxed: only a fork makes them differ, and a fork orders everything.
        let by = self.pin.by.load(Ordering::Relaxed);
        if self.handle.tree().roster.name() != by {
            self.pin.renew(by);
        }
        self.handle.payload()
    }

    pub(super) fn address(&self) -> Address {
        self.handle.address()
    }

    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.address().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        len: usize,
        align: usize,
    ) -> Result<Pinned, D::Error> {
        let address = Address::deserialize(deserializer)?;
        Pinned::at(address, len, align).map_err(D::Error::custom)
    }
}

impl Pin {
    /// In a forked child: gets a pin of its own, if the memory is still in the name that was `seen`.
    #[cold]
    fn renew(&self, seen: u32) {
        let me = match self.handle.pin() {
            Ok(me) => me,
            Err(refusal) => {
                panic!("shared memory that a forked child inherited is lost to it: {refusal:?}")
            }
        };
        let renewed =
            self.by
                .compare_exchange(seen, me.bits(), Ordering::Relaxed, Ordering::Relaxed);
        if renewed.is_err() {
            // Another thread has been faster; one pin is enough.
            self.handle.unpin(me);
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let by = Owner::from_bits(self.by.load(Ordering::Relaxed));
        if let Some(me) = by.filter(|_| by != self.maker) {
            self.handle.unpin(me);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of a forked child may all find the parent's name before the first has put its own there.
    #[test]
    fn two_that_renew_a_pin_leave_one() {
        let made = Pinned::zeroed(8, 8).unwrap();
        let there = Pinned::at(made.address(), 8, 8).unwrap();
        let tree = there.handle.tree();
        let me = tree.roster.me().unwrap();
        let index = there.address().place().0;
        let pins = || tree.arena.ledger(index).unwrap().of(me);
        assert_eq!(pins(), 1);
        // As a child of a fork has it: the name of another, whose pin is no concern of ours.
        there.handle.unpin(me);
        let parent = Owner::new(me.slot() + 1, 1).unwrap().bits();
        there.pin.by.store(parent, Ordering::Relaxed);
        there.pin.renew(parent);
        there.pin.renew(parent);
        assert_eq!(pins(), 1);
        drop(there);
        assert_eq!(pins(), 0);
    }
}
