//! What the engine is told about reading, writing and upgrading.
//!
//! A waiter that was called has stood at the front once, so it is not stopped by BARRED any more. It
//! owes the line what invariant 3 of `serve.rs` says: whatever comes of its try, a writer that is now
//! at the front bars those who come later.

use super::Policy;
use super::raw::{
    BARRED, KIND, READERS, RawRwLock, SHARED, SHUT, UPGRADABLE, UPGRADING, WAITERS, WRITER,
    policy_of, unwritten,
};
use super::serve::{CALLED, HANDED, TO_READ, TO_READ_UPGRADABLE, TO_WRITE, upgrader};
use crate::GaveUp;
use crate::platform::atomic::Ordering;
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, wait, wait_for_ever};
use std::panic::Location;

impl RawRwLock {
    /// Marks the word with `mark` while a bit of `taken` is set. False if none is.
    fn mark_while(&self, taken: usize, mark: impl Fn(usize) -> usize) -> bool {
        let mut seen = self.load();
        while seen & taken != 0 {
            match self.word.compare_exchange_weak(
                seen,
                seen | WAITERS | mark(seen),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// What a waiter that was called does after its try.
    fn after_call(&self) {
        if self.load() & (WAITERS | WRITER | BARRED) == WAITERS {
            lot::line(self.address(), |line| self.settle(line));
        }
    }

    fn is_crowded(&self) -> bool {
        self.load() & WAITERS != 0
    }
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
}

impl<'a> ReadRequest<'a> {
    pub(super) fn new(lock: &'a RawRwLock, shut: usize) -> ReadRequest<'a> {
        ReadRequest {
            lock,
            shut,
            upgradable: false,
        }
    }

    pub(super) fn upgradable(lock: &'a RawRwLock) -> ReadRequest<'a> {
        ReadRequest {
            lock,
            shut: SHUT,
            upgradable: true,
        }
    }
}

impl Request for ReadRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.lock.address()
    }

    #[inline]
    fn attempt(&mut self) -> Option<()> {
        if self.upgradable {
            self.lock.try_upgradable(self.shut)
        } else {
            self.lock.try_read(self.shut)
        }
        .then_some(())
    }

    fn crowded(&self) -> bool {
        self.lock.is_crowded()
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let (also, wish) = if self.upgradable {
            (UPGRADABLE, TO_READ_UPGRADABLE)
        } else {
            (0, TO_READ)
        };
        self.lock
            .mark_while(self.shut | also, |_| 0)
            .then_some(wish)
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        self.shut &= !BARRED;
        let output = self.attempt();
        self.lock.after_call();
        output
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.lock.serve(line);
    }

    fn decline(&mut self, token: usize) {
        match token {
            CALLED => self.lock.serve_line(),
            _ if self.upgradable => self.lock.unlock_upgradable(),
            _ => self.lock.unlock_read(),
        }
    }
}

/// Wants to write as `owner`.
pub(crate) struct WriteRequest<'a> {
    lock: &'a RawRwLock,
    owner: u32,
    /// Which bits keep it out, beside those of whoever is inside.
    shut: usize,
}

impl<'a> WriteRequest<'a> {
    pub(super) fn new(lock: &'a RawRwLock, owner: u32) -> WriteRequest<'a> {
        WriteRequest {
            lock,
            owner,
            shut: SHUT,
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

    fn address(&self) -> usize {
        self.lock.address()
    }

    #[inline]
    fn attempt(&mut self) -> Option<()> {
        self.lock
            .try_write_slow(self.owner, self.shut)
            .then_some(())
    }

    fn crowded(&self) -> bool {
        self.lock.is_crowded()
    }

    fn enlist(&mut self, line: &mut Line<'_>) -> Option<usize> {
        self.lock
            .mark_while(self.shut | SHARED, |word| self.bar(word, line))
            .then_some(TO_WRITE)
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        self.shut &= !BARRED;
        let output = self.attempt();
        self.lock.after_call();
        output
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.lock.serve(line);
    }

    fn decline(&mut self, token: usize) {
        match token {
            CALLED => self.lock.serve_line(),
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
            .mark_while(READERS, |_| UPGRADING)
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
        self.lock.serve(line);
    }

    fn decline(&mut self, _token: usize) {
        self.lock.step_down(UPGRADABLE);
    }
}
