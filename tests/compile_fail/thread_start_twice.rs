//! A thread starts once.

use latchwork::thread::Builder;

fn main() {
    let unstarted = Builder::new().build(|| ());
    let _ = unstarted.start();
    let _ = unstarted.start();
}
