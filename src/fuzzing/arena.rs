//! The arena, with a peer that writes anywhere in it between our operations.

use super::{Feed, scribble};
use crate::GaveUp;
use crate::shm::arena::{Arena, Request};
use crate::shm::roster::Roster;
use crate::shm::wait::Patience;
use crate::shm::word::{Liveness, Owner, Verdict};
use std::time::Duration;

/// A roster that knows by the name alone who lives.
struct ByName;

impl Liveness for ByName {
    fn verdict(&self, owner: Owner) -> Verdict {
        match owner.slot() % 4 {
            0 | 1 => Verdict::Alive,
            2 => Verdict::Dead,
            _ => Verdict::NeverIssued,
        }
    }
}

/// So many short sleeps.
pub(super) struct Sleeps(pub(super) u32);

impl Patience for Sleeps {
    fn slice(&mut self, longest: Duration) -> Result<Duration, GaveUp> {
        self.0 = self.0.checked_sub(1).ok_or(GaveUp::TimedOut)?;
        Ok(longest.min(Duration::from_micros(5)))
    }
}

/// Allocates, frees and locks while words of header, cursor, table and payloads change as `data` says.
pub fn arena(data: &[u8]) {
    let mut feed = Feed(data);
    let roster = Roster::create().unwrap();
    let arena = Arena::create(&roster).unwrap();
    let me = Owner::new(0, 1).unwrap();
    let mut fresh = Vec::new();
    // Each of these looks through the whole table.
    let mut searches = 0;
    while !feed.is_empty() {
        match feed.u8() % 8 {
            0 | 1 => {
                let offset = match feed.u8() % 4 {
                    0 => u64::from(feed.u8()),
                    1 => u64::from(feed.u8()) * 8,
                    2 => u64::from(feed.u32() % (256 << 10)),
                    _ => feed.number(),
                };
                let value = match feed.u8() % 3 {
                    0 => feed.u64(),
                    1 => feed.number(),
                    _ => feed.number() << 32 | feed.number() & 0xFFFF_FFFF,
                };
                scribble(
                    arena.fd(),
                    offset & !7 & (u64::MAX >> 1),
                    &value.to_ne_bytes(),
                );
            }
            2 | 3 if searches < 16 => {
                searches += 1;
                // As much as may be made real and written to again and again.
                let len = feed.number() as usize % (1 << 20);
                let align = 1 << (feed.u8() % 8);
                let request = Request::new(len, align);
                if let Ok(block) = arena.allocate(me, &ByName, request) {
                    let payload = arena.payload(block.index, block.generation, request);
                    let payload = payload.expect("just allocated");
                    assert!(payload.addr().get().is_multiple_of(align.min(32)));
                    // SAFETY: as many bytes of the block as were asked for; they are ours.
                    unsafe { payload.as_ptr().write_bytes(0xA5, len) };
                    arena
                        .block(block.index)
                        .expect("just allocated")
                        .word
                        .unlock(true);
                    fresh.push(block);
                }
            }
            4 => {
                if let Some(block) = fresh.pop() {
                    arena.free(block.index, block.generation, me, &ByName);
                }
            }
            5 => arena.free(feed.number() as u32, feed.number() as u32, me, &ByName),
            _ => {
                let index = feed.number() as u32;
                let request = Request::new(1 + feed.number() as usize % 100, 1);
                let generation = arena.block(index).map_or(0, |block| block.generation());
                if let Ok(payload) = arena.payload(index, generation, request) {
                    // SAFETY: the arena says that this is in it.
                    unsafe { payload.write_volatile(1) };
                }
                if let Some(block) = arena.block(index) {
                    let _ = (block.generation(), block.len(), block.word.state());
                    if block.word.lock(me, &ByName, &mut Sleeps(2)).is_ok() {
                        block.word.unlock(feed.u8() % 2 == 0);
                    }
                }
            }
        }
    }
}
