//! Who is let in next: the one place that serves the line of a reader-writer lock.
//!
//! Every waiter stands in one line; its tag says what it wants. Readers are **called** (the lock is open,
//! come and try) all together. What at most one can have, to write or to read upgradably, one waiter at a
//! time is called for. Whoever must not be overtaken any more ([`Line::is_due`]) is **handed** what it wants.
//! Invariants, while the bucket's lock is free:
//!
//! 1. WRITERS_ASLEEP is set exactly while a writer without a claim is in the line, CLAIMANT_ASLEEP while one
//!    with a claim is, and READERS_ASLEEP at least while anybody else is.
//! 2. If anybody is parked, then somebody will serve the line: whoever has it TAKEN, by leaving; the last
//!    reader, if the claimant is parked or, by `PreferReaders`, a writer; or the one who was CALLED.
//! 3. If it says CALLED, then somebody has been called and has not had its way, lined up again or resigned
//!    yet; or has given up at the same time and has not left the line yet.
//! 4. If it is RESERVED, then whoever leaves next serves the line.
//!
//! A waiter that gives up serves the line when it has left it, which also repairs a call that was lost on
//! it; what was to be handed to it is taken back at once.

use super::Policy;
use super::raw::{
    CALLED, CLAIMANT_ASLEEP, CLAIMED, READER, READERS, READERS_ASLEEP, RESERVED, RawRwLock, SHUT,
    TAKEN, UPGRADABLE, WRITERS_ASLEEP, is_full, policy_of, shut_to_readers, written_by,
};
use crate::platform::atomic::Ordering;
use crate::wait::lot::{self, Front, Line};
use std::cell::Cell;

/// Grant tokens: it is yours; it is open, come and try; or: the claim is yours.
pub(super) const HANDED: usize = 0;
pub(super) const COMPETE: usize = 1;
pub(super) const CLAIM: usize = 2;

/// What a waiter wants: the low bits of its tag. A writer's tag has its owner above them.
pub(super) const TO_READ: usize = 0;
pub(super) const TO_READ_UPGRADABLE: usize = 1;
pub(super) const TO_WRITE: usize = 2;
/// It has the claim and waits for the readers inside.
pub(super) const TO_GO_IN: usize = 3;
pub(super) const WISH: usize = 3;

/// Whom a writer's tag names.
fn owner_in(tag: usize) -> u32 {
    (tag >> WISH.count_ones()) as u32
}

impl RawRwLock {
    /// Serves whoever can be let in.
    #[cold]
    pub(super) fn serve_line(&self) {
        lot::line(self.address(), |line| self.serve(line));
    }

    /// As `serve_line`, by somebody who has been called and will not come.
    #[cold]
    pub(super) fn serve_line_instead(&self) {
        lot::line(self.address(), |line| self.serve_instead(line));
    }

    /// As `serve`, on behalf of somebody who may have been called and will not come.
    pub(super) fn serve_instead(&self, line: &mut Line<'_>) {
        self.word.fetch_and(!CALLED, Ordering::Relaxed);
        self.serve(line);
    }

    /// As `serve_line`, with the bucket's lock held.
    pub(super) fn serve(&self, line: &mut Line<'_>) {
        if self.load() & CLAIMANT_ASLEEP != 0 {
            self.hand_to_claimant(line);
        }
        self.settle(line);
        self.serve_front(line);
        self.settle(line);
        if self.call_readers(line) {
            self.settle(line);
        }
    }

    /// Makes the parked claimant the writer, once nobody reads.
    ///
    /// If it has given up it takes this back when it leaves the line.
    fn hand_to_claimant(&self, line: &mut Line<'_>) {
        line.grant_where(|tag| {
            let is_in = tag & WISH == TO_GO_IN
                // Acquire: what those before have done goes on to the heir through its waiter's state.
                && self.take(|_| READERS, |word| {
                    word & !(CLAIMED | UPGRADABLE | CLAIMANT_ASLEEP) | written_by(owner_in(tag))
                });
            is_in.then_some(HANDED)
        });
    }

    /// Gives the front waiter what it wants if it is due; else calls the first one that wants what at most
    /// one can have, if that is free and nobody is called already.
    fn serve_front(&self, line: &mut Line<'_>) {
        let mut is_due = false;
        while let Some(front) = line.front() {
            let seen = self.load();
            is_due = is_due || (may_be_due(&front, seen) && line.is_due(&front));
            if !is_due && seen & RESERVED == 0 {
                if seen & (TAKEN | CALLED) == 0 {
                    // Readers first: by `PreferWriters`, one who is called keeps them out.
                    self.call_readers(line);
                    self.call_taker(line, seen);
                }
                return;
            }
            // In the word before it is granted, because the heir goes on at once.
            if let Some((bits, token)) = gift(&front, seen) {
                if self.swap(seen, (seen & !RESERVED) + bits) {
                    is_due = false;
                    if !line.grant_front(token) {
                        self.word.fetch_sub(bits, Ordering::AcqRel);
                    } else if bits != READER {
                        return;
                    }
                }
            } else if seen & TAKEN != 0 {
                if self.swap(seen, seen | RESERVED) {
                    return;
                }
            } else if self.swap(seen, seen & !RESERVED) {
                self.call_taker(line, seen);
                return;
            }
        }
    }

    /// One step of the word. Acquire: who hands the lock on passes on what was done under it.
    fn swap(&self, seen: usize, wanted: usize) -> bool {
        self.word
            .compare_exchange(seen, wanted, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Calls the first waiter that could take it. One that gives up meanwhile sees to the next itself.
    fn call_taker(&self, line: &mut Line<'_>, seen: usize) {
        let policy = policy_of(seen);
        let could = |tag| match tag & WISH {
            TO_WRITE => policy != Policy::PreferReaders || seen & READERS == 0,
            TO_READ_UPGRADABLE => policy != Policy::PreferWriters || seen & WRITERS_ASLEEP == 0,
            _ => false,
        };
        // In the word first, because the waiter goes on at once.
        let call = || {
            self.word.fetch_or(CALLED, Ordering::Relaxed);
            COMPETE
        };
        if line.front().is_some_and(|front| could(front.tag)) {
            line.grant_front(call());
        } else {
            let called = Cell::new(false);
            line.grant_where(|tag| (could(tag) && !called.replace(true)).then(call));
        }
    }

    /// A called writer lines up because of readers: calls whoever can come in beside them.
    pub(super) fn call_beside_readers(&self, line: &mut Line<'_>) {
        let seen = self.load();
        if seen & (TAKEN | CALLED) == 0 {
            self.call_taker(line, seen | READER);
        }
    }

    /// Calls all readers, if they may come in. False if they may not, or there is none.
    fn call_readers(&self, line: &mut Line<'_>) -> bool {
        let seen = self.load();
        if seen & READERS_ASLEEP == 0 || seen & shut_to_readers(seen) != 0 {
            return false;
        }
        let others = Cell::new(false);
        line.grant_where(|tag| {
            others.set(others.get() || tag & WISH == TO_READ_UPGRADABLE);
            (tag & WISH == TO_READ).then_some(COMPETE)
        });
        if !others.get() {
            self.word.fetch_and(!READERS_ASLEEP, Ordering::Relaxed);
        }
        true
    }

    /// Leaves the bits that tell who is asleep as the line wants them.
    fn settle(&self, line: &mut Line<'_>) {
        let asleep = asleep(line);
        self.change(Ordering::Relaxed, |word| {
            // Behind a writer nobody is looked for: there may be many.
            let kept = if asleep == WRITERS_ASLEEP {
                READERS_ASLEEP
            } else {
                0
            };
            let settled = word & !(READERS_ASLEEP | WRITERS_ASLEEP) | word & kept | asleep;
            let settled = if settled & (READERS_ASLEEP | WRITERS_ASLEEP) == 0 {
                settled & !RESERVED
            } else {
                settled
            };
            (settled != word).then_some(settled)
        });
    }
}

/// Who is in the line: of those behind a writer at the front, this says nothing.
fn asleep(line: &mut Line<'_>) -> usize {
    match line.front() {
        None => 0,
        Some(front) if front.tag & WISH == TO_WRITE => WRITERS_ASLEEP,
        Some(_) => {
            let found = Cell::new(0);
            line.grant_where(|tag| {
                found.set(found.get() | asleep_with(tag));
                None
            });
            found.get()
        }
    }
}

fn asleep_with(tag: usize) -> usize {
    match tag & WISH {
        TO_WRITE => WRITERS_ASLEEP,
        TO_GO_IN => 0,
        _ => READERS_ASLEEP,
    }
}

/// Is the front waiter one that this policy never lets others overtake for long?
fn may_be_due(front: &Front, word: usize) -> bool {
    match (policy_of(word), front.tag & WISH) {
        (_, TO_GO_IN) => false,
        (Policy::PreferReaders, TO_WRITE) => word & TAKEN != 0 || word & READERS == 0,
        (Policy::PreferWriters, TO_READ | TO_READ_UPGRADABLE) => word & WRITERS_ASLEEP == 0,
        _ => true,
    }
}

/// What the front waiter can be given of a lock whose word is `word`: the bits that the word gets, and the
/// token.
fn gift(front: &Front, word: usize) -> Option<(usize, usize)> {
    let is_free = word & TAKEN == 0;
    match front.tag & WISH {
        TO_READ if word & SHUT == 0 && !is_full(word) => Some((READER, HANDED)),
        TO_READ_UPGRADABLE if is_free => Some((UPGRADABLE, HANDED)),
        TO_WRITE if is_free && word & READERS == 0 => {
            Some((written_by(owner_in(front.tag)), HANDED))
        }
        TO_WRITE if is_free && policy_of(word) != Policy::PreferReaders => Some((CLAIMED, CLAIM)),
        _ => None,
    }
}
