//! How a thread is described before it is started: [`Builder`] and [`UnstartedThread`].

use super::Context;
use super::error::{InvalidName, NotStarted, SpawnError};
use super::handle::{JoinHandle, ScopedJoinHandle};
use super::inherit::Inherited;
use super::name::default_name;
use super::packet::{self, Packet};
use super::registry::registry;
use super::scope::{Scope, Tally};
use super::stack_size::stack_size;
use std::any::type_name;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// What a thread is to be like. [`spawn`](Builder::spawn) starts it.
///
/// # Source
///
/// The arguments of Python's
/// [`threading.Thread`](https://docs.python.org/3/library/threading.html#threading.Thread); std's
/// `thread::Builder`.
///
/// ```
/// use latchwork::thread;
///
/// let numbers = vec![1, 2, 3];
/// let worker = thread::Builder::new()
///     .name("adder")
///     .daemon(true)
///     .spawn(move || numbers.iter().sum::<i32>())?;
/// assert_eq!(worker.join()?, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing by itself"]
#[doc(alias = "Thread")]
pub struct Builder {
    name: String,
    is_daemon: Option<bool>,
    has_empty_context: bool,
    stack_size: Option<usize>,
}

/// Something that is done by one thread, once: for those who would rather name a type than write a closure.
///
/// # Source
///
/// A subclass of Python's `Thread` that overrides `run`; Java's `Runnable`.
///
/// ```
/// use latchwork::thread::{self, Runnable};
///
/// struct Square(u64);
///
/// impl Runnable for Square {
///     type Output = u64;
///     fn run(self) -> u64 {
///         self.0 * self.0
///     }
/// }
///
/// let worker = thread::Builder::new().spawn_runnable(Square(7))?;
/// assert!(worker.name().ends_with("(Square)"));
/// assert_eq!(worker.join()?, 49);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Runnable {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run(self) -> Self::Output;
}

impl Builder {
    /// A thread with a name of its own making, the default stack, and its creator's daemon flag.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The name by which reports, panics and (as far as it keeps them: 15 bytes on Linux) the system know it.
    /// Names need not differ.
    ///
    /// Without one, or with the empty one, it is `Thread-N (function)`: a number, and the function it runs, or
    /// in which its closure is written.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// Whether the end of the program does not wait for it. Without a word it is as the thread that creates it:
    /// the first thread is no daemon, nor in this respect are threads that others have started.
    pub fn daemon(mut self, is_daemon: bool) -> Builder {
        self.is_daemon = Some(is_daemon);
        self
    }

    /// Whether it begins with the [`Context`](super::Context) of the thread that creates it, as it does without a word,
    /// or with an empty one.
    #[doc(alias = "thread_inherit_context")]
    pub fn inherit_context(mut self, inherits: bool) -> Builder {
        self.has_empty_context = !inherits;
        self
    }

    /// The size of its stack in bytes; 0 is the platform's own. Without a word it is what
    /// [`set_default_stack_size`](super::set_default_stack_size) says.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts a thread that runs `f`, and returns when it runs: its number is known by then. What the thread
    /// has captured is dropped, and its outcome there, before a join returns.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; then nothing has been started, and `f` is dropped. [`build`](Builder::build) keeps it.
    #[doc(alias = "start")]
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.build(f).start().map_err(|refused| refused.why)
    }

    /// As [`spawn`](Builder::spawn), for a type that says what to do.
    ///
    /// # Errors
    ///
    /// As for `spawn`.
    #[track_caller]
    pub fn spawn_runnable<R>(self, runnable: R) -> Result<JoinHandle<R::Output>, SpawnError>
    where
        R: Runnable + Send + 'static,
        R::Output: Send + 'static,
    {
        let unstarted = self.describe(type_name::<R>(), move || runnable.run());
        unstarted.start().map_err(|refused| refused.why)
    }

    /// As [`spawn`](Builder::spawn), for a thread that may borrow what outlives `scope`.
    ///
    /// # Errors
    ///
    /// As for `spawn`.
    #[track_caller]
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let unstarted = self.describe(type_name::<F>(), f);
        let tally = Arc::clone(scope.tally());
        // SAFETY: the scope's borrows live until it ends, and it ends when all its threads have.
        let started = unsafe { unstarted.launch(Some(tally), Location::caller()) };
        started.map_err(|refused| refused.why)
    }

    /// A thread that is all there but for its start.
    ///
    /// The daemon flag is inherited from the thread that calls this, not from the one that calls
    /// [`start`](UnstartedThread::start).
    ///
    /// ```
    /// use latchwork::thread;
    ///
    /// let unstarted = thread::Builder::new().name("later").build(|| 7);
    /// assert_eq!(unstarted.name(), "later");
    /// assert_eq!(unstarted.start()?.join()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build<F, T>(self, f: F) -> UnstartedThread<F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.describe(type_name::<F>(), f)
    }

    fn describe<F>(self, what: &str, f: F) -> UnstartedThread<F> {
        let mut inherited = Inherited::capture();
        if let Some(is_daemon) = self.is_daemon {
            inherited.is_daemon = is_daemon;
        }
        if self.has_empty_context {
            inherited.context = Context::new();
        }
        UnstartedThread {
            name: match self.name {
                name if name.is_empty() => default_name(what),
                name => name,
            },
            stack_size: self.stack_size,
            inherited,
            function: f,
        }
    }
}

/// A thread that has not been started. It has no number yet, and is in no list; a second start does not
/// compile.
#[must_use = "it runs when it is started"]
pub struct UnstartedThread<F> {
    name: String,
    stack_size: Option<usize>,
    inherited: Inherited,
    function: F,
}

impl<F> UnstartedThread<F> {
    /// The name it will have.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Will the end of the program not wait for it?
    pub fn is_daemon(&self) -> bool {
        self.inherited.is_daemon
    }

    /// Starts it, and returns when it runs.
    ///
    /// # Errors
    ///
    /// [`NotStarted`], with why, and this as it was, to be tried again.
    #[track_caller]
    pub fn start<T>(self) -> Result<JoinHandle<T>, NotStarted<UnstartedThread<F>>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: nothing is borrowed.
        unsafe { self.launch(None, Location::caller()) }
    }

    /// # Safety
    ///
    /// What the function borrows lives until `tally`, which is to be a scope's, has seen the thread's end.
    unsafe fn launch<'scope, T>(
        self,
        tally: Option<Arc<Tally>>,
        place: &'static Location<'static>,
    ) -> Result<ScopedJoinHandle<'scope, T>, NotStarted<UnstartedThread<F>>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        if self.name.contains('\0') {
            let why = SpawnError::InvalidName(InvalidName);
            return Err(NotStarted { thread: self, why });
        }
        let bytes = match stack_size(self.stack_size) {
            Ok(bytes) => bytes,
            Err(why) => {
                let why = SpawnError::InvalidStackSize(why);
                return Err(NotStarted { thread: self, why });
            }
        };
        let Ok(record) = registry().enter(self.inherited.is_daemon, &self.name) else {
            let why = SpawnError::ShuttingDown;
            return Err(NotStarted { thread: self, why });
        };
        if let Some(tally) = &tally {
            tally.add(&record);
        }
        let work = (self.function, self.inherited);
        // SAFETY: the caller's promise, and the tally waits for the record's end.
        let started = unsafe { packet::start(Arc::clone(&record), bytes, work, tally, place) };
        started
            .map(|packet: Arc<Packet<F, T>>| ScopedJoinHandle::new(packet))
            .map_err(|(function, inherited, why)| {
                registry().leave(&record);
                // For whoever has found it in a list meanwhile.
                record.ended.complete();
                NotStarted {
                    thread: UnstartedThread {
                        name: self.name,
                        stack_size: self.stack_size,
                        inherited,
                        function,
                    },
                    why: SpawnError::Os(why),
                }
            })
    }
}

impl<F> fmt::Debug for UnstartedThread<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnstartedThread")
            .field("name", &self.name)
            .field("is_daemon", &self.is_daemon())
            .finish_non_exhaustive()
    }
}
