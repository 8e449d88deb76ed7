//! What is behind a mapped guard cannot stay behind when the guard goes.

use latchwork::sync::{Lock, LockGuard};

fn main() {
    let lock = Lock::new(vec![1]);
    let mut part = LockGuard::map(lock.lock(), |list| &mut list[0]);
    let escaped: &mut i32 = &mut part;
    drop(part);
    *escaped = 2;

    let mut kept: Option<&mut i32> = None;
    let _part = LockGuard::map(lock.lock(), |list| {
        kept = list.first_mut();
        list
    });
}
