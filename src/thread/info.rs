//! [`ThreadInfo`]: a thread as everybody may know it, and how to wait for its end.

use super::current;
use super::error::WaitError;
use super::record::{Origin, Record};
use crate::Limit;
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::panic::Location;
use std::sync::Arc;

/// Tells one thread from all others of this program, also from those that have ended.
///
/// Never given out again, and ordered as the threads became known. Not to be mixed up with the system's
/// number ([`ThreadInfo::native_id`]), or with the one by which locks and the wait graph know a living
/// thread ([`debug::Thread`](crate::debug::Thread)): both are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "ident")]
#[doc(alias = "get_ident")]
pub struct ThreadId(pub(super) u64);

impl ThreadId {
    /// As a number, which is not 0 for a thread that is, or was, listed.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A thread: its names, whether it is alive, and a way to wait for its end.
///
/// From [`current`](super::current), [`main`](super::main), [`enumerate`](super::enumerate) or a handle. It
/// is cheap to clone, stays valid when the thread has ended, and keeps nothing of what the thread works
/// with. Two are equal if they are of the same thread.
///
/// `Display` is the name, for log lines; the alternate form (`{:#}`) adds the numbers. `Debug` tells the
/// state: `starting`, `alive` or `ended`.
///
/// # Source
///
/// Python's [`threading.Thread`](https://docs.python.org/3/library/threading.html#thread-objects), as far as
/// it does not belong to whoever started the thread: that is the [`JoinHandle`](super::JoinHandle).
///
/// ```
/// use latchwork::thread;
///
/// let worker = thread::Builder::new().name("worker").spawn(|| thread::current().id())?;
/// let info = worker.thread().clone();
/// assert_eq!(&*info.name(), "worker");
/// info.wait()?; // as often, and by as many, as you like
/// assert!(!info.is_alive());
/// assert_eq!(worker.join()?, info.id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ThreadInfo {
    pub(super) record: Arc<Record>,
}

impl ThreadInfo {
    pub(super) fn of(record: Arc<Record>) -> ThreadInfo {
        ThreadInfo { record }
    }

    /// No other thread's, now or ever.
    pub fn id(&self) -> ThreadId {
        self.record.id
    }

    /// The name it goes by; see [`set_current_name`](super::set_current_name).
    #[doc(alias = "getName")]
    pub fn name(&self) -> Arc<str> {
        self.record.name()
    }

    /// The system's number for it, as debuggers and `top` show it; the kernel may give it to another thread
    /// when this one has ended. `None` where the system has none (it is Linux that has), and during the
    /// moment in which a start has been listed and has not happened.
    #[doc(alias = "get_native_id")]
    pub fn native_id(&self) -> Option<NonZeroU32> {
        self.record.native().and_then(NonZeroU32::new)
    }

    /// Does the end of the program not wait for it? True for threads that others have started.
    pub fn is_daemon(&self) -> bool {
        self.record.is_daemon
    }

    /// Has it not ended? A thread ends when its function has returned or panicked, all that this had
    /// captured is dropped, and the destructors of its thread-locals have run.
    pub fn is_alive(&self) -> bool {
        !self.record.ended.is_done()
    }

    /// Was it started by others than this crate? Then its end cannot be waited for. The first thread is
    /// not called foreign.
    pub fn is_foreign(&self) -> bool {
        self.record.origin == Origin::Foreign
    }

    /// Is it the program's first thread?
    pub fn is_main(&self) -> bool {
        self.record.origin == Origin::Main
    }

    /// Blocks until it has ended. Many may wait, and more than once; what the thread returned is its
    /// handle's affair.
    ///
    /// # Errors
    ///
    /// [`WaitError::WouldDeadlock`] in the thread itself; [`WaitError::Foreign`] for a thread that this
    /// crate has not started.
    ///
    /// # Panics
    ///
    /// Instead of a deadlock of several threads, if [`debug::on_deadlock`](crate::debug::on_deadlock) says so.
    #[track_caller]
    #[doc(alias = "join")]
    pub fn wait(&self) -> Result<(), WaitError> {
        self.check()?;
        self.record.ended.wait();
        Ok(())
    }

    /// Has it ended? Never blocks, and answers for every thread.
    pub fn try_wait(&self) -> bool {
        self.record.ended.is_done()
    }

    /// As [`wait`](ThreadInfo::wait), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// As for `wait`, or why it gave up.
    #[track_caller]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), WaitError> {
        self.check()?;
        self.record
            .ended
            .wait_within(limit)
            .map_err(WaitError::from)
    }

    /// As [`wait`](ThreadInfo::wait), without blocking a thread.
    ///
    /// A task that is polled by the thread it waits for is not noticed: it may be polled by another one.
    #[track_caller]
    pub fn wait_async(
        &self,
    ) -> impl Future<Output = Result<(), WaitError>> + Send + Sync + use<> + 'static {
        let place = Location::caller();
        let record = Arc::clone(&self.record);
        async move {
            if record.origin != Origin::Started {
                return Err(WaitError::Foreign);
            }
            record.ended.wait_async(place).await;
            Ok(())
        }
    }

    /// Can this thread wait for that one?
    fn check(&self) -> Result<(), WaitError> {
        if self.record.origin != Origin::Started {
            Err(WaitError::Foreign)
        } else if current::is(&self.record) {
            Err(WaitError::WouldDeadlock)
        } else {
            Ok(())
        }
    }
}

impl PartialEq for ThreadInfo {
    fn eq(&self, other: &ThreadInfo) -> bool {
        self.id() == other.id()
    }
}

impl Eq for ThreadInfo {}

impl Hash for ThreadInfo {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return f.pad(&self.name());
        }
        write!(f, "{} (thread {}", self.name(), self.id())?;
        match self.native_id() {
            Some(native) => write!(f, ", native {native})"),
            None => f.write_str(")"),
        }
    }
}

impl fmt::Debug for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadInfo")
            .field("name", &self.name())
            .field("state", &format_args!("{}", self.record.state()))
            .field("is_daemon", &self.is_daemon())
            .field("id", &self.id().as_u64())
            .field("native_id", &self.native_id())
            .finish()
    }
}
