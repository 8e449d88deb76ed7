//! A borrowed permit cannot outlive its semaphore; an owned one keeps it alive.

use latchwork::sync::{Permit, Semaphore};

fn permit<'a>() -> Permit<'a> {
    let semaphore = Semaphore::new(1);
    semaphore.acquire().unwrap()
}

fn main() {
    drop(permit());
}
