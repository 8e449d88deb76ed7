//! How much of the arena is in use: a look from outside, for tests and for whoever wonders.

use super::Arena;
use crate::platform::atomic::Ordering;
use std::io;

/// What an arena holds at one moment; it may be outdated when the caller reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code, reason = "the public face is to come")]
pub(crate) struct Usage {
    /// Blocks ever made.
    pub(crate) blocks: u32,
    /// Those of them that belong to nobody.
    pub(crate) free_blocks: u32,
    /// Memory that the arena takes, headers and free blocks included.
    pub(crate) bytes_real: u64,
    /// Bytes that were asked for by those who have not freed them.
    pub(crate) bytes_used: u64,
}

impl Arena {
    /// Looks at every block.
    #[allow(dead_code, reason = "the public face is to come")]
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
