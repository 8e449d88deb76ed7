//! What a pool says of itself: rows F42 and N42.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, Rejection, Stats, TaskFuture, ThreadPoolExecutor};
use latchwork::sync::Event;
use latchwork::{Shutdown, time};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Tasks that have started and wait for the event, as many as the pool has workers.
fn occupy(pool: &ThreadPoolExecutor, gate: &Arc<Event>) -> Vec<TaskFuture<()>> {
    (0..pool.max_workers())
        .map(|_| {
            let (started, s) = (Arc::new(Event::new()), Arc::new(Event::new()));
            let (tell, g) = (Arc::clone(&started), Arc::clone(gate));
            drop(s);
            let task = pool
                .spawn(move || {
                    tell.set();
                    g.wait();
                })
                .unwrap();
            started.wait();
            task
        })
        .collect()
}

/// F42: workers, idle ones, what waits, what runs.
#[test]
fn a_pool_tells_what_it_is_doing() {
    watchdog(LIMIT, "a_pool_tells", || {
        let pool = ThreadPoolExecutor::new(3);
        assert_eq!(pool.stats().workers, 0);
        assert_eq!(
            (pool.max_workers(), pool.queue_len(), pool.active()),
            (3, 0, 0)
        );
        let gate = Arc::new(Event::new());
        let busy = occupy(&pool, &gate);
        let waiting: Vec<_> = (0..5).map(|n| pool.spawn(move || n).unwrap()).collect();
        let stats = pool.stats();
        assert_eq!((stats.max_workers, stats.workers, stats.idle), (3, 3, 0));
        assert_eq!((stats.queued, stats.running, stats.done), (5, 3, 0));
        assert_eq!((pool.queue_len(), pool.active()), (5, 3));
        assert_eq!((stats.wait_time, stats.utilisation), (None, None));
        gate.set();
        busy.into_iter().for_each(|task| task.result().unwrap());
        waiting.into_iter().for_each(|task| drop(task.result()));
        while pool.stats().idle < 3 {
            thread::yield_now();
        }
        assert_eq!(pool.active(), 0);
    });
}

/// F42: what has run, failed, and been cancelled, exactly, once the pool has ended, whoever has run it.
#[test]
fn a_pool_counts_what_it_has_done() {
    watchdog(LIMIT, "a_pool_counts", || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let gate = Arc::new(Event::new());
        let busy = occupy(&pool, &gate);
        let futures: Vec<_> = (0..100)
            .map(|n| {
                let work = move || match n % 4 {
                    0 => panic!("on purpose"),
                    1 => Err("no luck"),
                    _ => Ok(n),
                };
                pool.spawn_fallible(work).unwrap()
            })
            .collect();
        let cancelled = futures
            .iter()
            .filter(|future| future.id().to_string().ends_with('7'));
        let cancelled = cancelled.filter(|future| future.cancel()).count() as u64;
        gate.set();
        let failed = futures
            .into_iter()
            .filter_map(|future| future.result().err())
            .count() as u64;
        busy.into_iter().for_each(|task| task.result().unwrap());
        // Helped, and scoped, ones count as well.
        let inner = Arc::clone(&pool);
        let nested = pool
            .spawn(move || inner.spawn(|| 1).unwrap().result())
            .unwrap();
        assert_eq!(nested.result(), Ok(Ok(1)));
        pool.scope(|s| (0..10).for_each(|_| s.spawn(|| ())));
        let held = Arc::new(Event::new());
        let busy = occupy(&pool, &held);
        let dropped: Vec<_> = (0..3).map(|_| pool.spawn(|| ()).unwrap()).collect();
        pool.shutdown(Shutdown::Immediate);
        held.set();
        pool.join();
        let stats = pool.stats();
        assert_eq!(stats.cancelled, cancelled + dropped.len() as u64);
        assert_eq!(stats.failed, failed - cancelled);
        assert_eq!(stats.done, 100 - cancelled + 2 * busy.len() as u64 + 2 + 10);
        assert_eq!((stats.workers, stats.queued, stats.running), (0, 0, 0));
    });
}

/// N42: how long tasks wait and run, and how much of the workers' time they take.
#[test]
fn a_pool_measures_times() {
    watchdog(LIMIT, "a_pool_measures", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .measure_times()
            .build();
        let nap = Duration::from_millis(20);
        let tasks: Vec<_> = (0..5)
            .map(|_| pool.spawn(move || time::sleep(nap)).unwrap())
            .collect();
        drop(tasks);
        let panics = pool.spawn(|| panic!("on purpose")).unwrap();
        assert!(panics.result().is_err());
        let stats: Stats = pool.stats();
        let (wait, run) = (stats.wait_time.unwrap(), stats.run_time.unwrap());
        assert_eq!((wait.count, run.count), (6, 6));
        // The last one waited for five naps; half of them napped.
        assert!(wait.max >= 5 * nap, "{wait:?}");
        assert!(
            run.p50 >= nap && run.max >= run.p99 && run.p99 >= run.p50,
            "{run:?}"
        );
        let busy = stats.utilisation.unwrap();
        assert!(busy > 0.5 && busy <= 1.0, "{busy}");
        // From here on it idles.
        thread::sleep(10 * nap);
        assert!(pool.stats().utilisation.unwrap() < busy);
    });
}

/// N42, F31: what runs in its submitter is measured by its own pool, whoever the submitter is.
#[test]
fn a_task_in_its_submitter_is_measured_by_its_pool() {
    watchdog(LIMIT, "a_task_in_its_submitter", || {
        let bounded = ThreadPoolExecutor::builder()
            .max_workers(1)
            .queue_capacity(1, Rejection::CallerRuns)
            .measure_times()
            .build();
        let other = ThreadPoolExecutor::builder()
            .max_workers(1)
            .measure_times()
            .build();
        let gate = Arc::new(Event::new());
        let bounded = Arc::new(bounded);
        let busy = occupy(&bounded, &gate);
        let _waits = bounded.spawn(|| ()).unwrap();
        let its = Arc::clone(&bounded);
        let from_a_worker = other.spawn(move || its.spawn(|| 1).unwrap().result());
        assert_eq!(from_a_worker.unwrap().result(), Ok(Ok(1)));
        assert_eq!(bounded.spawn(|| 2).unwrap().result(), Ok(2));
        gate.set();
        drop(busy);
        for (pool, done) in [(&*bounded, 4), (&other, 1)] {
            pool.shutdown(Shutdown::Drain);
            pool.join();
            let stats = pool.stats();
            let (waited, run) = (stats.wait_time.unwrap(), stats.run_time.unwrap());
            assert_eq!((stats.done, waited.count, run.count), (done, done, done));
        }
    });
}
