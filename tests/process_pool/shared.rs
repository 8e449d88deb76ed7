//! Handles to shared memory as arguments of tasks: one tree of processes, one arena.

use std::sync::Mutex;

use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc;

use crate::stage::guarded;

fn add(counter: ipc::Value<u64>) {
    counter.update(|count| *count += 1).unwrap();
}

#[test]
fn a_value_made_here_is_the_same_in_every_worker() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(3).unwrap();
        let counter = ipc::Value::new(0_u64).unwrap();
        let adds = pool.map(add, (0..300).map(|_| counter.clone())).unwrap();
        adds.for_each(Result::unwrap);
        assert_eq!(counter.get().unwrap(), 300);
    });
}

/// What this process has made and others still use: it is gone when its maker lets it go.
static KEPT: Mutex<Vec<ipc::Value<u64>>> = Mutex::new(Vec::new());

#[test]
fn a_value_made_in_a_worker_comes_back_and_goes_further_down() {
    fn nested(counter: ipc::Value<u64>) -> ipc::Value<u64> {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        pool.submit(add, counter.clone()).unwrap().result().unwrap();
        counter
    }
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let make = |start: u64| {
            let value = ipc::Value::new(start).unwrap();
            KEPT.lock().unwrap().push(value.clone());
            value
        };
        let counter = pool.submit(make, 41).unwrap().result().unwrap();
        let same = pool
            .submit(nested, counter.clone())
            .unwrap()
            .result()
            .unwrap();
        assert_eq!(counter.get().unwrap(), 42);
        assert_eq!(same.get().unwrap(), 42);
    });
}
