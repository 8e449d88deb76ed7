//! What the workers have done so far, in memory that all processes of this program share.
//!
//! Keeps: the figures of one picture are added in one step. A worker that is killed in the middle of
//! that step spoils at most the figures of its own picture. `shrink` adds, the report reads.

use bytemuck::{Pod, Zeroable};
use latchwork::ipc::{LockError, Value};
use serde::{Deserialize, Serialize};
use std::io;

/// Plain numbers, because that is what processes can share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Totals {
    pub pictures: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Of the originals.
    pub pixels: u64,
    pub decode_ns: u64,
    pub grey_ns: u64,
    pub halve_ns: u64,
    pub encode_ns: u64,
}

impl Totals {
    pub fn compute_ns(&self) -> u64 {
        self.decode_ns + self.grey_ns + self.halve_ns + self.encode_ns
    }

    fn add(&mut self, more: &Totals) {
        self.pictures += more.pictures;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.pixels += more.pixels;
        self.decode_ns += more.decode_ns;
        self.grey_ns += more.grey_ns;
        self.halve_ns += more.halve_ns;
        self.encode_ns += more.encode_ns;
    }
}

/// A handle to shared [`Totals`]: a clone, or one that came with a task to another process, counts
/// in the same place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counters {
    totals: Value<Totals>,
}

impl Counters {
    pub fn new() -> io::Result<Counters> {
        let totals = Value::new(Totals::default())?;
        Ok(Counters { totals })
    }

    pub fn add(&self, more: &Totals) -> Result<(), String> {
        self.with(|totals| totals.add(more))
    }

    pub fn read(&self) -> Result<Totals, String> {
        self.with(|totals| *totals)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Totals) -> R) -> Result<R, String> {
        let mut totals = match self.totals.lock() {
            Ok(totals) => totals,
            Err(LockError::OwnerDied(mut totals)) => {
                // Killed while it counted: some figures of one picture are in, others aren't. They
                // are statistics, nothing is decided by them.
                totals.mark_consistent();
                totals
            }
            Err(error) => return Err(format!("cannot count: {error}")),
        };
        Ok(work(&mut totals))
    }
}
