//! One task at a time has what it may change.

use latchwork::executor::ThreadPoolExecutor;

fn main() {
    let pool = ThreadPoolExecutor::new(1);
    let mut count = 0;
    pool.scope(|s| {
        s.spawn(|| count += 1);
        s.spawn(|| count += 1);
    });
}
