//! What both semaphores are: permits in shared memory. The turns are those of
//! `shm::protocol::semaphore`.

use super::{AcquireError, Permit, ReleaseError};
use crate::Limit;
use crate::ipc::AccessError;
use crate::shm::Tree;
use crate::shm::ledger::Corrupt;
use crate::shm::monitor::poll;
use crate::shm::object::{Object, Shared};
use crate::shm::protocol::semaphore::{Permits, TooMany};
use crate::shm::refusal::Refusal;
use serde::{Deserializer, Serializer};
use std::fmt;
use std::io;

/// As `SEM_VALUE_MAX` of POSIX.
pub(super) const MAX_PERMITS: u32 = i32::MAX as u32;

// SAFETY: permits are made of atomics, and all zero there are none.
unsafe impl Shared for Permits {}

#[derive(Clone)]
pub(super) struct RawSemaphore(Object<Permits>);

impl RawSemaphore {
    pub(super) fn create(
        tree: &'static Tree,
        total: u32,
        capacity: u32,
    ) -> io::Result<RawSemaphore> {
        if total > MAX_PERMITS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "more permits than a semaphore can count",
            ));
        }
        Object::new(tree, |permits: &Permits| permits.begin(total, capacity)).map(RawSemaphore)
    }

    pub(super) fn acquire(&self, n: u32, limit: Limit<'_>) -> Result<Permit<'_>, AcquireError> {
        self.check_capacity(n)?;
        let by = self.0.wait(Permits::acquire(&self.0, n), limit)??;
        Ok(Permit::new(&self.0, by, n))
    }

    pub(super) async fn acquire_async(&self, n: u32) -> Result<Permit<'_>, AcquireError> {
        self.check_capacity(n)?;
        let by = self.0.wait_async(Permits::acquire(&self.0, n)).await??;
        Ok(Permit::new(&self.0, by, n))
    }

    pub(super) fn try_acquire(&self, n: u32) -> Result<Option<Permit<'_>>, AcquireError> {
        self.check_capacity(n)?;
        match poll(Permits::acquire(&self.0, n))? {
            Some(by) => Ok(Some(Permit::new(&self.0, by?, n))),
            None => Ok(None),
        }
    }

    fn check_capacity(&self, n: u32) -> Result<(), AcquireError> {
        if n > self.capacity()? {
            return Err(AcquireError::OverCapacity);
        }
        Ok(())
    }

    pub(super) fn capacity(&self) -> Result<u32, Refusal> {
        self.0.hint(Permits::capacity)
    }

    pub(super) fn release(&self, n: u32) -> Result<(), ReleaseError> {
        match Permits::add(self.0.enter()?, n)? {
            Ok(()) => Ok(()),
            Err(TooMany) => Err(ReleaseError::TooMany),
        }
    }

    pub(super) fn available(&self) -> Result<u32, AccessError> {
        Permits::available(self.0.enter()?).map_err(|Corrupt| AccessError::Corrupt)
    }

    pub(super) fn serialize<R: Serializer>(&self, serializer: R) -> Result<R::Ok, R::Error> {
        self.0.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RawSemaphore, D::Error> {
        Object::deserialize(deserializer).map(RawSemaphore)
    }

    pub(super) fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.hint(Permits::hint) {
            Ok((available, total)) => f
                .debug_struct(name)
                .field("available", &available)
                .field("total", &total)
                .finish(),
            Err(_) => write!(f, "{name}(gone)"),
        }
    }
}
