//! The right to what a thread returns: [`JoinHandle`], and the same within a scope.

use super::current;
use super::error::{JoinError, NotEnded, WaitError};
use super::info::ThreadInfo;
use super::packet::Outcome;
use crate::Limit;
use crate::wait::Request;
use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// A thread that was started: to wait for its end and take what it returned.
///
/// The same type as the handles of scoped threads, whose lifetime is that of their scope.
pub type JoinHandle<T> = ScopedJoinHandle<'static, T>;

/// A thread that was started, perhaps within a [`scope`](super::scope): to wait for its end and take what it
/// returned.
///
/// Dropping it lets the thread run on by itself; nothing is left of it when it has ended.
///
/// A thread ends when its function has returned, all that this had captured is dropped, and the destructors
/// of its thread-locals have run, as with std. (Outside Linux these are the destructors of what was
/// initialised by the thread's function or later; and where the process has no thread key left for it, a
/// join does not wait for them.) By then it is in no list any more.
///
/// Cost: a few small allocations beyond std's; a join of a thread that has ended is one load and one short
/// lock.
#[must_use = "the thread goes on by itself if the handle is dropped"]
pub struct ScopedJoinHandle<'scope, T> {
    packet: Arc<dyn Outcome<T> + 'scope>,
}

impl<'scope, T> ScopedJoinHandle<'scope, T> {
    pub(super) fn new(packet: Arc<dyn Outcome<T> + 'scope>) -> ScopedJoinHandle<'scope, T> {
        ScopedJoinHandle { packet }
    }

    /// Blocks until the thread has ended and returns what it returned.
    ///
    /// Threads that join each other wait for ever; that is reported as a deadlock.
    ///
    /// # Errors
    ///
    /// The thread's panic; that it has [exited](super::exit_current); or [`JoinError::WouldDeadlock`] in the
    /// thread itself.
    ///
    /// # Panics
    ///
    /// Instead of such a deadlock, if [`debug::on_deadlock`](crate::debug::on_deadlock) says so.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        if self.is_current() {
            return Err(JoinError::WouldDeadlock);
        }
        self.thread().record.ended.wait();
        self.packet.take()
    }

    /// What the thread returned, if it has ended; never blocks.
    ///
    /// # Errors
    ///
    /// The handle, when the thread is alive.
    pub fn try_join(self) -> Result<Result<T, JoinError>, Self> {
        if self.is_finished() {
            Ok(self.packet.take())
        } else {
            Err(self)
        }
    }

    /// As [`join`](ScopedJoinHandle::join), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// [`NotEnded`], with the handle and why it gave up; at once in the thread itself, by
    /// [`WaitError::WouldDeadlock`].
    #[track_caller]
    #[doc(alias = "join_timeout")]
    pub fn join_within<'l>(
        self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<T, JoinError>, NotEnded<Self>> {
        if self.is_current() {
            let why = WaitError::WouldDeadlock;
            return Err(NotEnded { handle: self, why });
        }
        match self.thread().record.ended.wait_within(limit) {
            Ok(()) => Ok(self.packet.take()),
            Err(why) => Err(NotEnded {
                handle: self,
                why: why.into(),
            }),
        }
    }

    /// As [`join`](ScopedJoinHandle::join), without blocking a thread. Dropping the future lets the thread run
    /// on by itself.
    ///
    /// A task that is polled by the thread it waits for is not noticed: it may be polled by another one.
    #[track_caller]
    pub fn join_async(self) -> impl Future<Output = Result<T, JoinError>> + use<'scope, T> {
        let place = Location::caller();
        async move {
            self.thread().record.ended.wait_async(place).await;
            self.packet.take()
        }
    }

    /// Has the thread ended?
    pub fn is_finished(&self) -> bool {
        !self.thread().is_alive()
    }

    /// Has the thread not ended?
    pub fn is_alive(&self) -> bool {
        self.thread().is_alive()
    }

    /// The thread, as everybody may know it.
    pub fn thread(&self) -> &ThreadInfo {
        self.packet.info()
    }

    /// The name it goes by.
    pub fn name(&self) -> Arc<str> {
        self.thread().name()
    }

    /// What a wait for the thread's end wants.
    pub(crate) fn end_request(&self) -> impl Request<Output = ()> {
        self.packet.info().record.ended.request()
    }

    fn is_current(&self) -> bool {
        current::is(&self.thread().record)
    }
}

// What is shared is only ever replaced as a whole.
impl<T> UnwindSafe for ScopedJoinHandle<'_, T> {}
impl<T> RefUnwindSafe for ScopedJoinHandle<'_, T> {}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(self.thread()).finish()
    }
}
