//! Outside of a scope a task borrows nothing.

use latchwork::executor::ThreadPoolExecutor;

fn main() {
    let pool = ThreadPoolExecutor::new(1);
    let local = String::from("short-lived");
    drop(pool.spawn(|| println!("{local}")));
}
