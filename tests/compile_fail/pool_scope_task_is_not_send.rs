//! A task goes to another thread.

use latchwork::executor::ThreadPoolExecutor;
use std::rc::Rc;

fn main() {
    let pool = ThreadPoolExecutor::new(1);
    let shared = Rc::new(1);
    pool.scope(|s| s.spawn(|| println!("{shared}")));
}
