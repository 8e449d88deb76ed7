//! Threads whose end can be waited for like anything else: with a limit, or without blocking.
//!
//! A thread's end is a `Completion`; what it returned lies beside it. Joining is an edge in the wait
//! graph: see [`debug::on_deadlock`](crate::debug::on_deadlock).

use crate::panic::{Panicked, catch};
use crate::platform::{Mutex, spawn_thread, thread_id};
use crate::sync::completion::{Completion, Ending, worker_at};
use crate::wait::time::Clock;
use crate::wait::{Kind, Request};
use crate::{GaveUp, Limit};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

struct ThreadEnding;

impl Ending for ThreadEnding {
    const KIND: &'static Kind = &Kind {
        name: "Thread",
        owner: Some(worker_at),
    };
}

struct Shared<T> {
    name: String,
    outcome: Mutex<Option<Result<T, Panicked>>>,
    ended: Completion<ThreadEnding>,
}

/// Starts a thread that runs `f`, named after nothing in particular.
///
/// # Panics
///
/// If the system gives no thread. [`spawn_named`] says so with an error instead.
///
/// # Source
///
/// Python's [`threading.Thread`](https://docs.python.org/3/library/threading.html#thread-objects);
/// std's `thread::spawn` with a join that can give up.
///
/// ```
/// use latchwork::thread;
/// use std::time::Duration;
///
/// let (release, wait) = std::sync::mpsc::channel::<()>();
/// let worker = thread::spawn(move || wait.recv().is_err());
/// let worker = worker.join_within(Duration::from_millis(1)).unwrap_err().handle;
/// drop(release);
/// assert_eq!(worker.join().unwrap(), true);
/// ```
#[doc(alias = "Thread")]
#[doc(alias = "start")]
#[track_caller]
pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn_named("", f).expect("the system gives no thread")
}

/// Starts a thread with a name that runs `f`.
///
/// The name appears in panics, in deadlock reports, and (its first 15 bytes) in the system's tools.
///
/// # Errors
///
/// Why the system gives no thread, or `InvalidInput` if there is a zero byte in the name. Nothing has
/// been started then.
pub fn spawn_named<T: Send + 'static>(
    name: impl Into<String>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let name = name.into();
    if name.contains('\0') {
        let problem = "a zero byte in a thread's name";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let shared = Arc::new(Shared {
        name: name.clone(),
        outcome: Mutex::new(None),
        ended: Completion::new(),
    });
    let its = Arc::clone(&shared);
    let clock = Clock::current();
    spawn_thread(name, move || {
        let _on_it = clock.enter();
        its.ended.is_up_to(thread_id());
        // The function, with all it captured, is gone before the outcome is there.
        let outcome = catch(f);
        *its.outcome.lock() = Some(outcome);
        its.ended.complete();
    })?;
    Ok(JoinHandle { shared })
}

/// A thread that was started: to wait for its end and take what it returned.
///
/// Dropping it lets the thread run on by itself. A thread ends, for those who join, when its function
/// has returned and all that was captured is dropped; its thread-locals may be dropped a moment later.
///
/// Cost: one allocation beyond std's; a join of a thread that has ended is one load and one short lock.
#[must_use = "the thread goes on by itself if the handle is dropped"]
pub struct JoinHandle<T> {
    shared: Arc<Shared<T>>,
}

impl<T> JoinHandle<T> {
    /// Blocks until the thread has ended and returns what it returned.
    ///
    /// A thread that joins itself, or threads that join each other, wait for ever; that is reported as a
    /// deadlock.
    ///
    /// # Errors
    ///
    /// The thread's panic.
    ///
    /// # Panics
    ///
    /// Instead of such a deadlock, if [`debug::on_deadlock`](crate::debug::on_deadlock) says so.
    #[track_caller]
    pub fn join(self) -> Result<T, Panicked> {
        self.shared.ended.wait();
        self.take()
    }

    /// What the thread returned, if it has ended; never blocks.
    ///
    /// # Errors
    ///
    /// The handle, when the thread is alive.
    pub fn try_join(self) -> Result<Result<T, Panicked>, JoinHandle<T>> {
        if self.is_finished() {
            Ok(self.take())
        } else {
            Err(self)
        }
    }

    /// As [`join`](JoinHandle::join), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// [`NotEnded`], with the handle and why it gave up.
    #[track_caller]
    #[doc(alias = "join_timeout")]
    pub fn join_within<'l>(
        self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Result<T, Panicked>, NotEnded<T>> {
        match self.shared.ended.wait_within(limit) {
            Ok(()) => Ok(self.take()),
            Err(why) => Err(NotEnded { handle: self, why }),
        }
    }

    /// As [`join`](JoinHandle::join), without blocking a thread. Dropping the future lets the thread run
    /// on by itself.
    #[track_caller]
    pub fn join_async(self) -> impl Future<Output = Result<T, Panicked>> {
        let place = std::panic::Location::caller();
        async move {
            self.shared.ended.wait_async(place).await;
            self.take()
        }
    }

    /// Has the thread ended?
    pub fn is_finished(&self) -> bool {
        self.shared.ended.is_done()
    }

    /// The name it was started with; empty if it was started without.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What a wait for the thread's end wants.
    pub(crate) fn end_request(&self) -> impl Request<Output = ()> {
        self.shared.ended.request()
    }

    /// Takes what is there. The thread has ended, and the handle goes with it.
    fn take(self) -> Result<T, Panicked> {
        let outcome = self.shared.outcome.lock().take();
        outcome.expect("an ended thread leaves an outcome, and one handle takes it")
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("name", &self.name())
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

/// The thread had not ended when the call gave up. The handle is in here.
#[non_exhaustive]
pub struct NotEnded<T> {
    /// To wait again.
    pub handle: JoinHandle<T>,
    /// Why the call gave up.
    pub why: GaveUp,
}

impl<T> fmt::Debug for NotEnded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotEnded")
            .field("handle", &self.handle)
            .field("why", &self.why)
            .finish()
    }
}

impl<T> fmt::Display for NotEnded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<T> Error for NotEnded<T> {}
