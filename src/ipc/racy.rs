//! Copies between private memory and memory that other processes write at the same time.
//!
//! Invariant: shared memory is only touched by relaxed atomic accesses, each aligned to its size and as
//! wide as alignment and length allow, up to eight bytes. So a race is no data race, and what is of 1, 2,
//! 4 or 8 bytes and aligned to its size is never cut: it lies within one access. Used by
//! `ipc::shared_slice` and for the copies that are taken without a lock.
//!
//! Rust's rules for atomics say nothing useful about accesses of different widths that meet, which a long
//! copy and the write of a single byte do. They are judged byte by byte by LLVM's rules and by every
//! processor: each byte read is one that somebody wrote. Nothing here asks for more.

use crate::platform::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use bytemuck::Pod;
use std::mem::{self, MaybeUninit};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU16;

/// The width of an access to a `T` that is never cut, or 0 if there is none.
const fn whole<T>() -> usize {
    match mem::size_of::<T>() {
        size @ (1 | 2 | 4 | 8) if size == mem::align_of::<T>() => size,
        _ => 0,
    }
}

/// Reads one `T`.
///
/// # Safety
///
/// `source` is aligned for `T`, and its bytes are mapped and accessed by atomics, or not written at all,
/// for the time of the call.
#[inline]
pub(crate) unsafe fn load<T: Pod>(source: NonNull<T>) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: all bytes of `value` are written, and any bytes are a `T`; `source` by the caller's promise.
    unsafe {
        let to = value.as_mut_ptr().cast();
        match whole::<T>() {
            0 => copy_out(source.cast(), to, mem::size_of::<T>()),
            width => load_piece(source.as_ptr().cast(), to, width),
        }
        value.assume_init()
    }
}

/// Writes one `T`.
///
/// # Safety
///
/// As for [`load`], and the memory is writable.
#[inline]
pub(crate) unsafe fn store<T: Pod>(target: NonNull<T>, value: T) {
    let from = (&raw const value).cast();
    // SAFETY: `value` is readable for its size; `target` by the caller's promise.
    unsafe {
        match whole::<T>() {
            0 => copy_in(from, target.cast(), mem::size_of::<T>()),
            width => store_piece(from, target.as_ptr().cast(), width),
        }
    }
}

/// Copies `len` bytes from shared to private memory.
///
/// # Safety
///
/// As for [`load`]; `to` is writable for `len` bytes, private, and need not be initialised.
pub(crate) unsafe fn copy_out(from: NonNull<u8>, to: *mut u8, len: usize) {
    pieces(from, len, |at, width| {
        // SAFETY: `pieces` divides what the caller promises; `at` is aligned to `width`.
        unsafe { load_piece(from.as_ptr().add(at), to.add(at), width) }
    });
}

/// Copies `len` bytes from private to shared memory.
///
/// # Safety
///
/// As for [`store`]; `from` is readable for `len` bytes and private.
pub(crate) unsafe fn copy_in(from: *const u8, to: NonNull<u8>, len: usize) {
    pieces(to, len, |at, width| {
        // SAFETY: `pieces` divides what the caller promises; `at` is aligned to `width`.
        unsafe { store_piece(from.add(at), to.as_ptr().add(at), width) }
    });
}

/// Divides `len` bytes from `shared` on into aligned pieces: offset and width of each.
#[inline(always)]
fn pieces(shared: NonNull<u8>, len: usize, mut piece: impl FnMut(usize, usize)) {
    let begin = shared.addr().get();
    let mut at = 0;
    while at < len && (!(begin + at).is_multiple_of(8) || len - at < 8) {
        let fits = 1 << (len - at).ilog2().min(3);
        let aligned = 1 << (begin + at).trailing_zeros().min(3);
        let width = aligned.min(fits);
        piece(at, width);
        at += width;
    }
    // Where long copies spend their time. By eight, because the compiler does not unroll loops of atomics:
    // one at a time took three times as long.
    while len - at >= 64 {
        for word in 0..8 {
            piece(at + 8 * word, 8);
        }
        at += 64;
    }
    while len - at >= 8 {
        piece(at, 8);
        at += 8;
    }
    while at < len {
        let width = 1 << (len - at).ilog2().min(2);
        piece(at, width);
        at += width;
    }
}

/// # Safety
///
/// `shared` is aligned to `width`, one of 1, 2, 4 and 8, else as for [`copy_out`].
#[inline(always)]
unsafe fn load_piece(shared: *mut u8, to: *mut u8, width: usize) {
    const RELAXED: Ordering = Ordering::Relaxed;
    // SAFETY: by the caller's promise.
    unsafe {
        match width {
            1 => to.write(AtomicU8::from_ptr(shared).load(RELAXED)),
            2 => ptr::write_unaligned(to.cast(), AtomicU16::from_ptr(shared.cast()).load(RELAXED)),
            4 => ptr::write_unaligned(to.cast(), AtomicU32::from_ptr(shared.cast()).load(RELAXED)),
            _ => ptr::write_unaligned(to.cast(), AtomicU64::from_ptr(shared.cast()).load(RELAXED)),
        }
    }
}

/// # Safety
///
/// `shared` is aligned to `width`, one of 1, 2, 4 and 8, else as for [`copy_in`].
#[inline(always)]
unsafe fn store_piece(from: *const u8, shared: *mut u8, width: usize) {
    const RELAXED: Ordering = Ordering::Relaxed;
    // SAFETY: by the caller's promise.
    unsafe {
        match width {
            1 => AtomicU8::from_ptr(shared).store(from.read(), RELAXED),
            2 => {
                AtomicU16::from_ptr(shared.cast()).store(ptr::read_unaligned(from.cast()), RELAXED)
            }
            4 => {
                AtomicU32::from_ptr(shared.cast()).store(ptr::read_unaligned(from.cast()), RELAXED)
            }
            _ => {
                AtomicU64::from_ptr(shared.cast()).store(ptr::read_unaligned(from.cast()), RELAXED)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[repr(align(8))]
    struct Aligned([u8; 320]);

    proptest! {
        #[test]
        fn pieces_cover_every_byte_once_and_cut_nothing(begin in 0..16_usize, len in 0..300_usize) {
            let shared = NonNull::<u8>::dangling().as_ptr().wrapping_add(4096 + begin);
            let (start, mut end) = (shared.addr(), 0);
            pieces(NonNull::new(shared).unwrap(), len, |at, width| {
                assert_eq!(at, end);
                assert!((start + at).is_multiple_of(width));
                // An element that begins here and would fit is not cut.
                let element = 1 << (start + at).trailing_zeros().min(3);
                assert!(width == element || len - at < element);
                end = at + width;
            });
            prop_assert_eq!(end, len);
        }

        #[test]
        fn a_copy_there_and_back_changes_nothing_else(
            begin in 0..16_usize,
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut shared = Aligned([0xEE; 320]);
            let mut back = vec![0; bytes.len()];
            let at = NonNull::new(shared.0[begin..].as_mut_ptr()).unwrap();
            // SAFETY: within `shared`, which nobody else touches.
            unsafe {
                copy_in(bytes.as_ptr(), at, bytes.len());
                copy_out(at, back.as_mut_ptr(), back.len());
            }
            prop_assert_eq!(&back, &bytes);
            prop_assert_eq!(&shared.0[begin..begin + bytes.len()], &bytes[..]);
            prop_assert!(shared.0[..begin].iter().all(|&byte| byte == 0xEE));
            prop_assert!(shared.0[begin + bytes.len()..].iter().all(|&byte| byte == 0xEE));
        }
    }
}
