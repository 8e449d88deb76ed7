//! [`BoundedSemaphore`]: permits that cannot become more than a capacity.

use super::faces::faces;
use super::raw::{MAX_PERMITS, RawSemaphore};
use super::{AcquireError, Permit, ReleaseError};
use crate::Limit;
use crate::ipc::AccessError;
use crate::shm::{Tree, tree};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;

/// As many permits as its capacity says, some of them out; giving back more than are missing is an error.
///
/// Everything else is as with a [`Semaphore`](super::Semaphore): fairness, death, fork and cost. What
/// is out and what is available add up to the capacity, less what was
/// [forgotten](Permit::forget); a release is checked against that in the step that gives the permits.
///
/// Python: `multiprocessing.BoundedSemaphore`, whose bound is not kept on macOS.
///
/// ```
/// use latchwork::ipc::{BoundedSemaphore, ReleaseError};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let workers = BoundedSemaphore::new(2)?;
/// let busy = workers.acquire()?;
/// // What is out counts.
/// assert!(matches!(workers.release(1), Err(ReleaseError::TooMany)));
/// busy.forget()?;
/// workers.release(1)?;
/// assert_eq!(workers.available()?, 2);
/// assert!(workers.acquire_many(3).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "multiprocessing.BoundedSemaphore")]
pub struct BoundedSemaphore(RawSemaphore);

impl BoundedSemaphore {
    /// The largest capacity: 2,147,483,647.
    pub const MAX_CAPACITY: u32 = MAX_PERMITS;

    /// Makes a semaphore with `capacity` permits, all of them available, in the shared memory of this
    /// process's tree.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is more than [`MAX_CAPACITY`](BoundedSemaphore::MAX_CAPACITY), else as
    /// for [`Lock::new`](crate::ipc::Lock::new).
    pub fn new(capacity: u32) -> io::Result<BoundedSemaphore> {
        BoundedSemaphore::create(tree()?, capacity)
    }

    pub(crate) fn create(tree: &'static Tree, capacity: u32) -> io::Result<BoundedSemaphore> {
        RawSemaphore::create(tree, capacity, capacity).map(BoundedSemaphore)
    }

    /// Gives back `n` permits that were taken and [forgotten](Permit::forget).
    ///
    /// `release(0)` succeeds and does nothing.
    ///
    /// # Errors
    ///
    /// [`TooMany`](ReleaseError::TooMany), and nothing has changed, if fewer than `n` are missing:
    /// permits that are out are not, whoever holds them. Otherwise the [error](ReleaseError) says why
    /// the semaphore is of no use any more.
    #[doc(alias = "post")]
    pub fn release(&self, n: u32) -> Result<(), ReleaseError> {
        self.0.release(n)
    }

    /// How many permits there can be.
    ///
    /// # Errors
    ///
    /// [`Gone`](AccessError::Gone) if the process that made the semaphore has dropped it.
    pub fn capacity(&self) -> Result<u32, AccessError> {
        Ok(self.0.capacity()?)
    }
}

faces!(BoundedSemaphore);
