//! A lock with a value is freed by its guard alone.

use latchwork::sync::Lock;

fn main() {
    let lock = Lock::new(0);
    let _held = lock.lock();
    let _ = lock.release();
}
