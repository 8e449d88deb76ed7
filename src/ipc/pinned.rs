//! Shared memory that is used without a lock.
//!
//! Invariant: while a process that lives has a `Pinned`, the memory belongs to that object: it is not given
//! to another. That is what the lock and the generation are for elsewhere. Used by `ipc::raw_value`,
//! `ipc::raw_array` and `ipc::shared`.

use crate::shm::handle::{Address, Handle};
use crate::shm::tree;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io;
use std::mem;
use std::ptr::NonNull;

#[derive(Clone)]
pub(super) struct Pinned(Handle);

impl Pinned {
    /// Takes `len` zeroed bytes.
    pub(super) fn zeroed(len: usize, align: usize) -> io::Result<Pinned> {
        // PLACEHOLDER for `Handle::pinned(len, align)`: the block is never freed.
        let handle = Handle::new(tree()?, len, align, |_| ())?;
        mem::forget(handle.clone());
        Ok(Pinned(handle))
    }

    /// The `len` bytes that another process has at `address`.
    pub(super) fn at(address: Address, len: usize, align: usize) -> io::Result<Pinned> {
        // PLACEHOLDER for the same, pinned: the block may belong to a dead process, and be given away.
        let handle = Handle::at(address, len, align)?;
        if !handle.is_current() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the object has been dropped by all who had it",
            ));
        }
        Ok(Pinned(handle))
    }

    /// Where the bytes are, for as long as `self` is there.
    pub(super) fn payload(&self) -> NonNull<u8> {
        self.0.payload()
    }

    pub(super) fn address(&self) -> Address {
        self.0.address()
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
