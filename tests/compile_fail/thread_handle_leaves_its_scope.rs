//! A scoped thread's handle stays in the scope.

use latchwork::thread;

fn main() {
    let text = String::new();
    let mut kept = Vec::new();
    thread::scope(|s| kept.push(s.spawn(|| text.len())));
    drop(text);
    for handle in kept {
        let _ = handle.join();
    }
}
