//! Nor is any byte an AtomicBool, or any word a pointer.

use latchwork::ipc::Shared;
use std::sync::atomic::{AtomicBool, AtomicPtr};

fn main() {
    let _ = Shared::<AtomicBool>::new(true);
    let _ = Shared::<AtomicPtr<u8>>::new(std::ptr::null_mut());
}
