//! Models of the wait for all threads at the program's end: nobody is missed, and nobody starts after it.

use latchwork::GaveUp;
use latchwork::model::{Deadline, Threads};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::time::Duration;

/// How many are alive, as seen from outside the registry.
struct Alive {
    threads: Threads,
    count: AtomicUsize,
}

impl Alive {
    fn new() -> Arc<Alive> {
        Arc::new(Alive {
            threads: Threads::new(),
            count: AtomicUsize::new(0),
        })
    }

    /// Starts a modelled thread that runs `body`. False if it is refused.
    fn start(self: &Arc<Self>, body: impl FnOnce(&Arc<Alive>) + 'static) -> bool {
        // Its owner is the modelled thread, which the record does not outlive.
        let this = self.clone();
        let (entered, told) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(loom::sync::Notify::new()),
        );
        let (its_entered, tell) = (entered.clone(), told.clone());
        thread::spawn(move || {
            let started = this.threads.start(false);
            its_entered.store(1 + usize::from(started.is_some()), Ordering::Release);
            if started.is_some() {
                this.count.fetch_add(1, Ordering::Relaxed);
            }
            tell.notify();
            if let Some(started) = started {
                body(&this);
                this.count.fetch_sub(1, Ordering::Release);
                started.end();
            }
        });
        told.wait();
        entered.load(Ordering::Acquire) == 2
    }
}

#[test]
fn one_starts_another_as_it_ends() {
    model(
        "exit: a thread that another one has started as its last act is not waited for",
        || {
            let alive = Alive::new();
            assert!(alive.start(|alive| {
                assert!(alive.start(|_| ()), "its starter is alive");
            }));
            alive.threads.wait(Duration::MAX).unwrap();
            assert_eq!(alive.count.load(Ordering::Acquire), 0);
            assert!(alive.threads.start(false).is_none());
        },
    );
}

#[test]
fn a_start_against_the_close() {
    model(
        "exit: a start slips in between the last look and the closed door",
        || {
            let alive = Arc::new((Threads::new(), AtomicUsize::new(0)));
            let starter = {
                let alive = alive.clone();
                thread::spawn(move || match alive.0.start(false) {
                    Some(started) => {
                        alive.1.store(1, Ordering::Relaxed);
                        started.end();
                        true
                    }
                    None => false,
                })
            };
            alive.0.wait(Duration::MAX).unwrap();
            let ran_before = alive.1.load(Ordering::Relaxed) == 1;
            assert_eq!(starter.join().unwrap(), ran_before);
        },
    );
}

#[test]
fn the_last_two_end_at_once() {
    model(
        "exit: two threads end at once, and neither of them tells the waiter",
        || {
            let alive = Arc::new((Threads::new(), AtomicUsize::new(0)));
            let enders = [0, 1].map(|_| {
                let alive = alive.clone();
                // Nothing of the modelled thread is borrowed by it.
                thread::spawn(move || {
                    let started = alive.0.start(false);
                    let was_in_time = started.is_some();
                    if let Some(started) = started {
                        alive.1.fetch_add(1, Ordering::Relaxed);
                        started.end();
                    }
                    was_in_time
                })
            });
            alive.0.wait(Duration::MAX).unwrap();
            let ran = alive.1.load(Ordering::Relaxed);
            let in_time = enders.map(|ender| usize::from(ender.join().unwrap()));
            assert_eq!(ran, in_time.iter().sum());
        },
    );
}

#[test]
fn a_time_out_against_the_last_end() {
    model(
        "exit: a waiter that gives up has closed the door, or one that succeeds has not",
        || {
            let threads = Arc::new(Threads::new());
            let deadline = Deadline::new();
            // One that is alive from the beginning.
            let ender = {
                let threads = threads.clone();
                thread::spawn(move || {
                    let started = threads.start(false);
                    if let Some(started) = started {
                        started.end();
                    }
                })
            };
            let timer = {
                let deadline = deadline.clone();
                thread::spawn(move || deadline.pass())
            };
            let first = threads.start(false).expect("nobody has closed");
            let waiter = {
                let threads = threads.clone();
                let deadline = deadline.clone();
                thread::spawn(move || threads.wait(&deadline))
            };
            first.end();
            let waited = waiter.join().unwrap();
            match waited {
                Ok(()) => assert!(threads.start(false).is_none()),
                Err(why) => {
                    assert_eq!(why, GaveUp::TimedOut);
                    threads.start(false).expect("it has changed nothing").end();
                }
            }
            ender.join().unwrap();
            timer.join().unwrap();
        },
    );
}

#[test]
fn two_wait_for_all() {
    model(
        "exit: of two who wait for the last end one is left asleep",
        || {
            let threads = Arc::new(Threads::new());
            let last = threads.start(false).expect("nobody has closed");
            let daemon = threads.start(true).expect("nobody has closed");
            let other = {
                let threads = threads.clone();
                thread::spawn(move || threads.wait(Duration::MAX))
            };
            last.end();
            threads.wait(Duration::MAX).unwrap();
            other.join().unwrap().unwrap();
            daemon.end();
        },
    );
}
