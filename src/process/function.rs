//! Functions named across processes: the same build has the same code at the same distance.
//!
//! A function is named by its distance from [`ANCHOR`], a static of the main image; so is the
//! *trampoline*, the instance of [`run`] that knows the function's types. Invariant: an address that
//! came over a socket is called only after it carried the seal of the parent that this worker
//! belongs to, between two processes of one build (the handshake), and lies in the main image's
//! code. Called by the executor to name and by the worker's loop to resolve.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::image::Image;

/// Where distances are measured from. Addresses of functions are not unique, a static's is.
static ANCHOR: u8 = 0;

/// How a function is called on the wire. An enum, so that stable names can stand beside offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum FunctionName {
    /// Distances from the anchor in the main image of this build.
    Offset {
        /// The function itself.
        function: i64,
        /// The instance of [`run`] for its types.
        trampoline: i64,
    },
}

/// Proof on the wire that a name was made by the parent and arrived undamaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal(u64);

/// The secret of one parent that seals the names it sends; its workers get it in the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealKey([u8; 16]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

impl SealKey {
    /// The key of this process as a parent.
    pub(crate) fn own() -> io::Result<SealKey> {
        static KEY: OnceLock<SealKey> = OnceLock::new();
        match KEY.get() {
            Some(key) => Ok(*key),
            None => {
                let fresh = SealKey(super::spawn::random()?);
                Ok(*KEY.get_or_init(|| fresh))
            }
        }
    }

    /// The seal of `name` under this key.
    pub(crate) fn seal(&self, name: &FunctionName) -> Seal {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        name.hash(&mut hasher);
        Seal(hasher.finish())
    }

    /// The seal of what `name` says a value of the type `kind` is.
    pub(super) fn seal_as(&self, name: &FunctionName, kind: &str) -> Seal {
        let mut hasher = DefaultHasher::new();
        (self.0, name, kind).hash(&mut hasher);
        Seal(hasher.finish())
    }
}

/// Why a call has no result although nothing panicked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CallFailure {
    /// The bytes of the argument are not a value of its type.
    Argument(String),
    /// The result refuses to be serialised.
    Result(String),
}

/// Decodes the argument, calls the function at this address and appends its encoded result.
type Trampoline = fn(*const (), &[u8], Vec<u8>) -> Result<Vec<u8>, CallFailure>;

/// A name that was checked and may be called.
#[derive(Debug)]
pub(crate) struct Call {
    function: *const (),
    trampoline: Trampoline,
}

impl Call {
    /// Runs the call on an encoded argument and appends the encoded result to `reply`.
    ///
    /// Panics as the function, or its types' serde code, panics.
    pub(crate) fn run(&self, argument: &[u8], reply: Vec<u8>) -> Result<Vec<u8>, CallFailure> {
        (self.trampoline)(self.function, argument, reply)
    }
}

/// Names `function` for a worker of the same build.
///
/// Fails when the function, or this crate, is not in the main image: a shared library may be
/// absent in the worker, or stand elsewhere.
pub(crate) fn name<A, R>(function: fn(A) -> R) -> Result<FunctionName, String>
where
    A: DeserializeOwned,
    R: Serialize,
{
    let trampoline: Trampoline = run::<A, R>;
    for address in [function as usize, trampoline as usize] {
        is_nameable(address)?;
    }
    Ok(FunctionName::Offset {
        function: distance(function as usize),
        trampoline: distance(trampoline as usize),
    })
}

/// Has what is at this address a name in another process?
pub(super) fn is_nameable(address: usize) -> Result<(), String> {
    let image = Image::main();
    if !image.contains(anchor()) {
        return Err(
            "latchwork itself was loaded from a shared library; only functions of the \
                    main program have a name in another process"
                .into(),
        );
    }
    if !image.is_code(address) {
        return Err(format!(
            "the function at {address:#x} is not in the main program but in a shared library, \
             so it has no name in another process"
        ));
    }
    Ok(())
}

/// Finds the function that a sealed name stands for in this process.
pub(crate) fn resolve(name: &FunctionName, seal: Seal, key: &SealKey) -> Result<Call, String> {
    if key.seal(name) != seal {
        return Err("the name of the function is damaged or was not made by this parent".into());
    }
    let FunctionName::Offset {
        function,
        trampoline,
    } = *name;
    let [function, trampoline] = [function, trampoline].map(address);
    let image = Image::main();
    if !image.is_code(function) || !image.is_code(trampoline) {
        return Err("the name of the function does not point to code of this program".into());
    }
    let trampoline = std::ptr::with_exposed_provenance::<()>(trampoline);
    Ok(Call {
        function: std::ptr::with_exposed_provenance(function),
        // SAFETY: the seal shows that the parent took this distance from a `Trampoline`, and the
        // handshake that both run the same build, where the same distance leads to the same code.
        trampoline: unsafe { std::mem::transmute::<*const (), Trampoline>(trampoline) },
    })
}

/// The trampoline: one instance for each pair of types, so the wire needs no description of them.
fn run<A, R>(function: *const (), argument: &[u8], reply: Vec<u8>) -> Result<Vec<u8>, CallFailure>
where
    A: DeserializeOwned,
    R: Serialize,
{
    // SAFETY: `resolve` pairs an address only with the trampoline it was sealed with by `name`,
    // which instantiates the trampoline with the types of that very function.
    let function = unsafe { std::mem::transmute::<*const (), fn(A) -> R>(function) };
    let argument = match postcard::take_from_bytes::<A>(argument) {
        Ok((value, [])) => value,
        Ok((_, rest)) => {
            let message = format!("{} bytes are left over", rest.len());
            return Err(CallFailure::Argument(message));
        }
        Err(error) => return Err(CallFailure::Argument(error.to_string())),
    };
    let result = function(argument);
    postcard::to_extend(&result, reply).map_err(|error| CallFailure::Result(error.to_string()))
}

pub(super) fn anchor() -> usize {
    (&raw const ANCHOR).expose_provenance()
}

pub(super) fn distance(address: usize) -> i64 {
    address.wrapping_sub(anchor()) as i64
}

pub(super) fn address(distance: i64) -> usize {
    anchor().wrapping_add(distance as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(x: u32) -> u64 {
        u64::from(x) * 2
    }

    fn key() -> SealKey {
        SealKey::own().unwrap()
    }

    #[test]
    fn a_name_leads_back_to_its_function() {
        let name = name(double).unwrap();
        let call = resolve(&name, key().seal(&name), &key()).unwrap();
        let reply = call
            .run(&postcard::to_stdvec(&21_u32).unwrap(), vec![0xAA])
            .unwrap();
        assert_eq!(reply[0], 0xAA);
        assert_eq!(postcard::from_bytes::<u64>(&reply[1..]).unwrap(), 42);
    }

    #[test]
    fn an_argument_of_another_shape_is_a_failure_of_that_call() {
        let name = name(double).unwrap();
        let call = resolve(&name, key().seal(&name), &key()).unwrap();
        assert!(matches!(
            call.run(&[], Vec::new()),
            Err(CallFailure::Argument(_))
        ));
        assert!(matches!(
            call.run(&[1, 2, 3], Vec::new()),
            Err(CallFailure::Argument(_))
        ));
    }

    #[test]
    fn a_forged_or_damaged_name_is_refused() {
        let FunctionName::Offset {
            function,
            trampoline,
        } = name(double).unwrap();
        let seal = key().seal(&FunctionName::Offset {
            function,
            trampoline,
        });
        let moved = FunctionName::Offset {
            function: function + 1,
            trampoline,
        };
        assert!(resolve(&moved, seal, &key()).is_err());
        let elsewhere = FunctionName::Offset {
            function: i64::MAX,
            trampoline,
        };
        assert!(resolve(&elsewhere, key().seal(&elsewhere), &key()).is_err());
        let stranger = SealKey([7; 16]);
        let name = FunctionName::Offset {
            function,
            trampoline,
        };
        assert!(resolve(&name, stranger.seal(&name), &key()).is_err());
    }

    #[test]
    fn a_function_of_a_shared_library_has_no_name() {
        // Code that is surely not in the main image: an anonymous mapping stands for a library.
        // SAFETY: a fresh private mapping; nothing refers to it but the pointer made here.
        let page = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                4096,
                rustix::mm::ProtFlags::READ,
                rustix::mm::MapFlags::PRIVATE,
            )
        }
        .unwrap();
        // SAFETY: a non-null pointer is a valid `fn` value as long as it is never called.
        let foreign = unsafe { std::mem::transmute::<*mut std::ffi::c_void, fn(u32) -> u32>(page) };
        assert!(name(foreign).unwrap_err().contains("shared library"));
    }
}
