//! A thread's guard stays in its thread, whether it borrows the lock or shares it.

use latchwork::sync::Lock;
use std::sync::Arc;

fn main() {
    let lock = Arc::new(Lock::new(0));
    let guard = lock.lock_owned();
    std::thread::spawn(move || drop(guard));
}
