//! Tasks in the order of their priorities: row F32.

mod common;

use common::watchdog;
use latchwork::executor::{Rejection, TaskError, ThreadPoolBuilder, ThreadPoolExecutor};
use latchwork::sync::{Event, Lock};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// The order in which tasks with these priorities start that are submitted while the one worker is busy.
fn order(builder: ThreadPoolBuilder, priorities: &[i32]) -> Vec<(i32, usize)> {
    let pool = builder.max_workers(1).build();
    let (started, gate) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (s, g) = (Arc::clone(&started), Arc::clone(&gate));
    let _busy = pool.spawn(move || {
        s.set();
        g.wait();
    });
    started.wait();
    let order = Arc::new(Lock::new(Vec::new()));
    for (number, &priority) in priorities.iter().enumerate() {
        let order = Arc::clone(&order);
        let note = move || order.lock().push((priority, number));
        drop(pool.task().priority(priority).spawn(note).unwrap());
    }
    gate.set();
    drop(pool);
    Arc::into_inner(order).unwrap().into_inner()
}

/// F32: the lowest first, the older one among equals.
#[test]
fn the_lowest_starts_first_and_equals_in_order() {
    watchdog(LIMIT, "the_lowest_starts_first", || {
        let priorities = [3, 0, i32::MAX, -2, 0, 3, i32::MIN, 0];
        let mut sorted: Vec<_> = (0..priorities.len()).map(|n| (priorities[n], n)).collect();
        sorted.sort();
        let builder = ThreadPoolExecutor::builder().by_priority();
        assert_eq!(order(builder, &priorities), sorted);
    });
}

/// F32: without the option, they start as they came.
#[test]
fn without_the_option_priorities_change_nothing() {
    watchdog(LIMIT, "without_the_option", || {
        let order = order(ThreadPoolExecutor::builder(), &[2, 1, 3]);
        assert_eq!(order, [(2, 0), (1, 1), (3, 2)]);
    });
}

/// F31 with F32: in a full queue the one that would start last makes room.
#[test]
fn the_last_in_line_is_given_up_for_another() {
    watchdog(LIMIT, "the_last_in_line", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .by_priority()
            .queue_capacity(2, Rejection::DiscardOldest)
            .build();
        let (started, gate) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (s, g) = (Arc::clone(&started), Arc::clone(&gate));
        let _busy = pool.spawn(move || {
            s.set();
            g.wait();
        });
        started.wait();
        let urgent = pool.task().priority(-1).spawn(|| 1).unwrap();
        let idle = pool.task().priority(9).spawn(|| 2).unwrap();
        let middle = pool.spawn(|| 3).unwrap();
        gate.set();
        assert_eq!(idle.result(), Err(TaskError::Discarded));
        assert_eq!((urgent.result(), middle.result()), (Ok(1), Ok(3)));
    });
}

/// F32: many submitters and workers lose nothing.
#[test]
fn all_run_whatever_their_priorities() {
    watchdog(LIMIT, "all_run_whatever", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(3)
            .by_priority()
            .build();
        let sum: i32 = std::thread::scope(|s| {
            let submitters: Vec<_> = (0..3)
                .map(|_| {
                    s.spawn(|| {
                        let spawn = |n: i32| pool.task().priority(n % 5).spawn(move || n).unwrap();
                        let futures: Vec<_> = (0..1000).map(spawn).collect();
                        futures
                            .into_iter()
                            .map(|f| f.result().unwrap())
                            .sum::<i32>()
                    })
                })
                .collect();
            submitters.into_iter().map(|s| s.join().unwrap()).sum()
        });
        assert_eq!(sum, 3 * 499_500);
    });
}
