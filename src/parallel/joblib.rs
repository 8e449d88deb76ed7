//! [`parallel`]: joblib's `Parallel`, for who knows it: an input of any length, a function, some jobs at a time.

use super::settings::{Batch, Jobs, ParallelError, Progress};
use super::stream::{Stream, Window};
use crate::executor::global;
use crate::executor::{Home, ThreadPoolExecutor};
use crate::wait::{Limit, OwnedLimit};
use std::time::Duration;

/// Works on the items of `items`, some at a time: [`Parallel::map`] says what is done, and what follows it where results go.
///
/// The input is taken bit by bit, in the calling thread: it may be endless, and need not be `Send`.
///
/// # Source
///
/// [`joblib.Parallel`](https://joblib.readthedocs.io/en/stable/generated/joblib.Parallel.html). Its backends: threads are what this uses;
/// `Jobs::N(1)` is the sequential one; for processes there is
/// [`Executor::map`](crate::executor::Executor::map), whose functions can be named in another one.
///
/// ```
/// use latchwork::parallel::{Jobs, parallel};
///
/// let arrays: Vec<Vec<f64>> = (0..100).map(|n| vec![f64::from(n); 1000]).collect();
/// let sums = parallel(&arrays)
///     .jobs(Jobs::N(4))
///     .map(|array| array.iter().map(|x| x * x).sum::<f64>())
///     .collect()?;
/// assert_eq!(sums[3], 9000.0);
/// # Ok::<(), latchwork::parallel::ParallelError>(())
/// ```
#[doc(alias = "Parallel")]
#[doc(alias = "delayed")]
pub fn parallel<'p, I: IntoIterator>(items: I) -> Parallel<'p, I::IntoIter> {
    Parallel {
        items: items.into_iter(),
        settings: Settings {
            jobs: Jobs::All,
            batch: Batch::AUTO,
            buffer: None,
            limit: OwnedLimit::new(Limit::none()),
            item_limit: None,
            fails_fast: true,
            home: None,
            progress: None,
        },
    }
}

pub(super) struct Settings<'p> {
    pub(super) jobs: Jobs,
    pub(super) batch: Batch,
    pub(super) buffer: Option<usize>,
    pub(super) limit: OwnedLimit,
    pub(super) item_limit: Option<Duration>,
    pub(super) fails_fast: bool,
    home: Option<Home>,
    pub(super) progress: Option<Box<dyn FnMut(Progress) + 'p>>,
}

impl Settings<'_> {
    pub(super) fn home(&self) -> Home {
        let home = self.home.clone().or_else(Home::here);
        home.unwrap_or_else(|| Home::of(global()))
    }
}

/// An input, and how it is to be worked on. From [`parallel`].
#[must_use = "nothing is done before there is a function, and somebody takes the results"]
pub struct Parallel<'p, I> {
    items: I,
    settings: Settings<'p>,
}

impl<'p, I: Iterator> Parallel<'p, I> {
    /// How many at a time. By default as many as there are processors; never more than the pool has workers.
    ///
    /// # Panics
    ///
    /// For `Jobs::N(0)`.
    #[doc(alias = "n_jobs")]
    pub fn jobs(mut self, jobs: Jobs) -> Self {
        jobs.resolve();
        self.settings.jobs = jobs;
        self
    }

    /// How many items are done in one go. By default [`Batch::AUTO`].
    #[doc(alias = "batch_size")]
    pub fn batch(mut self, batch: Batch) -> Self {
        self.settings.batch = batch;
        self
    }

    /// So many items at most have been taken from the input and not been given back as a result. By default twice as many batches as
    /// there are jobs. 0 is 1.
    #[doc(alias = "pre_dispatch")]
    pub fn buffer(mut self, items: usize) -> Self {
        self.settings.buffer = Some(items.max(1));
        self
    }

    /// One limit for all of it, from now on. Nothing is begun after it; what runs cannot be stopped and is waited for where it may
    /// have borrowed ([`ParallelMap::collect`]).
    pub fn within<'l>(mut self, limit: impl Into<Limit<'l>>) -> Self {
        self.settings.limit = OwnedLimit::new(limit.into());
        self
    }

    /// So long may one item take. The first that takes longer ends everything, as [`ParallelError::TooLong`]; it cannot be stopped
    /// itself. With this, batches are of one item. What the calling thread does itself, as with `Jobs::N(1)`, is not watched.
    #[doc(alias = "timeout")]
    pub fn item_limit(mut self, time: Duration) -> Self {
        self.settings.item_limit = Some(time);
        self
    }

    /// Whether the first panic ends everything, as it does by default. Else every other item is still done.
    pub fn fail_fast(mut self, fails_fast: bool) -> Self {
        self.settings.fails_fast = fails_fast;
        self
    }

    /// Uses this pool. By default that of the current worker, or else the process's own.
    pub fn on(mut self, pool: &ThreadPoolExecutor) -> Self {
        self.settings.home = Some(Home::of(pool));
        self
    }

    /// Calls `f` whenever some items have been done and the caller waits for results, in the calling thread.
    #[doc(alias = "verbose")]
    #[doc(alias = "tqdm")]
    pub fn progress(mut self, f: impl FnMut(Progress) + 'p) -> Self {
        self.settings.progress = Some(Box::new(f));
        self
    }

    /// What is to be done with each item. Nothing is done yet.
    pub fn map<R, F: Fn(I::Item) -> R>(self, f: F) -> ParallelMap<'p, I, F> {
        ParallelMap {
            items: self.items,
            settings: self.settings,
            f,
        }
    }
}

/// An input and a function. From [`Parallel::map`].
#[must_use = "nothing is done before somebody takes the results"]
pub struct ParallelMap<'p, I, F> {
    items: I,
    settings: Settings<'p>,
    f: F,
}

impl<'p, I, F, R> ParallelMap<'p, I, F>
where
    I: Iterator,
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
    R: Send,
{
    /// All results, in the order of the items. The function, items and results may borrow: when this returns, nothing of
    /// them is in use. The calling thread takes part as one of the jobs, unless there is a limit.
    ///
    /// # Errors
    ///
    /// The first error that came to pass, or, without [`fail_fast`](Parallel::fail_fast), that of the first item that has one.
    ///
    /// # Panics
    ///
    /// In a child of a fork, if there are items that others were working on: they did not come along.
    pub fn collect(self) -> Result<Vec<R>, ParallelError> {
        let fails_fast = self.settings.fails_fast;
        let mut first = None;
        let results = self.all(|error| {
            if fails_fast && first.is_none() {
                first = Some(error.clone());
            }
        });
        match first {
            Some(error) => Err(error),
            None => results.into_iter().collect(),
        }
    }

    /// As [`collect`](ParallelMap::collect), with a success or an error for each item that was done. A panic ends nothing; a limit does, with
    /// its error as the last item.
    pub fn results(mut self) -> Vec<Result<R, ParallelError>> {
        self.settings.fails_fast = false;
        self.all(|_| ())
    }

    fn all(self, mut see: impl FnMut(&ParallelError)) -> Vec<Result<R, ParallelError>> {
        // SAFETY: it is dropped below, also by a panic, and waits for what runs.
        let mut window = unsafe { Window::new(self.items, self.f, self.settings, true) };
        let mut places: Vec<Option<Result<R, ParallelError>>> = Vec::new();
        let mut last = None;
        while let Some(next) = window.next_done() {
            match next {
                Ok((index, result)) => {
                    if let Err(error) = &result {
                        see(error);
                    }
                    if places.len() <= index {
                        places.resize_with(index + 1, || None);
                    }
                    places[index] = Some(result);
                }
                Err(error) => {
                    see(&error);
                    last = Some(Err(error));
                }
            }
        }
        drop(window);
        places.into_iter().flatten().chain(last).collect()
    }
}

impl<'p, I, F, R> ParallelMap<'p, I, F>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    /// Results as they are done, in no order; an error says which item it was.
    ///
    /// Dropping the iterator begins nothing more, and does not wait.
    #[doc(alias = "generator_unordered")]
    pub fn unordered(self) -> Stream<'p, I, R, F> {
        self.stream(false)
    }

    fn stream(self, is_ordered: bool) -> Stream<'p, I, R, F> {
        // SAFETY: nothing of it is borrowed.
        let window = unsafe { Window::new(self.items, self.f, self.settings, false) };
        Stream::new(window, is_ordered)
    }
}

/// Results in the order of the items, as soon as they are there. An error ends the iteration with
/// [`fail_fast`](Parallel::fail_fast). Dropping the iterator begins nothing more, and does not wait.
impl<'p, I, F, R> IntoIterator for ParallelMap<'p, I, F>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    type Item = Result<R, ParallelError>;
    type IntoIter = Stream<'p, I, R, F>;

    fn into_iter(self) -> Stream<'p, I, R, F> {
        self.stream(true)
    }
}
