//! Models of tasks: one end, of which everybody hears.

use latchwork::executor::TaskError;
use latchwork::model::{Deadline, task};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

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
