//! Work on borrowed data in the pool's workers: [`ThreadPoolExecutor::install`] and [`ThreadPoolExecutor::fork_join`].
//!
//! Whoever comes from outside waits until the task that does it has ended, whatever happens, so it may borrow. What it
//! is to do stays in the caller's frame until a worker takes it: if none does, the caller does it itself.

use super::ThreadPoolExecutor;
use super::pool::Pool;
use super::worker::{self, Worker};
use crate::executor::TaskError;
use crate::executor::task::{Call, Closure, Job, Outcome};
use crate::panic::catch_all;
use std::mem;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

impl ThreadPoolExecutor {
    /// Runs `f` in one of the pool's workers, and blocks until it has ended; in a worker of this pool it is called at once.
    ///
    /// What `f` does with [`parallel`](crate::parallel) happens in this pool. It may borrow. After
    /// [`shutdown`](crate::executor::Executor::shutdown), or if no thread can be started, it runs in the calling thread.
    ///
    /// # Panics
    ///
    /// With `f`'s panic.
    ///
    /// # Cost
    ///
    /// From outside, that of a task: an allocation, and a wake-up or two.
    ///
    /// ```
    /// use latchwork::{executor::ThreadPoolExecutor, parallel};
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let mut numbers = [1, 2, 3, 4];
    /// pool.install(|| parallel::for_each_mut(&mut numbers, |n| *n *= 10));
    /// assert_eq!(numbers, [10, 20, 30, 40]);
    /// ```
    #[track_caller]
    pub fn install<F, R>(&self, f: F) -> R
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        install(&self.pool, f, Location::caller())
    }

    /// As [`parallel::join`](crate::parallel::join), in this pool: runs both closures, `b` in another worker if one comes to it in time.
    ///
    /// From outside the pool it is a task, for which the caller waits.
    ///
    /// # Panics
    ///
    /// As [`parallel::join`](crate::parallel::join).
    ///
    /// ```
    /// let pool = latchwork::executor::ThreadPoolExecutor::new(2);
    /// let words = ["to", "be", "or", "not"];
    /// let (letters, longest) = pool.fork_join(
    ///     || words.iter().map(|word| word.len()).sum::<usize>(),
    ///     || words.iter().max_by_key(|word| word.len()),
    /// );
    /// assert_eq!((letters, longest), (9, Some(&"not")));
    /// ```
    #[track_caller]
    pub fn fork_join<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA + Send,
        B: FnOnce() -> RB + Send,
        RA: Send,
        RB: Send,
    {
        let place = Location::caller();
        install(
            &self.pool,
            move || match worker::current() {
                // SAFETY: it is this thread's, which is in the middle of a task.
                Some(worker) => unsafe { worker.as_ref() }.join(a, b, place),
                None => (a(), b()),
            },
            place,
        )
    }
}

fn install<F, R>(pool: &Arc<Pool>, f: F, place: &'static Location<'static>) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    if worker::is_of(pool.address()) {
        return f();
    }
    let mut frame = (Some(f), None);
    if pool.check().is_ok() {
        let lent = Lent(NonNull::from(&mut frame));
        let work = move || {
            // SAFETY: the caller waits for the end of this task, and touches it no more before that.
            let (f, result) = unsafe { lent.reach() };
            *result = f.take().map(|f| catch_all(f));
        };
        run_as_task(pool, work, place);
    }
    let (f, result) = frame;
    match (result, f) {
        (Some(Ok(result)), _) => result,
        (Some(Err(caught)), _) => caught.resume(),
        (None, Some(f)) => f(),
        (None, None) => unreachable!("whoever takes it says what came of it"),
    }
}

/// What is in the caller's frame. Not a reference: a task that is dropped has ended before that, so whoever drops it may still
/// have this when the frame is gone.
struct Lent<T>(NonNull<T>);

// SAFETY: whoever runs the task has what is in there for itself.
unsafe impl<T: Send> Send for Lent<T> {}

impl<T> Lent<T> {
    /// # Safety
    ///
    /// The frame stands, and nobody else touches it.
    unsafe fn reach<'f>(mut self) -> &'f mut T {
        // SAFETY: by the caller's promise.
        unsafe { self.0.as_mut() }
    }
}

/// Returns when it has run, or will not. If it will not, `f` may be dropped a moment later: it must not refer to a frame by then.
fn run_as_task<F: FnOnce() + Send>(pool: &Arc<Pool>, f: F, place: &'static Location<'static>) {
    let task = Arc::new(Call::new(Closure(f), pool.address()));
    let job: Arc<dyn Job + '_> = Arc::clone(&task) as _;
    // SAFETY: only the lifetime changes. It reaches into no frame after its end, which this function waits for.
    let job = unsafe { mem::transmute::<Arc<dyn Job + '_>, Arc<dyn Job + 'static>>(job) };
    if let Err(why) = pool.push(job) {
        let work = task.take_back();
        pool.tidy(&why);
        if work.is_some() {
            return;
        }
    }
    task.core().end().wait_in_any_case(place);
}

/// The worker of the current thread, and its fork.
#[inline]
pub(crate) fn join<A, B, RA, RB>(
    a: A,
    b: B,
    elsewhere: fn() -> &'static ThreadPoolExecutor,
    place: &'static Location<'static>,
) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    match worker::current() {
        // SAFETY: it is this thread's, which is in the middle of a task.
        Some(worker) => unsafe { worker.as_ref() }.join(a, b, place),
        None => elsewhere().fork_join(a, b),
    }
}

/// Is the current thread a worker of some pool?
pub(crate) fn is_worker() -> bool {
    worker::current().is_some()
}

/// Is this a worker without any branch that others could take?
#[inline]
pub(crate) fn keeps_nothing_for_others() -> bool {
    worker::with(Worker::keeps_nothing_for_others) == Some(true)
}

/// A pool, for work that is handed to it piece by piece.
#[derive(Clone)]
pub(crate) struct Home(Arc<Pool>);

/// A task of it.
pub(crate) struct Handed(Arc<dyn Outcome<()>>);

impl Home {
    pub(crate) fn of(executor: &ThreadPoolExecutor) -> Home {
        Home(Arc::clone(&executor.pool))
    }

    /// The current worker's.
    pub(crate) fn here() -> Option<Home> {
        worker::with(|worker| Home(Arc::clone(&worker.pool)))
    }

    pub(crate) fn is_here(&self) -> bool {
        worker::is_of(self.0.address())
    }

    /// Has this process been forked from the one with the workers?
    pub(crate) fn is_left_behind(&self) -> bool {
        self.0.is_left_behind()
    }

    /// Nothing if the pool does not take it.
    ///
    /// # Safety
    ///
    /// What `f` borrows stands until [`Handed::end`] has returned.
    pub(crate) unsafe fn hand<'f>(&self, f: Box<dyn FnOnce() + Send + 'f>) -> Option<Handed> {
        // SAFETY: only the lifetime changes, to which the caller sees.
        let f = unsafe {
            mem::transmute::<Box<dyn FnOnce() + Send + 'f>, Box<dyn FnOnce() + Send + 'static>>(f)
        };
        self.0.check().ok()?;
        let task = Arc::new(Call::new(Closure(f), self.0.address()));
        if let Err(why) = self.0.push(Arc::clone(&task) as _) {
            let work = task.take_back();
            self.0.tidy(&why);
            if work.is_some() {
                return None;
            }
        }
        Some(Handed(task))
    }
}

impl Handed {
    pub(crate) fn is_done(&self) -> bool {
        self.0.core().is_done()
    }

    /// If it has not begun it never will, and what it had captured is gone.
    pub(crate) fn cancel(&self) -> bool {
        self.0.drop_with(TaskError::Cancelled)
    }

    /// Returns when it has ended or has been cancelled.
    pub(crate) fn end(&self) {
        if !self.cancel() {
            self.0.core().end().wait_in_any_case(Location::caller());
        }
    }
}
