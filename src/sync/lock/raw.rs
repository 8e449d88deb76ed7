//! The word of a lock: what its bits mean, and how it is taken and freed.
//!
//! The engine calls back through [`LockRequest`]; [`Lock`](super::Lock) puts a value beside the word,
//! and [`Condition`](crate::sync::Condition) frees and takes it in the middle of a wait.

use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Front, Line};
use crate::wait::{Kind, Limit, Request, wait, wait_for_ever};
use std::panic::Location;
use std::ptr;
use std::time::Duration;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: u32 = 1;
/// Where the owner's id begins.
const OWNER: u32 = 3;

/// A waiter that has waited this long gets the lock handed to it, so nobody can overtake it again.
const HANDOFF_AFTER: Duration = Duration::from_micros(500);

/// Grant tokens: the lock is yours; or: it was free a moment ago, try.
const HANDED: usize = 0;
const COMPETE: usize = 1;

/// The word of a lock.
///
/// ```text
///   owner << 3 | WAITERS
///
///   owner  WAITERS
///     0       0     free
///     t       0     held by t, nobody parked                the two fast paths: 0 -> t<<3 -> 0
///     t       1     held by t, somebody parked              unlock takes the slow path
///     0       1     free, the front waiter has been woken to compete, others are parked
/// ```
///
/// The owner changes 0 -> t by the taker's CAS, t -> 0 by the holder, and t -> u by the holder when
/// it hands the lock to the waiter u; the last two in the slow path only under the bucket's lock.
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
    unsafe { &*word }.load(Ordering::Relaxed) >> OWNER
}

impl RawLock {
    const_fn! {
        pub(crate) fn new() -> RawLock {
            RawLock { word: AtomicU32::new(0) }
        }
    }

    /// Takes the lock for `owner` unless somebody has it. Acquire pairs with the Release of `unlock`.
    #[inline]
    pub(crate) fn try_lock(&self, owner: u32) -> bool {
        self.word
            .compare_exchange(0, owner << OWNER, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            || self.try_lock_slow(owner)
    }

    /// As `try_lock`, also when somebody is parked beside a free lock.
    #[cold]
    fn try_lock_slow(&self, owner: u32) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen >> OWNER == 0 {
            match self.word.compare_exchange_weak(
                seen,
                owner << OWNER | seen,
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
            wait_for_ever(&mut LockRequest { lock: self, owner }, place);
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
        wait(&mut LockRequest { lock: self, owner }, limit, place)
    }

    /// Frees the lock, which `owner` holds.
    #[inline]
    pub(crate) fn unlock(&self, owner: u32) {
        if self
            .word
            .compare_exchange(owner << OWNER, 0, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.unlock_slow();
        }
    }

    /// Wakes the front waiter to compete, or hands it the lock when it has waited long enough.
    ///
    /// The lock is still ours here, and nobody can park while we hold the bucket, so plain stores
    /// do. An heir is named *before* it is granted, because it goes on at once.
    #[cold]
    fn unlock_slow(&self) {
        lot::line(self.address(), |line| {
            while let Some(front) = line.front() {
                let waiters = if line.has_second() { WAITERS } else { 0 };
                if is_overdue(&front) {
                    // Relaxed: the heir learns what we did from its waiter's state.
                    self.word
                        .store(front.thread << OWNER | waiters, Ordering::Relaxed);
                    if line.grant_front(HANDED) {
                        return;
                    }
                } else {
                    self.word.store(waiters, Ordering::Release);
                    // If the front one has given up, so that nobody was woken, the next must be; the
                    // lock is free or somebody else's by now, and both are fine to wake into.
                    while !line.grant_front(COMPETE) && !line.is_empty() {}
                    return;
                }
            }
            self.word.store(0, Ordering::Release);
        });
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }

    /// Who holds it; 0 when nobody does.
    pub(crate) fn owner(&self) -> u32 {
        self.word.load(Ordering::Relaxed) >> OWNER
    }
}

/// Overtaken for so long, or (there is no time in a model) so often, that it is its turn.
fn is_overdue(front: &Front) -> bool {
    if cfg!(loom) {
        front.again
    } else {
        front.since.elapsed() >= HANDOFF_AFTER
    }
}

/// Wants the lock for `owner`.
pub(crate) struct LockRequest<'a> {
    pub(crate) lock: &'a RawLock,
    pub(crate) owner: u32,
}

impl Request for LockRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.lock.address()
    }

    fn attempt(&mut self) -> Option<()> {
        (self.lock.owner() == 0 && self.lock.try_lock(self.owner)).then_some(())
    }

    fn crowded(&self) -> bool {
        self.lock.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let word = &self.lock.word;
        let mut seen = word.load(Ordering::Relaxed);
        // A CAS even if the mark is there: a lock that is free by now must not be waited for.
        while seen >> OWNER != 0 {
            match word.compare_exchange_weak(
                seen,
                seen | WAITERS,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(0),
                Err(now) => seen = now,
            }
        }
        None
    }

    fn granted(&mut self, token: usize) -> Option<()> {
        if token == HANDED {
            return Some(());
        }
        self.attempt()
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        if line.is_empty() {
            self.lock.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }

    fn decline(&mut self, token: usize) {
        // Called to compete and not competing: the lock may lie free with others parked. Taking and
        // freeing it wakes the next; if somebody else has it, their unlock does.
        if token == HANDED || self.attempt().is_some() {
            self.lock.unlock(self.owner);
        }
    }
}
