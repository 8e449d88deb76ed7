//! A scoped thread outlives the scope's body, so it cannot borrow from that.

use latchwork::thread;

fn main() {
    thread::scope(|s| {
        let inner = String::new();
        drop(s.spawn(|| inner.len()));
    });
}
