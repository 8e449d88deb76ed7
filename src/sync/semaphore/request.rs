//! One acquire, as the engine sees it, and the blocking ways to run it.

use super::error::{AcquireError, Refused, TryAcquireError};
use super::raw::{self, COMPETE, RawSemaphore, SERVED};
use super::word::Bound;
use super::{AnySemaphore, Permit, Sealed};
use crate::wait::lot::Line;
use crate::wait::{Awaited, Kind, Limit, Mapped, Request, WaitFuture, wait, wait_for_ever};
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;

/// Wants `n` permits of what `of` leads to: a reference, or the `Arc` of a future that lives on its
/// own.
struct AcquireRequest<H> {
    of: H,
    n: usize,
    /// It has been called, and CALLED in the word means this one.
    called: bool,
}

impl<H: Deref<Target: AnySemaphore>> AcquireRequest<H> {
    #[inline]
    fn new(of: H, n: usize) -> AcquireRequest<H> {
        AcquireRequest {
            of,
            n,
            called: false,
        }
    }

    fn raw(&self) -> &RawSemaphore<<H::Target as Sealed>::Bound> {
        self.of.raw()
    }
}

impl<H: Deref<Target: AnySemaphore>> Request for AcquireRequest<H> {
    type Output = Result<(), Refused>;
    const KIND: &'static Kind = &Kind {
        name: <<H::Target as Sealed>::Bound as Bound>::NAME,
        owner: None,
    };
    const AWAITED: Awaited = Awaited::Held;

    fn address(&self) -> usize {
        self.raw().address()
    }

    fn attempt(&mut self) -> Option<Result<(), Refused>> {
        if !self.called {
            return self.raw().try_acquire(self.n);
        }
        let done = self.raw().compete(self.n)?;
        self.called = false;
        Some(done)
    }

    /// Whoever is awake should have a permit before somebody is woken for it, unless it is kept.
    fn crowded(&self) -> bool {
        self.raw().is_reserved()
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        if !self.raw().enlist(self.n, self.called) {
            return None;
        }
        self.called = false;
        Some(self.n)
    }

    fn mend(&mut self) {
        self.raw().resign();
    }

    fn granted(&mut self, token: usize) -> Option<Result<(), Refused>> {
        match token {
            SERVED => Some(Ok(())),
            COMPETE => {
                self.called = true;
                self.attempt()
            }
            other => Some(Err(raw::refused(other))),
        }
    }

    fn resign(&mut self) {
        if self.called {
            self.called = false;
            self.raw().resign();
        }
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        // It may have been the front, and those behind it want less.
        self.raw().serve(line);
    }

    fn decline(&mut self, token: usize) {
        match token {
            SERVED => self.raw().give_back(self.n),
            COMPETE => self.raw().resign(),
            _ => {}
        }
    }
}

/// What an acquire of `n` permits wants; they are a guard the moment they are there.
pub(crate) fn request<S: AnySemaphore>(
    of: &S,
    n: usize,
) -> impl Request<Output = Result<Permit<'_, S>, AcquireError>> {
    Mapped::new(AcquireRequest::new(of, n), move |done| match done {
        Ok(()) => Ok(Permit::new(of, n)),
        Err(why) => Err(AcquireError::from(why)),
    })
}

#[inline]
pub(super) fn acquire<S: AnySemaphore>(
    of: &S,
    n: usize,
    place: &'static Location<'static>,
) -> Result<(), AcquireError> {
    match of.raw().try_acquire(n) {
        Some(done) => done,
        None => wait_for_ever(&mut AcquireRequest::new(of, n), place),
    }
    .map_err(AcquireError::from)
}

#[inline]
pub(super) fn try_acquire<S: AnySemaphore>(of: &S, n: usize) -> Result<(), TryAcquireError> {
    match of.raw().try_acquire(n) {
        Some(done) => done.map_err(TryAcquireError::from),
        None => Err(TryAcquireError::NoPermits),
    }
}

#[inline]
pub(super) fn acquire_within<S: AnySemaphore>(
    of: &S,
    n: usize,
    limit: &Limit<'_>,
    place: &'static Location<'static>,
) -> Result<(), AcquireError> {
    match of.raw().try_acquire(n) {
        Some(done) => done,
        None => wait(&mut AcquireRequest::new(of, n), limit, place)?,
    }
    .map_err(AcquireError::from)
}

/// A second handle serves the wait, so that the first can go into the permit.
#[track_caller]
pub(super) fn acquire_async<H: Deref<Target: AnySemaphore> + Clone>(
    of: H,
    n: usize,
) -> impl Future<Output = Result<H, AcquireError>> {
    let waiting = WaitFuture::new(AcquireRequest::new(of.clone(), n));
    async move {
        match waiting.await {
            Ok(()) => Ok(of),
            Err(why) => Err(AcquireError::from(why)),
        }
    }
}
