//! Tasks that are brought to their end by hand: rows F4, F24, F79-F81, F86.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::executor::{
    Cancelled, Executor, Failure, Portable, RunningPromise, SubmitError, TaskError, TaskFuture,
    TaskState, promise,
};
use latchwork::{GaveUp, Limit, Shutdown};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// F79, F80: pending, running, finished; the running one cannot be cancelled.
#[test]
fn a_promise_goes_through_all_states() {
    let (promise, future) = promise::<String>();
    assert_eq!(future.state(), TaskState::Pending);
    assert_eq!(promise.id(), future.id());
    let running = promise.start().unwrap();
    assert_eq!(future.state(), TaskState::Running);
    assert!(!running.is_cancel_requested());
    assert!(!future.cancel());
    assert!(running.is_cancel_requested(), "it may stop, but need not");
    running.complete("done".into());
    assert_eq!(future.state(), TaskState::Finished);
    assert_eq!(future.result().unwrap(), "done");
}

/// F4, F79: the value comes back, and nothing is set twice.
#[test]
fn a_cancelled_promise_gives_everything_back() {
    let (promise, future) = promise::<String>();
    assert!(future.cancel());
    assert!(promise.is_cancelled());
    assert_eq!(promise.complete("late".into()), Err("late".into()));
    assert_eq!(future.result(), Err(TaskError::Cancelled));

    let (promise, future) = latchwork::executor::promise::<u8>();
    assert!(future.cancel());
    assert_eq!(promise.start().unwrap_err(), Cancelled);

    let (promise, future) = latchwork::executor::promise::<u8>();
    let failure = Failure::new("no");
    assert!(future.cancel());
    let given_back = promise.fail(failure.clone()).unwrap_err();
    assert_eq!(given_back, TaskError::Failed(failure));
    assert_eq!(future.state(), TaskState::Cancelled);
}

/// F80: an error is a result as any.
#[test]
fn a_promise_that_fails_says_why() {
    let failure = Failure::new("no luck");
    let (promise, future) = promise::<u8>();
    promise.fail(failure.clone()).unwrap();
    assert_eq!(future.result(), Err(TaskError::Failed(failure.clone())));
    let (promise, future) = latchwork::executor::promise::<u8>();
    promise.start().unwrap().fail(failure.clone());
    let error = future.result().unwrap_err();
    assert_eq!(error.to_string(), "no luck");
    assert_ne!(
        error,
        TaskError::Failed(Failure::new("no luck")),
        "another error with the same text"
    );
}

/// F81: whoever waits is told, whichever half of its life it is dropped in.
#[test]
fn a_promise_that_is_dropped_is_lost() {
    watchdog(LIMIT, "a_promise_that_is_dropped", || {
        let (promise, future) = promise::<u8>();
        thread::scope(|s| {
            let waiter = parked(s, || future.result());
            drop(promise);
            assert_eq!(waiter.join().unwrap(), Err(TaskError::Lost));
        });
        let (promise, future) = latchwork::executor::promise::<u8>();
        let running: RunningPromise<u8> = promise.start().unwrap();
        let waiter = pending(future);
        drop(running);
        assert_eq!(ready(waiter), Err(TaskError::Lost));
    });
}

/// F24: an executor of the user's own, with all that the trait brings along.
#[test]
fn an_executor_of_ones_own() {
    /// Runs each task in the call, but for those that come after the shutdown.
    #[derive(Default)]
    struct Here {
        ran: AtomicUsize,
        is_shut: std::sync::atomic::AtomicBool,
    }

    impl Executor for Here {
        fn submit<A: Portable, R: Portable>(
            &self,
            function: fn(A) -> R,
            argument: A,
        ) -> Result<TaskFuture<R>, SubmitError<A>> {
            let (promise, future) = promise();
            if !self.is_shut.load(Ordering::SeqCst) {
                self.ran.fetch_add(1, Ordering::SeqCst);
                let _ = promise.complete(function(argument));
            }
            Ok(future)
        }

        fn shutdown(&self, _pending: Shutdown) {
            self.is_shut.store(true, Ordering::SeqCst);
        }

        fn join_within<'l>(&self, _limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
            Ok(())
        }
    }

    let here = Here::default();
    let all: Result<Vec<_>, _> = here.map(|n: u8| n + 1, [1, 2]).unwrap().collect();
    assert_eq!(all.unwrap(), [2, 3]);
    let chunks: Vec<_> = here
        .map_with(|n: u8| n + 1)
        .chunk(2)
        .over(0..5)
        .unwrap()
        .collect();
    assert_eq!(chunks, (1..6).map(Ok).collect::<Vec<_>>());
    assert_eq!(here.ran.load(Ordering::SeqCst), 5);
    here.shutdown_within(Duration::ZERO).unwrap();
    let late = here.submit(|n: u8| n, 1).unwrap();
    assert_eq!(late.result(), Err(TaskError::Lost));
}

/// F86: a result whose drop panics does not save the others from being cancelled.
#[test]
fn what_nobody_needs_is_cancelled_also_behind_a_result_whose_drop_panics() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let ((first, never), (second, has_ended), (third, fails)) = (promise(), promise(), promise());
    let all = latchwork::executor::try_join_all([never, has_ended, fails]);
    assert!(second.complete(Bomb).is_ok());
    drop(third);
    assert!(matches!(all.result(), Err(TaskError::Lost)));
    assert!(first.is_cancelled());
}
