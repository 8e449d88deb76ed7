//! A wait gives up all levels, of which an outer one may have borrowed from the value.

use latchwork::sync::{Condition, RLock};
use std::cell::Cell;

fn main() {
    let (lock, changed) = (RLock::new(Cell::new(0)), Condition::new());
    changed.wait(&mut lock.lock());
}
