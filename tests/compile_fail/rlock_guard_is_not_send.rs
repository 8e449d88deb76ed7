//! Every guard of an RLock stays in the thread that the lock names as its owner.

use latchwork::sync::{MappedRLockGuard, OnlyLevel, OwnedRLockGuard, RLockGuard};

fn is_send<T: Send>() {}

fn main() {
    is_send::<RLockGuard<'_, i32>>();
    is_send::<MappedRLockGuard<'_, i32>>();
    is_send::<OwnedRLockGuard<i32>>();
    is_send::<OnlyLevel<'_, i32>>();
}
