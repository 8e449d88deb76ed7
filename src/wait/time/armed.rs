//! [`Armed`]: how many alarms are set on a driven clock; a test waits for it.

use crate::GaveUp;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Limit, Request, wait};
use std::panic::Location;
use std::ptr;

/// Somebody may be parked. Set only under the bucket's lock, and never cleared: at worst somebody looks at an
/// empty line.
const WAITERS: usize = 1;
const ONE: usize = 2;

/// The word: `count * 2 | WAITERS`.
pub(super) struct Armed {
    word: AtomicUsize,
}

impl Armed {
    pub(super) fn new() -> Armed {
        Armed {
            word: AtomicUsize::new(0),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.word.load(Ordering::Acquire) / ONE
    }

    /// One more, under the timeline's lock; after it, [`tell`](Armed::tell) those who may wait for so many.
    /// Release: who sees it sees that it is set.
    pub(super) fn add(&self) -> Option<usize> {
        let before = self.word.fetch_add(ONE, Ordering::Release);
        (before & WAITERS != 0).then_some(before / ONE + 1)
    }

    /// There were so many at one moment, which is all that is asked for.
    pub(super) fn tell(&self, count: usize) {
        lot::line(self.address(), |line| {
            line.grant_where(|wanted| (wanted <= count).then_some(0));
        });
    }

    /// One fewer, under the timeline's lock.
    pub(super) fn remove(&self) {
        self.word.fetch_sub(ONE, Ordering::Release);
    }

    /// Blocks until there are so many.
    pub(super) fn wait(
        &self,
        count: usize,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<(), GaveUp> {
        let mut request = SoMany { armed: self, count };
        match request.attempt() {
            Some(()) => Ok(()),
            None => wait(&mut request, limit, place),
        }
    }

    fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }
}

/// Wants so many.
struct SoMany<'a> {
    armed: &'a Armed,
    count: usize,
}

impl Request for SoMany<'_> {
    type Output = ();
    const KIND: &'static Kind = &Kind {
        name: "ManualClock",
        owner: None,
    };

    fn address(&self) -> usize {
        self.armed.address()
    }

    fn attempt(&mut self) -> Option<()> {
        (self.armed.count() >= self.count).then_some(())
    }

    fn crowded(&self) -> bool {
        false
    }

    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        // An RMW, so that either we see the last one, or who adds it sees the mark.
        let before = self.armed.word.fetch_or(WAITERS, Ordering::Acquire);
        (before / ONE < self.count).then_some(self.count)
    }

    fn granted(&mut self, _token: usize) -> Option<()> {
        Some(())
    }

    fn leave(&mut self, _line: &mut Line<'_>, _tag: usize) {}

    /// Everybody else is told, too.
    fn decline(&mut self, _token: usize) {}
}
