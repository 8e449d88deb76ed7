//! Another process may write a 2 there.

fn main() {
    let _ = latchwork::ipc::Value::new(true);
    let _ = latchwork::ipc::Array::from_slice(&['a', 'b']);
    let _ = latchwork::ipc::Array::from_slice(&[String::new()]);
}
