//! `OnDeadlock::Call`: a hook is the user's code, and runs in a thread that is in the line.
//!
//! In a program of its own, because the hook is the whole program's. The threads of a deadlock stay
//! where they are.

mod common;

use common::{until_parked, watchdog};
use latchwork::debug::{self, OnDeadlock};
use latchwork::sync::Lock;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// One at a time.
static ALONE: Lock<()> = Lock::new(());

/// A thread that waits for itself, with this lock.
fn wait_for_itself(lock: &'static Lock<()>) -> thread::JoinHandle<()> {
    thread::spawn(|| {
        let _held = lock.lock();
        drop(lock.lock());
    })
}

#[test]
fn a_hook_that_runs_into_a_deadlock_itself_is_not_called_for_that() {
    watchdog(LIMIT, "a_hook_that_runs_into_a_deadlock", || {
        static LOCK: Lock<()> = Lock::new(());
        let _alone = ALONE.lock();
        let (tell, called) = mpsc::channel();
        debug::on_deadlock(OnDeadlock::Call(Arc::new(move |_| {
            tell.send(()).unwrap();
            drop(LOCK.lock());
        })));
        wait_for_itself(&LOCK);
        // The one that waits, and the one in the hook.
        until_parked("Lock", &LOCK, 2);
        assert_eq!(called.recv(), Ok(()));
        assert!(called.recv_timeout(Duration::from_millis(20)).is_err());
    });
}

#[test]
fn a_hook_that_panics_when_it_is_dropped_does_not_end_the_wait() {
    struct Bomb(mpsc::Sender<()>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            panic!("a bad hook, on purpose");
        }
    }

    watchdog(LIMIT, "a_hook_that_panics_when_it_is_dropped", || {
        static LOCK: Lock<()> = Lock::new(());
        let _alone = ALONE.lock();
        let (tell, dropped) = mpsc::channel();
        let bomb = Bomb(tell);
        debug::on_deadlock(OnDeadlock::Call(Arc::new(move |_| {
            let _bomb = &bomb;
            // The call has the last reference now.
            debug::on_deadlock(OnDeadlock::Print);
        })));
        let waiting = wait_for_itself(&LOCK);
        assert_eq!(dropped.recv(), Ok(()));
        // If the panic came through it would take the frame away with a node of the line in it.
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        until_parked("Lock", &LOCK, 1);
    });
}
