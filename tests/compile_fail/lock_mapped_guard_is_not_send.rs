//! A thread's guard stays in its thread, also when it is of a part.

use latchwork::sync::{Lock, LockGuard};

fn main() {
    let lock = Lock::new((1, 2));
    let part = LockGuard::map(lock.lock(), |pair| &mut pair.0);
    std::thread::scope(|s| {
        s.spawn(move || drop(part));
    });
}
