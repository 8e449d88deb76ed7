//! A number of permits, taken and given back: [`Semaphore`], and [`BoundedSemaphore`] with a capacity.

mod bounded;
mod error;
mod faces;
mod permit;
mod raw;
mod request;
mod word;

pub use bounded::BoundedSemaphore;
pub use error::{AcquireError, TooManyPermits, TooManyReleases, TryAcquireError};
pub use permit::{OwnedPermit, Permit};
pub(crate) use request::request as acquire_request;

use crate::platform::const_fn;
use crate::wait::Limit;
use faces::acquire_faces;
use raw::RawSemaphore;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use word::{Bound, Unbounded};

/// A number of permits: `acquire` takes, and waits when there are too few; `release` gives.
///
/// Permits may be given by who never took any: it can start empty, and grow. If a release too many is
/// a mistake that should not go unnoticed, take a [`BoundedSemaphore`].
///
/// # Fairness
///
/// Barging with a bounded handoff, as [`Lock`](super::Lock): permits that are given back can be taken by
/// whoever comes by, which is what makes a contended semaphore fast, and the thread that has waited
/// longest is called to compete for them, if there are enough for it. At the first release after it
/// has waited half a millisecond that finds nobody called and still to compete, the permits are *kept*
/// for it: all there are and all that come back, until it has what it asked for. That happens at most
/// every half millisecond, since meanwhile nobody else makes progress. So a request that is first in
/// line is overtaken for at most half a millisecond, or twice that if it has just become the first, the
/// time that a called thread takes to run, and until a permit is given back, however much it asks for and
/// however little the others do. If it gives up, what was kept for it is kept for the next.
///
/// A waiting task is not called, it is given what it wants as soon as that is there: others never
/// depend on when it is polled, but for the permits it has been given.
///
/// [`Semaphore::fair`] is first come, first served, whatever the amounts: permits are kept for the
/// first in line from the moment it waits, and newcomers queue up behind. That costs a sleep and a
/// wake-up for each permit that changes hands.
///
/// # Closing
///
/// [`close`](Semaphore::close) makes every acquire, waiting ones included, fail with `Closed`.
///
/// # Without guards
///
/// `acquire()?.forget()` takes a permit without a guard, [`release`](Semaphore::release) gives one back.
///
/// # Cost
///
/// With permits to spare: one compare-and-swap to acquire, one addition to give a permit back; no
/// system call. Who loses a race for the count pauses for about 100 nanoseconds before it tries again,
/// also in `try_acquire`. Size: one `usize`.
///
/// # Source
///
/// Python's [`threading.Semaphore`](https://docs.python.org/3/library/threading.html#semaphore-objects);
/// the bounded handoff is that of WebKit's `WTF::Lock` and parking_lot, the mark for a waiter that has
/// been woken and will compete that of Go's `sync.Mutex`.
///
/// ```
/// use latchwork::sync::Semaphore;
///
/// static CONNECTIONS: Semaphore = Semaphore::new(2);
///
/// let first = CONNECTIONS.acquire().unwrap();
/// let second = CONNECTIONS.acquire().unwrap();
/// assert!(CONNECTIONS.try_acquire().is_err());
/// drop(first);
/// assert!(CONNECTIONS.try_acquire().is_ok());
/// # drop(second);
/// ```
pub struct Semaphore {
    raw: RawSemaphore<Unbounded>,
}

impl Semaphore {
    /// The largest number of permits.
    pub const MAX_PERMITS: usize = Unbounded::MOST;

    const_fn! {
        /// A semaphore with `permits` to give.
        ///
        /// # Panics
        ///
        /// If `permits` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
        pub fn new(permits: usize) -> Semaphore {
            Semaphore { raw: RawSemaphore::new(permits, false) }
        }
    }

    const_fn! {
        /// A semaphore with `permits` to give, strictly first come, first served.
        ///
        /// # Panics
        ///
        /// If `permits` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
        pub fn fair(permits: usize) -> Semaphore {
            Semaphore { raw: RawSemaphore::new(permits, true) }
        }
    }

    /// Gives `n` permits, whoever had them, and wakes whom they can serve.
    ///
    /// None given is none too many: `release(0)` succeeds and does nothing. (Python's raises
    /// `ValueError`; here a number that was computed needs no special case.)
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`], and nothing has changed, if the count would exceed
    /// [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[inline]
    #[doc(alias = "add_permits")]
    #[doc(alias = "post")]
    pub fn release(&self, n: usize) -> Result<(), TooManyPermits> {
        self.raw.release(n).map_err(TooManyPermits::from)
    }

    /// Takes up to `n` permits out of circulation, of those that could be taken right now; returns how
    /// many. Never waits.
    #[doc(alias = "reduce")]
    #[doc(alias = "drain_permits")]
    pub fn forget_permits(&self, n: usize) -> usize {
        self.raw.take_free(n)
    }
}

acquire_faces!(Semaphore, Permit<'_>, OwnedPermit);

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("waited_for", &self.raw.is_waited_for())
            .field("is_fair", &self.is_fair())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// What permits can be of: a [`Semaphore`] or a [`BoundedSemaphore`]. Nobody else can implement it.
pub trait AnySemaphore: Sealed {}

use sealed::Sealed;

mod sealed {
    use super::raw::RawSemaphore;
    use super::word::Bound;

    pub trait Sealed {
        type Bound: Bound;
        fn raw(&self) -> &RawSemaphore<Self::Bound>;
    }
}

impl AnySemaphore for Semaphore {}

impl Sealed for Semaphore {
    type Bound = Unbounded;
    #[inline]
    fn raw(&self) -> &RawSemaphore<Unbounded> {
        &self.raw
    }
}
