//! Looking at the values of other threads shares them.

use latchwork::thread::Local;
use std::cell::Cell;

fn main() {
    let local = Local::new();
    local.get_or_init(|| Cell::new(1));
    for value in local.iter() {
        value.set(2);
    }
}
