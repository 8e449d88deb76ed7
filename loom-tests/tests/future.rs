//! Models of futures: promises, what watches several, and what is made of others.

use latchwork::Limit;
use latchwork::executor::{
    ReturnWhen, TaskError, as_completed, join_all, promise, race, try_join_all, wait,
};
use latchwork::model::Deadline;
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[test]
fn complete_against_cancel() {
    model("promise: a value is kept or given back, never both", || {
        let (promise, future) = promise();
        let completer = thread::spawn(move || promise.complete(1));
        let cancelled = future.cancel();
        match completer.join().unwrap() {
            Ok(()) => assert!(!cancelled && future.result() == Ok(1)),
            Err(value) => {
                assert!(cancelled && value == 1);
                assert_eq!(future.result(), Err(TaskError::Cancelled));
            }
        }
    });
}

#[test]
fn drop_against_cancel() {
    model(
        "promise: dropped while it is cancelled, it ends once",
        || {
            let (promise, future) = promise::<u8>();
            let calls = Arc::new(AtomicUsize::new(0));
            let count = calls.clone();
            future.on_done(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            let dropper = thread::spawn(move || drop(promise));
            let cancelled = future.cancel();
            dropper.join().unwrap();
            assert_eq!(calls.load(Ordering::Relaxed), 1);
            let expected = match cancelled {
                true => TaskError::Cancelled,
                false => TaskError::Lost,
            };
            assert_eq!(future.result(), Err(expected));
        },
    );
}

#[test]
fn watcher_against_end() {
    model(
        "wait: a task ends while its watcher is added, or while it falls asleep",
        || {
            let (promise, future) = promise();
            let completer = thread::spawn(move || promise.complete(1).unwrap());
            let waited = wait([&future], ReturnWhen::AllCompleted, Limit::none());
            assert_eq!(waited.done, [0]);
            assert_eq!(future.result(), Ok(1));
            completer.join().unwrap();
        },
    );
}

#[test]
fn wait_against_time_out() {
    model(
        "wait: gives up while the task ends, and takes its watcher back",
        || {
            let (promise, future) = promise();
            let completer = thread::spawn(move || promise.complete(1).unwrap());
            let deadline = Deadline::new();
            let timer = {
                let deadline = deadline.clone();
                thread::spawn(move || deadline.pass())
            };
            let waited = wait([&future], ReturnWhen::AllCompleted, &deadline);
            assert!(waited.gave_up.is_some() || waited.done == [0]);
            timer.join().unwrap();
            completer.join().unwrap();
            assert_eq!(future.result(), Ok(1));
        },
    );
}

#[test]
fn first_of_two() {
    model(
        "wait: two tasks end at once, and one of them is enough",
        || {
            let ((one, first), (two, second)) = (promise(), promise());
            let enders =
                [one, two].map(|promise| thread::spawn(move || promise.complete(1).unwrap()));
            let waited = wait([&first, &second], ReturnWhen::FirstCompleted, Limit::none());
            assert!(!waited.done.is_empty());
            for ender in enders {
                ender.join().unwrap();
            }
            assert_eq!((first.result(), second.result()), (Ok(1), Ok(1)));
        },
    );
}

#[test]
fn all_of_two() {
    model("wait: the last of two ends opens, whichever it is", || {
        let ((one, first), (two, second)) = (promise(), promise());
        let enders = [one, two].map(|promise| thread::spawn(move || promise.complete(1).unwrap()));
        let waited = wait([&first, &second], ReturnWhen::AllCompleted, Limit::none());
        assert_eq!(waited.done, [0, 1]);
        for ender in enders {
            ender.join().unwrap();
        }
    });
}

#[test]
fn each_comes_once() {
    model(
        "as_completed: two tasks end while it looks for the next",
        || {
            let ((one, first), (two, second)) = (promise(), promise());
            let ended = as_completed([first, second], Limit::none());
            let enders = [(one, 1), (two, 2)]
                .map(|(promise, n)| thread::spawn(move || promise.complete(n).unwrap()));
            let sum: i32 = ended.map(|future| future.unwrap().result().unwrap()).sum();
            assert_eq!(sum, 3);
            for ender in enders {
                ender.join().unwrap();
            }
        },
    );
}

#[test]
fn unwatched_against_end() {
    model("as_completed: dropped while the task ends", || {
        let (promise, future) = promise();
        let watching = as_completed([&future], Limit::none());
        let completer = thread::spawn(move || promise.complete(1).unwrap());
        drop(watching);
        completer.join().unwrap();
        assert_eq!(future.result(), Ok(1));
    });
}

#[test]
fn race_of_two() {
    model(
        "race: both end at once, one wins, the other is cancelled or dropped",
        || {
            let ((one, first), (two, second)) = (promise(), promise());
            let both = race([first, second]);
            let enders =
                [(one, 1), (two, 2)].map(|(promise, n)| thread::spawn(move || promise.complete(n)));
            let winner = both.result().unwrap();
            assert!(winner == 1 || winner == 2);
            let ends = enders.map(|ender| ender.join().unwrap());
            assert_eq!(ends[winner - 1], Ok(()));
        },
    );
}

#[test]
fn joined() {
    model("join_all: the last two end at once", || {
        let ((one, first), (two, second)) = (promise(), promise());
        let both = join_all([first, second]);
        let enders =
            [(one, 1), (two, 2)].map(|(promise, n)| thread::spawn(move || promise.complete(n)));
        assert_eq!(both.result().unwrap(), [Ok(1), Ok(2)]);
        for ender in enders {
            ender.join().unwrap().unwrap();
        }
    });
}

#[test]
fn failed_against_cancel() {
    model(
        "try_join_all: one is lost while the whole is cancelled",
        || {
            let ((one, first), (two, second)) = (promise::<u8>(), promise::<u8>());
            let both = try_join_all([first, second]);
            let dropper = thread::spawn(move || drop(one));
            let cancelled = both.cancel();
            dropper.join().unwrap();
            assert_eq!(two.complete(1), Err(1), "either way it is not needed");
            let expected = match cancelled {
                true => TaskError::Cancelled,
                false => TaskError::Lost,
            };
            assert_eq!(both.result(), Err(expected));
        },
    );
}

#[test]
fn chained_against_cancel() {
    model(
        "and_then: cancelled while its first task ends and the second begins",
        || {
            let ((one, first), (two, second)) = (promise::<u8>(), promise::<u8>());
            let began = Arc::new(AtomicUsize::new(0));
            let count = began.clone();
            let chained = first.and_then(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                second
            });
            let completer = thread::spawn(move || one.complete(1).is_ok());
            assert!(chained.cancel(), "the second has not ended");
            completer.join().unwrap();
            assert_eq!(chained.result(), Err(TaskError::Cancelled));
            let is_wanted = two.complete(2).is_ok();
            let has_begun = began.load(Ordering::Relaxed) == 1;
            assert!(!(has_begun && is_wanted), "it is cancelled if it has begun");
        },
    );
}

#[test]
fn mapped_against_cancel() {
    model(
        "map: its closure runs or it is cancelled, never both",
        || {
            let (promise, future) = promise();
            let calls = Arc::new(AtomicUsize::new(0));
            let count = calls.clone();
            let mapped = future.map(move |n: u8| {
                count.fetch_add(1, Ordering::Relaxed);
                n + 1
            });
            let completer = thread::spawn(move || promise.complete(1).is_ok());
            let cancelled = mapped.cancel();
            completer.join().unwrap();
            match mapped.result() {
                Ok(value) => {
                    assert!(value == 2 && !cancelled && calls.load(Ordering::Relaxed) == 1)
                }
                Err(why) => {
                    assert!(cancelled && why == TaskError::Cancelled);
                    assert_eq!(calls.load(Ordering::Relaxed), 0);
                }
            }
        },
    );
}
