//! [`Turn`]: the right to have a resource, and the ways to come by it.
//!
//! Keeps: a permit of the pool's semaphore is out for each turn, and comes back with it. Whoever waits for one is
//! counted meanwhile.

use super::core::Core;
use crate::sync::{AcquireError, OwnedPermit, TryAcquireError};
use crate::time::now;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The right to have, make or drop one resource. Returned when dropped.
pub(super) struct Turn<T> {
    core: Arc<Core<T>>,
}

impl<T> Turn<T> {
    pub(super) fn core(&self) -> &Core<T> {
        &self.core
    }

    /// Returns it, and lets go on with the core.
    pub(super) fn give_back(self) -> Arc<Core<T>> {
        Arc::clone(&self.core)
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let returned = self.core.turns.release(1);
        debug_assert!(returned.is_ok(), "a turn that was never taken");
    }
}

impl<T> Core<T> {
    /// A turn at once, or none.
    pub(super) fn try_turn(self: &Arc<Self>) -> Result<Turn<T>, TryAcquireError> {
        let permit = self.turns.try_acquire()?;
        permit.forget();
        Ok(Turn {
            core: Arc::clone(self),
        })
    }

    /// What becomes a turn when it is waited for.
    #[track_caller]
    pub(super) fn turn_async(
        &self,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> + use<T> {
        self.turns.acquire_owned_async()
    }

    /// Counts a caller as waiting from now on.
    pub(super) fn queue(self: &Arc<Self>) -> Queued<T> {
        self.state.lock().waiting += 1;
        Queued {
            core: Arc::clone(self),
            since: now(),
            came_to: Err(AcquireError::Cancelled),
        }
    }
}

/// Somebody who waits for a turn; what it came to is counted when this is dropped, also with a future.
pub(super) struct Queued<T> {
    core: Arc<Core<T>>,
    since: Instant,
    came_to: Result<(), AcquireError>,
}

impl<T> Queued<T> {
    /// The wait is over, and a permit that came of it has been forgotten: it is the turn now.
    pub(super) fn ended(
        mut self,
        came_to: Result<(), AcquireError>,
    ) -> Result<(Turn<T>, Option<Duration>), AcquireError> {
        self.came_to = came_to;
        came_to?;
        let turn = Turn {
            core: Arc::clone(&self.core),
        };
        let waited = now().saturating_duration_since(self.since);
        Ok((turn, Some(waited)))
    }
}

impl<T> Drop for Queued<T> {
    fn drop(&mut self) {
        let mut state = self.core.state.lock();
        state.waiting -= 1;
        match self.came_to {
            Err(AcquireError::TimedOut) => state.tally.timed_out += 1,
            Err(AcquireError::Cancelled) => state.tally.cancelled += 1,
            _ => {}
        }
    }
}
