//! A closure that captures cannot be named in another process.

use latchwork::executor::{Executor, ProcessPoolExecutor};

fn main() {
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let offset = 7;
    let _ = pool.submit(move |n: u32| n + offset, 1);
}
