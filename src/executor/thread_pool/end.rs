//! A pool's end: it accepts nothing any more, what it has accepted is done or given up, its workers go, and whoever joins is told.
//!
//! Invariant: once it is over, no worker is started, so nothing runs after that has been told.

use super::pool::{Pool, State};
use super::worker;
use crate::executor::{SubmitRefusal, TaskError};
use crate::panic::contain;
use crate::platform::atomic::{Ordering, fence};
use crate::{GaveUp, Limit, Shutdown, exit};
use std::io::{self, Write};
use std::sync::Arc;

impl Pool {
    /// A worker could not start: nothing will be run any more but what runs already.
    #[cold]
    pub(super) fn breaks(&self, why: &Arc<str>) {
        {
            let mut state = self.state.lock();
            if state.broken.is_some() {
                return;
            }
            state.broken = Some(Arc::clone(why));
        }
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(
            io::stderr(),
            "latchwork: {} is broken: {why}",
            self.settings.prefix
        );
        self.shut(true, &TaskError::Broken(Arc::clone(why)));
    }

    /// Is it (drained, ended)?
    pub(super) fn end_of(&self, state: &mut State) -> (bool, bool) {
        let is_shut = self.crew.read().is_shut();
        // Whoever has read that it was not shut has pushed before this look.
        fence(Ordering::SeqCst);
        // What is pushed from now on is taken back: nobody starts a worker that might come first.
        state.is_over |= is_shut && state.workers == state.aside && self.queue.is_empty();
        let is_over = state.is_over && state.leaving == 0;
        (is_over, is_over && state.workers == 0)
    }

    pub(super) fn tell(&self, (is_drained, has_ended): (bool, bool)) {
        if is_drained {
            self.drained.set();
        }
        if has_ended {
            self.ended.set();
        }
    }

    /// Sees to what is in the queue after a task was taken back. It is still in there, and perhaps others with it, whose
    /// submitters are about to start a worker for them, or to take them back, too: a worker tells the ones from the others.
    /// If there can be none, all of them are taken out. What somebody was told is accepted ends with the reason.
    pub(super) fn tidy(self: &Arc<Pool>, why: &SubmitRefusal) {
        let hired = match why {
            SubmitRefusal::ShutDown => self.hire_for_queue(),
            broken => Err(broken.clone()),
        };
        // Those who have read that the pool was not shut have pushed before this look.
        fence(Ordering::SeqCst);
        let mut rest = Vec::new();
        let mut state = self.state.lock();
        if state.workers == state.aside && (hired.is_err() || !self.has_room(&state)) {
            while let Some(job) = self.queue.pop() {
                rest.push(job);
            }
        }
        let end = self.end_of(&mut state);
        drop(state);
        for job in rest {
            contain(|| {
                if let Err(SubmitRefusal::Broken(why)) = &hired {
                    job.drop_with(TaskError::Broken(why.clone()));
                }
                self.counts_if_dropped(&*job);
                drop(job);
            });
        }
        self.tell(end);
    }

    /// Stops accepting tasks. With `Immediate`, tasks that run and have a token have it cancelled.
    pub(super) fn shut_down(&self, pending: Shutdown) {
        let is_immediate = pending == Shutdown::Immediate;
        if is_immediate {
            self.crew.shut();
            // Before callbacks of the dropped run here: one may wait for a task that has a token.
            self.interrupt.cancel();
        }
        self.shut(is_immediate, &TaskError::Cancelled);
    }

    /// Accepts nothing from now on; if `drops`, what has not started ends with `why`.
    fn shut(&self, drops: bool, why: &TaskError) {
        self.crew.shut();
        if let Some(bound) = &self.bound {
            bound.close();
        }
        let mut dropped = Vec::new();
        if drops {
            // Whoever has read that it was not shut has pushed before this look.
            fence(Ordering::SeqCst);
            while let Some(job) = self.queue.pop() {
                dropped.push(job);
            }
        }
        self.call_all();
        let end = self.end_of(&mut self.state.lock());
        self.tell(end);
        // With nothing locked: callbacks run here.
        for job in dropped {
            contain(|| {
                job.drop_with(why.clone());
                self.counts_if_dropped(&*job);
                // Its result may be the last that goes, and the others must not go with it.
                drop(job);
            });
        }
    }
}

impl exit::pools::Pool for Pool {
    fn refuse(&self) {
        self.shut_down(Shutdown::Drain);
    }

    fn drain(&self, limit: &Limit<'_>) -> Result<(), GaveUp> {
        let is_aside = worker::is_of(self.address());
        if is_aside {
            // What only this worker could do is done here. It has been shut by `refuse`.
            fence(Ordering::SeqCst);
            while let Some(job) = self.queue.pop() {
                worker::run_inside(job);
                if self.is_left_behind() {
                    return Ok(());
                }
            }
            let mut state = self.state.lock();
            state.aside += 1;
            let end = self.end_of(&mut state);
            drop(state);
            self.tell(end);
        }
        let drained = self.drained.wait_within(*limit);
        if is_aside {
            self.state.lock().aside -= 1;
        }
        drained
    }

    fn remains(&self) -> Option<String> {
        let (workers, most) = {
            let mut state = self.state.lock();
            self.tell(self.end_of(&mut state));
            (state.workers, state.most)
        };
        (!self.drained.is_set()).then(|| {
            format!(
                "{} with {} of {most} threads at work and {} tasks to come",
                self.settings.prefix,
                workers.saturating_sub(self.crew.read().idle()),
                self.queue.len()
            )
        })
    }
}
