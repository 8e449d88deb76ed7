//! [`Semaphore`]: a number of permits, taken and given back.

use crate::GaveUp;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, WaitFuture, wait, wait_for_ever};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: usize = 1;
/// No more permits are given out.
const CLOSED: usize = 2;
/// One permit; the count fills the rest of the word.
const PERMIT: usize = 4;

/// The grant token says how many permits the waiter still lacks. None: it is served. Some: the
/// semaphore has been closed.
const SERVED: usize = 0;

/// A number of permits: `acquire` takes, and waits when there are too few; `release` gives.
///
/// # Fairness
///
/// First come, first served, whatever the amounts: while somebody waits, permits that are given
/// back go to the oldest waiter, and accumulate there until it has all it asked for, so a big
/// request cannot be starved by small ones, and newcomers queue up behind.
///
/// # Closing
///
/// [`close`](Semaphore::close) makes every acquire, waiting ones included, fail with `Closed`.
///
/// # Cost
///
/// With permits to spare: one compare-and-swap to acquire, one to release; no system call. Size:
/// one `usize`.
///
/// # Source
///
/// Python's [`threading.Semaphore`](https://docs.python.org/3/library/threading.html#semaphore-objects);
/// the accumulation of partial grants is that of tokio's `batch_semaphore`.
///
/// ```
/// use latchwork::sync::Semaphore;
///
/// static CONNECTIONS: Semaphore = Semaphore::new(2);
///
/// let first = CONNECTIONS.acquire().unwrap();
/// let second = CONNECTIONS.acquire().unwrap();
/// assert!(CONNECTIONS.try_acquire().is_err());
/// drop(first);
/// assert!(CONNECTIONS.try_acquire().is_ok());
/// # drop(second);
/// ```
pub struct Semaphore {
    word: AtomicUsize,
}

static KIND: Kind = Kind {
    name: "Semaphore",
    owner: None,
};

impl Semaphore {
    /// The largest number of permits.
    pub const MAX_PERMITS: usize = usize::MAX / PERMIT;

    const_fn! {
        /// A semaphore with `permits` to give.
        ///
        /// # Panics
        ///
        /// If `permits` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
        pub fn new(permits: usize) -> Semaphore {
            assert!(permits <= Semaphore::MAX_PERMITS, "too many permits");
            Semaphore { word: AtomicUsize::new(permits * PERMIT) }
        }
    }

    /// Takes one permit; blocks while there is none.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Closed`], if the semaphore is closed before the permit is ours.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Takes one permit if there is one; never blocks.
    ///
    /// # Errors
    ///
    /// `NoPermits`, also when others wait for them; `Closed`.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes one permit; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up, or `Closed`. No permit is lost.
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire_timeout")]
    pub fn acquire_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Permit<'_>, AcquireError> {
        self.acquire_many_within(1, limit)
    }

    /// Takes one permit without blocking a thread. Dropping the future gives up.
    #[track_caller]
    pub fn acquire_async(&self) -> impl Future<Output = Result<Permit<'_>, AcquireError>> {
        self.acquire_many_async(1)
    }

    /// Takes `n` permits, all or none; blocks while there are fewer.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Closed`], if the semaphore is closed before all are ours.
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, n: usize) -> Result<Permit<'_>, AcquireError> {
        let mut request = self.request(n);
        match request.attempt() {
            Some(done) => done,
            None => wait_for_ever(&mut request, Location::caller()),
        }
        .map(|()| Permit { semaphore: self, n })
        .map_err(|Closed| AcquireError::Closed)
    }

    /// Takes `n` permits if there are as many and nobody waits; never blocks.
    ///
    /// # Errors
    ///
    /// `NoPermits` or `Closed`.
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[inline]
    pub fn try_acquire_many(&self, n: usize) -> Result<Permit<'_>, TryAcquireError> {
        match self.request(n).attempt() {
            Some(Ok(())) => Ok(Permit { semaphore: self, n }),
            Some(Err(Closed)) => Err(TryAcquireError::Closed),
            None => Err(TryAcquireError::NoPermits),
        }
    }

    /// Takes `n` permits, all or none; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up, or `Closed`. Permits gathered so far go to the next in line.
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[inline]
    #[track_caller]
    pub fn acquire_many_within<'l>(
        &self,
        n: usize,
        limit: impl Into<Limit<'l>>,
    ) -> Result<Permit<'_>, AcquireError> {
        let mut request = self.request(n);
        let done = match request.attempt() {
            Some(done) => done,
            None => wait(&mut request, &limit.into(), Location::caller())?,
        };
        done.map(|()| Permit { semaphore: self, n })
            .map_err(|Closed| AcquireError::Closed)
    }

    /// Takes `n` permits, all or none, without blocking a thread.
    ///
    /// Dropping the future gives up; permits gathered so far go to the next in line.
    ///
    /// # Panics
    ///
    /// If `n` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[track_caller]
    pub fn acquire_many_async(
        &self,
        n: usize,
    ) -> impl Future<Output = Result<Permit<'_>, AcquireError>> {
        let waiting = WaitFuture::new(self.request(n));
        async move {
            match waiting.await {
                Ok(()) => Ok(Permit { semaphore: self, n }),
                Err(Closed) => Err(AcquireError::Closed),
            }
        }
    }

    /// Gives `n` permits, whoever had them: the oldest waiters first, the rest to the count.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`], and nothing has changed, if the count would exceed
    /// [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[inline]
    pub fn release(&self, n: usize) -> Result<(), TooManyPermits> {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & WAITERS == 0 {
            let wanted = add(seen, n).ok_or(TooManyPermits)?;
            // Release pairs with the Acquire of whoever takes these permits.
            match self.word.compare_exchange_weak(
                seen,
                wanted,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
        self.release_slow(n)
    }

    #[cold]
    fn release_slow(&self, n: usize) -> Result<(), TooManyPermits> {
        lot::line(self.address(), |line| {
            // Before anybody is served, so that a refusal changes nothing.
            add(self.word.load(Ordering::Relaxed), n).ok_or(TooManyPermits)?;
            self.distribute(n, line);
            Ok(())
        })
    }

    /// Serves the line in order with `n` permits; what is left over goes to the count.
    ///
    /// A waiter's tag is what it still lacks, which is never nothing. WAITERS is set exactly while
    /// the line is not empty, and then the count is 0: who enlists first takes what there is.
    fn distribute(&self, mut n: usize, line: &mut Line<'_>) {
        while let Some(front) = line.front() {
            if front.tag > n {
                line.retag_front(front.tag - n);
                n = 0;
                break;
            }
            // A waiter that has given up takes nothing: `leave` gives back what it had gathered.
            if line.grant_front(SERVED) {
                n -= front.tag;
            }
        }
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            // Full only if somebody has released permits that nobody had.
            let mut wanted = add(seen, n).unwrap_or(seen);
            if line.is_empty() {
                wanted &= !WAITERS;
            }
            match self.word.compare_exchange_weak(
                seen,
                wanted,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// How many permits could be taken right now. For reports: the answer may be old on arrival.
    #[doc(alias = "value")]
    pub fn available(&self) -> usize {
        self.word.load(Ordering::Relaxed) / PERMIT
    }

    /// Gives out no more permits, for ever: waiting and later acquires fail with `Closed`.
    ///
    /// Permits that are out stay valid and may be given back. Returns whether this call closed it.
    pub fn close(&self) -> bool {
        let before = self.word.fetch_or(CLOSED, Ordering::AcqRel);
        if before & WAITERS != 0 {
            lot::line(self.address(), |line| {
                // What a waiter had gathered is the waiter's to give back: see `granted`.
                line.grant_where(Some);
                self.distribute(0, line);
            });
        }
        before & CLOSED == 0
    }

    /// Has it been closed?
    pub fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    fn request(&self, n: usize) -> AcquireRequest<'_> {
        assert!(n <= Semaphore::MAX_PERMITS, "too many permits");
        AcquireRequest { semaphore: self, n }
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }
}

/// `word` with `n` permits more, if there is room for them.
fn add(word: usize, n: usize) -> Option<usize> {
    n.checked_mul(PERMIT)
        .and_then(|permits| word.checked_add(permits))
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Relaxed);
        f.debug_struct("Semaphore")
            .field("available", &(word / PERMIT))
            .field("waited_for", &(word & WAITERS != 0))
            .field("is_closed", &(word & CLOSED != 0))
            .finish()
    }
}

struct Closed;

/// Wants `n` permits.
struct AcquireRequest<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

impl Request for AcquireRequest<'_> {
    type Output = Result<(), Closed>;
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.semaphore.address()
    }

    #[inline]
    fn attempt(&mut self) -> Option<Result<(), Closed>> {
        let word = &self.semaphore.word;
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            if seen & CLOSED != 0 {
                return Some(Err(Closed));
            }
            // While somebody waits the count is 0, so nobody can jump the line here.
            if seen / PERMIT < self.n {
                return None;
            }
            // Acquire pairs with the Release of whoever gave these permits.
            match word.compare_exchange_weak(
                seen,
                seen - self.n * PERMIT,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Ok(())),
                Err(now) => seen = now,
            }
        }
    }

    fn crowded(&self) -> bool {
        self.semaphore.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let word = &self.semaphore.word;
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let there = seen / PERMIT;
            if there >= self.n || seen & CLOSED != 0 {
                return None;
            }
            // Whatever there is, so that the line is served in order.
            match word.compare_exchange_weak(
                seen,
                (seen - there * PERMIT) | WAITERS,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(self.n - there),
                Err(now) => seen = now,
            }
        }
    }

    fn granted(&mut self, lacking: usize) -> Option<Result<(), Closed>> {
        if lacking == SERVED {
            return Some(Ok(()));
        }
        self.decline(lacking);
        Some(Err(Closed))
    }

    fn leave(&mut self, line: &mut Line<'_>, lacking: usize) {
        self.semaphore.distribute(self.n - lacking, line);
    }

    fn decline(&mut self, lacking: usize) {
        // Refused only if somebody has released permits that nobody had.
        let _ = self.semaphore.release(self.n - lacking);
    }
}

/// Permits taken from a [`Semaphore`]; dropping it gives them back.
#[must_use = "the permits are given back at once if this is not kept"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

impl Permit<'_> {
    /// How many.
    pub fn count(&self) -> usize {
        self.n
    }

    /// Keeps the permits for good: the semaphore has so many fewer from now on, until somebody
    /// calls [`Semaphore::release`].
    pub fn forget(mut self) {
        self.n = 0;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.n > 0 {
            // Only a `release` of permits nobody had can have filled the count in the meantime.
            let _ = self.semaphore.release(self.n);
        }
    }
}

/// Why an acquire returned without permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The deadline passed first.
    TimedOut,
    /// The cancel token was cancelled first.
    Cancelled,
    /// The semaphore is closed.
    Closed,
}

impl AcquireError {
    /// Did the deadline pass?
    pub fn is_timed_out(&self) -> bool {
        matches!(self, AcquireError::TimedOut)
    }

    /// Was the call cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, AcquireError::Cancelled)
    }

    /// Is the semaphore closed?
    pub fn is_closed(&self) -> bool {
        matches!(self, AcquireError::Closed)
    }
}

impl From<GaveUp> for AcquireError {
    fn from(why: GaveUp) -> AcquireError {
        match why {
            GaveUp::TimedOut => AcquireError::TimedOut,
            GaveUp::Cancelled => AcquireError::Cancelled,
        }
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireError::TimedOut => GaveUp::TimedOut.fmt(f),
            AcquireError::Cancelled => GaveUp::Cancelled.fmt(f),
            AcquireError::Closed => f.write_str("the semaphore is closed"),
        }
    }
}

impl Error for AcquireError {}

/// Why a try returned without permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// Too few permits, or others wait for them.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::NoPermits => "too few permits",
            TryAcquireError::Closed => "the semaphore is closed",
        })
    }
}

impl Error for TryAcquireError {}

/// A release would have made more permits than can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPermits;

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more permits than a semaphore can count")
    }
}

impl Error for TooManyPermits {}
