//! What workers do before their first task, and what they keep for their tasks: rows F30 and F40.

mod common;

use common::watchdog;
use latchwork::executor::{
    Executor, Rejection, SubmitRefusal, TaskError, TaskFuture, ThreadPoolExecutor,
};
use latchwork::sync::{Event, Lock};
use latchwork::{GaveUp, Shutdown};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

std::thread_local! {
    static READY: Cell<u32> = const { Cell::new(0) };
}

/// F30: once in each worker, before its first task, in the order in which they were given.
#[test]
fn each_worker_is_initialized_before_its_first_task() {
    watchdog(LIMIT, "each_worker_is_initialized", || {
        let calls = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&calls);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(3)
            .initializer(move || {
                its.fetch_add(1, Ordering::Relaxed);
                READY.set(2);
                Ok::<_, Infallible>(())
            })
            .initializer(|| {
                READY.set(READY.get() * 10);
                Ok::<_, Infallible>(())
            })
            .build();
        let barrier = Arc::new(Barrier::new(3));
        let futures: Vec<_> = (0..3)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                pool.spawn(move || {
                    barrier.wait();
                    READY.get()
                })
                .unwrap()
            })
            .collect();
        for future in futures {
            assert_eq!(future.result(), Ok(20));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    });
}

/// A pool whose second worker cannot start, with a first one that is busy, and what happens to it.
fn breaks(fail: fn() -> Result<(), &'static str>, why: &str) {
    let starts = AtomicUsize::new(0);
    let (go, gate) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let its = Arc::clone(&go);
    let pool = ThreadPoolExecutor::builder()
        .max_workers(2)
        .thread_name_prefix("brittle")
        .initializer(move || match starts.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => {
                its.wait();
                fail()
            }
        })
        .build();
    let (started, g) = (Arc::new(Event::new()), Arc::clone(&gate));
    let s = Arc::clone(&started);
    let runs = pool
        .spawn(move || {
            s.set();
            g.wait();
            7
        })
        .unwrap();
    started.wait();
    // A second worker starts for the first of these, and is held; all of them wait.
    let captured = Arc::new(());
    let pending: Vec<TaskFuture<()>> = (0..5)
        .map(|_| {
            let its = Arc::clone(&captured);
            pool.spawn(move || drop(its)).unwrap()
        })
        .collect();
    assert_eq!(pool.join_within(Duration::ZERO), Err(GaveUp::TimedOut));
    go.set();
    for future in pending {
        match future.result() {
            Err(TaskError::Broken(text)) => assert_eq!(&*text, why),
            other => panic!("{other:?}"),
        }
    }
    // The worker that fails drops what they had captured when it has told of their ends.
    while Arc::strong_count(&captured) > 1 {
        std::thread::yield_now();
    }
    match pool.spawn(|| ()).unwrap_err().reason {
        SubmitRefusal::Broken(text) => assert_eq!(&*text, why),
        other => panic!("{other:?}"),
    }
    gate.set();
    assert_eq!(runs.result(), Ok(7), "what ran goes on");
    // Joins end, without a shutdown.
    pool.join();
}

/// F30: an initializer that fails breaks the pool, for those that wait and those that come.
#[test]
fn an_initializer_that_fails_breaks_the_pool() {
    watchdog(LIMIT, "an_initializer_that_fails", || {
        breaks(|| Err("no licence"), "the initializer failed: no licence");
    });
}

/// F30: so does one that panics.
#[test]
fn an_initializer_that_panics_breaks_the_pool() {
    watchdog(LIMIT, "an_initializer_that_panics", || {
        breaks(
            || panic!("on purpose"),
            "the initializer panicked: on purpose",
        );
    });
}

/// F30: it is said once on standard error, whichever and however many workers fail.
#[test]
fn a_broken_pool_is_reported_once() {
    const CHILD: &str = "LATCHWORK_TEST_BROKEN_POOL";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_broken_pool_is_reported_once", "--nocapture"])
            .env(CHILD, "")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let line = "latchwork: brittle is broken: the initializer failed: no licence";
        assert_eq!(errors.matches(line).count(), 1, "{errors}");
        return;
    }
    watchdog(LIMIT, "a_broken_pool_is_reported", || {
        let barrier = Barrier::new(3);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(3)
            .thread_name_prefix("brittle")
            .initializer(move || {
                barrier.wait();
                Err("no licence")
            })
            .build();
        let _ = pool.prestart();
        pool.join();
    });
}

/// F30 with F31: who waits for a place hears that the pool is broken.
#[test]
fn a_submitter_that_waits_hears_that_the_pool_is_broken() {
    watchdog(LIMIT, "a_submitter_that_waits", || {
        let go = Arc::new(Event::new());
        let its = Arc::clone(&go);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .queue_capacity(1, Rejection::Block)
            .initializer(move || {
                its.wait();
                Err("no licence")
            })
            .build();
        let first = pool.spawn(|| ()).unwrap();
        thread::scope(|s| {
            let second = common::parked(s, || pool.spawn(|| ()).map(drop));
            go.set();
            let refused = second.join().unwrap().unwrap_err();
            assert!(matches!(refused.reason, SubmitRefusal::Broken(_)));
        });
        assert!(matches!(first.result(), Err(TaskError::Broken(_))));
    });
}

/// F30: a slow start holds up nobody whom another worker can serve, and one task starts one worker.
#[test]
fn a_worker_that_starts_is_not_relied_on() {
    watchdog(LIMIT, "a_worker_that_starts", || {
        let starts = AtomicUsize::new(0);
        let gate = Arc::new(Event::new());
        let its = Arc::clone(&gate);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .initializer(move || {
                if starts.fetch_add(1, Ordering::Relaxed) == 1 {
                    its.wait();
                }
                Ok::<_, Infallible>(())
            })
            .build();
        let barrier = Arc::new(Event::new());
        let b = Arc::clone(&barrier);
        let first = pool.spawn(move || b.wait()).unwrap();
        // The second worker is held in its start; the first one serves all.
        let second = pool.spawn(|| 2).unwrap();
        barrier.set();
        first.result().unwrap();
        assert_eq!(second.result(), Ok(2));
        for n in 0..100 {
            assert_eq!(pool.spawn(move || n).unwrap().result(), Ok(n));
        }
        assert_eq!(pool.stats().workers, 2);
        gate.set();
    });
}

/// What a worker keeps: it is not `Send`, and says in which thread it is dropped.
struct Kept {
    thread: ThreadId,
    uses: Rc<Cell<u32>>,
    dropped: Arc<Lock<Vec<bool>>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.dropped
            .lock()
            .push(self.thread == thread::current().id());
    }
}

/// F30, F40: each worker has its own, which needs not be sent, outlives tasks, and has been dropped where it was made when
/// the pool has ended.
#[test]
fn a_worker_keeps_a_value_for_its_tasks() {
    watchdog(LIMIT, "a_worker_keeps", || {
        let dropped = Arc::new(Lock::new(Vec::new()));
        let its = Arc::clone(&dropped);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .worker_state(move || {
                Ok::<_, Infallible>(Kept {
                    thread: thread::current().id(),
                    uses: Rc::default(),
                    dropped: Arc::clone(&its),
                })
            });
        let barrier = Arc::new(Barrier::new(2));
        for round in 1..=5 {
            let both: Vec<_> = (0..2)
                .map(|_| {
                    let barrier = Arc::clone(&barrier);
                    pool.spawn_with(move |kept: &mut Kept| {
                        barrier.wait();
                        assert_eq!(kept.thread, thread::current().id());
                        kept.uses.set(kept.uses.get() + 1);
                        kept.uses.get()
                    })
                    .unwrap()
                })
                .collect();
            for one in both {
                assert_eq!(one.result(), Ok(round));
            }
        }
        assert_eq!(
            pool.spawn(|| 1).unwrap().result(),
            Ok(1),
            "a plain task, too"
        );
        pool.shutdown(Shutdown::Drain);
        pool.join();
        assert_eq!(*dropped.lock(), [true, true]);
    });
}

/// F30: while a task has the value and waits, another that wants it is run by somebody else.
#[test]
fn the_value_is_never_lent_twice() {
    watchdog(LIMIT, "the_value_is_never_lent_twice", || {
        let made = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&made);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .worker_state(move || {
                its.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Vec::<u32>::new())
            });
        let pool = Arc::new(pool);
        let inner = Arc::clone(&pool);
        let outer = pool.spawn_with(move |list: &mut Vec<u32>| {
            list.push(1);
            let first = &mut list[0];
            let other = inner.spawn_with(|list: &mut Vec<u32>| {
                list.push(2);
                (list.len(), thread::current().id())
            });
            let (len, there) = other.unwrap().result().unwrap();
            assert_ne!(there, thread::current().id());
            *first += 1;
            (list.clone(), len)
        });
        assert_eq!(outer.unwrap().result(), Ok((vec![2], 1)));
        assert_eq!(made.load(Ordering::Relaxed), 2);
    });
}

/// F30: a panic drops the value, and the next task has a new one; if there can be none, the pool is broken.
#[test]
fn a_panic_costs_the_value_and_perhaps_the_pool() {
    watchdog(LIMIT, "a_panic_costs_the_value", || {
        let made = AtomicUsize::new(0);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .worker_state(move || match made.fetch_add(1, Ordering::Relaxed) {
                2 => Err("no more"),
                n => Ok(n),
            });
        let panics = |_: &mut usize| -> usize { panic!("on purpose") };
        let which = |n: &mut usize| *n;
        assert_eq!(pool.spawn_with(which).unwrap().result(), Ok(0));
        assert!(matches!(
            pool.spawn_with(panics).unwrap().result(),
            Err(TaskError::Panicked(_))
        ));
        assert_eq!(pool.spawn_with(which).unwrap().result(), Ok(1));
        assert!(matches!(
            pool.spawn_with(panics).unwrap().result(),
            Err(TaskError::Panicked(_))
        ));
        let broken = TaskError::Broken("the worker's state failed: no more".into());
        assert_eq!(pool.spawn_with(which).unwrap().result(), Err(broken));
        let refused = pool.spawn(|| ()).unwrap_err().reason;
        assert!(matches!(refused, SubmitRefusal::Broken(_)));
        pool.join();
    });
}
