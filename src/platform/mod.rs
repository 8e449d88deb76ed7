//! The only place that names `std::sync::atomic`, the futex, loom and the clock.
//!
//! Two folders of the same shape: [`native`] is the machine, `modelled` is loom's. Everything
//! above imports from here and is compiled unchanged against either. What loom cannot do is left
//! out of its side on purpose: it has no clock (a modelled deadline is another modelled thread),
//! one waiting place instead of a thousand, and no spinning.

#[cfg(loom)]
#[path = "modelled.rs"]
mod imp;
#[cfg(not(loom))]
#[path = "native/mod.rs"]
mod imp;

pub(crate) use imp::*;

pub(crate) mod forked;
pub(crate) mod short;

#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
mod descriptor;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
pub(crate) use descriptor::above_standard;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
pub(crate) mod parcel;
#[cfg(all(feature = "process", target_os = "linux"))]
pub(crate) mod shared_futex;

/// Declares a constructor that is `const` on the machine and plain under loom, whose atomics have
/// an identity that only a running model can give them.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $name($($arg: $ty),*) -> $ret $body
        #[cfg(loom)]
        $(#[$meta])* $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}
pub(crate) use const_fn;
