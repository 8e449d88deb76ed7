//! What the engine is told about reading, writing and upgrading.
//!
//! A waiter that was called for what at most one has is not stopped by who merely waits any more. Until it
//! has its way, lines up again or resigns, CALLED stands in the word for it, and others rely on it to see to
//! those who wait. A writer that has CLAIMED the lock is as good as inside: it serves the others when it
//! gives the claim up.

use super::Policy;
use super::raw::{
    CALLED, CLAIMANT_ASLEEP, CLAIMED, KIND, READERS, READERS_ASLEEP, RESERVED, RawRwLock, TAKEN,
    UPGRADABLE, WRITER, WRITERS_ASLEEP, one_more, policy_of, shut_to_readers, unwritten,
    written_by,
};
use super::serve::{CLAIM, HANDED, TO_GO_IN, TO_READ, TO_READ_UPGRADABLE, TO_WRITE, WISH};
use crate::GaveUp;
use crate::platform::atomic::Ordering;
use crate::wait::lot::Line;
use crate::wait::{Awaited, Kind, Limit, Request, wait, wait_for_ever};
use std::mem;
use std::panic::Location;

/// The flag that goes when a request that may have been called has its way.
fn used(called: bool) -> usize {
    if called { CALLED } else { 0 }
}

/// Runs `request` until it is granted.
#[inline]
pub(super) fn run<R: Request<Output = ()>>(mut request: R, place: &'static Location<'static>) {
    if request.attempt().is_none() {
        wait_for_ever(&mut request, place);
    }
}

/// Runs `request` as long as `limit` allows.
#[inline]
pub(super) fn run_within<R: Request<Output = ()>>(
    mut request: R,
    limit: &Limit<'_>,
    place: &'static Location<'static>,
) -> Result<(), GaveUp> {
    match request.attempt() {
        Some(()) => Ok(()),
        None => wait(&mut request, limit, place),
    }
}

/// Wants to read, plainly or upgradably.
pub(crate) struct ReadRequest<'a> {
    lock: &'a RawRwLock,
    wish: Wish,
    /// It has been called for the upgradable place, and CALLED in the word may mean this one.
    called: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Plain,
    Recursive,
    Upgradable,
    /// It has been called once: those who wait are not before it any more.
    UpgradableNow,
}

impl<'a> ReadRequest<'a> {
    pub(super) fn new(lock: &'a RawRwLock) -> ReadRequest<'a> {
        ReadRequest::wishing(lock, Wish::Plain)
    }

    pub(super) fn recursive(lock: &'a RawRwLock) -> ReadRequest<'a> {
        ReadRequest::wishing(lock, Wish::Recursive)
    }

    pub(super) fn upgradable(lock: &'a RawRwLock) -> ReadRequest<'a> {
        ReadRequest::wishing(lock, Wish::Upgradable)
    }

    fn wishing(lock: &'a RawRwLock, wish: Wish) -> ReadRequest<'a> {
        ReadRequest {
            lock,
            wish,
            called: false,
        }
    }

    fn is_upgradable(&self) -> bool {
        matches!(self.wish, Wish::Upgradable | Wish::UpgradableNow)
    }
}

impl Wish {
    /// Which bits of `word` keep it out.
    fn shut(self, word: usize) -> usize {
        match self {
            Wish::Plain => shut_to_readers(word),
            Wish::Recursive => WRITER,
            Wish::Upgradable => TAKEN | RESERVED | shut_to_readers(word),
            Wish::UpgradableNow => TAKEN | RESERVED,
        }
    }
}

impl Request for ReadRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;
    const AWAITED: Awaited = Awaited::Held;

    fn address(&self) -> usize {
        self.lock.address()
    }

    #[inline]
    fn attempt(&mut self) -> Option<()> {
        let (wish, used) = (self.wish, used(self.called));
        let shut = |word| wish.shut(word);
        let is_in = if self.is_upgradable() {
            self.lock.take(shut, |word| word & !used | UPGRADABLE)
        } else {
            self.lock.take(shut, one_more)
        };
        if is_in && mem::take(&mut self.called) && self.lock.load() & READERS_ASLEEP != 0 {
            // By `PreferWriters`, readers have waited for us while we were called.
            self.lock.serve_line();
        }
        is_in.then_some(())
    }

    /// Who keeps it out will be gone soon; fairness is the line's affair.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let (wish, used) = (self.wish, used(self.called));
        let must_wait = self.lock.change(Ordering::Relaxed, |word| {
            (word & wish.shut(word) != 0).then_some(word & !used | READERS_ASLEEP)
        });
        self.called &= !must_wait;
        must_wait.then_some(if self.is_upgradable() {
            TO_READ_UPGRADABLE
        } else {
            TO_READ
        })
    }

    fn mend(&mut self) {
        self.lock.serve_line_instead();
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        if self.is_upgradable() {
            self.called = true;
            self.wish = Wish::UpgradableNow;
        }
        self.attempt()
    }

    fn resign(&mut self) {
        if mem::take(&mut self.called) {
            self.lock.serve_line_instead();
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        if self.is_upgradable() {
            self.lock.serve_instead(line);
        } else {
            self.lock.serve(line);
        }
    }

    fn decline(&mut self, token: usize) {
        match (token, self.is_upgradable()) {
            (HANDED, true) => self.lock.unlock_upgradable(),
            (HANDED, false) => self.lock.unlock_read(),
            (_, true) => self.lock.serve_line_instead(),
            (_, false) => {}
        }
    }
}

/// Wants to write as `owner`, perhaps from being the upgradable reader.
pub(crate) struct WriteRequest<'a> {
    lock: &'a RawRwLock,
    owner: u32,
    /// What the word says for it already: CLAIMED, UPGRADABLE, both, or nothing.
    has: usize,
    /// It has been called, and CALLED in the word may mean this one.
    called: bool,
    /// So many attempts leave the lock to the readers before one claims it.
    patience: u8,
}

/// A call with a limit that has passed attempts twice, and is to change nothing if it fails.
const POLLS: u8 = 2;

impl<'a> WriteRequest<'a> {
    pub(super) fn new(lock: &'a RawRwLock, owner: u32) -> WriteRequest<'a> {
        WriteRequest {
            lock,
            owner,
            has: 0,
            called: false,
            patience: 0,
        }
    }

    /// The caller is the upgradable reader.
    pub(super) fn upgrade(lock: &'a RawRwLock, owner: u32) -> WriteRequest<'a> {
        let mut request = WriteRequest::new(lock, owner);
        request.has = UPGRADABLE;
        request
    }

    /// For a call with a limit, which may have passed.
    pub(super) fn patient(mut self) -> WriteRequest<'a> {
        self.patience = POLLS;
        self
    }

    /// Must it stand in line before it can even claim `word`?
    fn is_behind(&self, word: usize) -> bool {
        self.has == 0
            && (word & (TAKEN | RESERVED) != 0
                || (word & READERS != 0 && policy_of(word) == Policy::PreferReaders))
    }

    /// Goes in if nobody reads, or claims the lock. Went it in?
    fn step(&mut self) -> bool {
        let is_patient = self.patience > 0;
        let mut goes_in = false;
        let stepped = self.lock.change(Ordering::Acquire, |word| {
            goes_in = word & READERS == 0;
            if self.is_behind(word) {
                None
            } else if goes_in {
                Some(self.stepped(word) & !self.has | written_by(self.owner))
            } else {
                let claims = !is_patient && self.has & CLAIMED == 0;
                claims.then(|| self.stepped(word) | CLAIMED)
            }
        });
        self.patience = self.patience.saturating_sub(1);
        if stepped {
            self.called = false;
            self.has = if goes_in { 0 } else { self.has | CLAIMED };
        }
        stepped && goes_in
    }

    /// The word after a step by which this request has its way.
    fn stepped(&self, word: usize) -> usize {
        word & !used(self.called)
    }
}

impl Request for WriteRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;
    const AWAITED: Awaited = Awaited::Held;

    fn address(&self) -> usize {
        self.lock.address()
    }

    /// Goes in if nobody reads; else claims the lock, and goes in if the readers leave at once.
    fn attempt(&mut self) -> Option<()> {
        if !self.step() {
            if self.has & CLAIMED == 0 {
                return None;
            }
            self.lock.watch(READERS);
            if !self.step() {
                return None;
            }
        }
        Some(())
    }

    /// Whoever is awake should have it before somebody is woken for it; fairness is the line's affair.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        let owner = (self.owner as usize) << WISH.count_ones();
        let lines_up = self.lock.change(Ordering::Relaxed, |word| {
            self.is_behind(word)
                .then(|| self.stepped(word) | WRITERS_ASLEEP)
        });
        if lines_up {
            if mem::take(&mut self.called) {
                self.lock.call_beside_readers(line);
            }
            return Some(owner | TO_WRITE);
        }
        let waits = self.lock.change(Ordering::Relaxed, |word| {
            (word & READERS != 0 && !self.is_behind(word))
                .then(|| self.stepped(word) | CLAIMED | CLAIMANT_ASLEEP)
        });
        if !waits {
            return None;
        }
        self.has |= CLAIMED;
        self.called = false;
        Some(owner | TO_GO_IN)
    }

    fn mend(&mut self) {
        self.lock.serve_line_instead();
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        match token {
            HANDED => {
                self.has = 0;
                return Some(());
            }
            CLAIM => self.has = CLAIMED,
            _ => self.called = true,
        }
        self.attempt()
    }

    fn resign(&mut self) {
        if self.has & CLAIMED != 0 {
            self.has &= !CLAIMED;
            let before = self.lock.word.fetch_and(!CLAIMED, Ordering::Relaxed);
            self.lock.has_left(before);
        }
        if mem::take(&mut self.called) {
            self.lock.serve_line_instead();
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, tag: usize) {
        if tag & WISH == TO_WRITE {
            return self.lock.serve_instead(line);
        }
        self.has &= UPGRADABLE;
        // The last attempt is to claim nothing.
        self.patience = 1;
        // A writer can only be us: the lock was handed over after we had given up.
        self.lock.change(Ordering::AcqRel, |word| {
            let left = if word & WRITER != 0 {
                unwritten(word) | self.has
            } else {
                word & !(CLAIMED | CLAIMANT_ASLEEP)
            };
            Some(left)
        });
        self.lock.serve(line);
    }

    fn decline(&mut self, token: usize) {
        match token {
            HANDED => {
                let stays = mem::take(&mut self.has) & UPGRADABLE;
                self.lock.step_down(self.owner, stays);
            }
            CLAIM => self.has = CLAIMED,
            _ => self.called = true,
        }
        self.resign();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A call whose limit has passed attempts twice; a later claim is taken back.
    #[test]
    fn an_attempt_in_vain_leaves_no_claim() {
        let lock = RawRwLock::new(Policy::Balanced);
        assert!(lock.try_read(shut_to_readers));
        let before = lock.load();
        let mut poll = WriteRequest::new(&lock, 7).patient();
        assert!(poll.attempt().is_none() && poll.attempt().is_none());
        assert_eq!(lock.load(), before);
        assert!(poll.attempt().is_none());
        assert_eq!(lock.load(), before | CLAIMED);
        poll.resign();
        assert_eq!(lock.load(), before);
    }
}
