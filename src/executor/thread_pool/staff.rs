//! Who comes and who goes: workers are started when tasks wait and there is room, and go when they are too many, when they have
//! been idle for long, or at the end.
//!
//! A worker counts before its thread is there, so that not too many are started; whoever has relied on one that the
//! system did not give is told.

use super::crew::MOST_WORKERS;
use super::fork_join::Forker;
use super::idle::{Found, Idle, Next};
use super::pool::{Pool, State};
use super::stats::WorkersTally;
use super::worker;
use crate::Limit;
use crate::executor::SubmitRefusal;
use crate::platform::spawn_unchecked;
use crate::wait::wait;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

impl Pool {
    /// Starts a worker if there is room and more tasks wait than workers are idle.
    ///
    /// # Errors
    ///
    /// As `hire`.
    #[cold]
    pub(super) fn hire_for_queue(self: &Arc<Pool>) -> Result<(), SubmitRefusal> {
        self.hire(|state| self.queue.len() > self.crew.read().idle() + state.starting)
    }

    /// Starts a worker if there is room and one is wanted.
    ///
    /// # Errors
    ///
    /// If none can be started and there is none.
    #[cold]
    pub(super) fn hire(
        self: &Arc<Pool>,
        is_wanted: impl FnOnce(&State) -> bool,
    ) -> Result<(), SubmitRefusal> {
        let starts_at_once = !self.settings.start.is_needed();
        let (number, tally) = {
            let mut state = self.state.lock();
            if !self.has_room(&state) || !is_wanted(&state) {
                return Ok(());
            }
            // It counts before it is there, so that not too many are started.
            match starts_at_once {
                true => self.crew.begins_to_search(),
                false => state.starting += 1,
            }
            state.workers += 1;
            state.started += 1;
            self.set_room(&state);
            let tally = state.tallies.enter(self.settings.measures);
            (state.started - 1, tally)
        };
        let Err(error) = self.start(number, Arc::clone(&tally)) else {
            return Ok(());
        };
        let mut state = self.state.lock();
        state.workers -= 1;
        state.tallies.leave(&tally);
        state.is_refused = state.workers > 0;
        let is_deserted = state.workers == 0;
        if !starts_at_once {
            state.starting -= 1;
        }
        self.set_room(&state);
        drop(state);
        if starts_at_once {
            let _ = self.crew.ends_to_search();
        }
        // Somebody may have relied on the one that did not come.
        if self.crew.read().parked() > 0 {
            self.call_one();
        }
        // And who has fallen asleep meanwhile took it for one that could help.
        self.give_one_up_if_stuck();
        match is_deserted {
            true => Err(SubmitRefusal::Broken(
                format!("cannot start a thread: {error}").into(),
            )),
            false => Ok(()),
        }
    }

    fn start(self: &Arc<Pool>, number: usize, tally: WorkersTally) -> io::Result<()> {
        let name = format!("{}_{number}", self.settings.prefix);
        let pool = Arc::clone(self);
        // SAFETY: it borrows nothing.
        unsafe {
            spawn_unchecked(&name, self.settings.stack_size, move || {
                worker::work(pool, tally)
            })
        }
    }

    pub(super) fn has_room(&self, state: &State) -> bool {
        let limit = (state.most.saturating_add(self.settings.most_spare)).min(MOST_WORKERS);
        state.workers - state.away < state.most
            && state.workers < limit
            && !state.is_refused
            && !state.is_over
            && state.broken.is_none()
    }

    pub(super) fn set_room(&self, state: &State) {
        let has_excess = state.workers - state.away > state.most;
        self.crew.set_room(self.has_room(state), has_excess);
    }

    /// The next task for a worker that searches; nothing if it is to go.
    pub(super) fn next(self: &Arc<Pool>, forker: &Forker) -> Option<Found> {
        // One that must not go has no reason to look at the time again before it has had a task.
        let mut stays = false;
        loop {
            let limit = match self.settings.keep_alive {
                Some(time) if !stays => keep_alive(time),
                _ => Limit::none(),
            };
            match wait(&mut Idle::new(self, forker), &limit, Location::caller()) {
                Ok(Next::Found(found)) => return Some(found),
                Ok(Next::Gone) => return None,
                // It has not been searching any more since it gave up.
                Err(_) if self.goes_if(|state| state.workers > self.settings.least) => return None,
                Err(_) => {
                    stays = true;
                    self.crew.begins_to_search();
                }
            }
        }
    }

    /// The worker goes if `it_may`. It does not search any more.
    pub(super) fn goes_if(self: &Arc<Pool>, it_may: impl FnOnce(&mut State) -> bool) -> bool {
        let mut state = self.state.lock();
        let goes = it_may(&mut state);
        if goes {
            state.workers -= 1;
            worker::is_counted_out(&mut state.tallies);
            state.leaving += usize::from(self.settings.start.is_needed());
            state.is_refused = false;
            self.set_room(&state);
            let end = self.end_of(&mut state);
            drop(state);
            self.tell(end);
            match self.crew.read().is_shut() {
                // Something may have been pushed since this worker's last look, and whoever took it back has seen
                // that there is a worker.
                true => self.tidy(&self.why_shut()),
                false => self.look_after_queue(),
            }
        }
        goes
    }

    /// The last that a worker does, after it has gone, and has dropped what it had kept.
    pub(super) fn has_left(&self) {
        let mut state = self.state.lock();
        state.leaving -= 1;
        let end = self.end_of(&mut state);
        drop(state);
        self.tell(end);
    }

    /// A worker that was starting is ready: it searches from now on.
    pub(super) fn has_started(&self) {
        self.crew.begins_to_search();
        self.state.lock().starting -= 1;
    }

    /// How many workers there may be, from now on. Those that are too many go when they have no task.
    pub(super) fn set_most(self: &Arc<Pool>, most: usize) {
        {
            let mut state = self.state.lock();
            state.most = most;
            state.is_refused = false;
            self.set_room(&state);
        }
        if self.crew.read().has_excess() {
            self.call_all();
        }
        self.look_after_queue();
    }

    /// Starts workers until there are as many as may be, or the system has no more. How many there are.
    pub(super) fn fill(self: &Arc<Pool>) -> Result<usize, SubmitRefusal> {
        // Whoever asks wants it tried again.
        let mut state = self.state.lock();
        state.is_refused = false;
        self.set_room(&state);
        drop(state);
        loop {
            self.check()?;
            let workers = self.state.lock().workers;
            self.hire(|state| state.workers < state.most)?;
            let now = self.state.lock().workers;
            if now <= workers {
                return Ok(now);
            }
        }
    }
}

#[cfg(not(loom))]
fn keep_alive(time: Duration) -> Limit<'static> {
    Limit::from(time)
}
#[cfg(loom)]
fn keep_alive(_time: Duration) -> Limit<'static> {
    Limit::from(&*KEEP_ALIVE)
}

#[cfg(loom)]
loom::lazy_static! {
    static ref KEEP_ALIVE: crate::wait::Canceller = crate::wait::Canceller::timer();
}

/// In this execution of a model idle workers have stayed for as long as they are to.
#[cfg(loom)]
pub(crate) fn let_keep_alive_pass() {
    KEEP_ALIVE.fire();
}
