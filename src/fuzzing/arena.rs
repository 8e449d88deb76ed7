//! The arena, with a peer that writes anywhere in it between our operations.

use super::{Feed, scribble};
use crate::GaveUp;
use crate::shm::arena::{Arena, Request};
use crate::shm::roster::Roster;
use crate::shm::segment::{Kind, Segment};
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

const SHORTEST: usize = 1 << 20;
/// How much of a block is written, to see that it is there.
const MOST_WRITTEN: usize = 1 << 20;

/// Allocates, frees and locks while words of header, cursor, table and payloads change as `data` says.
pub fn arena(data: &[u8]) {
    let mut feed = Feed(data);
    let roster = Roster::create().unwrap();
    // The shortest there is, lest each search take long. Whoever attaches to it adapts.
    let made = Segment::create_sparse(Kind::Arena, SHORTEST..=SHORTEST, roster.id()).unwrap();
    let arena = Arena::attach(made.fd().try_clone_to_owned().unwrap(), &roster).unwrap();
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
                // What is copied into a block is in memory already, so it is at most this long.
                let len = feed.number() as usize & isize::MAX.cast_unsigned();
                let align = 1 << (feed.u8() % 8);
                let mut request = Request::new(len, align);
                match feed.u8() % 8 {
                    0 | 1 => request = request.pinned(),
                    2 => request = request.for_ever(),
                    _ => {}
                }
                let Ok(block) = arena.allocate(me, &ByName, request) else {
                    continue;
                };
                if let Ok(payload) = arena.payload(block.index, block.generation, request) {
                    assert!(payload.addr().get().is_multiple_of(align));
                    // SAFETY: as many bytes as were asked for; they are ours.
                    unsafe { payload.as_ptr().write_bytes(0xA5, len.min(MOST_WRITTEN)) };
                }
                arena
                    .block(block.index)
                    .expect("just allocated")
                    .word
                    .unlock(true);
                fresh.push(block);
            }
            4 => {
                if let Some(block) = fresh.pop() {
                    arena.free(block.index, block.generation, me, &ByName);
                }
            }
            5 => arena.free(feed.number() as u32, feed.number() as u32, me, &ByName),
            _ => {
                let index = feed.number() as u32;
                let generation = feed.u8().into();
                let request = Request::new(feed.number() as usize & 0xFF_FFFF, 1);
                if let Ok(payload) = arena.payload(index, generation, request) {
                    let last = request.len.saturating_sub(1);
                    // SAFETY: the arena says that there is room for so many bytes in it.
                    unsafe { payload.add(last).write_volatile(1) };
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
