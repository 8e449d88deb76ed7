//! Readers in two threads share the value, so it must be one that can be shared.

use latchwork::sync::{OwnedReadGuard, ReadGuard, RwLock, UpgradableGuard};
use std::cell::Cell;

fn is_sync<T: Sync>() {}
fn is_send<T: Send>() {}

fn main() {
    is_sync::<RwLock<Cell<u8>>>();
    is_send::<ReadGuard<'_, Cell<u8>>>();
    is_send::<UpgradableGuard<'_, Cell<u8>>>();
    is_send::<OwnedReadGuard<Cell<u8>>>();
}
