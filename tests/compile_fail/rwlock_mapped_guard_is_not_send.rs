//! A part of a thread's guard stays in the thread, too.

use latchwork::sync::{RwLock, WriteGuard};

fn main() {
    let lock = RwLock::new((0, 1));
    let part = WriteGuard::map(lock.write(), |pair| &mut pair.0);
    std::thread::scope(|s| {
        s.spawn(move || drop(part));
    });
}
