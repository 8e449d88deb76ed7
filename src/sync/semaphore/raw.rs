//! The word of a semaphore: what its bits mean, and how permits are taken, given and handed on.
//!
//! [`Semaphore`](super::Semaphore) and [`BoundedSemaphore`](super::BoundedSemaphore) are this word under
//! two [`Bound`]s; the engine calls back through [`AcquireRequest`](super::request::AcquireRequest).
//!
//! The invariant, while the bucket is free: if the count could serve the front waiter, somebody is
//! about to look at the line. That is whoever has put permits into the count, taken the front waiter
//! out of the line, or been called to compete: the last of these says so by CALLED, so that those who
//! release in the meantime need not look, too.

use super::error::Refused;
use super::word::{Bound, Bounded, CALLED, CLOSED, FAIR, FLAGS, RESERVED, WAITERS};
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::{const_fn, spin_hint};
use crate::wait::TASK;
use crate::wait::lot::{self, Line};
use std::marker::PhantomData;
use std::ptr;

/// So many pauses, of about 10 ns each, after a lost race for the word.
const STAND_BACK: usize = 8;

/// Grant tokens: the permits are yours; there were enough a moment ago, try; none for you any more.
pub(super) const SERVED: usize = 0;
pub(super) const COMPETE: usize = 1;
const SHUT: usize = 2;
const TOO_BIG: usize = 3;

/// The word of a semaphore.
///
/// ```text
///   count << .. | capacity << 5 | CLOSED | FAIR | RESERVED | CALLED | WAITERS
///
///   WAITERS CALLED RESERVED   release                    acquire
///      0      -      0       count += n                 count -= n
///      1      0      0       count += n, look at line   count -= n, overtaking
///      1      1      0       count += n                 count -= n, overtaking
///      1      -      1       count += n, look at line   to the end of the line
/// ```
///
/// The count is signed: it falls below zero when a capacity is lowered below what is out, and
/// the permits that come back fill the hole first. Count and capacity change by compare-and-swap,
/// with or without the bucket's lock, and always together with the check that allows it.
pub struct RawSemaphore<B> {
    word: AtomicUsize,
    _bound: PhantomData<B>,
}

/// More permits given back than there can be.
pub struct TooMany;

impl<B: Bound> RawSemaphore<B> {
    const_fn! {
        /// With `permits` to give, which is also the capacity if there is one.
        pub(super) fn new(permits: usize, is_fair: bool) -> RawSemaphore<B> {
            assert!(permits <= B::MOST, "too many permits");
            let capacity = if B::CAPACITY_BITS == 0 { 0 } else { permits << FLAGS };
            let flags = if is_fair { FAIR } else { 0 };
            RawSemaphore {
                word: AtomicUsize::new(permits << B::SHIFT | capacity | flags),
                _bound: PhantomData,
            }
        }
    }

    /// Takes `n` permits if they may be taken. Acquire pairs with the Release of whoever gave them.
    #[inline]
    pub(super) fn try_acquire(&self, n: usize) -> Option<Result<(), Refused>> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if let Some(refused) = B::refusal(seen, n) {
                return Some(Err(refused));
            }
            if B::free(seen) < n {
                return None;
            }
            match self.word.compare_exchange_weak(
                seen,
                seen - (n << B::SHIFT),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Ok(())),
                // Somebody works with the word: let that core go on for a moment, both get more done.
                Err(_) => {
                    stand_back();
                    seen = self.word.load(Ordering::Relaxed);
                }
            }
        }
    }

    /// Gives `n` permits.
    #[inline]
    pub(super) fn release(&self, n: usize) -> Result<(), TooMany> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let wanted = B::add(seen, n).ok_or(TooMany)?;
            // Release pairs with the Acquire of whoever takes these permits.
            match self.word.compare_exchange_weak(
                seen,
                wanted,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & WAITERS != 0 {
            self.serve_after(seen);
        }
        Ok(())
    }

    /// Gives back `n` permits that have been taken. So there is room for them, unless somebody has
    /// released permits that nobody had: those that are too many have no effect.
    #[inline]
    pub(super) fn give_back(&self, n: usize) {
        if B::CAPACITY_BITS != 0 {
            // Nobody must get hold of more than the capacity, not even for a moment.
            let _ = self.release(n);
            return;
        }
        // Blind, since a load so soon after a locked instruction costs half as much again. Release as
        // in `release`.
        let before = self.word.fetch_add(n << B::SHIFT, Ordering::Release);
        let is_over = B::count(before.wrapping_add(n << B::SHIFT)) < 0;
        if before & WAITERS != 0 || is_over {
            self.has_given_back(before, n, is_over);
        }
    }

    #[cold]
    fn has_given_back(&self, mut before: usize, n: usize, is_over: bool) {
        if is_over {
            // Meanwhile the count was negative: nobody took anything or gave more, and who has lined up
            // because of it is in the word by now.
            before = self.word.fetch_sub(n << B::SHIFT, Ordering::Relaxed);
        }
        if before & WAITERS != 0 {
            self.serve_after(before);
        }
    }

    /// Who is called to compete and has not done it yet will look at the line for us; but it must not
    /// be left to a newcomer what is kept for the front waiter.
    #[cold]
    fn serve_after(&self, before: usize) {
        if before & (CALLED | RESERVED) != CALLED {
            self.look_at_line();
        }
    }

    #[cold]
    fn look_at_line(&self) {
        lot::line(self.address(), |line| self.serve(line));
    }

    /// Serves the line in order as far as the count goes, and sets WAITERS and RESERVED right.
    ///
    /// A task, and a waiter that must not be overtaken any more, is given its permits. The first of the
    /// others is called: its permits stay in the count, for it or for who is quicker. Those behind
    /// it are given what there is beyond that, so that nobody is woken without a permit to win.
    ///
    /// A waiter's tag is how many it wants.
    pub(super) fn serve(&self, line: &mut Line<'_>) {
        // What the waiter called here is to find in the count.
        let mut left_to_win = 0;
        let mut seen = self.word.load(Ordering::Relaxed);
        // Asked once a waiter: to be told so counts as a turn.
        let mut is_due = None;
        while let Some(front) = line.front() {
            let n = front.tag;
            let is_kept =
                seen & (FAIR | RESERVED) != 0 || *is_due.get_or_insert_with(|| line.is_due(&front));
            let is_last = !line.has_second();
            if B::in_count(seen) < n + left_to_win {
                let reserved = if is_kept { RESERVED } else { 0 };
                match self.replace(seen, seen & !RESERVED | reserved) {
                    Ok(_) => return,
                    Err(now) => seen = now,
                }
                continue;
            }
            // What it was due, and what was kept for it, is not the next one's.
            let marks = match (is_last, seen & FAIR != 0) {
                (true, _) => WAITERS | RESERVED,
                (false, true) => 0,
                (false, false) => RESERVED,
            };
            if is_kept || front.thread == TASK || left_to_win > 0 {
                match self.replace(seen, (seen & !marks) - (n << B::SHIFT)) {
                    Ok(now) => seen = now,
                    Err(now) => {
                        seen = now;
                        continue;
                    }
                }
                is_due = None;
                if !line.grant_front(SERVED) {
                    // It has given up; so these go to the next.
                    seen = self.put_back(n);
                }
            } else if seen & CALLED != 0 {
                // The called one will look at the line.
                return;
            } else {
                // Before the call: who is called may compete at once.
                match self.replace(seen, seen & !marks | CALLED) {
                    Ok(now) => seen = now,
                    Err(now) => {
                        seen = now;
                        continue;
                    }
                }
                is_due = None;
                if line.grant_front(COMPETE) {
                    left_to_win = n;
                } else {
                    // Nobody to come, so what has been released on the strength of it is ours to see.
                    seen = self.word.fetch_and(!CALLED, Ordering::Relaxed) & !CALLED;
                }
            }
        }
        if seen & (WAITERS | RESERVED) != 0 {
            self.word
                .fetch_and(!(WAITERS | RESERVED), Ordering::Relaxed);
        }
    }

    /// One change of the word by who looks at the line; returns what the word is now.
    ///
    /// Acquire: what the givers of these permits did goes on to the waiter, who acquires it from the
    /// state of its wait. Without a change there is nothing to write: a `seen` that is out of
    /// date has been changed by somebody who looks at the line later, or leaves it to one who will.
    fn replace(&self, seen: usize, wanted: usize) -> Result<usize, usize> {
        if seen == wanted {
            return Ok(seen);
        }
        self.word
            .compare_exchange(seen, wanted, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| wanted)
    }

    /// Returns to the count what was taken from it under this same lock; returns the word. Relaxed:
    /// what the givers did is still released, since nothing but read-modify-writes touches the word.
    fn put_back(&self, n: usize) -> usize {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            // Full only if somebody has released permits that nobody had.
            let wanted = B::add(seen, n).unwrap_or(seen);
            match self.word.compare_exchange_weak(
                seen,
                wanted,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return wanted,
                Err(now) => seen = now,
            }
        }
    }

    /// What a waiter does that has been called: takes `n` permits if they are there still. It was in
    /// front of whoever they may be kept for now.
    pub(super) fn compete(&self, n: usize) -> Option<Result<(), Refused>> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if let Some(refused) = B::refusal(seen, n) {
                self.resign();
                return Some(Err(refused));
            }
            if B::in_count(seen) < n {
                return None;
            }
            let wanted = (seen & !CALLED) - (n << B::SHIFT);
            match self.word.compare_exchange_weak(
                seen,
                wanted,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.has_answered(wanted);
                    return Some(Ok(()));
                }
                Err(now) => seen = now,
            }
        }
    }

    /// The called one does not compete any more.
    pub(super) fn resign(&self) {
        self.has_answered(self.word.fetch_and(!CALLED, Ordering::Relaxed) & !CALLED);
    }

    /// What the called one owes those who have released and relied on it, given the word after.
    fn has_answered(&self, after: usize) {
        if after & WAITERS != 0 && B::in_count(after) > 0 {
            self.look_at_line();
        }
    }

    /// Marks the word for somebody who wants `n` permits and is about to be linked, at the front if
    /// it has been called; the bucket is locked. False if another attempt may succeed.
    pub(super) fn enlist(&self, n: usize, is_called: bool) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let (within_reach, answered) = if is_called {
                (B::in_count(seen), CALLED)
            } else {
                (B::free(seen), 0)
            };
            if within_reach >= n || B::refusal(seen, n).is_some() {
                return false;
            }
            let marks = if seen & FAIR != 0 {
                WAITERS | RESERVED
            } else {
                WAITERS
            };
            // A CAS even if the marks are there: it must be this count that is too small.
            match self.word.compare_exchange_weak(
                seen,
                seen & !answered | marks,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes up to `n` permits that nobody is kept waiting for; returns how many.
    pub(super) fn take_free(&self, n: usize) -> usize {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let taken = B::free(seen).min(n);
            match self.word.compare_exchange_weak(
                seen,
                seen - (taken << B::SHIFT),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return taken,
                Err(now) => seen = now,
            }
        }
    }

    pub(super) fn available(&self) -> usize {
        B::free(self.word.load(Ordering::Relaxed))
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.word.load(Ordering::Relaxed) & RESERVED != 0
    }

    pub(super) fn is_fair(&self) -> bool {
        self.word.load(Ordering::Relaxed) & FAIR != 0
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Gives out no more permits; whether this call did it.
    pub(super) fn close(&self) -> bool {
        let before = self.word.fetch_or(CLOSED, Ordering::AcqRel);
        if before & WAITERS != 0 {
            lot::line(self.address(), |line| {
                line.grant_where(|_| Some(SHUT));
                self.serve(line);
            });
        }
        before & CLOSED == 0
    }

    pub(super) fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }
}

impl RawSemaphore<Bounded> {
    pub(super) fn capacity(&self) -> usize {
        Bounded::capacity_in(self.word.load(Ordering::Relaxed))
    }

    /// Adds to the count, or takes from it, what there are more or fewer from now on.
    pub(super) fn set_capacity(&self, capacity: usize) {
        assert!(capacity <= Bounded::MOST, "too many permits");
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let before = Bounded::capacity_in(seen);
            let rest = seen & !(Bounded::MOST << FLAGS) | capacity << FLAGS;
            let wanted = rest
                .wrapping_add(capacity << Bounded::SHIFT)
                .wrapping_sub(before << Bounded::SHIFT);
            match self.word.compare_exchange_weak(
                seen,
                wanted,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & WAITERS != 0 {
            lot::line(self.address(), |line| {
                line.grant_where(|n| (n > self.capacity()).then_some(TOO_BIG));
                self.serve(line);
            });
        }
    }
}

/// What the token of a waiter says that was neither served nor called.
pub(super) fn refused(token: usize) -> Refused {
    match token {
        TOO_BIG => Refused::OverCapacity,
        _ => Refused::Closed,
    }
}

/// Passes the time in which another core takes a permit and gives it back.
#[cold]
fn stand_back() {
    if !cfg!(loom) {
        (0..STAND_BACK).for_each(|_| spin_hint());
    }
}
