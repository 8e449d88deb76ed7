//! [`Policy`]: what a pool does besides lending, as the builder was told.

use super::builder::{AfterPanic, Reuse};
use super::resource::Resource;
use super::stats::Why;
use crate::time::now;
use std::fmt;
use std::time::{Duration, Instant};

/// False: drop it.
pub(super) type Judge<T> = Box<dyn Fn(&mut T) -> bool + Send + Sync>;

/// What a pool does besides lending.
pub(super) struct Policy<T> {
    pub check: Option<Judge<T>>,
    pub reset: Option<Judge<T>>,
    pub max_age: Option<Duration>,
    pub max_idle: Option<Duration>,
    pub min_idle: usize,
    pub reuse: Reuse,
    pub after_panic: AfterPanic,
}

impl<T> Default for Policy<T> {
    fn default() -> Policy<T> {
        Policy {
            check: None,
            reset: None,
            max_age: None,
            max_idle: None,
            min_idle: 0,
            reuse: Reuse::default(),
            after_panic: AfterPanic::default(),
        }
    }
}

impl<T> Policy<T> {
    /// What time it is, if that matters for idle ones.
    pub(super) fn clock(&self) -> Option<Instant> {
        (self.max_age.is_some() || self.max_idle.is_some()).then(now)
    }

    pub(super) fn is_stale(&self, resource: &Resource<T>, now: Option<Instant>) -> Option<Why> {
        let exceeds = |since, most: Option<Duration>| {
            let passed = now?.saturating_duration_since(since);
            (passed > most?).then_some(())
        };
        let too_old = exceeds(resource.made_at, self.max_age).map(|()| Why::TooOld);
        too_old.or_else(|| exceeds(resource.idle_since, self.max_idle).map(|()| Why::IdleTooLong))
    }
}

impl<T> fmt::Debug for Policy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("checks", &self.check.is_some())
            .field("resets", &self.reset.is_some())
            .field("max_age", &self.max_age)
            .field("max_idle", &self.max_idle)
            .field("min_idle", &self.min_idle)
            .field("reuse", &self.reuse)
            .field("after_panic", &self.after_panic)
            .finish()
    }
}
