//! A value is its thread's: what refers to it stays there.

use latchwork::thread::Local;

fn main() {
    let local = Local::new();
    let value = local.get_or_init(|| 1);
    std::thread::scope(|s| {
        s.spawn(move || drop(value));
    });
}
