//! Futures that wait for locks of other processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::executor::{LocalExecutor, block_on};
use latchwork::ipc::{Array, Lock, LockError, Value};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// A free lock is had at the first poll; one that is held is waited for, and its owner's death told.
#[test]
fn a_future_gets_the_lock_of_a_process_that_dies() {
    watchdog(LIMIT, "dies", || {
        let value = Value::new([1_u64; 4]).unwrap();
        assert_eq!(
            block_on(async { *value.lock_async().await.unwrap() }),
            [1; 4]
        );
        let owner = Victim::new(|| {
            let mut guard = value.lock().unwrap();
            guard[0] = 2;
            sleep_for_ever()
        });
        wait_until(|| value.is_locked());
        {
            let mut waiting = pin!(value.lock_async());
            let mut nobody = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut nobody).is_pending());
            owner.kill();
            let Err(LockError::OwnerDied(mut guard)) = block_on(waiting) else {
                panic!("the death went unnoticed");
            };
            assert_eq!(guard[0], 2);
            guard.mark_consistent();
        }
        assert_eq!(value.get().unwrap(), [2, 1, 1, 1]);
    });
}

/// Four processes, of which each has a hundred futures on one thread, count under one lock.
#[test]
fn many_futures_of_several_processes_exclude_each_other() {
    watchdog(LIMIT, "exclude", || {
        let pair = Array::<u64>::zeroed(2).unwrap();
        let work = || {
            let executor = LocalExecutor::new();
            let handles: Vec<_> = (0..100)
                .map(|_| {
                    let pair = pair.clone();
                    executor.spawn(async move {
                        for _ in 0..5 {
                            let mut guard = pair.lock_async().await.unwrap();
                            assert_eq!(guard[0], guard[1]);
                            guard[0] += 1;
                            // Others of this thread get at the lock while it is held.
                            latchwork::time::sleep_async(Duration::ZERO).await;
                            guard[1] += 1;
                        }
                    })
                })
                .collect();
            executor.run(async {
                for handle in handles {
                    handle.await.unwrap();
                }
            });
        };
        let others: Vec<_> = (0..3).map(|_| Victim::new(work)).collect();
        work();
        others.into_iter().for_each(Victim::join);
        assert_eq!(pair.to_vec().unwrap(), [2000; 2]);
    });
}

/// A future that was called and is dropped leaves its turn to the others.
#[test]
fn a_dropped_future_takes_no_turn_along() {
    watchdog(LIMIT, "dropped", || {
        let lock = Lock::new().unwrap();
        let mut nobody = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            let guard = lock.lock().unwrap();
            let mut first = Box::pin(lock.lock_async());
            assert!(matches!(first.as_mut().poll(&mut nobody), Poll::Pending));
            let other = Victim::new(|| drop(lock.lock().unwrap()));
            drop(guard);
            drop(first);
            other.join();
            drop(block_on(lock.lock_async()).unwrap());
        }
    });
}

/// A future that is polled on in a forked child takes the lock for the child.
#[test]
fn a_future_in_a_forked_child_locks_for_the_child() {
    watchdog(LIMIT, "forked", || {
        let value = Value::new(1_u64).unwrap();
        let guard = value.lock().unwrap();
        let mut waiting = Box::pin(value.lock_async());
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut nobody).is_pending());
        let child = Victim::new(|| {
            let _held = loop {
                let mut nobody = Context::from_waker(Waker::noop());
                match waiting.as_mut().poll(&mut nobody) {
                    Poll::Ready(taken) => break taken.unwrap(),
                    Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            sleep_for_ever()
        });
        drop(guard);
        let is_childs = |pid| pid == child.pid.cast_unsigned();
        wait_until(|| value.holder().is_some_and(|holder| is_childs(holder.pid())));
        child.kill();
        assert!(matches!(value.lock(), Err(LockError::OwnerDied(_))));
    });
}
