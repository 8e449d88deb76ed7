//! One function for each place where bytes of another process come in, for the fuzzer and for tests.
//!
//! Each does with `data` what a hostile peer could, then what this process does in good faith. It must
//! end soon, without a panic and without touching memory that is not its own; answers are free to be
//! errors. `fuzz/` calls them with what libFuzzer makes up, `tests/fuzz_seeds.rs` with what a fixed seed
//! does.

mod arena;
mod handle;
mod segment;
mod wire;
mod word;

pub use arena::arena;
pub use handle::handle;
pub use segment::segment;
pub use wire::wire;
pub use word::word;

use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// The bytes of one case, taken from the front; zeros when they are used up.
struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.up_to(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    fn up_to(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number that is often small, or near a power of two: where bounds are.
    fn number(&mut self) -> u64 {
        match self.u8() {
            small @ 0..=127 => small.into(),
            shape @ 128..=223 => {
                let power = 1_u64 << (shape % 64);
                power.wrapping_add_signed(self.bytes::<1>()[0].cast_signed().into())
            }
            _ => self.u64(),
        }
    }
}

/// Writes into a segment as another process that has its descriptor would.
fn scribble(segment: BorrowedFd<'_>, offset: u64, bytes: &[u8]) {
    match rustix::io::pwrite(segment, bytes, offset) {
        // Sealed against growth: behind its end there is nothing to write to.
        Ok(_) | Err(Errno::PERM | Errno::INVAL) => {}
        Err(error) => panic!("the segment cannot be written: {error}"),
    }
}
