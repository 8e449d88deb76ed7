//! The word of a lock: what its bits mean, and how it is taken and freed.
//!
//! The engine calls back through [`LockRequest`]; [`Lock`](super::Lock) puts a value beside the word,
//! and [`Condition`](crate::sync::Condition) frees and takes it in the middle of a wait.

use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Line, is_time_to_look};
use crate::wait::{Awaited, Kind, Limit, Request, wait, wait_for_ever};
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: u32 = 1;
/// A waiter has been called and is awake, trying: nobody else need be called. Set under the bucket's
/// lock, while the lock is free; cleared by the called one, in the step by which it takes the lock,
/// lines up again, or resigns.
const CALLED: u32 = 2;
/// The lock goes to the front waiter: nobody takes it otherwise, not even if it is free. Set under the
/// bucket's lock, while the lock is held, so that the holder sees it when it unlocks.
const RESERVED: u32 = 4;
/// First come, first served: whoever lines up reserves the lock. Constant.
const FAIR: u32 = 8;
/// Held without a guard. Set and cleared by whoever holds it so.
const RAW: u32 = 16;
/// Where the owner's id begins.
const OWNER: u32 = 5;
/// What stays when the lock is freed.
const LASTING: u32 = WAITERS | CALLED | RESERVED | FAIR;

/// Grant tokens: the lock is yours; or: it is free, come and try.
const HANDED: usize = 0;
const COMPETE: usize = 1;

/// The word of a lock.
///
/// ```text
///   owner << 5 | RAW | FAIR | RESERVED | CALLED | WAITERS
///
///   owner  RESERVED  CALLED  WAITERS
///     0       0        0        0     free
///     t       0        0        0     held by t, nobody parked            the fast paths: 0 -> t -> 0
///     t       0        0        1     held by t, somebody parked          unlock frees it and serves the line
///     0       0        0        1     freed, the line is about to be served
///     0       0        1       0/1    free, a called waiter is trying     anybody may be quicker
///     t       0        1       0/1    held by t, a called waiter trying   unlock just frees it
///     t       1       0/1       1     held by t, who must hand it on      unlock frees it and serves the line
///     0       1       0/1       1     freed, about to be handed on        nobody may take it
/// ```
///
/// So whenever the lock is free and somebody is parked, somebody is on the way who will see to it: the
/// one who has freed it and is about to serve the line, or the one who was called.
pub(crate) struct RawLock {
    word: AtomicU32,
}

static KIND: Kind = Kind {
    name: "Lock",
    owner: Some(owner_at),
};

/// Safety: a live [`RawLock`]'s word is at `address`.
unsafe fn owner_at(address: usize) -> u32 {
    let word = ptr::with_exposed_provenance::<AtomicU32>(address);
    // SAFETY: by the caller's promise.
    let word = unsafe { &*word }.load(Ordering::Relaxed);
    // Anybody may release what is held without a guard.
    if word & RAW == 0 { word >> OWNER } else { 0 }
}

/// May whoever comes take it?
fn is_open(word: u32) -> bool {
    word >> OWNER == 0 && word & RESERVED == 0
}

impl RawLock {
    const_fn! {
        /// Free; newcomers may overtake those who wait, for a while.
        pub(crate) fn new() -> RawLock {
            RawLock { word: AtomicU32::new(0) }
        }
    }

    const_fn! {
        /// Free; first come, first served.
        pub(crate) fn fair() -> RawLock {
            RawLock { word: AtomicU32::new(FAIR) }
        }
    }

    /// Takes the lock for `owner` if it may be taken. Acquire pairs with the Release of `unlock`.
    #[inline]
    pub(crate) fn try_lock(&self, owner: u32) -> bool {
        self.word
            .compare_exchange(0, owner << OWNER, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            || self.take(owner, 0)
    }

    /// As `try_lock`, whatever the flags; takes the flags `used` off with the same step.
    #[cold]
    fn take(&self, owner: u32, used: u32) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        while is_open(seen) {
            match self.word.compare_exchange_weak(
                seen,
                owner << OWNER | seen & !used,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Blocks until the lock is `owner`'s.
    #[inline]
    pub(crate) fn lock(&self, owner: u32, place: &'static Location<'static>) {
        if !self.try_lock(owner) {
            wait_for_ever(&mut LockRequest::new(self, owner), place);
        }
    }

    /// As `lock`, for a holder who has let go of it and cannot do without: never panics, not even if it
    /// would be for ever and the program wants to hear of that by a panic.
    pub(crate) fn lock_again(&self, owner: u32, place: &'static Location<'static>) {
        if !self.try_lock(owner) {
            let mut request = LockRequest {
                may_panic: false,
                ..LockRequest::new(self, owner)
            };
            wait_for_ever(&mut request, place);
        }
    }

    #[inline]
    pub(crate) fn lock_within(
        &self,
        owner: u32,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        if self.try_lock(owner) {
            return Ok(());
        }
        wait(&mut LockRequest::new(self, owner), limit, place)
    }

    /// Frees the lock, which `owner` holds.
    #[inline]
    pub(crate) fn unlock(&self, owner: u32) {
        self.has_freed(self.word.fetch_sub(owner << OWNER, Ordering::Release));
    }

    /// Gives the guard of a held lock up, so that it is freed by `release` instead.
    pub(crate) fn make_raw(&self) {
        self.word.fetch_or(RAW, Ordering::Relaxed);
    }

    /// Frees a lock that is held without a guard, whoever holds it. False when nobody does.
    pub(crate) fn release(&self) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & RAW != 0 {
            let free = seen & LASTING;
            match self
                .word
                .compare_exchange_weak(seen, free, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => {
                    self.has_freed(seen);
                    return true;
                }
                Err(now) => seen = now,
            }
        }
        false
    }

    /// What whoever has freed the lock owes those who wait, given the word before.
    #[inline]
    fn has_freed(&self, before: u32) {
        if before & WAITERS != 0 {
            self.serve_after(before);
        }
    }

    /// While a called waiter is trying, the line is only looked at now and then.
    #[cold]
    fn serve_after(&self, before: u32) {
        if before & (CALLED | RESERVED) != CALLED || is_time_to_look() {
            self.serve();
        }
    }

    /// Calls the front waiter, or hands it the lock if it must not be overtaken any more.
    ///
    /// The caller has freed the lock; by now it may be a newcomer's, whose unlock will serve in turn.
    #[cold]
    fn serve(&self) {
        lot::line(self.address(), |line| {
            // Asked once a waiter: to be told so counts as a turn.
            let mut told = None;
            while let Some(front) = line.front() {
                let seen = self.word.load(Ordering::Relaxed);
                let is_due =
                    seen & RESERVED != 0 || *told.get_or_insert_with(|| line.is_due(&front));
                if seen >> OWNER != 0 {
                    if !is_due || self.swap(seen, seen | RESERVED) {
                        return;
                    }
                } else if is_due {
                    // Named before it is granted, because it goes on at once.
                    let heir = front.thread << OWNER;
                    if self.swap(seen, heir | behind_front(seen, line)) {
                        if line.grant_front(HANDED) {
                            return;
                        }
                        told = None;
                        // It had given up. The lock is ours in its name: on to the next. Relaxed: nothing
                        // was done with it, and what the last unlock released is still to be had here.
                        self.word.fetch_and(LASTING, Ordering::Relaxed);
                    }
                } else if seen & CALLED != 0 {
                    return;
                } else if self.swap(seen, CALLED | behind_front(seen, line)) {
                    if line.grant_front(COMPETE) {
                        return;
                    }
                    told = None;
                    self.word.fetch_and(!CALLED, Ordering::Relaxed);
                }
            }
            self.unmark();
        });
    }

    /// One step of the word. Acquire: who hands the lock on passes on what was done under it.
    fn swap(&self, seen: u32, wanted: u32) -> bool {
        self.word
            .compare_exchange(seen, wanted, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// The line is empty.
    fn unmark(&self) {
        self.word
            .fetch_and(!(WAITERS | RESERVED), Ordering::Relaxed);
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }

    /// Who holds it; 0 when nobody does.
    pub(crate) fn owner(&self) -> u32 {
        self.word.load(Ordering::Relaxed) >> OWNER
    }
}

/// The flags of a free lock once its front waiter has been taken out of the line.
fn behind_front(seen: u32, line: &Line<'_>) -> u32 {
    let lasting = seen & (CALLED | FAIR);
    if line.has_second() {
        lasting | marks(seen)
    } else {
        lasting
    }
}

/// What somebody in the line means for the word.
fn marks(word: u32) -> u32 {
    if word & FAIR != 0 {
        WAITERS | RESERVED
    } else {
        WAITERS
    }
}

/// Wants the lock for `owner`.
pub(crate) struct LockRequest<'a> {
    lock: &'a RawLock,
    owner: u32,
    /// It has been called, and CALLED in the word means this one.
    called: bool,
    may_panic: bool,
}

impl<'a> LockRequest<'a> {
    pub(crate) fn new(lock: &'a RawLock, owner: u32) -> LockRequest<'a> {
        LockRequest {
            lock,
            owner,
            called: false,
            may_panic: true,
        }
    }

    /// The flags that go when this request has its way.
    fn used(&self) -> u32 {
        if self.called { CALLED } else { 0 }
    }
}

impl Request for LockRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;
    const AWAITED: Awaited = Awaited::Held;

    fn address(&self) -> usize {
        self.lock.address()
    }

    fn attempt(&mut self) -> Option<()> {
        if !self.lock.take(self.owner, self.used()) {
            return None;
        }
        self.called = false;
        Some(())
    }

    /// Whoever is awake should have it before somebody is woken for it; fairness is the line's affair.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let word = &self.lock.word;
        let mut seen = word.load(Ordering::Relaxed);
        // A CAS even if the mark is there: a lock that is free by now must not be waited for.
        while !is_open(seen) {
            let wanted = seen & !self.used() | marks(seen);
            match word.compare_exchange_weak(seen, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.called = false;
                    return Some(0);
                }
                Err(now) => seen = now,
            }
        }
        None
    }

    /// Should the called one be alive after all, two are awake and trying.
    fn mend(&mut self) {
        self.lock.word.fetch_and(!CALLED, Ordering::Relaxed);
        self.lock.serve();
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        self.called = true;
        self.attempt()
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        if line.is_empty() {
            self.lock.unmark();
        }
    }

    fn may_panic(&self) -> bool {
        self.may_panic
    }

    /// Called, and not competing any more: the lock may lie free with others parked. Taking and
    /// freeing it calls the next; if somebody else has it, their unlock will.
    fn resign(&mut self) {
        while self.called {
            if self.attempt().is_some() {
                self.lock.unlock(self.owner);
                return;
            }
            // Not while it is open: then it would stay free, and everybody parked.
            let seen = self.lock.word.load(Ordering::Relaxed);
            self.called = is_open(seen) || !self.lock.swap(seen, seen & !CALLED);
        }
    }

    fn decline(&mut self, token: usize) {
        if token == HANDED {
            self.lock.unlock(self.owner);
        } else {
            self.called = true;
            self.resign();
        }
    }
}
