//! A result that borrows cannot leave the worker.

use latchwork::executor::{Executor, ProcessPoolExecutor};

fn main() {
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let _ = pool.submit(|_: u32| "static" as &'static str, 1);
}
