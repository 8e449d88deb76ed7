//! `parallel(..)` and items that are dropped without having been done: slowly, or with a panic.

mod common;

use common::watchdog;
use latchwork::executor::ThreadPoolExecutor;
use latchwork::parallel::{Batch, Jobs, ParallelError, parallel};
use latchwork::sync::Event;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// An item with something to do as it is dropped.
struct Item<'i>(usize, &'i (dyn Fn(usize) + Sync));

impl Drop for Item<'_> {
    fn drop(&mut self) {
        (self.1)(self.0);
    }
}

/// What others have done arrives before the panic that has ended it: that panic is still the result, and not a list
/// with a gap.
#[test]
fn a_panic_that_is_overtaken_is_the_result() {
    watchdog(LIMIT, "a_panic_that_is_overtaken_is_the_result", || {
        let pool = ThreadPoolExecutor::new(2);
        let (has_begun, is_dropped) = (Event::new(), Event::new());
        let drops = |n| {
            // The rest of the batch with the panic, which is told of only after this.
            if n == 1 {
                is_dropped.set();
                thread::sleep(Duration::from_millis(200));
            }
        };
        let items = (0..4).map(|n| Item(n, &drops));
        let results = parallel(items)
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(2))
            .buffer(4)
            // So the caller only waits.
            .within(Duration::from_secs(50))
            .map(|item| match item.0 {
                0 => {
                    has_begun.wait();
                    panic!("the first");
                }
                n => {
                    has_begun.set();
                    is_dropped.wait();
                    n
                }
            })
            .collect();
        match results {
            Err(ParallelError::Panicked { index: 0, .. }) => {}
            other => panic!("{other:?}"),
        }
    });
}

/// The panic of an item that is dropped does not let the borrowed out of the caller's sight while it is in use.
#[test]
fn it_waits_for_what_runs_though_a_drop_panics() {
    watchdog(LIMIT, "it_waits_for_what_runs_though_a_drop_panics", || {
        let pool = ThreadPoolExecutor::new(2);
        let is_at_work = AtomicBool::new(false);
        let has_begun = Event::new();
        // Of those that wait, which nobody has begun.
        let drops = |n| assert!(n != 9, "a bad drop");
        let items = (0..10).map(|n| Item(n, &drops));
        let job = parallel(items)
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(1))
            .buffer(10)
            .within(Duration::from_secs(50))
            .map(|item| match item.0 {
                0 => {
                    has_begun.wait();
                    panic!("the first");
                }
                _ => {
                    is_at_work.store(true, Ordering::SeqCst);
                    has_begun.set();
                    thread::sleep(Duration::from_millis(200));
                    is_at_work.store(false, Ordering::SeqCst);
                }
            });
        let _ = catch_unwind(AssertUnwindSafe(|| job.collect()));
        assert!(!is_at_work.load(Ordering::SeqCst));
    });
}

/// Nor is the panic before it lost by that.
#[test]
fn a_batch_ends_though_a_drop_panics() {
    watchdog(LIMIT, "a_batch_ends_though_a_drop_panics", || {
        let pool = ThreadPoolExecutor::new(2);
        let drops = |n| assert!(n != 1, "a bad drop");
        let results = parallel((0..2).map(|n| Item(n, &drops)))
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(2))
            .within(Duration::from_secs(10))
            .map(|item| assert!(item.0 != 0, "the first"))
            .collect();
        assert!(
            matches!(results, Err(ParallelError::Panicked { index: 0, .. })),
            "{results:?}"
        );
    });
}
