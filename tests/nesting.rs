//! Tasks that wait for tasks of their own pool: row F39, case X18.

mod common;

use common::{until_parked, watchdog};
use latchwork::Limit;
use latchwork::executor::{Executor, TaskError, ThreadPoolExecutor, as_completed};
use latchwork::queue::Queue;
use latchwork::sync::{Condition, Event, Lock};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn down(pool: &Arc<ThreadPoolExecutor>, depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    let below = Arc::clone(pool);
    let future = pool.spawn(move || down(&below, depth - 1)).unwrap();
    future.result().unwrap() + 1
}

/// X18: neither the stack nor the pool gives out.
#[test]
fn a_pool_of_one_goes_as_deep_as_one_likes() {
    watchdog(LIMIT, "a_pool_of_one_goes_as_deep", || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&pool);
        let future = pool.spawn(move || down(&inside, 20_000)).unwrap();
        assert_eq!(future.result(), Ok(20_000));
    });
}

/// When there can be no more workers, the one that nobody could start says so, and the others go on.
#[test]
fn too_deep_is_a_clear_error() {
    watchdog(LIMIT, "too_deep_is_a_clear_error", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .spare_workers(1)
            .stack_size(128 << 10)
            .unwrap()
            .build();
        let pool = Arc::new(pool);
        let inside = Arc::clone(&pool);
        fn down(pool: &Arc<ThreadPoolExecutor>, depth: u32) -> Result<u32, TaskError> {
            let below = Arc::clone(pool);
            let future = pool.spawn(move || down(&below, depth + 1)).unwrap();
            match future.result() {
                Ok(deepest) => deepest,
                Err(TaskError::WouldDeadlock) => Ok(depth),
                Err(other) => Err(other),
            }
        }
        let deepest = pool.spawn(move || down(&inside, 0)).unwrap().result();
        assert!(deepest.unwrap().unwrap() > 1);
        assert_eq!(pool.spawn(|| 7).unwrap().result(), Ok(7));
    });
}

/// How many threads of this process have names that begin so.
#[cfg(target_os = "linux")]
fn threads(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

fn pool_of(workers: usize, spare: usize) -> Arc<ThreadPoolExecutor> {
    let builder = ThreadPoolExecutor::builder();
    Arc::new(builder.max_workers(workers).spare_workers(spare).build())
}

/// Runs `f` as a task of a pool with one worker; `f` gets the pool.
fn in_a_pool_of_one<R: Send + 'static>(
    f: impl FnOnce(&ThreadPoolExecutor) -> R + Send + 'static,
) -> R {
    let pool = pool_of(1, 256);
    let inside = Arc::clone(&pool);
    pool.spawn(move || f(&inside)).unwrap().result().unwrap()
}

/// F39: `result`, `wait`, and those with a limit, of a task that nobody has started.
#[test]
fn every_face_of_waiting_for_one() {
    watchdog(LIMIT, "every_face_of_waiting_for_one", || {
        in_a_pool_of_one(|pool| {
            assert_eq!(pool.spawn(|| 1).unwrap().result(), Ok(1));
            let future = pool.spawn(|| 2).unwrap();
            future.wait();
            assert_eq!(future.try_result().unwrap(), Ok(2));
            // A wait with a limit helps nobody, and the worker is replaced.
            let future = pool.spawn(|| 3).unwrap();
            assert_eq!(future.result_within(LIMIT).unwrap(), Ok(3));
            let future = pool.spawn(|| 4).unwrap();
            future.wait_within(LIMIT).unwrap();
            assert_eq!(future.result(), Ok(4));
        });
    });
}

/// F39: several at a time, and a map.
#[test]
fn every_face_of_waiting_for_several() {
    watchdog(LIMIT, "every_face_of_waiting_for_several", || {
        in_a_pool_of_one(|pool| {
            let futures: Vec<_> = (0..10).map(|n| pool.spawn(move || n).unwrap()).collect();
            let ended = as_completed(futures, Limit::none());
            let sum: i32 = ended.map(|future| future.unwrap().result().unwrap()).sum();
            assert_eq!(sum, 45);
            let doubled = pool.map(|n: i32| 2 * n, 0..10).unwrap();
            let sum: i32 = doubled.map(|result| result.unwrap()).sum();
            assert_eq!(sum, 90);
        });
    });
}

/// F39: who awaits runs nothing and tells nobody, so it takes another worker.
#[test]
fn a_task_that_awaits_another() {
    watchdog(LIMIT, "a_task_that_awaits_another", || {
        let pool = pool_of(2, 0);
        let inside = Arc::clone(&pool);
        let task = move || common::block_on(inside.spawn(|| 1).unwrap());
        assert_eq!(pool.spawn(task).unwrap().result(), Ok(Ok(1)));
    });
}

/// F39: a callback is run by whoever ends the task, and may wait as that one may.
#[test]
fn a_callback_that_waits() {
    watchdog(LIMIT, "a_callback_that_waits", || {
        let pool = pool_of(1, 256);
        let (tell, told) = std::sync::mpsc::channel();
        let gate = Arc::new(Event::new());
        let opens = Arc::clone(&gate);
        let future = pool.spawn(move || opens.wait()).unwrap();
        let inside = Arc::clone(&pool);
        future.on_done(move |_| tell.send(inside.spawn(|| 1).unwrap().result()).unwrap());
        gate.set();
        assert_eq!(told.recv().unwrap(), Ok(1));
    });
}

/// F39: pools of one, each with a task that waits for one of the other.
#[test]
fn pools_that_wait_for_each_other() {
    watchdog(LIMIT, "pools_that_wait_for_each_other", || {
        fn bounce(
            here: &Arc<ThreadPoolExecutor>,
            there: &Arc<ThreadPoolExecutor>,
            depth: u32,
        ) -> u32 {
            if depth == 0 {
                return 0;
            }
            let (next, back) = (Arc::clone(there), Arc::clone(here));
            let below = there
                .spawn(move || bounce(&next, &back, depth - 1))
                .unwrap();
            below.result().unwrap() + 1
        }
        let (one, other) = (pool_of(1, 256), pool_of(1, 256));
        assert_eq!(bounce(&one, &other, 100), 100);
    });
}

/// F39: a lock that the waiting task holds is in nobody's way who does not want it.
#[test]
fn a_lock_held_while_waiting() {
    watchdog(LIMIT, "a_lock_held_while_waiting", || {
        let sum = Arc::new(Lock::new(0));
        let own = Lock::new(());
        let task_sum = Arc::clone(&sum);
        in_a_pool_of_one(move |pool| {
            let _held = own.lock();
            let futures: Vec<_> = (0..100)
                .map(|n| {
                    let sum = Arc::clone(&task_sum);
                    pool.spawn(move || *sum.lock() += n).unwrap()
                })
                .collect();
            for future in futures {
                future.result().unwrap();
            }
        });
        assert_eq!(*sum.lock(), 4950);
    });
}

/// F39: a pool of one runs one task at a time, though one of them sleeps in a lock.
#[test]
fn a_pool_of_one_is_serial() {
    watchdog(LIMIT, "a_pool_of_one_is_serial", || {
        let pool = pool_of(1, 256);
        let gate = Arc::new(Event::new());
        let opens = Arc::clone(&gate);
        let first = pool.spawn(move || opens.wait()).unwrap();
        let second = pool.spawn(|| ()).unwrap();
        until_parked("Event", &*gate, 1);
        let not_yet = second.result_within(Duration::from_millis(50)).unwrap_err();
        gate.set();
        first.result().unwrap();
        not_yet.future.result().unwrap();
    });
}

/// Blocks a task in something of this crate, which the returned function ends.
type Block = (Box<dyn FnOnce() + Send>, Box<dyn FnOnce()>);

fn blocks() -> Vec<(&'static str, Block)> {
    let lock: &'static Lock<()> = Box::leak(Box::new(Lock::new(())));
    let queue: &'static Queue<u8> = Box::leak(Box::new(Queue::unbounded()));
    let event: &'static Event = Box::leak(Box::new(Event::new()));
    let (flag, condition): (&'static Lock<bool>, &'static Condition) = (
        Box::leak(Box::new(Lock::new(false))),
        Box::leak(Box::new(Condition::new())),
    );
    let held = lock.lock();
    vec![
        (
            "lock",
            (
                Box::new(move || drop(lock.lock())),
                Box::new(move || drop(held)),
            ),
        ),
        (
            "queue",
            (
                Box::new(move || assert_eq!(queue.get(), Ok(1))),
                Box::new(move || queue.put(1).unwrap()),
            ),
        ),
        (
            "event",
            (
                Box::new(move || event.wait()),
                Box::new(move || {
                    event.set();
                }),
            ),
        ),
        (
            "condition",
            (
                Box::new(move || {
                    condition.wait_while(&mut flag.lock(), |is_set| !*is_set);
                }),
                Box::new(move || {
                    *flag.lock() = true;
                    condition.notify_all();
                }),
            ),
        ),
    ]
}

/// F39: with `replace_blocked`, one that sleeps in anything of this crate makes room for another; afterwards there are no
/// more threads than before.
#[cfg(target_os = "linux")]
#[test]
fn a_blocked_worker_is_replaced() {
    watchdog(LIMIT, "a_blocked_worker_is_replaced", || {
        for (name, (block, unblock)) in blocks() {
            let prefix = format!("rep-{name}");
            let pool = ThreadPoolExecutor::builder()
                .max_workers(1)
                .replace_blocked(true)
                .spare_workers(1)
                .thread_name_prefix(prefix.clone())
                .build();
            let blocked = pool.spawn(block).unwrap();
            assert_eq!(pool.spawn(|| 1).unwrap().result(), Ok(1), "{name}");
            assert!(!blocked.is_done(), "{name}");
            assert_eq!(threads(&prefix), 2, "{name}");
            unblock();
            blocked.result().unwrap();
            // The one that is too many has to notice.
            while threads(&prefix) > 1 {
                std::thread::yield_now();
            }
            assert_eq!(pool.spawn(|| 2).unwrap().result(), Ok(2), "{name}");
            assert_eq!(threads(&prefix), 1, "{name}");
        }
    });
}

/// F39: no more of them are replaced than there may be spare ones.
#[test]
fn no_more_are_replaced_than_may_be() {
    watchdog(LIMIT, "no_more_are_replaced_than_may_be", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .replace_blocked(true)
            .spare_workers(2)
            .build();
        let gate = Arc::new(Event::new());
        let blocked: Vec<_> = (0..4)
            .map(|_| {
                let opens = Arc::clone(&gate);
                pool.spawn(move || opens.wait()).unwrap()
            })
            .collect();
        until_parked("Event", &*gate, 3);
        assert!(!blocked[3].is_running());
        gate.set();
        for future in blocked {
            future.result().unwrap();
        }
    });
}
