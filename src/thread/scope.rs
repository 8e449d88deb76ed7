//! Threads that borrow: a scope ends when all that were started in it have.
//!
//! That is the invariant which makes the borrows sound, so the wait at a scope's end never unwinds: a
//! deadlock that it closes is printed, whatever else the program wants done about them.

use super::builder::Builder;
use super::handle::ScopedJoinHandle;
use super::record::Record;
use crate::platform::Mutex;
use crate::platform::atomic::{AtomicUsize, Ordering};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Where threads are started that borrow from outside; from [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    tally: Arc<Tally>,
    /// Invariant in both, so that neither can be taken for a longer or a shorter one.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

/// The threads of one scope.
pub(super) struct Tally {
    started: Mutex<Started>,
    /// How many ended in a panic that nobody has joined.
    panics: AtomicUsize,
}

struct Started {
    /// All that are alive, and perhaps some that are not.
    threads: Vec<Arc<Record>>,
    /// At this length those that are not alive are sorted out.
    sort_at: usize,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            started: Mutex::new(Started {
                threads: Vec::new(),
                sort_at: 16,
            }),
            panics: AtomicUsize::new(0),
        }
    }

    /// A thread is about to be started.
    pub(super) fn add(&self, record: &Arc<Record>) {
        let mut started = self.started.lock();
        if started.threads.len() >= started.sort_at {
            started.threads.retain(|record| !record.ended.is_done());
            started.sort_at = 16.max(started.threads.len() * 2);
        }
        started.threads.push(Arc::clone(record));
    }

    /// Before the thread's end.
    pub(super) fn add_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// After the thread's end.
    pub(super) fn remove_panic(&self) {
        self.panics.fetch_sub(1, Ordering::Relaxed);
    }

    /// Blocks until all have ended. Whoever starts another one is one of them, so when none is left none
    /// will come.
    fn wait(&self, place: &'static Location<'static>) {
        loop {
            let Some(next) = self.started.lock().threads.pop() else {
                return;
            };
            next.ended.wait_in_any_case(place);
        }
    }
}

/// Runs `f`, which may start threads that borrow what is around this call; returns what `f` returns, when
/// all of them have ended.
///
/// It waits for them too when `f` panics. Each of these waits is an edge in the wait graph. Unlike std's, a
/// scope ends when the destructors of its threads' locals have run too.
///
/// # Panics
///
/// With the panic of `f`; else, if a thread has panicked that nobody has joined.
///
/// # Source
///
/// std's `thread::scope`; a `with ThreadPoolExecutor()` in Python comes nearest.
///
/// ```
/// use latchwork::thread;
///
/// let words = ["a", "scope", "borrows"];
/// let mut longest = 0;
/// let count = thread::scope(|s| {
///     let counting = s.spawn(|| words.len());
///     s.spawn(|| longest = words.iter().map(|word| word.len()).max().unwrap_or(0));
///     counting.join().unwrap()
/// });
/// assert_eq!((count, longest), (3, 7));
/// ```
#[track_caller]
pub fn scope<'env, F, R>(f: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let place = Location::caller();
    let scope = Scope {
        tally: Arc::new(Tally::new()),
        _scope: PhantomData,
        _env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.tally.wait(place);
    match result {
        Err(payload) => resume_unwind(payload),
        // Acquired with each thread's end.
        Ok(_) if scope.tally.panics.load(Ordering::Relaxed) > 0 => {
            panic!("a scoped thread panicked");
        }
        Ok(result) => result,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that runs `f`, as [`spawn`](super::spawn) does. [`Builder::spawn_scoped`] has more to
    /// say about it.
    ///
    /// # Panics
    ///
    /// If the thread cannot be started.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        match Builder::new().spawn_scoped(self, f) {
            Ok(handle) => handle,
            Err(why) => panic!("{why}"),
        }
    }

    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.tally.started.lock();
        let alive = |record: &&Arc<Record>| !record.ended.is_done();
        f.debug_struct("Scope")
            .field("alive", &started.threads.iter().filter(alive).count())
            .finish()
    }
}
