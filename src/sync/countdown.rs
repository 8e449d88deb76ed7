//! A count that goes down to zero, and those who wait for that: what [`Latch`](super::Latch) and
//! [`WaitGroup`](super::WaitGroup) have in common.
//!
//! Each time the count reaches zero a generation ends. A waiter is satisfied by a count of zero or by
//! another generation than it began in, so it is released even if the count has gone up again before
//! it could look.

use crate::GaveUp;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, WaitFuture, wait, wait_for_ever};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: usize = 1;
/// One to go; the count has the lower half of the word, but for the mark.
const ONE: usize = 2;
const COUNT_BITS: u32 = usize::BITS / 2 - 1;
/// Where the generation begins. It wraps; who looks only after all of them would wait for the next zero.
const GENERATION: u32 = usize::BITS / 2;

/// The most that can be counted.
pub(super) const MOST: usize = (1 << COUNT_BITS) - 1;

/// ```text
///   generation | count | WAITERS
///
///   count n -> n + m                   by `add`, unless it is full
///   count n -> n - m, m < n            by `subtract`
///   count n -> 0, generation + 1       by the `subtract` that gets there; it releases the line
/// ```
pub(super) struct Countdown<T> {
    word: AtomicUsize,
    _named: PhantomData<fn() -> T>,
}

/// Whose countdown it is.
pub(super) trait Named {
    const KIND: &'static Kind;
}

/// The count is too small or too big for what was asked; nothing has changed.
pub(super) struct OutOfRange;

impl<T: Named> Countdown<T> {
    const_fn! {
        pub(super) fn new(count: usize) -> Countdown<T> {
            assert!(count <= MOST, "more than can be counted");
            Countdown { word: AtomicUsize::new(count * ONE), _named: PhantomData }
        }
    }

    pub(super) fn count(&self) -> usize {
        count(self.word.load(Ordering::Relaxed))
    }

    /// Is the count zero? If so, what happened before it got there is visible.
    #[inline]
    pub(super) fn is_zero(&self) -> bool {
        count(self.word.load(Ordering::Acquire)) == 0
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    pub(super) fn add(&self, n: usize) -> Result<(), OutOfRange> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if n > MOST - count(seen) {
                return Err(OutOfRange);
            }
            // Relaxed: what is to be done publishes nothing; that it is done does.
            match self.word.compare_exchange_weak(
                seen,
                seen + n * ONE,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Returns whether this call brought the count to zero.
    pub(super) fn subtract(&self, n: usize) -> Result<bool, OutOfRange> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if n > count(seen) {
                return Err(OutOfRange);
            }
            let reaches_zero = n > 0 && n == count(seen);
            let mut wanted = seen - n * ONE;
            if reaches_zero {
                wanted = wanted.wrapping_add(1 << GENERATION);
            }
            // AcqRel: Release publishes what the caller did; Acquire passes on what others did before,
            // through the waiters that the last one releases.
            match self
                .word
                .compare_exchange_weak(seen, wanted, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    if reaches_zero && seen & WAITERS != 0 {
                        self.release();
                    }
                    return Ok(reaches_zero);
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Releases those who began before the generation that is now; not those who came after an `add`
    /// that has been quicker than we are.
    #[cold]
    fn release(&self) {
        lot::line(self.address(), |line| {
            // Not the generation that our step began: nobody knows how many there have been since.
            let now = generation(self.word.load(Ordering::Acquire));
            line.grant_where(|began| (began != now).then_some(0));
            self.unmark_if_empty(line);
        });
    }

    #[inline]
    pub(super) fn wait(&self, place: &'static Location<'static>) {
        if !self.is_zero() {
            wait_for_ever(&mut self.request(), place);
        }
    }

    #[inline]
    pub(super) fn wait_within(
        &self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        if self.is_zero() {
            return Ok(());
        }
        wait(&mut self.request(), limit, place)
    }

    #[track_caller]
    pub(super) fn wait_async(&self) -> impl Future<Output = ()> {
        WaitFuture::new(self.request())
    }

    fn request(&self) -> ZeroRequest<'_, T> {
        ZeroRequest {
            countdown: self,
            began: generation(self.word.load(Ordering::Acquire)),
        }
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

fn count(word: usize) -> usize {
    (word / ONE) & MOST
}

fn generation(word: usize) -> usize {
    word >> GENERATION
}

/// Wants the count to be zero, or to have been zero since `began`.
struct ZeroRequest<'a, T> {
    countdown: &'a Countdown<T>,
    began: usize,
}

impl<T> ZeroRequest<'_, T> {
    fn is_satisfied_by(&self, word: usize) -> bool {
        count(word) == 0 || generation(word) != self.began
    }
}

impl<T: Named> Request for ZeroRequest<'_, T> {
    type Output = ();
    const KIND: &'static Kind = T::KIND;

    fn address(&self) -> usize {
        self.countdown.address()
    }

    fn attempt(&mut self) -> Option<()> {
        self.is_satisfied_by(self.countdown.word.load(Ordering::Acquire))
            .then_some(())
    }

    fn crowded(&self) -> bool {
        self.countdown.is_waited_for()
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let word = &self.countdown.word;
        let mut seen = word.load(Ordering::Acquire);
        loop {
            if self.is_satisfied_by(seen) {
                return None;
            }
            // A CAS even if the mark is there: it must be this value, not an older one, that we mark.
            match word.compare_exchange_weak(
                seen,
                seen | WAITERS,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(self.began),
                Err(now) => seen = now,
            }
        }
    }

    fn granted(&mut self, _token: usize) -> Option<()> {
        Some(())
    }

    fn leave(&mut self, line: &mut Line<'_>, _tag: usize) {
        self.countdown.unmark_if_empty(line);
    }

    /// Everybody else is released too.
    fn decline(&mut self, _token: usize) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    struct Test;
    impl Named for Test {
        const KIND: &'static Kind = &Kind {
            name: "Test",
            owner: None,
        };
    }

    /// The one that brought the count to zero has been away for more than half of all generations.
    #[test]
    fn a_late_release_concerns_nobody_who_came_since() {
        let countdown = Countdown::<Test>::new(1);
        assert!(matches!(countdown.subtract(1), Ok(true)));
        let rounds = (usize::MAX >> GENERATION) / 2 + 3;
        countdown
            .word
            .store(rounds << GENERATION, Ordering::Relaxed);
        assert!(countdown.add(1).is_ok());
        let mut late = pin!(countdown.wait_async());
        let mut context = Context::from_waker(Waker::noop());
        assert!(late.as_mut().poll(&mut context).is_pending());
        countdown.release();
        assert!(late.as_mut().poll(&mut context).is_pending());
        assert!(countdown.is_waited_for());
        assert!(matches!(countdown.subtract(1), Ok(true)));
        assert!(late.as_mut().poll(&mut context).is_ready());
        assert!(!countdown.is_waited_for());
    }

    #[test]
    fn the_count_keeps_its_meaning_when_the_generation_wraps() {
        let countdown = Countdown::<Test> {
            word: AtomicUsize::new(usize::MAX << GENERATION | ONE),
            _named: PhantomData,
        };
        let mut request = countdown.request();
        assert!(request.attempt().is_none());
        assert!(matches!(countdown.subtract(1), Ok(true)));
        assert!(countdown.add(MOST).is_ok() && countdown.add(1).is_err());
        assert!(request.attempt().is_some(), "it was zero in between");
        assert_eq!(countdown.count(), MOST);
    }
}
