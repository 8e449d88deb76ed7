//! [`Pooled`]: a resource that is lent.
//!
//! Keeps: it has a turn as long as it has a resource, and the resource goes first: it is back, or gone, before
//! somebody else's turn comes. Made by the core, for whoever gets.

use super::core::Core;
use super::resource::Resource;
use super::turn::Turn;
use crate::time::now;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::Duration;

/// A resource lent by a [`ResourcePool`](super::ResourcePool); dropping it returns it.
///
/// It may be dropped in another thread than the one that got it, and after the pool's last handle is gone, or after
/// it was closed: then the resource is dropped with it.
///
/// Its functions are called as `Pooled::detach(connection)`, so that they are not in the way of the resource's
/// own. One that is forgotten ([`std::mem::forget`]) is lent for ever.
#[must_use = "the resource is returned at once if this is not kept"]
pub struct Pooled<T> {
    /// There until the guard ends, in whichever way.
    lent: Option<(Resource<T>, Turn<T>)>,
    /// A guard that is made while its thread unwinds is not dropped by that panic.
    was_unwinding: bool,
}

impl<T> Pooled<T> {
    pub(super) fn new(resource: Resource<T>, turn: Turn<T>) -> Pooled<T> {
        Pooled {
            lent: Some((resource, turn)),
            was_unwinding: thread::panicking(),
        }
    }

    fn resource(&self) -> &Resource<T> {
        &self.lent.as_ref().expect("there until the guard ends").0
    }

    /// Takes the resource out of the pool for good: it is the caller's, and the pool may make another one in its place.
    #[doc(alias = "take")]
    pub fn detach(mut pooled: Self) -> T {
        let (resource, turn) = pooled.lent.take().expect("the guard ends here");
        turn.core().detach(resource)
    }

    /// Drops the resource instead of returning it, because it is broken; the pool may make another one in its place.
    ///
    /// A panic of its drop is printed, and goes no further.
    #[doc(alias = "invalidate")]
    pub fn discard(mut pooled: Self) {
        let (resource, turn) = pooled.lent.take().expect("the guard ends here");
        turn.core().throw_away(resource);
    }

    /// How long ago the resource was made.
    pub fn age(pooled: &Self) -> Duration {
        now().saturating_duration_since(pooled.resource().made_at)
    }

    /// How often it has been lent, this time included: 1 for a new one.
    pub fn times_lent(pooled: &Self) -> u64 {
        pooled.resource().lent
    }
}

impl<T> Drop for Pooled<T> {
    fn drop(&mut self) {
        let Some((resource, turn)) = self.lent.take() else {
            return;
        };
        let by_panic = thread::panicking() && !self.was_unwinding;
        if turn.core().take_back(resource, by_panic) {
            let core = turn.give_back();
            // After the turn is back: who waits comes first.
            Core::drop_stale(&core, 1);
        }
    }
}

impl<T> Deref for Pooled<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.resource().value
    }
}

impl<T> DerefMut for Pooled<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let lent = self.lent.as_mut();
        &mut lent.expect("there until the guard ends").0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pooled").field(&**self).finish()
    }
}
