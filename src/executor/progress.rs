//! Progress on a bar of indicatif: it moves when a task ends, not when its result is fetched or its argument handed in.
//!
//! Each task has a hook that moves the bar. A bar outlives its tasks and waits for nobody, so a hook may be called
//! at any time and in any thread.

use super::task::Watch;
use super::waitable::Waitable;
use super::{AsCompleted, Map, MapUnordered, TaskError};
use crate::panic::report;
use indicatif::ProgressBar;
use std::sync::Arc;

fn advance(bar: &ProgressBar, items: usize) {
    report("a progress bar", || bar.inc(items as u64));
}

/// A bar that is told of ends.
struct Told(ProgressBar);

impl Watch for Told {
    fn ended(self: Arc<Self>, _number: usize, _error: Option<&TaskError>) {
        advance(&self.0, 1);
    }
}

impl<R> Map<R> {
    /// Moves `bar` by one for each item whose task ends, whether or not its result has been asked for; makes it as
    /// long as there are items. Items whose tasks have ended count at once; those of a chunk, together.
    ///
    /// Needs the feature `progress`.
    ///
    /// # Source
    ///
    /// `tqdm(executor.map(..))` in Python, which shows how many results were fetched in order.
    ///
    /// ```
    /// use indicatif::ProgressBar;
    /// use latchwork::executor::{Executor, ThreadPoolExecutor};
    ///
    /// let bar = ProgressBar::hidden();
    /// let pool = ThreadPoolExecutor::new(2);
    /// assert_eq!(pool.map(|n| 2 * n, 0..10).unwrap().progress(&bar).count(), 10);
    /// drop(pool);
    /// assert_eq!((bar.position(), bar.length()), (10, Some(10)));
    /// ```
    #[doc(alias = "tqdm")]
    pub fn progress(self, bar: &ProgressBar) -> Map<R> {
        bar.set_length(self.left() as u64);
        let bar = bar.clone();
        self.on_each_end(move |items| advance(&bar, items));
        self
    }
}

impl<R> MapUnordered<R> {
    /// As [`Map::progress`].
    #[doc(alias = "tqdm")]
    pub fn progress(mut self, bar: &ProgressBar) -> MapUnordered<R> {
        self.futures_mut().show_on(bar);
        self
    }
}

impl<F: Waitable> AsCompleted<F> {
    /// Moves `bar` by one for each future whose task ends; makes it as long as there are futures that have not been given
    /// back. Those that are pushed later do not count.
    ///
    /// Needs the feature `progress`.
    #[doc(alias = "tqdm")]
    pub fn progress(mut self, bar: &ProgressBar) -> AsCompleted<F> {
        self.show_on(bar);
        self
    }

    fn show_on(&mut self, bar: &ProgressBar) {
        bar.set_length(self.unfinished() as u64);
        let told = Arc::new(Told(bar.clone()));
        for future in self.futures() {
            if !future.watch(Arc::clone(&told) as _, 0) {
                advance(bar, 1);
            }
        }
    }
}
