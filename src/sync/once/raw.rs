//! The word of a [`Once`](super::Once): who makes the value, and whether it is there.
//!
//! The invariant that the value's cell relies on: exactly one caller has [`Turn::Mine`] at a time, from
//! when it got it until it says [`RawOnce::complete`] or [`RawOnce::fail`]; and after `complete` nobody
//! ever has it again.

use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::{const_fn, thread_id};
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, TASK, WaitFuture, wait};
use std::future::Future;
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: u32 = 1;
/// The value is there.
const SET: u32 = 2;
/// Where the id of who makes the value begins.
const OWNER: u32 = 3;

/// Grant tokens: the value is there; or: nobody makes it any more, look again.
const IS_SET: usize = 0;
const LOOK: usize = 1;
/// Tags: wants the value whoever makes it; would make it.
const WAITS: usize = 0;
const WOULD_MAKE: usize = 1;

/// ```text
///   owner << 3 | SET | WAITERS
///
///   owner  SET  WAITERS
///     0     0      0     empty
///     t     0      0     t makes the value, nobody parked
///     t     0      1     t makes the value, somebody parked
///     0     0      1     empty; those parked wait for a value without making one, or one that would
///                        has been told to look
///     0     1      0     the value is there, for good
/// ```
///
/// The owner changes 0 -> t by the CAS of who begins, and t -> 0 by t, with SET or without; when somebody
/// is parked that happens under the bucket's lock.
pub(super) struct RawOnce {
    word: AtomicU32,
}

static KIND: Kind = Kind {
    name: "Once",
    owner: Some(owner_at),
};

/// Safety: a live [`RawOnce`]'s word is at `address`.
unsafe fn owner_at(address: usize) -> u32 {
    let word = ptr::with_exposed_provenance::<AtomicU32>(address);
    // SAFETY: by the caller's promise.
    unsafe { &*word }.load(Ordering::Relaxed) >> OWNER
}

/// What a caller is to do.
pub(super) enum Turn {
    /// Nothing: the value is there, and what was done to make it is visible.
    Set,
    /// Make the value, and then say how it went.
    Mine,
}

impl RawOnce {
    const_fn! {
        pub(super) fn new() -> RawOnce {
            RawOnce { word: AtomicU32::new(0) }
        }
    }

    /// Acquire pairs with the Release of `complete`.
    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Who makes the value; 0 when nobody does.
    pub(super) fn owner(&self) -> u32 {
        self.word.load(Ordering::Relaxed) >> OWNER
    }

    /// Makes the value `owner`'s to make if that is possible at once; `None` while somebody makes it.
    pub(super) fn try_begin(&self, owner: u32) -> Option<Turn> {
        self.request(Some(owner)).attempt()
    }

    /// Blocks until the value is there or ours to make.
    pub(super) fn begin(
        &self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<Turn, GaveUp> {
        let owner = thread_id();
        self.forbid_waiting_for_oneself(owner);
        let mut request = self.request(Some(owner));
        match request.attempt() {
            Some(turn) => Ok(turn),
            None => wait(&mut request, limit, place),
        }
    }

    /// As [`begin`](RawOnce::begin), for a task.
    #[track_caller]
    pub(super) fn begin_async(&self) -> impl Future<Output = Turn> {
        WaitFuture::new(self.request(Some(TASK)))
    }

    /// Blocks until the value is there.
    pub(super) fn wait(
        &self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        self.forbid_waiting_for_oneself(thread_id());
        if self.is_set() {
            return Ok(());
        }
        wait(&mut self.request(None), limit, place).map(|_| ())
    }

    #[track_caller]
    pub(super) fn wait_async(&self) -> impl Future<Output = Turn> {
        WaitFuture::new(self.request(None))
    }

    fn forbid_waiting_for_oneself(&self, thread: u32) {
        assert!(
            self.owner() != thread,
            "a value that is made here needs itself: its initialiser waits for it"
        );
    }

    /// `owner` has made the value: it is there for everybody.
    pub(super) fn complete(&self, owner: u32) {
        if self
            .word
            .compare_exchange(owner << OWNER, SET, Ordering::Release, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
        lot::line(self.address(), |line| {
            // A store: it is ours, and nobody can park while we hold the bucket.
            self.word.store(SET, Ordering::Release);
            line.grant_where(|_| Some(IS_SET));
        });
    }

    /// `owner` has not made it: empty again, and the first of those who would make it is told. Those in
    /// front of it who would not are told too, and stand in the line again.
    pub(super) fn fail(&self, owner: u32) {
        if self
            .word
            .compare_exchange(owner << OWNER, 0, Ordering::Release, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
        lot::line(self.address(), |line| {
            // Before anybody is told, so that they find it free.
            self.word.store(WAITERS, Ordering::Release);
            while let Some(front) = line.front() {
                if line.grant_front(LOOK) && front.tag == WOULD_MAKE {
                    break;
                }
            }
            self.unmark_if_empty(line);
        });
    }

    /// Empty again; `&mut` proves that nobody waits or makes.
    pub(super) fn clear(&mut self) {
        self.word.store(0, Ordering::Relaxed);
    }

    fn request(&self, maker: Option<u32>) -> OnceRequest<'_> {
        OnceRequest { once: self, maker }
    }

    fn unmark_if_empty(&self, line: &Line<'_>) {
        if line.is_empty() {
            self.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }
}

/// Wants the value to be there, or, as `maker`, to make it.
struct OnceRequest<'a> {
    once: &'a RawOnce,
    maker: Option<u32>,
}

impl OnceRequest<'_> {
    fn has_to_wait(&self, word: u32) -> bool {
        word & SET == 0 && (self.maker.is_none() || word >> OWNER != 0)
    }
}

impl Request for OnceRequest<'_> {
    type Output = Turn;
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.once.address()
    }

    fn attempt(&mut self) -> Option<Turn> {
        let word = &self.once.word;
        let mut seen = word.load(Ordering::Acquire);
        while !self.has_to_wait(seen) {
            let Some(owner) = self.maker.filter(|_| seen & SET == 0) else {
                return Some(Turn::Set);
            };
            // Acquire pairs with the Release of `fail`: who tries next sees what was done before.
            match word.compare_exchange_weak(
                seen,
                owner << OWNER | seen,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(Turn::Mine),
                Err(now) => seen = now,
            }
        }
        None
    }

    fn crowded(&self) -> bool {
        self.once.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let word = &self.once.word;
        let mut seen = word.load(Ordering::Relaxed);
        while self.has_to_wait(seen) {
            // A CAS even if the mark is there: what is free or set by now must not be waited for.
            match word.compare_exchange_weak(
                seen,
                seen | WAITERS,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) if self.maker.is_some() => return Some(WOULD_MAKE),
                Ok(_) => return Some(WAITS),
                Err(now) => seen = now,
            }
        }
        None
    }

    fn granted(&mut self, token: usize) -> Option<Turn> {
        match token {
            IS_SET => Some(Turn::Set),
            _ => self.attempt(),
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.once.unmark_if_empty(line);
    }

    fn decline(&mut self, token: usize) {
        // Told to look and not looking: taking it and failing tells the next. If somebody else has it,
        // they will.
        if let Some(owner) = self.maker
            && token == LOOK
            && let Some(Turn::Mine) = self.attempt()
        {
            self.once.fail(owner);
        }
    }
}
