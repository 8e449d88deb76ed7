//! An address means nothing in another process.

use bytemuck::{Pod, Zeroable};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Name {
    text: &'static str,
}

fn main() {
    let _ = latchwork::ipc::Value::new(Name { text: "" });
}
