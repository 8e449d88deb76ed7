//! A lock word and the roster behind it, both written by others.

use super::arena::Sleeps;
use super::{Feed, scribble};
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::shm::roster::{self, Roster};
use crate::shm::segment::HEADER_LEN;
use crate::shm::word::{Liveness, Owner, SLOTS, Word};

const ENTRY: u64 = roster::ENTRY as u64;

/// Locks and unlocks a word that anything may be in, with a roster in which anything may be.
pub fn word(data: &[u8]) {
    let mut feed = Feed(data);
    let roster = Roster::create().unwrap();
    if feed.u8() % 2 == 0 {
        roster.me().unwrap();
    }
    let raw = AtomicU32::new(0);
    // SAFETY: a word is one atomic and nothing else.
    let word: &Word = unsafe { &*std::ptr::from_ref(&raw).cast() };
    let mut me = roster.current();
    // A claim and a second opinion ask the system.
    let mut questions = 0;
    while !feed.is_empty() && questions < 64 {
        questions += 1;
        match feed.u8() % 8 {
            0 | 1 => {
                let place = match feed.u8() % 2 {
                    0 => u64::from(feed.u32()) % (u64::from(SLOTS) * ENTRY),
                    // Where this process is, or will be.
                    _ => {
                        u64::from(std::process::id() % SLOTS) * ENTRY + u64::from(feed.u8()) % ENTRY
                    }
                };
                let count = usize::from(feed.u8() % 9);
                scribble(roster.fd(), HEADER_LEN as u64 + place, feed.up_to(count));
            }
            2 => raw.store(feed.u32(), Ordering::SeqCst),
            3 => {
                let slot = roster.current().map_or(feed.u32(), Owner::slot);
                if let Some(owner) = Owner::new(slot, feed.number() as u32) {
                    raw.store(owner.bits(), Ordering::SeqCst);
                    let _ = (roster.verdict(owner), roster.pid_of(owner));
                }
            }
            4 => me = roster.me().ok().or(me),
            5 => drop(format!("{word:?}")),
            _ => {
                let Some(me) = me else { continue };
                let taken = match feed.u8() % 2 {
                    0 => word.lock(me, &roster, &mut Sleeps(3)).map(Some),
                    _ => word.try_lock(me, &roster),
                };
                if let Ok(Some(_)) = taken {
                    assert_eq!(word.state().owner(), Some(me));
                    if feed.u8() % 4 == 0 {
                        word.mark_consistent();
                    }
                    word.unlock(feed.u8() % 2 == 0);
                }
            }
        }
    }
}
