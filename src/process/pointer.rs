//! Function pointers inside arguments: named like the function of a call, and sealed with their type.
//!
//! Invariant: an address that came over the socket becomes a pointer only if it carries the seal of this worker's
//! parent for that very type, and lies in the main image's code. Called by `executor::callable`.

use super::function::{FunctionName, Seal, SealKey, address, distance, is_nameable};
use super::image::Image;
use std::sync::OnceLock;

/// The key of this worker's parent.
static PARENT: OnceLock<SealKey> = OnceLock::new();

/// Called once, before the first call is served.
pub(super) fn trust(parent: SealKey) {
    let _ = PARENT.set(parent);
}

/// What stands for a function at `function` of the type `kind`.
pub(crate) fn write(function: usize, kind: &str) -> Result<(i64, Seal), String> {
    is_nameable(function)?;
    let key = SealKey::own().map_err(|error| error.to_string())?;
    let distance = distance(function);
    Ok((distance, key.seal_as(&name(distance), kind)))
}

/// The address that this stands for.
pub(crate) fn read(distance: i64, seal: Seal, kind: &str) -> Result<usize, String> {
    let is_sealed = PARENT
        .get()
        .is_some_and(|key| key.seal_as(&name(distance), kind) == seal);
    let function = address(distance);
    match is_sealed && Image::main().is_code(function) {
        true => Ok(function),
        false => Err("a function in the argument was not named by this worker's parent".into()),
    }
}

fn name(distance: i64) -> FunctionName {
    FunctionName::Offset {
        function: distance,
        trampoline: distance,
    }
}
