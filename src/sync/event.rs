//! [`Event`]: a flag that threads can wait for.

use crate::GaveUp;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::const_fn;
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, WaitFuture, wait, wait_for_ever};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
const WAITERS: usize = 1;
/// The flag.
const SET: usize = 2;
/// One generation: how often the flag has been taken down, in the rest of the word.
const GENERATION: usize = 4;

/// A flag that threads can wait for.
///
/// `set` releases everybody who waits, and everybody who comes until `clear`. A waiter is released
/// by any `set` that happens while it waits, even if a `clear` follows before it has run: the
/// word counts how often it has been taken down again. A limit that is reached in the same moment as the
/// flag goes up returns `Ok`.
///
/// What happened before `set` is visible after `wait`.
///
/// # Cost
///
/// `set` with nobody waiting, and `clear`: one read-modify-write; `is_set`, a `clear` of what is not set,
/// and a wait that needn't block: one load. No system calls unless somebody sleeps. Size: one `usize`.
///
/// # Source
///
/// Python's [`threading.Event`](https://docs.python.org/3/library/threading.html#event-objects).
///
/// ```
/// use latchwork::sync::Event;
/// use std::time::Duration;
///
/// let ready = Event::new();
/// assert!(ready.wait_within(Duration::ZERO).is_err());
/// std::thread::scope(|s| {
///     s.spawn(|| ready.wait());
///     assert!(ready.set());
///     assert!(!ready.set(), "it was set already");
/// });
/// assert!(ready.clear());
/// ```
pub struct Event {
    word: AtomicUsize,
}

static KIND: Kind = Kind {
    name: "Event",
    owner: None,
};

impl Event {
    const_fn! {
        /// An event that is not set.
        pub fn new() -> Event {
            Event { word: AtomicUsize::new(0) }
        }
    }

    /// Is the flag up? If so, what happened before it went up is visible.
    #[inline]
    #[doc(alias = "isSet")]
    pub fn is_set(&self) -> bool {
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Puts the flag up and releases everybody who waits. Returns whether it was down.
    #[inline]
    #[doc(alias = "notify_all")]
    pub fn set(&self) -> bool {
        // AcqRel: Release pairs with the waiters' Acquire; Acquire keeps the chain of setters. Not a
        // load if the flag is up: what this caller did before must be published, too, to who clears
        // the flag after it and then looks.
        let has_been_set = self.word.fetch_or(SET, Ordering::AcqRel) & SET != 0;
        // Asked for one bit, the processor need not loop. A mark that was there before is there still,
        // unless nobody is left in the line; one that has come since stands for somebody who is
        // released here or by the next `set`.
        if !has_been_set && self.word.load(Ordering::Relaxed) & WAITERS != 0 {
            self.release();
        }
        !has_been_set
    }

    /// Releases those who have waited while the flag was up; not those who came after a `clear` that
    /// has been quicker than we are.
    #[cold]
    fn release(&self) {
        lot::line(self.address(), |line| {
            // Acquire: the flag may have been cleared and put up again since, and what that setter did
            // must be visible to those we release in its stead.
            let word = self.word.load(Ordering::Acquire);
            // A clear takes down what was up, and counts.
            let was_up = |began| word & SET != 0 || is_before(began, generation(word));
            line.grant_where(|began| was_up(began).then_some(0));
            self.unmark_if_empty(line);
        });
    }

    /// Takes the flag down. Returns whether it was up; what its setters did before is visible then.
    #[inline]
    #[doc(alias = "reset")]
    pub fn clear(&self) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & SET != 0 {
            // Acquire: who clears, then looks, and then waits again must see what any `set` announced
            // that this clear takes back, a `set` that found the flag up included.
            match self.word.compare_exchange_weak(
                seen,
                (seen & !SET).wrapping_add(GENERATION),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Blocks until the flag is up, or goes up.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if !self.is_set() {
            wait_for_ever(&mut self.request(), Location::caller());
        }
    }

    /// As [`wait`](Event::wait), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[inline]
    #[track_caller]
    #[doc(alias = "wait_timeout")]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        if self.is_set() {
            return Ok(());
        }
        wait(&mut self.request(), &limit.into(), Location::caller())
    }

    /// Resolves if the flag is up at any time from this call on; for any runtime.
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = ()> {
        WaitFuture::new(self.request())
    }

    /// What a wait that begins now wants.
    pub(crate) fn request(&self) -> impl Request<Output = ()> {
        EventRequest {
            event: self,
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

fn generation(word: usize) -> usize {
    word / GENERATION
}

/// Generations wrap; nobody waits through half of them.
fn is_before(began: usize, now: usize) -> bool {
    (now.wrapping_sub(began).wrapping_mul(GENERATION) as isize) > 0
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Relaxed);
        f.debug_struct("Event")
            .field("is_set", &(word & SET != 0))
            .field("waited_for", &(word & WAITERS != 0))
            .finish()
    }
}

/// Wants the flag to be up, or to have been up since `began`, when it was down.
struct EventRequest<'a> {
    event: &'a Event,
    began: usize,
}

impl EventRequest<'_> {
    fn is_satisfied_by(&self, word: usize) -> bool {
        word & SET != 0 || generation(word) != self.began
    }
}

impl Request for EventRequest<'_> {
    type Output = ();
    const KIND: &'static Kind = &KIND;

    fn address(&self) -> usize {
        self.event.address()
    }

    fn attempt(&mut self) -> Option<()> {
        self.is_satisfied_by(self.event.word.load(Ordering::Acquire))
            .then_some(())
    }

    fn crowded(&self) -> bool {
        self.event.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let word = &self.event.word;
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
        self.event.unmark_if_empty(line);
    }

    /// Being told is not a thing that can be passed on: everybody else is told too.
    fn decline(&mut self, _token: usize) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn generations_wrap_around() {
        let last = generation(usize::MAX);
        assert!(is_before(0, 1));
        assert!(!is_before(1, 1));
        assert!(!is_before(2, 1));
        assert!(is_before(last, 0));
        assert!(!is_before(0, last));
    }

    #[test]
    fn the_flag_keeps_its_meaning_when_the_generation_wraps() {
        let event = Event {
            word: AtomicUsize::new(usize::MAX & !(SET | WAITERS)),
        };
        let mut request = event.request();
        assert!(request.attempt().is_none());
        assert!(event.set());
        assert!(event.is_set());
        assert!(event.clear());
        assert!(
            request.attempt().is_some(),
            "released by the set in between"
        );
    }
}
