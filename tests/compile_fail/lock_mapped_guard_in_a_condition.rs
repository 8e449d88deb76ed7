//! While a condition waits, the whole may be replaced, and the part with it.

use latchwork::sync::{Condition, Lock, LockGuard};

fn main() {
    let (lock, changed) = (Lock::new((1, 2)), Condition::new());
    let mut part = LockGuard::map(lock.lock(), |pair| &mut pair.0);
    changed.wait(&mut part);
}
