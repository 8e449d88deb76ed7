//! A future of a scope stays in it: its result may borrow.

use latchwork::executor::ThreadPoolExecutor;

fn main() {
    let pool = ThreadPoolExecutor::new(1);
    let future = pool.scope(|s| s.submit(|| 1));
    drop(future);
}
