//! Models of the wait for all threads at the program's end: nobody is missed, and nobody starts after it.

use latchwork::GaveUp;
use latchwork::model::{Deadline, Started, Threads};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

/// Runs `body` as the thread that has just been started, and ends it. To be joined, or the model is torn down
/// beside it.
fn run<R: 'static>(started: Started, body: impl FnOnce() -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(move || {
        let result = body();
        started.end();
        result
    })
}

#[test]
fn one_starts_another_as_it_ends() {
    model(
        "exit: a thread that another one has started as its last act is not waited for",
        || {
            let threads = Threads::new();
            let done = Arc::new(UnsafeCell::new(0));
            let first = threads.start(false).expect("nobody has closed");
            let (its_threads, its_done) = (threads.clone(), done.clone());
            let first = run(first, move || {
                let second = its_threads.start(false).expect("its starter is alive");
                // SAFETY: before its end, for which the waiter waits. loom checks.
                run(second, move || {
                    its_done.with_mut(|done| unsafe { *done = 1 })
                })
            });
            threads.wait(Duration::MAX).unwrap();
            // SAFETY: everybody has ended. loom checks.
            assert_eq!(done.with(|done| unsafe { *done }), 1);
            assert_eq!(threads.count(), 0);
            assert!(threads.start(false).is_none());
            first.join().unwrap().join().unwrap();
        },
    );
}

#[test]
fn a_start_against_the_close() {
    model(
        "exit: a start slips in between the last look and the closed door",
        || {
            let threads = Threads::new();
            let done = Arc::new(UnsafeCell::new(0));
            // Its end has the waiter look, and the start may come in between.
            let first = threads.start(false).expect("nobody has closed");
            let first = run(first, || ());
            let starter = {
                let (threads, done) = (threads.clone(), done.clone());
                thread::spawn(move || {
                    let Some(started) = threads.start(false) else {
                        return false;
                    };
                    // SAFETY: before its end, for which the waiter waits. loom checks.
                    done.with_mut(|done| unsafe { *done = 1 });
                    started.end();
                    true
                })
            };
            threads.wait(Duration::MAX).unwrap();
            assert_eq!(threads.count(), 0);
            // SAFETY: whoever has started has ended, and nobody will. loom checks.
            let has_run = done.with(|done| unsafe { *done }) == 1;
            assert_eq!(starter.join().unwrap(), has_run);
            first.join().unwrap();
        },
    );
}

#[test]
fn the_last_two_end_at_once() {
    model(
        "exit: two threads end at once, and neither of them tells the waiter",
        || {
            let threads = Threads::new();
            let both = [0, 1].map(|_| threads.start(false).expect("nobody has closed"));
            let both = both.map(|started| run(started, || ()));
            threads.wait(Duration::MAX).unwrap();
            assert_eq!(threads.count(), 0);
            for thread in both {
                thread.join().unwrap();
            }
        },
    );
}

#[test]
fn a_time_out_against_the_last_end() {
    model(
        "exit: a waiter that gives up has closed the door, or one that succeeds has not",
        || {
            let threads = Threads::new();
            let deadline = Deadline::new();
            let last = threads.start(false).expect("nobody has closed");
            let last = run(last, || ());
            let timer = {
                let deadline = deadline.clone();
                thread::spawn(move || deadline.pass())
            };
            match threads.wait(&deadline) {
                Ok(()) => assert!(threads.start(false).is_none()),
                Err(why) => {
                    assert_eq!(why, GaveUp::TimedOut);
                    let next = threads.start(false).expect("it has changed nothing");
                    next.end();
                    threads.wait(Duration::MAX).unwrap();
                    assert!(threads.start(false).is_none());
                }
            }
            last.join().unwrap();
            timer.join().unwrap();
        },
    );
}

#[test]
fn two_wait_for_all() {
    model(
        "exit: of two who wait for the last end one is left asleep",
        || {
            let threads = Threads::new();
            let last = threads.start(false).expect("nobody has closed");
            let daemon = threads.start(true).expect("nobody has closed");
            let other = {
                let threads = threads.clone();
                thread::spawn(move || threads.wait(Duration::MAX))
            };
            let last = run(last, || ());
            threads.wait(Duration::MAX).unwrap();
            other.join().unwrap().unwrap();
            last.join().unwrap();
            daemon.end();
        },
    );
}
