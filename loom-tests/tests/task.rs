//! Models of tasks and of the thread pool's worker protocol.

use latchwork::Shutdown;
use latchwork::executor::{Executor, TaskError, ThreadPoolExecutor};
use latchwork::model::{Deadline, task};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[test]
fn idle_worker() {
    model(
        "pool: a task arrives while the only worker falls idle",
        || {
            let pool = ThreadPoolExecutor::new(1);
            let first = pool.spawn(|| 1).unwrap();
            let second = pool.spawn(|| 2).unwrap();
            pool.shutdown(Shutdown::Drain);
            pool.join();
            assert_eq!(first.try_result().unwrap(), Ok(1));
            assert_eq!(second.try_result().unwrap(), Ok(2));
        },
    );
}

#[test]
fn claimed_worker() {
    model(
        "pool: a worker is claimed for a task that comes while it falls asleep",
        || {
            let pool = ThreadPoolExecutor::new(1);
            assert_eq!(pool.spawn(|| 1).unwrap().result(), Ok(1));
            let second = pool.spawn(|| 2).unwrap();
            drop(pool);
            assert_eq!(second.try_result().unwrap(), Ok(2));
        },
    );
}

#[test]
fn cancel_against_start() {
    model("task: cancelled or run, never both, never neither", || {
        let (promise, future) = task();
        let worker = thread::spawn(move || promise.run(|| 1));
        let cancelled = future.cancel();
        match future.result() {
            Ok(value) => assert!(value == 1 && !cancelled),
            Err(why) => assert!(cancelled && why == TaskError::Cancelled),
        }
        assert_ne!(worker.join().unwrap(), cancelled);
    });
}

#[test]
fn result_against_time_out() {
    model(
        "task: its end races the time-out of who waits for it",
        || {
            let (promise, future) = task();
            let deadline = Deadline::new();
            let worker = thread::spawn(move || promise.run(|| 1));
            let timer = {
                let deadline = deadline.clone();
                thread::spawn(move || deadline.pass())
            };
            match future.result_within(&deadline) {
                Ok(result) => assert_eq!(result, Ok(1)),
                Err(late) => assert_eq!(late.future.result(), Ok(1)),
            }
            timer.join().unwrap();
            worker.join().unwrap();
        },
    );
}

#[test]
fn awaited() {
    model("task: awaited while it ends", || {
        let (promise, future) = task();
        let worker = thread::spawn(move || promise.run(|| 1));
        assert_eq!(loom::future::block_on(future), Ok(1));
        worker.join().unwrap();
    });
}

#[test]
fn lost() {
    model(
        "task: its promise is dropped while somebody goes to sleep on it",
        || {
            let (promise, future) = task::<u8>();
            let dropper = thread::spawn(move || drop(promise));
            assert_eq!(future.result(), Err(TaskError::Lost));
            dropper.join().unwrap();
        },
    );
}

#[test]
fn callback_against_end() {
    model(
        "task: a callback added while the task ends runs exactly once",
        || {
            let (promise, future) = task();
            let calls = Arc::new(AtomicUsize::new(0));
            let worker = thread::spawn(move || promise.run(|| 1));
            let count = calls.clone();
            future.on_done(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            worker.join().unwrap();
            assert_eq!(calls.load(Ordering::Relaxed), 1);
            assert_eq!(future.result(), Ok(1));
        },
    );
}

#[test]
fn shutdown_against_submit() {
    model(
        "pool: a task is refused, cancelled or run when shutdown races its submission",
        || {
            let pool = Arc::new(ThreadPoolExecutor::new(1));
            let submitter = {
                let pool = pool.clone();
                thread::spawn(move || match pool.spawn(|| 1) {
                    Ok(future) => match future.result() {
                        Ok(value) => assert_eq!(value, 1),
                        Err(why) => assert_eq!(why, TaskError::Cancelled),
                    },
                    Err(refused) => assert_eq!((refused.value)(), 1),
                })
            };
            pool.shutdown(Shutdown::Immediate);
            submitter.join().unwrap();
            pool.join();
        },
    );
}

#[test]
fn shutdown_against_join() {
    model(
        "pool: joined while a pool without workers is shut down",
        || {
            let pool = Arc::new(ThreadPoolExecutor::new(1));
            let joiner = {
                let pool = pool.clone();
                thread::spawn(move || pool.join())
            };
            pool.shutdown(Shutdown::Drain);
            joiner.join().unwrap();
        },
    );
}
