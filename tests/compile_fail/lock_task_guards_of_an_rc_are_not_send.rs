//! A task's guard changes threads only with what it protects.

use latchwork::sync::{MappedTaskLockGuard, OwnedTaskLockGuard, TaskLockGuard};
use std::rc::Rc;

fn is_send<T: Send>() {}

fn main() {
    is_send::<TaskLockGuard<'_, Rc<u8>>>();
    is_send::<MappedTaskLockGuard<'_, Rc<u8>>>();
    is_send::<OwnedTaskLockGuard<Rc<u8>>>();
}
