//! What the body owns is gone before the tasks are.

use latchwork::executor::ThreadPoolExecutor;

fn main() {
    let pool = ThreadPoolExecutor::new(1);
    pool.scope(|s| {
        let local = String::from("gone");
        s.spawn(|| println!("{local}"));
    });
}
