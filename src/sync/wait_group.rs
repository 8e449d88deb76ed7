//! [`WaitGroup`]: wait until everything that was begun has ended.

use super::countdown::{Countdown, MOST, Named};
use crate::platform::const_fn;
use crate::wait::Kind;
use crate::{GaveUp, Limit};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// Counts what is under way, by tokens, and lets threads wait until nothing is.
///
/// [`add`](WaitGroup::add) before work begins, move the token into it, and the token's end, be it a
/// panic, tells the group. Tokens from `add` borrow the group, for scoped threads; those from
/// [`add_owned`](WaitGroup::add_owned) keep it alive, for any thread. A token that is cloned counts twice.
/// A token that is forgotten ([`std::mem::forget`]) is under way for ever.
///
/// `wait` returns when nothing is under way, or was at some moment since it was called: whoever adds
/// something new at once does not keep it. The group can be used again, and waiting does not consume it.
/// What happened before each token's end is visible after `wait`.
///
/// # Cost
///
/// A token: one read-modify-write to make, one to end. Waiting for nothing: one load. Size: one
/// `usize`.
///
/// # Source
///
/// Go's `sync.WaitGroup`, with tokens instead of numbers that must match, as in crossbeam's.
///
/// ```
/// use latchwork::sync::WaitGroup;
/// use std::sync::Arc;
///
/// let group = Arc::new(WaitGroup::new());
/// for n in 0..3 {
///     let token = group.add_owned();
///     std::thread::spawn(move || {
///         println!("worker {n}");
///         drop(token);
///     });
/// }
/// group.wait();
/// assert_eq!(group.count(), 0);
/// ```
pub struct WaitGroup {
    countdown: Countdown<WaitGroup>,
}

impl Named for WaitGroup {
    const KIND: &'static Kind = &Kind {
        name: "WaitGroup",
        owner: None,
    };
}

impl WaitGroup {
    /// The most tokens that can be out at the same time.
    pub const MAX_COUNT: usize = MOST;

    const_fn! {
        /// A group with nothing under way.
        pub fn new() -> WaitGroup {
            WaitGroup { countdown: Countdown::new(0) }
        }
    }

    /// Something begins; it ends when the token is dropped.
    ///
    /// # Panics
    ///
    /// If [`MAX_COUNT`](WaitGroup::MAX_COUNT) tokens are out.
    pub fn add(&self) -> WaitToken<'_> {
        self.begin();
        WaitToken { group: self }
    }

    /// As [`add`](WaitGroup::add), with a token that goes anywhere.
    ///
    /// # Panics
    ///
    /// If [`MAX_COUNT`](WaitGroup::MAX_COUNT) tokens are out.
    pub fn add_owned(self: &Arc<Self>) -> OwnedWaitToken {
        self.begin();
        OwnedWaitToken {
            group: Arc::clone(self),
        }
    }

    fn begin(&self) {
        assert!(self.countdown.add(1).is_ok(), "too many tokens");
    }

    fn end(&self) {
        // Never out of range: each token counts once.
        let _ = self.countdown.subtract(1);
    }

    /// Blocks until nothing is under way. Who holds a token itself waits for ever.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        self.countdown.wait(Location::caller());
    }

    /// Is nothing under way? Never blocks; if so, what happened before each token's end is visible.
    #[inline]
    pub fn try_wait(&self) -> bool {
        self.countdown.is_zero()
    }

    /// Blocks until nothing is under way, at most as long as `limit` says.
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

    /// Resolves when nothing is under way, or has been since this call; for any runtime.
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = ()> {
        self.countdown.wait_async()
    }

    /// How many tokens are out. For reports: the answer may be old on arrival.
    pub fn count(&self) -> usize {
        self.countdown.count()
    }
}

impl Default for WaitGroup {
    fn default() -> WaitGroup {
        WaitGroup::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup")
            .field("count", &self.count())
            .field("waited_for", &self.countdown.is_waited_for())
            .finish()
    }
}

/// Something that a [`WaitGroup`] waits for, borrowed from it; from [`WaitGroup::add`].
#[must_use = "it has ended at once if the token is not kept"]
#[derive(Debug)]
pub struct WaitToken<'a> {
    group: &'a WaitGroup,
}

impl Clone for WaitToken<'_> {
    /// One more for the group to wait for.
    ///
    /// # Panics
    ///
    /// If [`MAX_COUNT`](WaitGroup::MAX_COUNT) tokens are out.
    fn clone(&self) -> Self {
        self.group.add()
    }
}

impl Drop for WaitToken<'_> {
    fn drop(&mut self) {
        self.group.end();
    }
}

/// Something that a [`WaitGroup`] waits for, which keeps the group alive; from
/// [`WaitGroup::add_owned`].
#[must_use = "it has ended at once if the token is not kept"]
#[derive(Debug)]
pub struct OwnedWaitToken {
    group: Arc<WaitGroup>,
}

impl Clone for OwnedWaitToken {
    /// One more for the group to wait for.
    ///
    /// # Panics
    ///
    /// If [`MAX_COUNT`](WaitGroup::MAX_COUNT) tokens are out.
    fn clone(&self) -> Self {
        self.group.add_owned()
    }
}

impl Drop for OwnedWaitToken {
    fn drop(&mut self) {
        self.group.end();
    }
}
