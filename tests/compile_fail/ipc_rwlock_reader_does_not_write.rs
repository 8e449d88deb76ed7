//! Who reads cannot write, and nothing read outlives the guard.

use latchwork::ipc::RwLock;

fn main() {
    let lock = RwLock::new(0_u64).unwrap();
    *lock.read().unwrap() = 1;
    let guard = lock.read().unwrap();
    let kept: &u64 = &guard;
    drop(guard);
    println!("{kept}");
}
