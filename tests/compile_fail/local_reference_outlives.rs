//! No reference outlives the `Local`, nor the change of its values.

use latchwork::thread::Local;

fn main() {
    let mut local = Local::new();
    let value = local.get_or_init(|| 1);
    local.clear();
    drop(value);
}
