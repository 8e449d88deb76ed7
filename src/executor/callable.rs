//! [`Callable`]: a function pointer inside an argument, so that a task can be several calls.
//!
//! On threads it is the pointer. To a process it travels as its place in the program, sealed by who sends it
//! (`process/pointer.rs`), and is refused by anybody else.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// See the head of this file.
#[derive(Clone, Copy)]
pub(super) struct Callable<F>(pub(super) F);

/// A type of function pointers.
///
/// # Safety
///
/// It is one.
pub(super) unsafe trait FunctionPointer: Copy + Send + 'static {}

// SAFETY: it is one.
unsafe impl<A: 'static, R: 'static> FunctionPointer for fn(A) -> R {}
// SAFETY: it is one.
unsafe impl<A: 'static, B: 'static, R: 'static> FunctionPointer for fn(A, B) -> R {}

impl<F: FunctionPointer> Serialize for Callable<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::write(self.0)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de, F: FunctionPointer> Deserialize<'de> for Callable<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Callable<F>, D::Error> {
        let written = wire::Written::deserialize(deserializer)?;
        wire::read(written).map(Callable).map_err(D::Error::custom)
    }
}

#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
mod wire {
    use super::FunctionPointer;
    use crate::process::function::Seal;
    use crate::process::pointer;
    use std::any::type_name;

    pub(super) type Written = (i64, Seal);

    pub(super) fn write<F: FunctionPointer>(function: F) -> Result<Written, String> {
        // SAFETY: a function pointer has the size of an address and can be looked at as one.
        let address = unsafe { std::mem::transmute_copy::<F, *const ()>(&function) };
        pointer::write(address.expose_provenance(), type_name::<F>())
    }

    pub(super) fn read<F: FunctionPointer>((distance, seal): Written) -> Result<F, String> {
        let address = pointer::read(distance, seal, type_name::<F>())?;
        let address = std::ptr::with_exposed_provenance::<()>(address);
        // SAFETY: the seal shows that the parent took this distance from a function of this type, and the handshake that
        // both run the same build, where the same distance leads to the same code.
        Ok(unsafe { std::mem::transmute_copy::<*const (), F>(&address) })
    }
}

/// Nothing goes to a process here.
#[cfg(not(all(feature = "process", target_os = "linux", not(loom))))]
mod wire {
    use super::FunctionPointer;

    /// Nothing, in a form that serde can read.
    pub(super) type Written = [u8; 0];

    pub(super) fn write<F: FunctionPointer>(_function: F) -> Result<Written, &'static str> {
        Err("there are no processes to send a function to")
    }

    pub(super) fn read<F: FunctionPointer>(_: Written) -> Result<F, &'static str> {
        Err("there are no processes to get a function from")
    }
}
