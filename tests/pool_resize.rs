//! How many workers there are: rows F27, F28, F35, and a pool that is resized while it runs.

mod common;

use common::watchdog;
use latchwork::Shutdown;
use latchwork::executor::{Executor, SubmitRefusal, TaskError, ThreadPoolExecutor};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn until_workers(pool: &ThreadPoolExecutor, workers: usize) {
    while pool.stats().workers != workers {
        thread::yield_now();
    }
}

/// Runs so many tasks at a time, which takes as many workers. With std's own barrier: no worker is replaced for it.
fn meet(pool: &ThreadPoolExecutor, tasks: usize) {
    let barrier = Arc::new(Barrier::new(tasks));
    let futures: Vec<_> = (0..tasks)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            pool.spawn(move || barrier.wait().is_leader()).unwrap()
        })
        .collect();
    let leaders = futures.into_iter().map(|future| future.result().unwrap());
    assert_eq!(leaders.filter(|is_leader| *is_leader).count(), 1);
}

/// F27: more may come while tasks wait for them.
#[test]
fn a_pool_grows_while_tasks_wait() {
    watchdog(LIMIT, "a_pool_grows", || {
        let pool = ThreadPoolExecutor::new(1);
        let barrier = Arc::new(Barrier::new(4));
        let futures: Vec<_> = (0..4)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                pool.spawn(move || barrier.wait().is_leader()).unwrap()
            })
            .collect();
        assert_eq!(pool.stats().workers, 1);
        // They only meet if all four run.
        pool.set_max_workers(4);
        let leaders = futures.into_iter().map(|future| future.result().unwrap());
        assert_eq!(leaders.filter(|is_leader| *is_leader).count(), 1);
        assert_eq!((pool.max_workers(), pool.stats().workers), (4, 4));
    });
}

/// Those that are too many go, idle ones at once, busy ones after their task; nothing is lost.
#[test]
fn a_pool_shrinks_without_cutting_tasks_short() {
    watchdog(LIMIT, "a_pool_shrinks", || {
        let pool = ThreadPoolExecutor::new(4);
        meet(&pool, 4);
        pool.set_max_workers(2);
        until_workers(&pool, 2);
        pool.set_max_workers(3);
        meet(&pool, 3);
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let started = Arc::new(Barrier::new(4));
        let busy: Vec<_> = (0..3)
            .map(|n| {
                let (gate, started) = (Arc::clone(&gate), Arc::clone(&started));
                let work = move || {
                    started.wait();
                    let open = gate.0.lock().unwrap();
                    drop(gate.1.wait_while(open, |open| !*open).unwrap());
                    n
                };
                pool.spawn(work).unwrap()
            })
            .collect();
        started.wait();
        let more: Vec<_> = (3..20).map(|n| pool.spawn(move || n).unwrap()).collect();
        pool.set_max_workers(1);
        assert_eq!(pool.stats().workers, 3);
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        let results = busy
            .into_iter()
            .chain(more)
            .map(|future| future.result().unwrap());
        assert!(results.eq(0..20));
        until_workers(&pool, 1);
        assert_eq!(pool.spawn(|| 1).unwrap().result(), Ok(1));
    });
}

/// A size that changes all the time loses no task.
#[test]
fn resizing_all_the_time_loses_nothing() {
    watchdog(LIMIT, "resizing_all_the_time", || {
        let pool = ThreadPoolExecutor::new(1);
        thread::scope(|s| {
            let resizer = s.spawn(|| {
                for round in 0..300 {
                    pool.set_max_workers(1 + round * 7 % 4);
                    thread::yield_now();
                }
            });
            let mut sum = 0;
            let mut rounds = 0;
            while !resizer.is_finished() || rounds < 50 {
                let futures: Vec<_> = (0..20).map(|n| pool.spawn(move || n).unwrap()).collect();
                sum += futures
                    .into_iter()
                    .map(|f| f.result().unwrap())
                    .sum::<u64>();
                rounds += 1;
            }
            assert_eq!(sum, rounds * 190);
        });
    });
}

/// F28: those that idle go after a time, but for as many as are to stay; new ones come when they are needed.
#[test]
fn idle_workers_go_after_a_time_but_for_the_least() {
    watchdog(LIMIT, "idle_workers_go", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(4)
            .min_workers(2)
            .keep_alive(Duration::from_millis(10))
            .build();
        meet(&pool, 4);
        until_workers(&pool, 2);
        // Several times the time that the others stayed.
        thread::sleep(Duration::from_millis(50));
        assert_eq!(pool.stats().workers, 2);
        meet(&pool, 4);
        until_workers(&pool, 2);

        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .keep_alive(Duration::from_millis(1))
            .build();
        for n in 0..20 {
            assert_eq!(pool.spawn(move || n).unwrap().result(), Ok(n));
            if n % 5 == 0 {
                until_workers(&pool, 0);
            }
        }
    });
}

/// F27: all at once, before the first task; with their initializers done or on their way.
#[test]
fn prestart_starts_all_there_may_be() {
    watchdog(LIMIT, "prestart_starts_all", || {
        let pool = ThreadPoolExecutor::new(3);
        assert_eq!(pool.prestart(), Ok(3));
        assert_eq!(pool.prestart(), Ok(3));
        assert_eq!(pool.stats().workers, 3);
        pool.set_max_workers(5);
        assert_eq!(pool.prestart(), Ok(5));
        let slow = ThreadPoolExecutor::builder()
            .max_workers(2)
            .initializer(|| {
                thread::sleep(Duration::from_millis(5));
                Ok::<_, std::convert::Infallible>(())
            })
            .build();
        assert_eq!(slow.prestart(), Ok(2));
        assert_eq!(slow.spawn(|| 1).unwrap().result(), Ok(1));
        slow.shutdown(Shutdown::Drain);
        assert_eq!(slow.prestart(), Err(SubmitRefusal::ShutDown));
    });
}

/// F35: a shutdown wakes all idle workers, and each goes.
#[test]
fn a_shutdown_ends_all_idle_workers() {
    watchdog(LIMIT, "a_shutdown_ends_all", || {
        let pool = ThreadPoolExecutor::new(8);
        assert_eq!(pool.prestart(), Ok(8));
        // Asleep, all of them.
        while latchwork::debug::waits()
            .iter()
            .filter(|wait| wait.kind == "ThreadPoolExecutor's next task")
            .count()
            < 8
        {
            thread::yield_now();
        }
        pool.shutdown(Shutdown::Drain);
        pool.join();
        assert_eq!(pool.stats().workers, 0);
    });
}

/// F23: a pool that is dropped in its own task, by its last owner, with tasks behind it: they are run, and it ends.
#[test]
fn a_pool_that_is_dropped_inside_finishes_outside() {
    watchdog(LIMIT, "a_pool_that_is_dropped", || {
        let (tell, told) = std::sync::mpsc::channel();
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (inner, end) = (Arc::clone(&pool), Arc::new(Barrier::new(2)));
        let e = Arc::clone(&end);
        let first = pool.spawn(move || {
            e.wait();
            let behind = inner.spawn(move || tell.send("run").unwrap()).unwrap();
            drop(inner);
            behind
        });
        drop(pool);
        end.wait();
        let behind = first.unwrap().result().unwrap();
        assert_eq!(behind.result(), Ok(()));
        assert_eq!(told.recv(), Ok("run"));
    });
}

/// The system gives no thread: a pool without workers refuses, one with a worker goes on, a resized one too.
#[cfg(target_os = "linux")]
#[test]
fn a_system_that_gives_no_thread() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const CHILD: &str = "LATCHWORK_TEST_NO_WORKER";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_system_that_gives_no_thread", "--nocapture"])
            .env(CHILD, "")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let with_one = ThreadPoolExecutor::new(4);
    with_one.spawn(|| ()).unwrap().result().unwrap();
    let none = ThreadPoolExecutor::builder()
        .max_workers(2)
        .measure_times()
        .build();
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let before = getrlimit(Resource::As);
    let current = Some(pages * 4096 + (1 << 20));
    setrlimit(Resource::As, Rlimit { current, ..before }).unwrap();
    let refused = none.spawn(|| 5).unwrap_err();
    let prestarted = none.prestart();
    let still = with_one.prestart();
    with_one.set_max_workers(6);
    let futures: Vec<_> = (0..50)
        .map(|n| with_one.spawn(move || n).unwrap())
        .collect();
    let sum: i32 = futures
        .into_iter()
        .map(|future| future.result().unwrap())
        .sum();
    let mut here = 0;
    none.scope(|s| s.spawn(|| here += 1));
    setrlimit(Resource::As, before).unwrap();
    assert!(
        matches!(refused.reason, SubmitRefusal::Broken(_)),
        "{refused:?}"
    );
    assert_eq!((refused.value)(), 5);
    assert!(
        matches!(prestarted, Err(SubmitRefusal::Broken(_))),
        "{prestarted:?}"
    );
    assert_eq!((still, sum, here), (Ok(1), 1225, 1));
    // It was not for ever.
    assert_eq!(none.spawn(|| 6).unwrap().result(), Ok(6));
    assert_eq!(none.prestart(), Ok(2));
    let ended: Result<(), TaskError> = none.spawn(|| ()).unwrap().result();
    assert_eq!(ended, Ok(()));
}

/// F39: any number of spare workers may be asked for.
#[test]
fn spare_workers_without_end() {
    watchdog(LIMIT, "spare_workers_without_end", || {
        let builder = ThreadPoolExecutor::builder().max_workers(1);
        let pool = Arc::new(builder.spare_workers(usize::MAX).build());
        let inner = Arc::clone(&pool);
        let outer = pool.spawn(move || inner.spawn(|| 7).unwrap().result());
        assert_eq!(outer.unwrap().result(), Ok(Ok(7)));
    });
}
