//! [`Stats`]: what a pool has, and what has happened to it.

use super::WaitTimes;

/// A pool at one moment, and what has happened to it since it was made. From
/// [`ResourcePool::stats`](super::ResourcePool::stats).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// So many may be alive.
    pub capacity: usize,
    /// So many are lent right now.
    pub in_use: usize,
    /// So many can be lent without making one.
    pub idle: usize,
    /// So many callers wait for their turn.
    pub waiting: usize,
    /// So many were made.
    pub created: u64,
    /// So often one that had been lent before, or was made in advance, was lent.
    pub recycled: u64,
    /// So often making one failed.
    pub failed_to_make: u64,
    /// So many were dropped, and why.
    pub retired: Retired,
    /// So many were taken [out for good](super::Pooled::detach).
    pub detached: u64,
    /// So many calls gave up because their deadline passed.
    pub timed_out: u64,
    /// So many calls were cancelled, or their futures dropped.
    pub cancelled: u64,
    /// How long those had to wait who were served.
    pub waits: WaitTimes,
}

/// How many resources a pool has dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retired {
    /// Older than [`max_age`](super::Builder::max_age).
    pub too_old: u64,
    /// Idle for longer than [`max_idle`](super::Builder::max_idle).
    pub idle_too_long: u64,
    /// Refused by [`check`](super::Builder::check), which may have panicked.
    pub failed_check: u64,
    /// Refused by [`reset`](super::Builder::reset), which may have panicked.
    pub failed_reset: u64,
    /// Thrown away by [`Pooled::discard`](super::Pooled::discard).
    pub discarded: u64,
    /// Dropped as its user panicked, under [`AfterPanic::Discard`](super::AfterPanic::Discard).
    pub after_panic: u64,
    /// Idle when the pool was closed, or returned after that.
    pub closed: u64,
}

impl Retired {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Retired {
            too_old,
            idle_too_long,
            failed_check,
            failed_reset,
            discarded,
            after_panic,
            closed,
        } = self;
        too_old + idle_too_long + failed_check + failed_reset + discarded + after_panic + closed
    }
}

/// Why one is dropped.
#[derive(Clone, Copy)]
pub(super) enum Why {
    TooOld,
    IdleTooLong,
    FailedCheck,
    FailedReset,
    Discarded,
    AfterPanic,
    Closed,
}

/// What is counted, kept under the pool's lock.
pub(super) struct Tally {
    pub created: u64,
    pub recycled: u64,
    pub failed_to_make: u64,
    pub retired: Retired,
    pub detached: u64,
    pub timed_out: u64,
    pub cancelled: u64,
    pub waits: WaitTimes,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            created: 0,
            recycled: 0,
            failed_to_make: 0,
            retired: Retired::default(),
            detached: 0,
            timed_out: 0,
            cancelled: 0,
            waits: WaitTimes::new(),
        }
    }

    pub(super) fn retire(&mut self, why: Why, how_many: usize) {
        let retired = &mut self.retired;
        let count = match why {
            Why::TooOld => &mut retired.too_old,
            Why::IdleTooLong => &mut retired.idle_too_long,
            Why::FailedCheck => &mut retired.failed_check,
            Why::FailedReset => &mut retired.failed_reset,
            Why::Discarded => &mut retired.discarded,
            Why::AfterPanic => &mut retired.after_panic,
            Why::Closed => &mut retired.closed,
        };
        *count += how_many as u64;
    }
}
