//! A thread's guard stays in the thread that the lock names as its owner.

use latchwork::sync::Lock;

fn main() {
    let lock = Lock::new(0);
    let guard = lock.lock();
    std::thread::scope(|s| {
        s.spawn(move || drop(guard));
    });
}
