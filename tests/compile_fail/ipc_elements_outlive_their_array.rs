//! Elements are there as long as the handle that they were borrowed of.

use latchwork::ipc::{Array, RawArray};

fn main() {
    let elements = {
        let array = RawArray::<u64>::zeroed(3).unwrap();
        array.elements().range(1..).unwrap()
    };
    println!("{elements:?}");

    let array = Array::<u64>::zeroed(3).unwrap();
    let first = &array.lock().unwrap()[0];
    println!("{first}");
}
