//! A guard of an RLock between processes stays in the thread that the lock names as its owner.

use latchwork::ipc::RLockGuard;

fn is_send<T: Send>() {}

fn main() {
    is_send::<RLockGuard<'_>>();
}
