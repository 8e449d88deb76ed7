//! `thread::scope`: threads that borrow, in four faces, and the end that waits for all of them. Rows T39, T42,
//! T47, T55.

mod common;

use common::{block_on, watchdog};
use latchwork::select::Select;
use latchwork::sync::{Event, Lock};
use latchwork::thread::{self, Builder, JoinError, WaitError};
use latchwork::{GaveUp, debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn threads_borrow_and_the_scope_ends_after_them() {
    watchdog(LIMIT, "threads_borrow", || {
        for _ in 0..100 {
            let mut parts = [0; 4];
            let sum = thread::scope(|s| {
                for (n, part) in parts.iter_mut().enumerate() {
                    // Handles that are dropped make no difference.
                    drop(s.spawn(move || *part = n + 1));
                }
                10
            });
            assert_eq!(parts.iter().sum::<usize>(), sum);
        }
    });
}

/// T55: threads that threads of the scope start, at any depth, and as their last act.
#[test]
fn threads_start_threads() {
    fn grow<'scope>(s: &'scope thread::Scope<'scope, '_>, count: &'scope AtomicUsize, depth: u32) {
        count.fetch_add(1, Ordering::Relaxed);
        if depth > 0 {
            for _ in 0..2 {
                drop(s.spawn(move || grow(s, count, depth - 1)));
            }
        }
    }
    watchdog(LIMIT, "threads_start_threads", || {
        for _ in 0..10 {
            let count = AtomicUsize::new(0);
            thread::scope(|s| grow(s, &count, 5));
            assert_eq!(count.load(Ordering::Relaxed), 63);
        }
    });
}

#[test]
fn four_faces_and_a_select() {
    watchdog(LIMIT, "four_faces", || {
        let open = Event::new();
        let greeting = "hello".to_owned();
        thread::scope(|s| {
            let start = |name: &str| {
                let body = || {
                    open.wait();
                    greeting.as_str()
                };
                Builder::new().name(name).spawn_scoped(s, body).unwrap()
            };
            let [a, b, c, d] = ["a", "b", "c", "d"].map(start);
            let a = a.try_join().unwrap_err();
            assert_eq!(&*a.name(), "a");
            let gave_up = b.join_within(Duration::from_millis(1)).unwrap_err();
            assert_eq!(gave_up.why, WaitError::TimedOut);
            let selected = Select::new()
                .join(&d, || ())
                .wait_within(Duration::from_millis(1));
            assert_eq!(selected.unwrap_err().why, GaveUp::TimedOut);
            open.set();
            assert_eq!(a.join(), Ok("hello"));
            assert_eq!(gave_up.handle.join_within(LIMIT).unwrap(), Ok("hello"));
            assert_eq!(block_on(c.join_async()), Ok("hello"));
            Select::new().join(&d, || ()).wait();
            assert_eq!(d.try_join().unwrap(), Ok("hello"));
        });
    });
}

/// Also when the body panics, whose panic it is then.
#[test]
fn a_body_that_panics_waits_for_its_threads() {
    watchdog(LIMIT, "a_body_that_panics", || {
        let both_run = Barrier::new(2);
        let ended = AtomicUsize::new(0);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|s| {
                drop(s.spawn(|| {
                    both_run.wait();
                    (0..100).for_each(|_| thread::yield_now());
                    ended.fetch_add(1, Ordering::Relaxed);
                    panic!("the thread's");
                }));
                both_run.wait();
                panic!("the body's");
            })
        }));
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        let payload: Box<dyn std::any::Any + Send> = panic.unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "the body's");
    });
}

/// T42: a panic that was joined is dealt with; one that was not is the scope's.
#[test]
fn a_panic_that_nobody_joins_is_the_scopes() {
    watchdog(LIMIT, "a_panic_that_nobody_joins", || {
        thread::scope(|s| {
            let joined = s.spawn(|| -> () { panic!("on purpose") });
            let error = joined.join().unwrap_err();
            assert!(matches!(error, JoinError::Panicked(panic) if panic.message == "on purpose"));
        });
        for is_kept in [false, true] {
            let panic = catch_unwind(|| {
                thread::scope(|s| {
                    let handle = s.spawn(|| -> () { panic!("on purpose") });
                    if is_kept {
                        std::mem::forget(handle);
                    }
                });
            });
            let payload = panic.unwrap_err();
            let said = payload.downcast_ref::<&str>().unwrap();
            assert_eq!(*said, "a scoped thread panicked");
        }
    });
}

/// What a thread returns and nobody takes is dropped before the scope ends: it may borrow.
#[test]
fn a_result_that_borrows_and_is_not_taken() {
    struct Noted<'a>(&'a AtomicUsize);
    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    watchdog(LIMIT, "a_result_that_borrows", || {
        let drops = AtomicUsize::new(0);
        thread::scope(|s| {
            for _ in 0..50 {
                drop(s.spawn(|| Noted(&drops)));
            }
        });
        assert_eq!(drops.load(Ordering::Relaxed), 50);
    });
}

/// The end of a scope is a wait for its threads, and part of the circles that it closes. It is not left by a
/// panic, which would leave the borrows to threads that run on.
#[test]
fn a_deadlock_through_the_end_of_a_scope() {
    watchdog(LIMIT, "deadlock_through_a_scope", || {
        let found = Arc::new(std::sync::Mutex::new(Vec::new()));
        let its_found = Arc::clone(&found);
        debug::on_deadlock(debug::OnDeadlock::Call(Arc::new(move |deadlock| {
            its_found.lock().unwrap().push(deadlock.clone());
        })));
        let lock: &'static Lock<()> = Box::leak(Box::new(Lock::new(())));
        let _ = thread::spawn(move || {
            let _held = lock.lock();
            thread::scope(|s| drop(s.spawn(|| drop(lock.lock()))));
        });
        while found.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        let deadlock = found.lock().unwrap().pop().unwrap();
        let mut kinds: Vec<_> = deadlock.waits().iter().map(|wait| wait.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["Lock", "Thread"]);
        let end = deadlock.waits().iter().find(|wait| wait.kind == "Thread");
        assert!(end.unwrap().place.file().ends_with("thread_scope.rs"));
    });
}

/// However many threads a scope has had, it keeps what it needs for those that are alive.
#[test]
fn ten_thousand_threads_in_one_scope() {
    watchdog(LIMIT, "ten_thousand_threads", || {
        let count = AtomicUsize::new(0);
        thread::scope(|s| {
            for n in 0..10_000 {
                let thread = s.spawn(|| count.fetch_add(1, Ordering::Relaxed));
                if n % 2 == 0 {
                    thread.join().unwrap();
                }
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 10_000);
    });
}

/// The same in a program in which deadlocks panic, and the end of the scope comes last: it is printed.
#[test]
fn the_end_of_a_scope_is_not_left_by_a_panic() {
    const CHILD: &str = "LATCHWORK_TEST_SCOPE";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_end_of_a_scope_is_not_left_by_a_panic"])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD, "")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(printed.contains("deadlock: 2 threads"), "{output:?}");
        return;
    }
    debug::on_deadlock(debug::OnDeadlock::Panic);
    let lock: &'static Lock<()> = Box::leak(Box::new(Lock::new(())));
    let waits_for = |kind: &str| debug::waits().iter().any(|wait| wait.kind == kind);
    let stuck = thread::spawn(move || {
        let _held = lock.lock();
        thread::scope(|s| {
            drop(s.spawn(|| drop(lock.lock())));
            while !waits_for("Lock") {
                thread::yield_now();
            }
            // Until it sleeps, and would be the one that is found.
            std::thread::sleep(Duration::from_millis(50));
        });
    });
    while !waits_for("Thread") {
        thread::yield_now();
    }
    let waited = stuck.join_within(Duration::from_millis(300));
    assert_eq!(waited.unwrap_err().why, WaitError::TimedOut);
}
