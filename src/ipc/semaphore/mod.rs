//! `ipc::Semaphore`: permits that processes take and give back; and with a capacity,
//! [`BoundedSemaphore`].

mod bounded;
mod error;
mod faces;
mod permit;
mod raw;

pub use bounded::BoundedSemaphore;
pub use error::{AcquireError, ReleaseError};
pub use permit::Permit;

use super::AccessError;
use crate::Limit;
use crate::shm::{Tree, tree};
use faces::faces;
use raw::{MAX_PERMITS, RawSemaphore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;

/// A number of permits that the processes of a tree share: `acquire` takes, and waits while there are too
/// few; `release` gives.
///
/// It is known who has which permits. Those of a process that is killed come back, each once. Permits
/// may be given by who never took any: it can start empty, and grow. If a release too many is a mistake
/// that should not go unnoticed, take a [`BoundedSemaphore`].
///
/// * **Fairness.** None: whoever comes at the right moment gets the permits, before those who sleep. So
///   a request for many can be overtaken for as long as others take few.
/// * **Death.** What a killed process held comes back, whatever instruction it was killed at, and so do
///   permits it was about to take or to give back. [`try_acquire`](Semaphore::try_acquire) and
///   [`available`](Semaphore::available) see to that before they answer; who waits does so at the end of
///   its current slice of sleep, within 50 ms. A killed waiter costs nothing. Permits that were
///   [forgotten](Permit::forget) are nobody's, and stay away.
/// * **Stopped** (SIGSTOP). It keeps what it holds. Who is stopped in the middle of an operation, some
///   dozen instructions long, holds the others up until it goes on: acquiring keeps to its limits then,
///   but giving back waits.
/// * **Fork.** The child's copies of its parent's permits do nothing.
/// * **Cost.** With permits to spare: two compare-and-swaps and a swap to acquire, the same to give
///   back, no system call. `available`, and a try that fails, look at every process that may hold
///   some: a few microseconds, and a system call for each that does. Memory: 8 KiB.
///
/// Python: `multiprocessing.Semaphore`, which does not know who holds what, so a killed process's permits
/// are gone for good.
///
/// ```
/// use latchwork::ipc::Semaphore;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let licences = Semaphore::new(2)?;
/// let both = licences.acquire_many(2)?;
/// assert!(licences.try_acquire()?.is_none());
/// assert!(licences.acquire_within(Duration::from_millis(5)).is_err());
/// drop(both);
/// assert_eq!(licences.available()?, 2);
/// licences.release(1)?;
/// assert_eq!(licences.available()?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "multiprocessing.Semaphore")]
#[doc(alias = "sem_open")]
pub struct Semaphore(RawSemaphore);

impl Semaphore {
    /// The largest number of permits: 2,147,483,647, as `SEM_VALUE_MAX`.
    pub const MAX_PERMITS: u32 = MAX_PERMITS;

    /// Makes a semaphore with `permits` to give, in the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS), else as for
    /// [`Lock::new`](super::Lock::new).
    pub fn new(permits: u32) -> io::Result<Semaphore> {
        Semaphore::create(tree()?, permits)
    }

    pub(crate) fn create(tree: &'static Tree, permits: u32) -> io::Result<Semaphore> {
        RawSemaphore::create(tree, permits, MAX_PERMITS).map(Semaphore)
    }

    /// Gives `n` permits that did not exist before, and wakes whom they can serve.
    ///
    /// `release(0)` succeeds and does nothing.
    ///
    /// # Errors
    ///
    /// [`TooMany`](ReleaseError::TooMany) if there would be more than
    /// [`MAX_PERMITS`](Semaphore::MAX_PERMITS); otherwise the [error](ReleaseError) says why the
    /// semaphore is of no use any more.
    #[doc(alias = "post")]
    pub fn release(&self, n: u32) -> Result<(), ReleaseError> {
        self.0.release(n)
    }
}

faces!(Semaphore);
