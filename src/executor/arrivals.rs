//! [`Arrivals`]: the numbers of tasks that have ended, in the order in which they did, and who waits for the next.
//!
//! Tasks push, one taker pops. Invariant: the taker says that it waits under the same lock under which they push, with
//! its place in the line taken before anybody else can look; so whoever pushes later finds it there.

use super::TaskError;
use super::task::{SEVERAL, Watch};
use crate::platform::Mutex;
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::wait::lot::{self, Line};
use crate::wait::{Kind, Request, WaitFuture, wait};
use crate::{GaveUp, Limit};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// See the head of this file.
pub(super) struct Arrivals {
    state: Mutex<State>,
    /// How many there are in it: what a spin looks at. Its address is where the taker waits.
    count: AtomicUsize,
}

struct State {
    ended: VecDeque<usize>,
    is_awaited: bool,
}

impl Arrivals {
    pub(super) fn new() -> Arrivals {
        Arrivals {
            state: Mutex::new(State {
                ended: VecDeque::new(),
                is_awaited: false,
            }),
            count: AtomicUsize::new(0),
        }
    }

    /// One more.
    pub(super) fn push(&self, number: usize) {
        let is_awaited = {
            let mut state = self.state.lock();
            state.ended.push_back(number);
            self.count.store(state.ended.len(), Ordering::Relaxed);
            std::mem::take(&mut state.is_awaited)
        };
        if is_awaited {
            lot::line(self.address(), |line| line.grant_where(|_| Some(0)));
        }
    }

    /// The first that has not been taken.
    pub(super) fn pop(&self) -> Option<usize> {
        let mut state = self.state.lock();
        let first = state.ended.pop_front();
        self.count.store(state.ended.len(), Ordering::Relaxed);
        first
    }

    /// As `pop`; waits for one, at most as long as `limit` says.
    pub(super) fn pop_within(
        &self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<usize, GaveUp> {
        match self.pop() {
            Some(number) => Ok(number),
            None => wait(&mut Pop(self), limit, place),
        }
    }

    pub(super) fn pop_async(
        &self,
        place: &'static Location<'static>,
    ) -> impl Future<Output = usize> {
        WaitFuture::at(Pop(self), place)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(&self.count).expose_provenance()
    }
}

impl Watch for Arrivals {
    fn ended(self: Arc<Self>, number: usize, _error: Option<&TaskError>) {
        self.push(number);
    }
}

/// Wants the next one. There is one taker at a time.
struct Pop<'a>(&'a Arrivals);

impl Request for Pop<'_> {
    type Output = usize;
    const KIND: &'static Kind = &SEVERAL;

    fn address(&self) -> usize {
        self.0.address()
    }

    fn attempt(&mut self) -> Option<usize> {
        self.0.pop()
    }

    fn looks_good(&mut self) -> bool {
        self.0.count.load(Ordering::Relaxed) != 0
    }

    fn crowded(&self) -> bool {
        false
    }

    /// With the bucket locked: who pushes after this looks into the line after that.
    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        let mut state = self.0.state.lock();
        state.is_awaited = state.ended.is_empty();
        state.is_awaited.then_some(0)
    }

    fn granted(&mut self, _token: usize) -> Option<usize> {
        self.attempt()
    }

    /// What was said stays: at worst a push looks at an empty line.
    fn leave(&mut self, _line: &mut Line<'_>, _tag: usize) {}

    /// It was a call, and what it was for is still there.
    fn decline(&mut self, _token: usize) {}
}
