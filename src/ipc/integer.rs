//! The integers that have an atomic of their size, and those atomics.
//!
//! Invariant: an integer and its atomic have the same size, alignment and valid bytes, so memory that
//! holds one may be borrowed as the other. Both traits are sealed, because `ipc::shared_slice` and
//! `ipc::shared` build on that without looking.

use bytemuck::Pod;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize,
};

mod sealed {
    pub trait Sealed {}
}

/// An integer with an atomic of its size: all of them but those of 128 bits.
pub trait Integer: Pod + Send + Sync + sealed::Sealed {
    /// The atomic that the same memory may be used as.
    type Atomic: Atomic<Value = Self>;

    /// The sum, begun again at the other end of the range where it leaves it.
    fn wrapping_add(self, other: Self) -> Self;

    /// The difference, begun again at the other end of the range where it leaves it.
    fn wrapping_sub(self, other: Self) -> Self;
}

/// An atomic integer of the standard library.
///
/// Not `AtomicBool` or `AtomicPtr`: another process may write any bytes, and not all are a `bool`, and
/// none a pointer.
pub trait Atomic: Send + Sync + sealed::Sealed + 'static {
    /// What it holds.
    type Value: Integer<Atomic = Self>;
}

macro_rules! integers {
    ($($integer:ident $atomic:ident),* $(,)?) => {$(
        impl sealed::Sealed for $integer {}
        impl sealed::Sealed for $atomic {}
        impl Integer for $integer {
            type Atomic = $atomic;

            fn wrapping_add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn wrapping_sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
        }
        impl Atomic for $atomic {
            type Value = $integer;
        }
        const _: () = assert!(
            size_of::<$integer>() == size_of::<$atomic>()
                && align_of::<$integer>() == align_of::<$atomic>()
        );
    )*};
}

integers! {
    i8 AtomicI8, i16 AtomicI16, i32 AtomicI32, i64 AtomicI64, isize AtomicIsize,
    u8 AtomicU8, u16 AtomicU16, u32 AtomicU32, u64 AtomicU64, usize AtomicUsize,
}
