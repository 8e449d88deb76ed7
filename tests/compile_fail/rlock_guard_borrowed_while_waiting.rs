//! Nothing borrowed through the guard survives a wait on it, nor a guard that says it is alone.

use latchwork::sync::{Condition, RLock, RLockGuard};
use std::cell::RefCell;

fn main() {
    let (lock, changed) = (RLock::new(RefCell::new(0)), Condition::new());
    let mut guard = lock.lock();
    let borrowed = guard.borrow();
    changed.wait(&mut RLockGuard::only_level(&mut guard));
    drop(borrowed);
}
