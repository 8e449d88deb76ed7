//! A thread's guard stays in the thread that the lock names as its owner.

use latchwork::sync::RwLock;

fn main() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    std::thread::scope(|s| {
        s.spawn(move || drop(guard));
    });
}
