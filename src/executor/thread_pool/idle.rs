//! [`Idle`]: a worker without a task, as the engine sees it: it searches, parks, and is called.

use super::fork_join::{Branch, Forker};
use super::pool::Pool;
use crate::executor::task::Job;
use crate::platform::atomic::{Ordering, fence};
use crate::wait::lot::Line;
use crate::wait::{Awaited, Kind, Request};
use std::sync::Arc;

pub(super) static IDLE: Kind = Kind {
    name: "ThreadPoolExecutor's next task",
    owner: None,
};

/// Wants a task, or to hear that it is not needed any more. Counted among those who search whenever it is not
/// parked, and no more once it has got one of the two or has given up.
pub(super) struct Idle<'p> {
    pool: &'p Arc<Pool>,
    forker: &'p Forker,
}

/// What a worker does next.
pub(super) enum Found {
    Task(Arc<dyn Job>),
    /// Of another worker's fork.
    Branch(Branch),
}

pub(super) enum Next {
    Found(Found),
    /// It has been counted out.
    Gone,
}

impl<'p> Idle<'p> {
    pub(super) fn new(pool: &'p Arc<Pool>, forker: &'p Forker) -> Idle<'p> {
        Idle { pool, forker }
    }

    fn find(&self) -> Option<Next> {
        let found = self.forker.find(self.pool)?;
        self.pool.has_found();
        if let Found::Branch(_) = found {
            self.pool.invite_if(|| self.forker.sees_some(self.pool));
        }
        Some(Next::Found(found))
    }

    #[cold]
    fn may_go(&self) -> Option<Next> {
        let crew = self.pool.crew.read();
        if crew.is_shut() {
            // Whoever has read that it was not shut has pushed before this look.
            fence(Ordering::SeqCst);
            let found = self.find();
            if found.is_some() {
                return found;
            }
            let _ = self.pool.crew.ends_to_search();
            self.pool.goes_if(|_| true);
            return Some(Next::Gone);
        }
        let goes = self
            .pool
            .goes_if(|state| state.workers - state.away > state.most);
        goes.then(|| {
            let before = self.pool.crew.ends_to_search();
            if before.searching() == 1 {
                self.pool.look_after_queue();
            }
            Next::Gone
        })
    }
}

impl Request for Idle<'_> {
    type Output = Next;
    const KIND: &'static Kind = &IDLE;
    const AWAITED: Awaited = Awaited::Traffic;

    fn address(&self) -> usize {
        self.pool.crew.address()
    }

    fn attempt(&mut self) -> Option<Next> {
        let crew = self.pool.crew.read();
        if crew.has_excess() {
            return self.may_go();
        }
        let found = self.find();
        if found.is_none() && crew.is_shut() {
            return self.may_go();
        }
        found
    }

    fn looks_good(&mut self) -> bool {
        let crew = self.pool.crew.read();
        !self.pool.queue.is_empty()
            || crew.is_shut()
            || crew.has_excess()
            || self.forker.sees_some(self.pool)
    }

    fn crowded(&self) -> bool {
        false
    }

    /// See the head of `crew.rs`.
    fn enlist(&mut self, _line: &mut Line<'_>) -> Option<usize> {
        self.pool.crew.parks();
        fence(Ordering::SeqCst);
        let crew = self.pool.crew.read();
        let has_something = !self.pool.queue.is_empty() || self.forker.sees_some(self.pool);
        if !has_something && !crew.is_shut() && !crew.has_excess() {
            return Some(0);
        }
        self.pool.crew.unparks();
        None
    }

    /// Whoever called has counted it among those who search.
    fn granted(&mut self, _token: usize) -> Option<Next> {
        self.attempt()
    }

    fn leave(&mut self, _line: &mut Line<'_>, _tag: usize) {
        self.pool.crew.unparks();
    }

    fn resign(&mut self) {
        if self.pool.crew.ends_to_search().searching() == 1 {
            self.pool.look_after_queue();
        }
    }

    /// Nobody waits for a task by a future, or by a select.
    fn decline(&mut self, _token: usize) {
        self.resign();
    }
}
