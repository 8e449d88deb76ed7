//! Several guards of one thread can live at once, so none gives `&mut`.

use latchwork::sync::RLock;

fn main() {
    let lock = RLock::new(0);
    *lock.lock() = 1;
}
