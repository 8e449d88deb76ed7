//! Bars that move when tasks end: row J7.

mod common;

use common::watchdog;
use indicatif::ProgressBar;
use latchwork::Limit;
use latchwork::executor::{Executor, ThreadPoolExecutor, as_completed};
use latchwork::sync::Event;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// J7: what has ended counts, though its result has not been asked for; what runs does not.
#[test]
fn a_bar_counts_ends_not_results_and_not_submissions() {
    watchdog(LIMIT, "a_bar_counts_ends", || {
        static GATES: [Event; 3] = [const { Event::new() }; 3];
        let pool = ThreadPoolExecutor::new(3);
        let bar = ProgressBar::hidden();
        let map = pool.map(|n: usize| GATES[n].wait(), 0..3).unwrap();
        let map = map.progress(&bar);
        assert_eq!((bar.position(), bar.length()), (0, Some(3)));
        // The last one ends first; in order, there is nothing to fetch yet.
        GATES[2].set();
        while bar.position() < 1 {
            std::thread::yield_now();
        }
        GATES[0].set();
        GATES[1].set();
        assert_eq!(map.count(), 3);
        drop(pool);
        assert_eq!(bar.position(), 3);
    });
}

/// J7, for iterators in the order of the ends, with tasks that had ended before, failed, or were cancelled.
#[test]
fn a_bar_counts_whatever_way_a_task_ends() {
    watchdog(LIMIT, "a_bar_counts_whatever", || {
        let pool = ThreadPoolExecutor::new(1);
        let done = pool.spawn(|| 1).unwrap();
        done.wait();
        let failed = pool.spawn(|| -> u8 { panic!("on purpose") }).unwrap();
        failed.wait();
        let (gate, bar) = (Arc::new(Event::new()), ProgressBar::hidden());
        let its = Arc::clone(&gate);
        let busy = pool
            .spawn(move || {
                its.wait();
                2
            })
            .unwrap();
        let cancelled = pool.spawn(|| 3).unwrap();
        let mut completed =
            as_completed([&done, &failed, &busy, &cancelled], Limit::none()).progress(&bar);
        assert_eq!((bar.position(), bar.length()), (2, Some(4)));
        assert!(cancelled.cancel());
        assert_eq!(bar.position(), 3);
        gate.set();
        assert_eq!(completed.by_ref().count(), 4);
        assert_eq!(bar.position(), 4);

        let bar = ProgressBar::hidden();
        let unordered = pool.map_unordered(|n: u8| n, 0..5);
        assert_eq!(unordered.unwrap().progress(&bar).count(), 5);
        drop(pool);
        assert_eq!(bar.position(), 5);
    });
}
