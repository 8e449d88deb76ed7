//! Who is let in next: the one place that serves the line of a reader-writer lock.
//!
//! Every waiter stands in one line; its tag says what it wants. A waiter is **called** (the lock is
//! open, come and try) or, if it has waited half a millisecond, **handed** what it wants. Invariants,
//! while the bucket's lock is free:
//!
//! 1. WAITERS is set exactly while the line is not empty.
//! 2. If somebody is parked, then somebody is inside who serves the line on leaving, or the word says
//!    CALLED.
//! 3. If it says CALLED, then somebody has been called and has not come in, lined up again or resigned
//!    yet; or has given up at the same time and has not left the line yet.
//! 4. If a writer is parked at the front of a lock that is read, then it is BARRED (except by
//!    `PreferReaders`) or CALLED. So readers who keep coming cannot keep a writer out.
//!
//! Whoever was called serves the line when it comes in as a reader, and when it resigns; a writer does
//! when it leaves. A waiter that gives up serves the line when it has left it, which also repairs a call
//! that was lost on it; what was to be handed to it is taken back at once.

use super::Policy;
use super::raw::{
    BARRED, CALLED, READER, READERS, RawRwLock, SHARED, UPGRADABLE, UPGRADING, WAITERS, WRITER,
    is_full, one_more, policy_of, unwritten, upgraded, written_by,
};
use crate::platform::atomic::Ordering;
use crate::wait::lot::{self, Front, Line};
use std::cell::Cell;
use std::time::Duration;

/// A waiter that has waited this long gets what it wants handed to it, so nobody can overtake it again.
const HANDOFF_AFTER: Duration = Duration::from_micros(500);

/// Grant tokens: it is yours; or: it is open, come and try.
pub(super) const HANDED: usize = 0;
pub(super) const COMPETE: usize = 1;

/// What a waiter wants: the low bits of its tag. An upgrader's tag has its owner above them.
pub(super) const TO_READ: usize = 0;
pub(super) const TO_READ_UPGRADABLE: usize = 1;
pub(super) const TO_WRITE: usize = 2;
pub(super) const TO_UPGRADE: usize = 3;
const WISH: usize = 3;

/// The tag of the upgradable reader that wants to write as `owner`.
pub(super) fn upgrader(owner: u32) -> usize {
    (owner as usize) << 2 | TO_UPGRADE
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

    /// As `serve_line`, with the bucket's lock held.
    pub(super) fn serve(&self, line: &mut Line<'_>) {
        while let Some(front) = line.front() {
            if self.serve_front(&front, line) {
                break;
            }
        }
        self.settle(line);
    }

    /// True when nobody else is to be let in now.
    fn serve_front(&self, front: &Front, line: &mut Line<'_>) -> bool {
        let seen = self.load();
        if seen & WRITER != 0 {
            return true;
        }
        if seen & UPGRADING != 0 {
            self.hand_upgrade(line);
            return true;
        }
        let wish = front.tag & WISH;
        if wish != TO_WRITE && policy_of(seen) == Policy::PreferWriters && has_writer(line) {
            if seen & (SHARED | CALLED) == 0 {
                self.call_first_writer(line);
            }
            return true;
        }
        if seen & (SHARED | CALLED) == CALLED && !is_overdue(front) {
            return true;
        }
        match wish {
            TO_WRITE if seen & SHARED != 0 => {
                if policy_of(seen) == Policy::PreferReaders {
                    self.call_shared(line);
                }
                true
            }
            TO_WRITE if is_overdue(front) => self.hand(
                line,
                seen,
                seen & !BARRED | written_by(front.thread),
                |word| unwritten(word) | BARRED,
            ),
            TO_WRITE => {
                let readers_first = policy_of(seen) == Policy::PreferReaders;
                if !(readers_first && self.call_shared(line)) {
                    self.call_first_writer(line);
                }
                true
            }
            TO_READ if is_overdue(front) && !is_full(seen) => {
                self.hand(line, seen, one_more(seen), |word| word - READER);
                false
            }
            TO_READ_UPGRADABLE if is_overdue(front) && seen & UPGRADABLE == 0 => {
                self.hand(line, seen, seen | UPGRADABLE, |word| word & !UPGRADABLE);
                false
            }
            _ => {
                self.call_shared(line);
                true
            }
        }
    }

    /// Changes the word for the front waiter and hands it over; undoes that if nobody is there to
    /// take it. False, too, if the word is not `seen` any more.
    ///
    /// The heir is in the word *before* it is granted, because it goes on at once.
    fn hand(
        &self,
        line: &mut Line<'_>,
        seen: usize,
        wanted: usize,
        undo: impl Fn(usize) -> usize,
    ) -> bool {
        // Acquire: what those before have done goes on to the heir through its waiter's state.
        let changed = self
            .word
            .compare_exchange(seen, wanted, Ordering::AcqRel, Ordering::Relaxed);
        if changed.is_err() {
            return false;
        }
        let handed = line.grant_front(HANDED);
        if !handed {
            self.update(undo);
        }
        handed
    }

    /// Makes the parked upgrader the writer, once nobody else reads. It need not be at the front:
    /// nobody before it can be served while it is there.
    ///
    /// If it has given up it takes this back when it leaves the line.
    fn hand_upgrade(&self, line: &mut Line<'_>) {
        line.grant_where(|tag| {
            let is_upgrader = tag & WISH == TO_UPGRADE;
            (is_upgrader && self.hand_to_upgrader((tag >> 2) as u32)).then_some(HANDED)
        });
    }

    fn hand_to_upgrader(&self, owner: u32) -> bool {
        let mut seen = self.load();
        while seen & READERS == 0 {
            // Acquire as in `hand`.
            match self.word.compare_exchange_weak(
                seen,
                upgraded(seen, owner),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Calls the readers up to the first writer, or all of them by `PreferReaders`, and the first of
    /// the upgradable ones. False if there was none.
    pub(super) fn call_shared(&self, line: &mut Line<'_>) -> bool {
        let seen = self.load();
        let passes_writers = policy_of(seen) == Policy::PreferReaders;
        let (behind_writer, upgradable) = (Cell::new(false), Cell::new(seen & UPGRADABLE != 0));
        let any = Cell::new(false);
        line.grant_where(|tag| {
            let called = match tag & WISH {
                TO_WRITE => {
                    behind_writer.set(!passes_writers);
                    false
                }
                TO_READ => !behind_writer.get(),
                TO_READ_UPGRADABLE => !behind_writer.get() && !upgradable.replace(true),
                _ => false,
            };
            called.then(|| {
                any.set(true);
                self.call()
            })
        });
        any.get()
    }

    fn call_first_writer(&self, line: &mut Line<'_>) {
        let called = Cell::new(false);
        line.grant_where(|tag| {
            (tag & WISH == TO_WRITE && !called.replace(true)).then(|| self.call())
        });
    }

    /// The token for a waiter that is called. In the word first, because the waiter goes on at once.
    fn call(&self) -> usize {
        if self.load() & CALLED == 0 {
            self.word.fetch_or(CALLED, Ordering::Relaxed);
        }
        COMPETE
    }

    /// Somebody who may have been called will not come.
    pub(super) fn serve_instead(&self, line: &mut Line<'_>) {
        self.word.fetch_and(!CALLED, Ordering::Relaxed);
        self.serve(line);
    }

    /// Leaves WAITERS and BARRED as the line and the rest of the word want them.
    fn settle(&self, line: &mut Line<'_>) {
        let waiters = if line.is_empty() { 0 } else { WAITERS };
        let mut seen = self.load();
        loop {
            let mut wanted = seen & !(WAITERS | BARRED) | waiters;
            if waiters != 0 && seen & WRITER == 0 && seen & SHARED != 0 && bars(line, seen) {
                wanted |= BARRED;
            }
            if wanted == seen {
                return;
            }
            match self.word.compare_exchange_weak(
                seen,
                wanted,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Has the front waiter waited so long that it must not be overtaken?
    pub(super) fn turn_has_come(&self, line: &Line<'_>) -> bool {
        line.front().is_some_and(|front| is_overdue(&front))
    }
}

/// Does a parked writer keep newcomers out of a lock that is read?
fn bars(line: &mut Line<'_>, word: usize) -> bool {
    match policy_of(word) {
        Policy::Balanced => line
            .front()
            .is_some_and(|front| front.tag & WISH == TO_WRITE),
        Policy::PreferReaders => false,
        Policy::PreferWriters => has_writer(line),
    }
}

/// Is there a writer anywhere in the line?
fn has_writer(line: &mut Line<'_>) -> bool {
    let found = Cell::new(false);
    line.grant_where(|tag| {
        found.set(found.get() || tag & WISH == TO_WRITE);
        None
    });
    found.get()
}

/// Overtaken for so long, or (there is no time in a model) so often, that it is its turn.
fn is_overdue(front: &Front) -> bool {
    if cfg!(loom) {
        front.again
    } else {
        front.since.elapsed() >= HANDOFF_AFTER
    }
}
