//! [`Latch`]: a count that goes down to zero once.

use super::countdown::{Countdown, MOST, Named, OutOfRange};
use crate::platform::const_fn;
use crate::wait::Kind;
use crate::{GaveUp, Limit};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// A gate that opens for good when it has been counted down to zero.
///
/// For "go on when `n` things have happened", whoever does them: one thread may count down many times,
/// and who counts need not wait. It cannot be closed again; [`Barrier`](super::Barrier) and
/// [`WaitGroup`](super::WaitGroup) can be used again. What happened before each count is visible after
/// `wait`.
///
/// # Cost
///
/// Counting: one read-modify-write. Waiting at an open latch: one load. Size: one `usize`.
///
/// # Source
///
/// C++20's `std::latch`, Java's `CountDownLatch`. Python has none.
///
/// ```
/// use latchwork::sync::Latch;
///
/// let ready = Latch::new(3);
/// std::thread::scope(|s| {
///     for _ in 0..3 {
///         s.spawn(|| ready.count_down());
///     }
///     ready.wait();
/// });
/// assert_eq!(ready.count(), 0);
/// ```
#[doc(alias = "CountDownLatch")]
pub struct Latch {
    countdown: Countdown<Latch>,
}

impl Named for Latch {
    const KIND: &'static Kind = &Kind {
        name: "Latch",
        owner: None,
    };
}

impl Latch {
    /// The largest count.
    pub const MAX_COUNT: usize = MOST;

    const_fn! {
        /// A latch that opens after `count` counts; with 0 it is open.
        ///
        /// # Panics
        ///
        /// If `count` is more than [`MAX_COUNT`](Latch::MAX_COUNT).
        pub fn new(count: usize) -> Latch {
            Latch { countdown: Countdown::new(count) }
        }
    }

    /// Counts one down, and opens the latch if that was the last. Returns whether it did. An open latch
    /// stays as it is.
    #[doc(alias = "countDown")]
    pub fn count_down(&self) -> bool {
        self.countdown.subtract(1).unwrap_or(false)
    }

    /// Counts `n` down at once. Returns whether that opened the latch.
    ///
    /// # Errors
    ///
    /// [`CountTooSmall`], and nothing has changed, if the count is less than `n`.
    pub fn count_down_by(&self, n: usize) -> Result<bool, CountTooSmall> {
        self.countdown
            .subtract(n)
            .map_err(|OutOfRange| CountTooSmall)
    }

    /// Counts one down, and blocks until the latch is open.
    #[track_caller]
    pub fn arrive_and_wait(&self) {
        if !self.count_down() {
            self.wait();
        }
    }

    /// Blocks until the latch is open.
    #[inline]
    #[track_caller]
    #[doc(alias = "await")]
    pub fn wait(&self) {
        self.countdown.wait(Location::caller());
    }

    /// Is it open? Never blocks; if so, what happened before each count is visible.
    #[inline]
    pub fn try_wait(&self) -> bool {
        self.countdown.is_zero()
    }

    /// Blocks until the latch is open, at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[inline]
    #[track_caller]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.countdown
            .wait_within(&limit.into(), Location::caller())
    }

    /// Resolves when the latch is open; for any runtime.
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = ()> {
        self.countdown.wait_async()
    }

    /// How many counts are still missing. For reports: the answer may be old on arrival.
    #[doc(alias = "getCount")]
    pub fn count(&self) -> usize {
        self.countdown.count()
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch")
            .field("count", &self.count())
            .field("waited_for", &self.countdown.is_waited_for())
            .finish()
    }
}

/// A [`Latch`] was to be counted down by more than its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountTooSmall;

impl fmt::Display for CountTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the latch's count is smaller than that")
    }
}

impl Error for CountTooSmall {}
