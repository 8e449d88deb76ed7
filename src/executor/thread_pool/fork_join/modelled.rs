//! Forks for a model: workers whose threads, and whose thefts, are the model's.

use super::Forker;
use crate::executor::thread_pool::idle::Found;
use crate::executor::thread_pool::pool::{Pool, Settings};
use crate::executor::thread_pool::worker::{self, Worker};
use std::panic::Location;
use std::sync::Arc;

/// Some workers, all of them at work from the beginning, and no pool around them.
#[derive(Clone)]
pub struct Workers(Arc<Pool>);

impl Workers {
    /// So many.
    pub fn new(workers: usize) -> Workers {
        let settings = Settings {
            prefix: "".into(),
            stack_size: 0,
            most_spare: 0,
            replaces_all: false,
            keep_alive: None,
            least: 0,
            start: Arc::default(),
            measures: false,
            by_priority: false,
            most_forking: workers,
        };
        let pool = Arc::new(Pool::new(settings, workers, None));
        {
            let mut state = pool.state.lock();
            state.workers = workers;
            pool.set_room(&state);
        }
        Workers(pool)
    }

    /// One of them, in this thread.
    pub fn act<R>(&self, f: impl FnOnce(&Acting<'_>) -> R) -> R {
        let tally = self.0.state.lock().tallies.enter(false);
        worker::act(&self.0, tally, |worker| f(&Acting(worker)))
    }
}

/// A worker.
pub struct Acting<'w>(&'w Worker);

impl Acting<'_> {
    /// Forks and joins.
    pub fn join<RA, RB: Send>(
        &self,
        a: impl FnOnce() -> RA,
        b: impl FnOnce() -> RB + Send,
    ) -> (RA, RB) {
        self.0.join(a, b, Location::caller())
    }

    /// Looks once for a branch, and runs it.
    pub fn steals(&self) -> bool {
        let forker: &Forker = &self.0.forker;
        match forker.find(&self.0.pool) {
            Some(Found::Branch(branch)) => {
                forker.run_found(&self.0.pool, branch);
                true
            }
            _ => false,
        }
    }
}

/// Forks and joins in the worker of this thread.
pub fn join<RA, RB: Send>(a: impl FnOnce() -> RA, b: impl FnOnce() -> RB + Send) -> (RA, RB) {
    worker::with(|worker| worker.join(a, b, Location::caller())).expect("a worker acts here")
}
