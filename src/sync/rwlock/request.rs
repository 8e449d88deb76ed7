//! What the engine is told about reading, writing and upgrading.
//!
//! A waiter that was called has stood at the front once, so it is not stopped by BARRED any more. Until
//! it comes in, lines up again or resigns, CALLED stands in the word for it, and others rely on it to see
//! to those who wait.

use super::Policy;
use super::raw::{
    BARRED, CALLED, KIND, READERS, RawRwLock, SHARED, SHUT, UPGRADABLE, UPGRADING, WAITERS, WRITER,
    one_more, policy_of, unwritten, written_by,
};
use super::serve::{COMPETE, HANDED, TO_READ, TO_READ_UPGRADABLE, TO_WRITE, upgrader};
use crate::GaveUp;
use crate::platform::atomic::Ordering;
use crate::wait::lot::Line;
use crate::wait::{Awaited, Kind, Limit, Request, wait, wait_for_ever};
use std::mem;
use std::panic::Location;

impl RawRwLock {
    /// Marks the word for a waiter as long as a bit of `taken` is set, taking `used` off. False if none
    /// is.
    fn mark_while(&self, taken: usize, used: usize, mark: impl Fn(usize) -> usize) -> bool {
        let mut seen = self.load();
        while seen & taken != 0 {
            match self.word.compare_exchange_weak(
                seen,
                seen & !used | WAITERS | mark(seen),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// A called waiter that lines up again: calls the readers who can come in although it cannot.
    fn call_others(&self, line: &mut Line<'_>) {
        if self.load() & (WRITER | UPGRADING) == 0 {
            self.call_shared(line);
        }
    }

    fn is_crowded(&self) -> bool {
        self.load() & WAITERS != 0
    }
}

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
    /// Which bits keep it out.
    shut: usize,
    upgradable: bool,
    /// It has been called, and CALLED in the word may mean this one.
    called: bool,
}

impl<'a> ReadRequest<'a> {
    pub(super) fn new(lock: &'a RawRwLock, shut: usize) -> ReadRequest<'a> {
        ReadRequest {
            lock,
            shut,
            upgradable: false,
            called: false,
        }
    }

    pub(super) fn upgradable(lock: &'a RawRwLock) -> ReadRequest<'a> {
        ReadRequest {
            lock,
            shut: SHUT | UPGRADABLE,
            upgradable: true,
            called: false,
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
        let used = used(self.called);
        let is_in = if self.upgradable {
            self.lock.take(self.shut, |word| word & !used | UPGRADABLE)
        } else {
            self.lock.take(self.shut, |word| one_more(word) & !used)
        };
        if is_in && mem::take(&mut self.called) && self.lock.is_crowded() {
            self.lock.serve_line();
        }
        is_in.then_some(())
    }

    fn crowded(&self) -> bool {
        self.lock.is_crowded()
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        if !self.lock.mark_while(self.shut, used(self.called), |_| 0) {
            return None;
        }
        if mem::take(&mut self.called) {
            self.lock.call_others(line);
        }
        Some(if self.upgradable {
            TO_READ_UPGRADABLE
        } else {
            TO_READ
        })
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        self.called = true;
        self.shut &= !BARRED;
        self.attempt()
    }

    fn resign(&mut self) {
        if mem::take(&mut self.called) {
            self.lock.serve_line_instead();
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.lock.serve_instead(line);
    }

    fn decline(&mut self, token: usize) {
        match token {
            COMPETE => self.lock.serve_line_instead(),
            _ if self.upgradable => self.lock.unlock_upgradable(),
            _ => self.lock.unlock_read(),
        }
    }
}

/// So often a writer tries for itself while others read: a moment without readers is all it needs, and
/// lining up costs them more than such a moment. Then it lines up, which keeps new readers out, instead of
/// spinning on while they come and go.
const TRIES_BESIDE_READERS: u32 = 6;

/// Wants to write as `owner`.
pub(crate) struct WriteRequest<'a> {
    lock: &'a RawRwLock,
    owner: u32,
    /// Which bits keep it out.
    shut: usize,
    /// It has been called, and CALLED in the word may mean this one.
    called: bool,
    tries: u32,
}

impl<'a> WriteRequest<'a> {
    pub(super) fn new(lock: &'a RawRwLock, owner: u32) -> WriteRequest<'a> {
        WriteRequest {
            lock,
            owner,
            shut: SHUT | SHARED,
            called: false,
            tries: 0,
        }
    }

    /// BARRED, if this writer parks at the front of a lock that is read.
    fn bar(&self, word: usize, line: &Line<'_>) -> usize {
        let is_front = line.is_empty() || self.shut & BARRED == 0;
        let bars = match policy_of(word) {
            Policy::Balanced => is_front,
            Policy::PreferReaders => false,
            Policy::PreferWriters => true,
        };
        if bars && word & WRITER == 0 && word & SHARED != 0 {
            BARRED
        } else {
            0
        }
    }
}

impl Request for WriteRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;
    const AWAITED: Awaited = Awaited::Held;

    fn address(&self) -> usize {
        self.lock.address()
    }

    #[inline]
    fn attempt(&mut self) -> Option<()> {
        self.tries += 1;
        let (written, used) = (written_by(self.owner), used(self.called));
        let is_in = self.lock.take(self.shut, |word| word & !used | written);
        self.called &= !is_in;
        is_in.then_some(())
    }

    fn crowded(&self) -> bool {
        let word = self.lock.load();
        let is_read = word & WRITER == 0 && word & SHARED != 0;
        word & WAITERS != 0 || (is_read && self.tries >= TRIES_BESIDE_READERS)
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        let bar = |word| self.bar(word, line);
        if !self.lock.mark_while(self.shut, used(self.called), bar) {
            return None;
        }
        if mem::take(&mut self.called) && policy_of(self.lock.load()) == Policy::PreferReaders {
            self.lock.call_others(line);
        }
        Some(TO_WRITE)
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        self.called = true;
        self.shut &= !BARRED;
        self.attempt()
    }

    fn resign(&mut self) {
        if mem::take(&mut self.called) {
            self.lock.serve_line_instead();
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.lock.serve_instead(line);
    }

    fn decline(&mut self, token: usize) {
        match token {
            COMPETE => self.lock.serve_line_instead(),
            _ => self.lock.unlock_write(self.owner),
        }
    }
}

/// Is the upgradable reader, and wants to write as `owner`.
pub(crate) struct UpgradeRequest<'a> {
    pub(super) lock: &'a RawRwLock,
    pub(super) owner: u32,
}

impl Request for UpgradeRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;
    const AWAITED: Awaited = Awaited::Held;

    fn address(&self) -> usize {
        self.lock.address()
    }

    fn attempt(&mut self) -> Option<()> {
        self.lock.try_upgrade(self.owner).then_some(())
    }

    /// Nobody is before it: who is parked waits for us.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        self.lock
            .mark_while(READERS, 0, |_| UPGRADING)
            .then(|| upgrader(self.owner))
    }

    /// It is only ever handed, not called.
    fn granted(&mut self, _token: usize) -> Option<()> {
        Some(())
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        // A writer can only be us: the lock was handed over after we had given up.
        self.lock.update(|word| {
            if word & WRITER != 0 {
                unwritten(word) | UPGRADABLE
            } else {
                word & !UPGRADING
            }
        });
        self.lock.serve_instead(line);
    }

    fn decline(&mut self, _token: usize) {
        self.lock.step_down(UPGRADABLE);
    }
}
