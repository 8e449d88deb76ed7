//! Which memory of the arena is real, as far as this process knows.
//!
//! Invariant: a process touches memory of the arena only after it has made it real itself, with
//! `fallocate`, which does nothing to memory that is real already. So what a cursor or a header says
//! about others' memory is never relied upon: a lie makes this process allocate, and at most fail to.
//! Called by every file of this folder before it forms an address.
//!
//! What was learnt is kept, so most calls are one comparison. Headers and small payloads are never
//! given back, so a watermark says it all. The memory of big blocks is, when nobody can use it any
//! more: under the block's lock, after the generation that its handles have was raised. So what is
//! known of it is known for one generation, and only asked about while that is alive.

use super::place::{Class, Layout, PAGE, header_offset};
use super::{Arena, Block};
use crate::platform::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::io;
use std::mem;
use std::ops::Range;

/// How many headers are made real at once.
const HEADERS: u32 = 1024;
/// How many bytes of small payloads.
const CHUNK: usize = 256 << 10;

/// What one process knows to be real. A forked child inherits it rightly.
#[derive(Debug)]
pub(super) struct Known {
    /// Of each zone: how many headers.
    headers: [AtomicU32; 2],
    /// How many bytes of small payloads.
    small: AtomicUsize,
    /// Of each big block: the generation and how many pages, in one word.
    big: Box<[AtomicU64]>,
}

impl Known {
    pub(super) fn nothing(layout: &Layout) -> Known {
        let big = Box::<[AtomicU64]>::new_zeroed_slice(layout.zones[1].blocks.len());
        Known {
            headers: [AtomicU32::new(0), AtomicU32::new(0)],
            small: AtomicUsize::new(0),
            // SAFETY: zero is a valid atomic. Zeroed and not filled: little of it will be touched.
            big: unsafe { big.assume_init() },
        }
    }
}

impl Arena {
    /// Makes the headers of the first `count` blocks of the zone real.
    #[inline]
    pub(super) fn make_headers_real(&self, zone: usize, count: u32) -> io::Result<()> {
        // Relaxed, here and below: what a thread knows of real memory is true whatever else it sees.
        if count <= self.known.headers[zone].load(Ordering::Relaxed) {
            return Ok(());
        }
        let blocks = &self.layout.zones[zone].blocks;
        let known = self.known.headers[zone].load(Ordering::Relaxed);
        let wanted = count.next_multiple_of(HEADERS).min(blocks.len() as u32);
        let header = |nth| header_offset(blocks.start + nth);
        self.segment.make_real(header(known)..header(wanted))?;
        self.known.headers[zone].fetch_max(wanted, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the first `len` bytes at `offset`, where block `index` is, real.
    ///
    /// If the block is big, they are only known to be so afterwards for as long as its generation is
    /// this one and it has an owner, or is locked by the caller.
    #[inline]
    pub(super) fn make_known(
        &self,
        index: u32,
        class: Class,
        offset: usize,
        generation: u32,
        len: usize,
    ) -> io::Result<()> {
        if class == Class::INLINE {
            return Ok(());
        }
        if !class.is_big() {
            return self.make_small_real(offset + class.size());
        }
        let pages = len.div_ceil(PAGE);
        let now = u64::from(generation) << 32 | pages as u64;
        let known = &self.known.big[(index - self.layout.zones[1].blocks.start) as usize];
        let seen = known.load(Ordering::Relaxed);
        if seen >> 32 == now >> 32 && seen >= now {
            return Ok(());
        }
        self.segment.make_real(pages_of(offset, len))?;
        known.store(now, Ordering::Relaxed);
        Ok(())
    }

    fn make_small_real(&self, end: usize) -> io::Result<()> {
        let payloads = &self.layout.zones[0].payloads;
        let wanted = end - payloads.start;
        let known = self.known.small.load(Ordering::Relaxed);
        if wanted <= known {
            return Ok(());
        }
        let wanted = wanted.next_multiple_of(CHUNK).min(payloads.len());
        let chunk = payloads.start + known..payloads.start + wanted;
        self.segment.make_real(chunk)?;
        self.known.small.fetch_max(wanted, Ordering::Relaxed);
        Ok(())
    }
}

/// The whole pages that hold the first `len` bytes from `offset`, which is where a page begins.
pub(super) fn pages_of(offset: usize, len: usize) -> Range<usize> {
    offset..offset + len.next_multiple_of(PAGE)
}

const _: () = assert!((HEADERS as usize * mem::size_of::<Block>()).is_multiple_of(PAGE));

/// So large an object is worth asking first.
const LARGE: usize = 16 << 20;

/// Fails for a large object if the machine does not have the memory: `fallocate` would take all there
/// is before it failed, and the kernel might kill somebody to go on.
pub(super) fn ask_the_machine(len: usize) -> io::Result<()> {
    if len < LARGE {
        return Ok(());
    }
    // Without /proc nobody can be asked, and the allocation itself has to tell.
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else {
        return Ok(());
    };
    match available(&text) {
        Some(bytes) if bytes < len as u64 => Err(super::super::segment::no_memory()),
        _ => Ok(()),
    }
}

/// How many bytes can be had without taking them from anybody, as `/proc/meminfo` has it.
fn available(meminfo: &str) -> Option<u64> {
    let kilobytes = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let memory = kilobytes("MemAvailable:")?;
    let swap = kilobytes("SwapFree:").unwrap_or(0);
    memory.checked_add(swap)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_has() {
        let text = "MemTotal: 9 kB\nMemAvailable:    2048 kB\nSwapFree:   1 kB\n";
        assert_eq!(available(text), Some(2049 * 1024));
        assert_eq!(available("MemAvailable: 1 kB\n"), Some(1024));
        assert_eq!(available("MemFree: 1 kB\n"), None);
        assert_eq!(available("MemAvailable: much kB\n"), None);
        assert!(available(&std::fs::read_to_string("/proc/meminfo").unwrap()).is_some());
        let error = ask_the_machine(1 << 60).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        ask_the_machine(4096).unwrap();
    }
}
