//! Nor can one that captures a value of no size: the value may stand for something.

use latchwork::executor::{Executor, ProcessPoolExecutor};

struct Token;

fn main() {
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let token = Token;
    let _ = pool.submit(
        move |n: u32| {
            let _held = &token;
            n
        },
        1,
    );
}
