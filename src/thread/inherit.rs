//! What a new thread takes over from the one that starts it.
//!
//! [`capture`](Inherited::capture) runs in the starter when the thread is described,
//! [`install`](Inherited::install) in the new thread before anything of the user's. Whatever else is to be
//! handed down becomes a field here.

use super::Context;
use super::current;
use super::record::Origin;
use crate::wait::time::{Clock, Entered};

/// See the head of this file.
pub(super) struct Inherited {
    /// Used unless the builder says otherwise.
    pub(super) is_daemon: bool,
    /// Likewise.
    pub(super) context: Context,
    clock: Clock,
}

impl Inherited {
    /// Of the current thread, which need not be known.
    pub(super) fn capture() -> Inherited {
        // That the program's end does not wait for a thread of others is nothing that it has asked for.
        let is_daemon = current::record()
            .is_some_and(|record| record.origin == Origin::Started && record.is_daemon);
        Inherited {
            is_daemon,
            context: Context::current(),
            clock: Clock::current(),
        }
    }

    /// For the current thread, which is new.
    ///
    /// The thread is on the clock until the result is dropped.
    #[must_use = "the thread is on its starter's clock until this is dropped"]
    pub(super) fn install(self) -> Option<Entered> {
        // It has no context of its own yet.
        drop(self.context.install());
        self.clock.enter()
    }
}
