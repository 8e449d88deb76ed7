//! No guard of a `Cell` can be shared, a thread's, a task's, mapped or owned.

use latchwork::sync::{
    LockGuard, MappedLockGuard, MappedTaskLockGuard, OwnedLockGuard, OwnedTaskLockGuard,
};
use std::cell::Cell;

fn is_sync<T: Sync>() {}

fn main() {
    is_sync::<LockGuard<'_, Cell<u8>>>();
    is_sync::<MappedLockGuard<'_, Cell<u8>>>();
    is_sync::<MappedTaskLockGuard<'_, Cell<u8>>>();
    is_sync::<OwnedLockGuard<Cell<u8>>>();
    is_sync::<OwnedTaskLockGuard<Cell<u8>>>();
}
