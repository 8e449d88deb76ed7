//! Another process may write a 2 there.

fn main() {
    let _ = latchwork::ipc::Value::new(true);
}
