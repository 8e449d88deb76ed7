//! Tasks that wait for tasks of their own pool: row F39, case X18.

mod common;

use common::watchdog;
use latchwork::executor::{TaskError, ThreadPoolExecutor};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn down(pool: &Arc<ThreadPoolExecutor>, depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    let below = Arc::clone(pool);
    let future = pool.spawn(move || down(&below, depth - 1)).unwrap();
    future.result().unwrap() + 1
}

/// X18: neither the stack nor the pool gives out.
#[test]
fn a_pool_of_one_goes_as_deep_as_one_likes() {
    watchdog(LIMIT, "a_pool_of_one_goes_as_deep", || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&pool);
        let future = pool.spawn(move || down(&inside, 20_000)).unwrap();
        assert_eq!(future.result(), Ok(20_000));
    });
}

/// When there can be no more workers, the one that nobody could start says so, and the others go on.
#[test]
fn too_deep_is_a_clear_error() {
    watchdog(LIMIT, "too_deep_is_a_clear_error", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .spare_workers(1)
            .stack_size(128 << 10)
            .unwrap()
            .build();
        let pool = Arc::new(pool);
        let inside = Arc::clone(&pool);
        fn down(pool: &Arc<ThreadPoolExecutor>, depth: u32) -> Result<u32, TaskError> {
            let below = Arc::clone(pool);
            let future = pool.spawn(move || down(&below, depth + 1)).unwrap();
            match future.result() {
                Ok(deepest) => deepest,
                Err(TaskError::WouldDeadlock) => Ok(depth),
                Err(other) => Err(other),
            }
        }
        let deepest = pool.spawn(move || down(&inside, 0)).unwrap().result();
        assert!(deepest.unwrap().unwrap() > 1);
        assert_eq!(pool.spawn(|| 7).unwrap().result(), Ok(7));
    });
}
