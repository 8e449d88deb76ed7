//! Tasks that wait for each other in a circle are a deadlock, and are reported as one: row F39.
//!
//! In a program of its own, because the hook is the whole program's. The threads of the deadlock stay where they are.

mod common;

use common::watchdog;
use latchwork::debug::{self, OnDeadlock};
use latchwork::executor::{SharedFuture, ThreadPoolExecutor};
use latchwork::sync::Lock;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn tasks_that_wait_for_each_other() {
    watchdog(LIMIT, "tasks_that_wait_for_each_other", || {
        let (tell, told) = mpsc::channel();
        debug::on_deadlock(OnDeadlock::Call(Arc::new(move |deadlock| {
            tell.send(deadlock.waits().len()).unwrap();
        })));
        type Place = Arc<OnceLock<SharedFuture<()>>>;
        let places: [Place; 3] = Default::default();
        // Not dropped: that would wait for them.
        let pool = ManuallyDrop::new(ThreadPoolExecutor::new(3));
        // Else one worker might run all of them, one on top of another, and wait for itself.
        let all_run = Arc::new(Barrier::new(3));
        for n in 0..3 {
            let next = Arc::clone(&places[(n + 1) % 3]);
            let all_run = Arc::clone(&all_run);
            let wait = move || {
                all_run.wait();
                next.wait().result().unwrap();
            };
            places[n].set(pool.spawn(wait).unwrap().share()).unwrap();
        }
        assert_eq!(told.recv(), Ok(3));

        // One that is run on top of the one that waits for it, and wants a lock that this one holds.
        let pool = ManuallyDrop::new(Arc::new(ThreadPoolExecutor::new(1)));
        let inside = Arc::clone(&pool);
        let task = move || {
            let lock = Arc::new(Lock::new(()));
            let _held = lock.lock();
            let wanted = Arc::clone(&lock);
            let below = inside.spawn(move || drop(wanted.lock())).unwrap();
            below.result().unwrap();
        };
        let _stays = pool.spawn(task).unwrap();
        assert_eq!(told.recv(), Ok(1));
    });
}
