//! The bytes between the fields would be anybody's, and not initialised.

use bytemuck::{Pod, Zeroable};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Gap {
    small: u8,
    big: u64,
}

fn main() {
    let _ = latchwork::ipc::Value::new(Gap { small: 1, big: 2 });
}
