//! [`BoundedSemaphore`]: permits that cannot become more than a capacity, which can change.

use super::faces::acquire_faces;
use super::raw::RawSemaphore;
use super::word::{Bound, Bounded};
use super::{
    AcquireError, AnySemaphore, OwnedPermit, Permit, Sealed, TooManyReleases, TryAcquireError,
    request,
};
use crate::platform::const_fn;
use crate::wait::Limit;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// As many permits as its capacity says, some of them out; giving back more than are out is an error.
///
/// Everything else is as with a [`Semaphore`](super::Semaphore): fairness, closing, what permits can do.
/// Each permit is either available or out, so what is out and what is available add up to the capacity
/// at every moment, and a release is checked against it in the same step that gives the permits.
///
/// # Capacity
///
/// [`set_capacity`](BoundedSemaphore::set_capacity) changes it at any time. A request for more than the
/// capacity could never be served: it fails at once with
/// [`OverCapacity`](AcquireError::OverCapacity).
///
/// # Cost
///
/// As a `Semaphore`, but a permit goes back with a load and a compare-and-swap, because the capacity
/// is checked. Size: one `usize`, so the capacity has a limit,
/// [`MAX_CAPACITY`](BoundedSemaphore::MAX_CAPACITY).
///
/// # Source
///
/// Python's [`threading.BoundedSemaphore`](https://docs.python.org/3/library/threading.html#threading.BoundedSemaphore),
/// whose bound cannot change.
///
/// ```
/// use latchwork::sync::{BoundedSemaphore, TooManyReleases};
///
/// let workers = BoundedSemaphore::new(2);
/// let busy = workers.acquire_many(2)?;
/// workers.set_capacity(1);
/// drop(busy);
/// assert_eq!(workers.available(), 1, "one of the two was absorbed");
/// assert_eq!(workers.release(1), Err(TooManyReleases));
/// assert!(workers.acquire_many(2).unwrap_err().is_over_capacity());
/// # Ok::<(), latchwork::sync::AcquireError>(())
/// ```
pub struct BoundedSemaphore {
    raw: RawSemaphore<Bounded>,
}

impl BoundedSemaphore {
    /// The largest capacity: 536,870,911 (8,191 where a `usize` has 32 bits).
    pub const MAX_CAPACITY: usize = Bounded::MOST;

    const_fn! {
        /// A semaphore with `capacity` permits, all of them available.
        ///
        /// # Panics
        ///
        /// If `capacity` is more than [`MAX_CAPACITY`](BoundedSemaphore::MAX_CAPACITY).
        pub fn new(capacity: usize) -> BoundedSemaphore {
            BoundedSemaphore { raw: RawSemaphore::new(capacity, false) }
        }
    }

    const_fn! {
        /// As `new`, strictly first come, first served: see [`Semaphore::fair`](super::Semaphore::fair).
        ///
        /// # Panics
        ///
        /// If `capacity` is more than [`MAX_CAPACITY`](BoundedSemaphore::MAX_CAPACITY).
        pub fn fair(capacity: usize) -> BoundedSemaphore {
            BoundedSemaphore { raw: RawSemaphore::new(capacity, true) }
        }
    }

    /// Gives back `n` permits that were taken and [forgotten](Permit::forget).
    ///
    /// `release(0)` succeeds and does nothing.
    ///
    /// # Errors
    ///
    /// [`TooManyReleases`], and nothing has changed, if fewer than `n` are out. It cannot know whose
    /// they are: releasing what a [`Permit`] still holds is a mistake that shows when that is dropped,
    /// with no effect then.
    #[inline]
    #[doc(alias = "post")]
    pub fn release(&self, n: usize) -> Result<(), TooManyReleases> {
        self.raw.release(n).map_err(TooManyReleases::from)
    }

    /// How many permits there are, available and out. After a lowering more may be out for a while.
    pub fn capacity(&self) -> usize {
        self.raw.capacity()
    }

    /// There are `capacity` permits from now on.
    ///
    /// More than before: the new ones are available, and who waits for them is served. Fewer: they are
    /// taken from what is available, and, when that is not enough, from what comes back: holders are
    /// not disturbed, and their permits are absorbed. Who waits for more than the new capacity fails
    /// with [`OverCapacity`](AcquireError::OverCapacity).
    ///
    /// # Panics
    ///
    /// If `capacity` is more than [`MAX_CAPACITY`](BoundedSemaphore::MAX_CAPACITY).
    #[doc(alias = "resize")]
    pub fn set_capacity(&self, capacity: usize) {
        self.raw.set_capacity(capacity);
    }
}

acquire_faces!(
    BoundedSemaphore,
    Permit<'_, BoundedSemaphore>,
    OwnedPermit<BoundedSemaphore>
);

impl AnySemaphore for BoundedSemaphore {}

impl Sealed for BoundedSemaphore {
    type Bound = Bounded;
    #[inline]
    fn raw(&self) -> &RawSemaphore<Bounded> {
        &self.raw
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore")
            .field(
                "available",
                &format_args!("{}/{}", self.available(), self.capacity()),
            )
            .field("waited_for", &self.raw.is_waited_for())
            .field("is_fair", &self.is_fair())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}
