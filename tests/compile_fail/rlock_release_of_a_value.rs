//! A lock with a value cannot be released under a guard.

use latchwork::sync::RLock;

fn main() {
    let lock = RLock::new(0);
    let _guard = lock.lock();
    let _ = lock.release();
}
