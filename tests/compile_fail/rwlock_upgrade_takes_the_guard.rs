//! What was upgraded is the writer, and no reader beside it.

use latchwork::sync::{RwLock, UpgradableGuard};

fn main() {
    let lock = RwLock::new(0);
    let reader = lock.upgradable_read();
    let mut writer = UpgradableGuard::upgrade(reader);
    *writer += *reader;
}
