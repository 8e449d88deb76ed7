//! How much of the arena is in use: a look from outside, for tests and for whoever wonders.

use super::Arena;
use crate::platform::atomic::Ordering;
use std::io;

/// What the shared memory of a tree holds; it may be outdated when the caller reads it. Of [`usage`](crate::ipc::usage).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Usage {
    /// Places that were ever made for objects, one an object.
    pub blocks: u32,
    /// Those of them that are free.
    pub free_blocks: u32,
    /// Memory that is taken, in bytes, that of free places and of the bookkeeping included.
    pub bytes_real: u64,
    /// Bytes of the objects that are there.
    pub bytes_used: u64,
}

impl Arena {
    /// Looks at every block.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let mut usage = Usage {
            blocks: 0,
            free_blocks: 0,
            bytes_real: self.segment.bytes_real()?,
            bytes_used: 0,
        };
        for zone in 0..self.layout.zones.len() {
            for index in self.made(zone)? {
                let block = self.header(index);
                usage.blocks += 1;
                if block.owner.load(Ordering::Relaxed) == 0 {
                    usage.free_blocks += 1;
                } else {
                    usage.bytes_used = usage.bytes_used.saturating_add(block.len() as u64);
                }
            }
        }
        Ok(usage)
    }
}
