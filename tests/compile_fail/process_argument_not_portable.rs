//! An argument that serde does not know has no way to the worker.

use latchwork::executor::{Executor, ProcessPoolExecutor};

struct Handle(#[allow(dead_code)] std::fs::File);

fn main() {
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let _ = pool.submit(|_: Handle| (), Handle(file));
}
