//! [`Completion`]: an end that comes once, and the thread it is to come from.
//!
//! Tasks and threads end with it. Unlike an [`Event`](super::Event) it knows who is at work, so that a
//! wait for it is an edge in the wait graph: waiting for a task that waits for what one holds is a
//! deadlock. Whoever uses it has three marks of their own in its word, until the end.

use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, WaitFuture, wait, wait_for_ever};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: u32 = 1;
/// It has come. Final.
pub(crate) const DONE: u32 = 2;
/// Three bits whose meaning is the user's. They are gone with the end.
pub(crate) const MARKS: [u32; 3] = [4, 8, 16];
/// Where the id of the thread at work begins; 0 when none is known.
const WORKER: u32 = 5;

/// What ends.
pub(crate) trait Ending {
    const KIND: &'static Kind;
}

/// The word: `worker << 5 | marks | DONE | WAITERS`.
pub(crate) struct Completion<E> {
    word: AtomicU32,
    _of: PhantomData<E>,
}

/// Safety: a live [`Completion`]'s word is at `address`.
pub(crate) unsafe fn worker_at(address: usize) -> u32 {
    let word = ptr::with_exposed_provenance::<AtomicU32>(address);
    // SAFETY: by the caller's promise.
    unsafe { &*word }.load(Ordering::Relaxed) >> WORKER
}

impl<E: Ending> Completion<E> {
    /// Not done, and nobody is at work on it.
    pub(crate) fn new() -> Completion<E> {
        Completion {
            word: AtomicU32::new(0),
            _of: PhantomData,
        }
    }

    /// From now on it is this thread that will complete it. Called once.
    pub(crate) fn is_up_to(&self, thread: u32) {
        self.word.fetch_or(thread << WORKER, Ordering::Relaxed);
    }

    /// The thread that is at work on it; 0 if none is known, or it is done.
    pub(crate) fn worker(&self) -> u32 {
        self.word.load(Ordering::Relaxed) >> WORKER
    }

    /// Sets `marks` and notes that `thread` is at work, unless it is done or one of `unless` is set. One
    /// of several who try at a time succeeds.
    pub(crate) fn claim(&self, marks: u32, unless: u32, thread: u32) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen & (DONE | unless) != 0 {
                return false;
            }
            let claimed = seen | marks | thread << WORKER;
            match self.word.compare_exchange_weak(
                seen,
                claimed,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Sets `marks`, and tells which there were before, and whether it was done: if so, what happened before
    /// that is visible, and nobody looks at the marks any more.
    pub(crate) fn mark(&self, marks: u32) -> u32 {
        self.word.fetch_or(marks, Ordering::Acquire)
    }

    /// The marks there are, and whether it is done, as in `mark`.
    pub(crate) fn marks(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    /// Done. Called once. Tells which marks there were.
    pub(crate) fn complete(&self) -> u32 {
        // Release pairs with the Acquire in `is_done`; nobody is at work any more.
        let before = self.word.swap(DONE, Ordering::Release);
        if before & WAITERS != 0 {
            // The mark goes with the word; whoever lines up from now on sees DONE.
            lot::line(self.address(), |line| line.grant_where(|_| Some(0)));
        }
        before
    }

    /// Is it done? If so, what happened before is visible.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.word.load(Ordering::Acquire) & DONE != 0
    }

    /// Blocks until it is done.
    #[track_caller]
    pub(crate) fn wait(&self) {
        self.wait_at(Location::caller());
    }

    /// As `wait`, at the place of another call.
    pub(crate) fn wait_at(&self, place: &'static Location<'static>) {
        if !self.is_done() {
            wait_for_ever(&mut EndRequest::new(self), place);
        }
    }

    /// As `wait_at`, for who must not go on before, even if it is a deadlock and these are to panic.
    pub(crate) fn wait_in_any_case(&self, place: &'static Location<'static>) {
        if !self.is_done() {
            wait_for_ever(
                &mut EndRequest {
                    completion: self,
                    may_panic: false,
                },
                place,
            );
        }
    }

    /// As `wait`, at most as long as `limit` says.
    #[track_caller]
    pub(crate) fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        if self.is_done() {
            return Ok(());
        }
        wait(
            &mut EndRequest::new(self),
            &limit.into(),
            Location::caller(),
        )
    }

    /// As `wait_within`, at the place of another call.
    pub(crate) fn wait_at_within(
        &self,
        place: &'static Location<'static>,
        limit: &Limit<'_>,
    ) -> Result<(), GaveUp> {
        match self.is_done() {
            true => Ok(()),
            false => wait(&mut EndRequest::new(self), limit, place),
        }
    }

    /// Resolves when it is done.
    pub(crate) fn wait_async(&self, place: &'static Location<'static>) -> impl Future<Output = ()> {
        WaitFuture::at(EndRequest::new(self), place)
    }

    /// What a wait for it wants.
    pub(crate) fn request(&self) -> impl Request<Output = ()> {
        EndRequest::new(self)
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }
}

/// Wants it to be done.
struct EndRequest<'a, E> {
    completion: &'a Completion<E>,
    may_panic: bool,
}

impl<'a, E> EndRequest<'a, E> {
    fn new(completion: &'a Completion<E>) -> EndRequest<'a, E> {
        EndRequest {
            completion,
            may_panic: true,
        }
    }
}

impl<E: Ending> Request for EndRequest<'_, E> {
    type Output = ();
    const KIND: &'static Kind = E::KIND;

    fn address(&self) -> usize {
        self.completion.address()
    }

    fn attempt(&mut self) -> Option<()> {
        self.completion.is_done().then_some(())
    }

    /// Whoever spins takes nothing from those who are parked.
    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        // An RMW, so that either we see DONE, or `complete` sees the mark.
        let before = self.completion.word.fetch_or(WAITERS, Ordering::Acquire);
        if before & DONE == 0 {
            return Some(0);
        }
        // Nobody reads the mark beside DONE any more.
        None
    }

    fn granted(&mut self, _token: usize) -> Option<()> {
        Some(())
    }

    fn may_panic(&self) -> bool {
        self.may_panic
    }

    /// The mark stays: at worst `complete` looks at an empty line.
    fn leave(&mut self, _line: &mut Line<'_>, _tag: usize) {}

    /// Being told is not a thing that can be passed on: everybody else is told too.
    fn decline(&mut self, _token: usize) {}
}
