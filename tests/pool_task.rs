//! What a task can have beside its function: names, contexts (row F41), tokens, errors; and what it can know of itself.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, TaskError, ThreadPoolExecutor, current_task};
use latchwork::sync::Event;
use latchwork::thread::{Context, ContextVar};
use latchwork::{CancelToken, Shutdown};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A task knows its number, its name and its pool; also one that runs on top of another, after which that is itself again.
#[test]
fn a_task_knows_itself() {
    watchdog(LIMIT, "a_task_knows_itself", || {
        assert_eq!(current_task(), None);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .thread_name_prefix("self")
            .build();
        let pool = Arc::new(pool);
        let inner = Arc::clone(&pool);
        let outer = pool.task().name("outer").spawn(move || {
            let before = current_task().unwrap();
            let other = inner.spawn(|| current_task().unwrap()).unwrap();
            let id = other.id();
            let seen = other.result().unwrap();
            assert_eq!((seen.id, seen.name), (id, None));
            let panics = inner.spawn(|| panic!("nameless")).unwrap().result();
            assert!(matches!(panics, Err(TaskError::Panicked(panic)) if panic.task.is_none()));
            assert_eq!(current_task().unwrap(), before);
            before
        });
        let outer = outer.unwrap();
        let id = outer.id();
        let seen = outer.result().unwrap();
        assert_eq!((seen.id, seen.name.as_deref()), (id, Some("outer")));
        assert_eq!(seen.pool.as_deref(), Some("self"));
        assert!(
            pool.scope(|s| s.submit(current_task).result())
                .unwrap()
                .is_some()
        );
        assert_eq!(
            pool.spawn(current_task)
                .unwrap()
                .result()
                .unwrap()
                .unwrap()
                .name,
            None
        );
    });
}

/// A panic says which task it was.
#[test]
fn a_panic_has_the_name_of_its_task() {
    watchdog(LIMIT, "a_panic_has_the_name", || {
        let pool = ThreadPoolExecutor::builder()
            .thread_name_prefix("named")
            .build();
        let task = pool
            .task()
            .name("thumbnail 7")
            .spawn(|| panic!("no memory"))
            .unwrap();
        let Err(TaskError::Panicked(panic)) = task.result() else {
            panic!()
        };
        assert_eq!(panic.task.as_deref(), Some("thumbnail 7"));
        let text = panic.to_string();
        assert!(
            text.starts_with("the task `thumbnail 7` panicked in named_0 at "),
            "{text}"
        );
        assert!(text.ends_with(": no memory"), "{text}");
    });
}

static USER: ContextVar<&str> = ContextVar::with_default("nobody");

/// F41: bindings of the submitter are seen by the task that asks for them, and by no other.
#[test]
fn a_context_goes_with_the_task_that_asks() {
    watchdog(LIMIT, "a_context_goes_with", || {
        let pool = ThreadPoolExecutor::new(1);
        let (with, without) = USER.with("ada", || {
            let with = pool.task().context().spawn(|| USER.get());
            (with.unwrap(), pool.spawn(|| USER.get()).unwrap())
        });
        assert_eq!(with.result(), Ok(Some("ada")));
        assert_eq!(without.result(), Ok(Some("nobody")));
        let other = USER.with("eve", Context::current);
        let chosen = pool.task().in_context(other).spawn(|| USER.get()).unwrap();
        assert_eq!(chosen.result(), Ok(Some("eve")));
        let panics = USER.with("ada", || {
            pool.task().context().spawn(|| panic!("on purpose"))
        });
        assert!(panics.unwrap().result().is_err());
        assert_eq!(
            pool.spawn(|| USER.get()).unwrap().result(),
            Ok(Some("nobody"))
        );
    });
}

/// A task that runs is asked to stop by `cancel`, and what it makes of that is its result; one that waits is cancelled.
#[test]
fn a_running_task_is_asked_to_stop() {
    watchdog(LIMIT, "a_running_task_is_asked", || {
        let pool = ThreadPoolExecutor::new(1);
        let started = Arc::new(Event::new());
        let s = Arc::clone(&started);
        let runs = pool.spawn_cancellable(move |token: &CancelToken| {
            s.set();
            token.wait();
            "stopped"
        });
        let runs = runs.unwrap();
        let waits = pool
            .spawn_cancellable(|_: &CancelToken| unreachable!())
            .unwrap();
        started.wait();
        assert!(waits.cancel());
        assert_eq!(waits.result(), Err(TaskError::Cancelled));
        assert!(!runs.cancel(), "it runs");
        assert!(!runs.is_cancelled());
        assert_eq!(runs.result(), Ok("stopped"));
        // The pool's other tasks have tokens of their own.
        let free = pool.spawn_cancellable(|token: &CancelToken| token.is_cancelled());
        assert_eq!(free.unwrap().result(), Ok(false));
    });
}

/// An immediate shutdown asks all that run to stop; a draining one does not.
#[test]
fn an_immediate_shutdown_asks_those_that_run_to_stop() {
    watchdog(LIMIT, "an_immediate_shutdown_asks", || {
        let pool = ThreadPoolExecutor::new(2);
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let started = Arc::new(Event::new());
                let s = Arc::clone(&started);
                let task = pool.spawn_cancellable(move |token: &CancelToken| {
                    s.set();
                    token.wait();
                });
                started.wait();
                task.unwrap()
            })
            .collect();
        pool.shutdown(Shutdown::Drain);
        assert!(
            tasks
                .iter()
                .all(|task| task.wait_within(Duration::from_millis(5)).is_err())
        );
        pool.shutdown(Shutdown::Immediate);
        for task in tasks {
            assert_eq!(task.result(), Ok(()));
        }
        pool.join();
    });
}

/// A returned error is the future's error, and can be had back by its type.
#[test]
fn an_error_is_not_a_value() {
    watchdog(LIMIT, "an_error_is_not_a_value", || {
        let pool = ThreadPoolExecutor::new(1);
        let good = pool.spawn_fallible(|| "7".parse::<u8>()).unwrap();
        let bad = pool
            .task()
            .name("parse")
            .spawn_fallible(|| "x".parse::<u8>())
            .unwrap();
        assert_eq!(good.result(), Ok(7));
        let Err(TaskError::Failed(failure)) = bad.result() else {
            panic!()
        };
        assert!(failure.downcast_ref::<std::num::ParseIntError>().is_some());
        let text = pool.spawn_fallible(|| Err::<(), _>("plain words")).unwrap();
        assert_eq!(text.result().unwrap_err().to_string(), "plain words");
        pool.shutdown(Shutdown::Drain);
        let refused = pool.spawn_fallible(|| "8".parse::<u8>()).unwrap_err();
        assert_eq!((refused.value)(), Ok(8));
        let refused = pool
            .spawn_cancellable(|token| token.is_cancelled())
            .unwrap_err();
        assert!(!(refused.value)(&CancelToken::new()));
    });
}
