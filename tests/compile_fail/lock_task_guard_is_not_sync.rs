//! A task's guard of a `Cell` must stay in one thread at a time.

use latchwork::sync::{Lock, TaskLockGuard};
use std::cell::Cell;

fn is_sync<T: Sync>() {}

fn main() {
    is_sync::<Lock<Cell<u8>>>();
    is_sync::<TaskLockGuard<'_, Cell<u8>>>();
}
