//! Taking turns moves the value from thread to thread, so to speak.

use latchwork::sync::RLock;
use std::rc::Rc;

fn main() {
    let lock = RLock::new(Rc::new(0));
    std::thread::scope(|s| {
        s.spawn(|| drop(lock.lock()));
    });
}
