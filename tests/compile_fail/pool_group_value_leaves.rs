//! A group stays in its scope.

use latchwork::executor::{Group, ThreadPoolExecutor};

fn main() {
    let pool = ThreadPoolExecutor::new(1);
    let mut kept: Option<Group<'_, '_, (), ()>> = None;
    let _ = pool.group().all(|group| kept = Some(group.clone()));
}
