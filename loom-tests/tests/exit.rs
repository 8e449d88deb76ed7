//! Models of the program's end: each hook once, and nobody goes on before all of them.

use latchwork::executor::{SubmitRefusal, ThreadPoolExecutor};
use latchwork::exit;
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A hook that counts.
fn count(calls: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static + use<> {
    let calls = Arc::clone(calls);
    move || {
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn two_ends() {
    model("exit: two threads ask for the end at once", || {
        let calls = Arc::new(AtomicUsize::new(0));
        exit::at_exit(count(&calls)).unwrap();
        exit::at_end(count(&calls)).unwrap();
        let its = Arc::clone(&calls);
        let other = thread::spawn(move || {
            exit::shutdown();
            assert_eq!(its.load(Ordering::Relaxed), 2);
        });
        exit::shutdown();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert!(exit::is_exiting());
        other.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn late_hook() {
    model("exit: a hook is registered while hooks are called", || {
        let calls = Arc::new(AtomicUsize::new(0));
        exit::at_exit(count(&calls)).unwrap();
        let hook = count(&calls);
        let other = thread::spawn(move || match exit::at_exit(hook) {
            Ok(_) => 1,
            Err(exit::ShuttingDown(hook)) => {
                drop(hook);
                0
            }
        });
        exit::shutdown();
        let accepted = other.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1 + accepted);
    });
}

#[test]
fn hook_of_a_hook() {
    model(
        "exit: a hook registers another and asks for the end itself",
        || {
            let calls = Arc::new(AtomicUsize::new(0));
            let (inner, its) = (count(&calls), Arc::clone(&calls));
            exit::at_exit(move || {
                exit::at_exit(inner).unwrap();
                exit::shutdown();
                assert_eq!(its.load(Ordering::Relaxed), 1);
            })
            .unwrap();
            let other = thread::spawn(exit::shutdown);
            exit::shutdown();
            assert_eq!(calls.load(Ordering::Relaxed), 1);
            other.join().unwrap();
        },
    );
}

#[test]
fn cancelled_hook() {
    model(
        "exit: a hook is taken back while it is about to be called",
        || {
            let calls = Arc::new(AtomicUsize::new(0));
            let hook = exit::at_exit(count(&calls)).unwrap();
            let other = thread::spawn(move || hook.cancel());
            exit::shutdown();
            let cancelled = other.join().unwrap();
            assert_eq!(calls.load(Ordering::Relaxed), usize::from(!cancelled));
            assert!(!hook.cancel() && !hook.still_active());
        },
    );
}

#[test]
fn pool_at_the_end() {
    model("exit: a task is submitted while pools are drained", || {
        let calls = Arc::new(AtomicUsize::new(0));
        let pool = std::sync::Arc::new(ThreadPoolExecutor::new(1));
        let (its, task) = (std::sync::Arc::clone(&pool), count(&calls));
        let other = thread::spawn(move || match its.spawn(task) {
            Ok(_) => 1,
            Err(refused) => {
                assert_eq!(refused.reason, SubmitRefusal::ShutDown);
                0
            }
        });
        exit::shutdown();
        // Whatever had been accepted by then has been done, or will never be accepted.
        let accepted = other.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), accepted);
    });
}
