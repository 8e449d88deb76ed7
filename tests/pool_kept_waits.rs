//! What a worker had kept waits as it is dropped.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, ThreadPoolExecutor};
use latchwork::{Shutdown, parallel};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// It waits for a task of another pool, and forks, after its worker has been counted out.
#[test]
fn what_was_kept_may_wait_as_it_goes() {
    struct Kept(Arc<ThreadPoolExecutor>, Arc<AtomicUsize>);
    impl Drop for Kept {
        fn drop(&mut self) {
            let slow = || thread::sleep(Duration::from_millis(100));
            self.0.spawn(slow).unwrap().result().unwrap();
            parallel::join(|| (), || ());
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    watchdog(
        Duration::from_secs(60),
        "what_was_kept_may_wait_as_it_goes",
        || {
            let dropped = Arc::new(AtomicUsize::new(0));
            let other = Arc::new(ThreadPoolExecutor::new(1));
            let (its, count) = (Arc::clone(&other), Arc::clone(&dropped));
            let pool = ThreadPoolExecutor::builder()
                .max_workers(1)
                .worker_state(move || Ok::<_, String>(Kept(Arc::clone(&its), Arc::clone(&count))));
            pool.spawn_with(|_| ()).unwrap().result().unwrap();
            pool.shutdown(Shutdown::Drain);
            pool.join();
            assert_eq!(dropped.load(Ordering::Relaxed), 1);
        },
    );
}
