//! A part may come from inside a cell, which a reader of the part would share with those of the cell.

use latchwork::sync::{RwLock, WriteGuard};
use std::sync::Mutex;

fn main() {
    let lock = RwLock::new(Mutex::new(0));
    let part = WriteGuard::map(lock.write(), |inner| inner.get_mut().unwrap());
    let part = WriteGuard::downgrade(part);
    *lock.read().lock().unwrap() += *part;
}
