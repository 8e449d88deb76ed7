//! A guard of something long-lived is none of something short-lived, which could be written in.

use latchwork::sync::{LockGuard, MappedLockGuard, OwnedLockGuard};

fn borrowed<'a, 'short>(guard: LockGuard<'a, &'static str>) -> LockGuard<'a, &'short str> {
    guard
}

fn mapped<'a, 'short>(
    guard: MappedLockGuard<'a, &'static str>,
) -> MappedLockGuard<'a, &'short str> {
    guard
}

fn owned<'short>(guard: OwnedLockGuard<&'static str>) -> OwnedLockGuard<&'short str> {
    guard
}

fn main() {}
