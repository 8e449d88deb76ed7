//! [`Resource`]: one that a pool has made, with what the pool knows of it.
//!
//! Keeps: it counts as alive until its value is gone, or somebody else's.

use crate::panic::report;
use crate::sync::OwnedWaitToken;
use std::time::Instant;

pub(super) struct Resource<T> {
    pub value: T,
    pub made_at: Instant,
    /// Since when it has been idle, if it is and the policy asks for it.
    pub idle_since: Instant,
    /// How often it was lent.
    pub lent: u64,
    /// The last field: `join` waits until the value is gone.
    pub _alive: OwnedWaitToken,
}

/// Drops a resource. A panic of its own drop must neither take the turn's way out nor end an unwinding thread.
pub(super) fn discard<T>(resource: Option<Resource<T>>) {
    if let Some(resource) = resource {
        report("the drop of a pool's resource", || drop(resource));
    }
}
