//! Pools inside workers of pools.

use latchwork::executor::{Executor, ProcessPoolExecutor};

use crate::stage::guarded;

fn sum_elsewhere(numbers: Vec<u64>) -> (u32, u64) {
    let pool = ProcessPoolExecutor::new(2).unwrap();
    let squares = pool.map(|n: u64| n * n, numbers).unwrap();
    (std::process::id(), squares.map(Result::unwrap).sum())
}

#[test]
fn a_task_may_have_a_pool_of_its_own() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let batches = (0..4).map(|batch| (0..batch * 10).collect::<Vec<u64>>());
        let sums = pool.map(sum_elsewhere, batches.clone()).unwrap();
        for (batch, result) in batches.zip(sums) {
            let (pid, sum) = result.unwrap();
            assert_ne!(pid, std::process::id());
            assert_eq!(sum, batch.iter().map(|n| n * n).sum());
        }
    });
}

/// How deep pools can be nested below this process, and why not deeper.
fn descend(depth: u32) -> (u32, String) {
    match ProcessPoolExecutor::new(1) {
        Ok(pool) => pool.submit(descend, depth + 1).unwrap().result().unwrap(),
        Err(error) => (depth, error.to_string()),
    }
}

#[test]
fn nesting_ends_at_a_limit_with_an_error_that_says_so() {
    guarded(|| {
        let (depth, error) = descend(0);
        assert_eq!(depth, 8);
        assert!(error.contains("nested more than 8 deep"), "{error}");
    });
}

#[test]
fn in_the_child_of_a_fork_the_parents_pool_refuses_and_nothing_waits() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let before = pool.submit(|n: u8| n, 1).unwrap().result();
        assert_eq!(before, Ok(1));
        // SAFETY: the child allocates at most, which glibc allows after a fork, and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let refused = pool.submit(|n: u8| n, 2).is_err();
            pool.join();
            drop(pool);
            // SAFETY: ends the child at once, without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(!refused)) };
        }
        let mut status = 0;
        // SAFETY: waits for our own child.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(pool.submit(|n: u8| n, 3).unwrap().result(), Ok(3));
    });
}
