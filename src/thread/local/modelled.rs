//! What stands in for `thread_local::ThreadLocal` in a model, where threads are no threads of the system.
//!
//! All share one place, which is the worst that the real one does: there it happens to a thread that
//! begins while the former owner of its place runs its last destructors.

use crate::sync::Once;

pub(in super::super) struct ThreadLocal<P> {
    place: Once<P>,
}

impl<P> ThreadLocal<P> {
    pub(super) fn new() -> ThreadLocal<P> {
        ThreadLocal { place: Once::new() }
    }

    pub(super) fn get_or(&self, make: impl FnOnce() -> P) -> &P {
        self.place.get_or_init(make)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &P> {
        self.place.get().into_iter()
    }
}
