//! [`Pool`]: what a thread pool's owner and its workers share: the queue, who is there, and the end.
//!
//! Tasks go through a queue without a lock. The head count is under a short lock, which is taken when a
//! worker comes, goes, or sleeps in the middle of a task; not for a task.

use super::crew::{Crew, MOST_WORKERS, Reading};
use super::idle::{Idle, Next};
use super::worker;
use crate::executor::task::Job;
use crate::executor::{SubmitRefusal, TaskError};
use crate::panic::contain;
use crate::platform::atomic::{Ordering, fence};
use crate::platform::{Mutex, SegQueue, forked, spawn_unchecked};
use crate::sync::Event;
use crate::wait::lot::{self, Line};
use crate::wait::wait;
use crate::{GaveUp, Limit, Shutdown, exit};
use crossbeam_utils::CachePadded;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What does not change.
pub(super) struct Settings {
    pub(super) prefix: String,
    /// Of the workers, in bytes; 0 for the system's.
    pub(super) stack_size: usize,
    /// How many workers there may be beyond the limit, for those that wait in the middle of a task.
    pub(super) most_spare: usize,
    /// Is a worker that waits for anything at all replaced, or only one that waits for tasks?
    pub(super) replaces_all: bool,
    /// How long an idle worker stays; for ever if there is none.
    pub(super) keep_alive: Option<Duration>,
    /// So many stay even then.
    pub(super) least: usize,
}

/// See the head of this file.
pub(super) struct Pool {
    pub(super) settings: Settings,
    /// The generation of the process that has its workers.
    generation: u8,
    pub(super) queue: CachePadded<SegQueue<Arc<dyn Job>>>,
    pub(super) crew: CachePadded<Crew>,
    pub(super) state: Mutex<State>,
    /// Shut, and the last worker has gone.
    pub(super) ended: Event,
    /// Shut, and there is nothing that the program's end has to wait for.
    drained: Event,
}

/// The head count.
pub(super) struct State {
    pub(super) most: usize,
    /// Those that have been started and have not gone.
    pub(super) workers: usize,
    /// Those of them that sleep in the middle of a task, and are replaced.
    pub(super) away: usize,
    /// Those of them that wait without a limit for tasks of this pool.
    pub(super) expecting: usize,
    /// Tasks that have not started and that a worker waits for that has no stack left to run them.
    pub(super) stranded: Vec<Arc<dyn Job>>,
    /// Those whose task waits for the program's end, which therefore does not wait for them.
    aside: usize,
    /// Workers started ever; the next one's number.
    started: usize,
    /// There will be no more workers: all that was accepted has been done, by those who are there at least.
    is_over: bool,
    /// The system had no thread for another worker, and no worker has gone or woken up since.
    pub(super) is_refused: bool,
}

impl Pool {
    pub(super) fn new(settings: Settings, most: usize) -> Pool {
        Pool {
            settings,
            generation: forked::generation(),
            queue: CachePadded::new(SegQueue::new()),
            crew: CachePadded::new(Crew::new()),
            state: Mutex::new(State {
                most,
                workers: 0,
                away: 0,
                expecting: 0,
                stranded: Vec::new(),
                aside: 0,
                started: 0,
                is_over: false,
                is_refused: false,
            }),
            ended: Event::new(),
            drained: Event::new(),
        }
    }

    /// Tasks of this pool are known by it.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Has this process been forked from the one with the workers? Then nobody is there to do anything.
    #[inline]
    pub(super) fn is_left_behind(&self) -> bool {
        self.generation != forked::generation()
    }

    /// Why no task is accepted, if so.
    #[inline]
    pub(super) fn check(&self) -> Result<(), SubmitRefusal> {
        if self.is_left_behind() {
            let why = "its threads did not come along when the process was forked";
            return Err(SubmitRefusal::Broken(why.into()));
        }
        match self.crew.read().is_shut() {
            true => Err(SubmitRefusal::ShutDown),
            false => Ok(()),
        }
    }

    /// Enters a task. If it is refused, the caller takes it back, unless somebody has claimed it, and calls
    /// `tidy`.
    #[inline]
    pub(super) fn push(self: &Arc<Pool>, job: Arc<dyn Job>) -> Result<(), SubmitRefusal> {
        self.queue.push(job);
        // See the head of `crew.rs`.
        fence(Ordering::SeqCst);
        let crew = self.crew.read();
        if crew.is_shut() {
            return Err(SubmitRefusal::ShutDown);
        }
        self.see_to_queue(crew)
    }

    /// Somebody must come to what is in the queue: called after a push, or after the number of those who could come
    /// has gone down, and a fence.
    #[inline]
    fn see_to_queue(self: &Arc<Pool>, crew: Reading) -> Result<(), SubmitRefusal> {
        if crew.parked() > 0 {
            if crew.searching() == 0 {
                self.call_one();
            }
        } else if crew.has_room() && self.queue.len() > crew.idle() {
            return self.hire();
        }
        Ok(())
    }

    /// Wakes a parked worker, unless one searches.
    #[cold]
    fn call_one(&self) {
        lot::line(self.crew.address(), |line| {
            while self.crew.read().searching() == 0 && !line.is_empty() && !self.call_front(line) {}
        });
    }

    /// The front one searches from now on, if it has not given up.
    fn call_front(&self, line: &mut Line<'_>) -> bool {
        // First: it is awake the instant it is granted.
        self.crew.unparks();
        let is_called = line.grant_front(0);
        if !is_called {
            // It says for itself that it is not parked any more.
            self.crew.parks();
        }
        is_called
    }

    /// All parked workers look whether they are needed.
    pub(super) fn call_all(&self) {
        lot::line(self.crew.address(), |line| {
            while !line.is_empty() {
                self.call_front(line);
            }
        });
    }

    /// Starts a worker if there is room and more tasks wait than workers are idle.
    ///
    /// # Errors
    ///
    /// If none can be started and there is none.
    #[cold]
    fn hire(self: &Arc<Pool>) -> Result<(), SubmitRefusal> {
        let number = {
            let mut state = self.state.lock();
            if !self.has_room(&state) || self.queue.len() <= self.crew.read().idle() {
                return Ok(());
            }
            // It counts before it is there, so that not too many are started.
            self.crew.begins_to_search();
            state.workers += 1;
            state.started += 1;
            self.set_room(&state);
            state.started - 1
        };
        let Err(error) = self.start(number) else {
            return Ok(());
        };
        let mut state = self.state.lock();
        state.workers -= 1;
        state.is_refused = state.workers > 0;
        let is_deserted = state.workers == 0;
        self.set_room(&state);
        drop(state);
        let _ = self.crew.ends_to_search();
        // Somebody may have relied on the one that did not come.
        if self.crew.read().parked() > 0 {
            self.call_one();
        }
        match is_deserted {
            true => Err(SubmitRefusal::Broken(
                format!("cannot start a thread: {error}").into(),
            )),
            false => Ok(()),
        }
    }

    fn start(self: &Arc<Pool>, number: usize) -> io::Result<()> {
        let name = format!("{}_{number}", self.settings.prefix);
        let pool = Arc::clone(self);
        // SAFETY: it borrows nothing.
        unsafe { spawn_unchecked(&name, self.settings.stack_size, move || worker::work(pool)) }
    }

    fn has_room(&self, state: &State) -> bool {
        let limit = (state.most + self.settings.most_spare).min(MOST_WORKERS);
        state.workers - state.away < state.most
            && state.workers < limit
            && !state.is_refused
            && !state.is_over
    }

    pub(super) fn set_room(&self, state: &State) {
        let has_excess = state.workers - state.away > state.most;
        self.crew.set_room(self.has_room(state), has_excess);
    }

    /// The next task for a worker that searches; nothing if it is to go.
    pub(super) fn next(self: &Arc<Pool>) -> Option<Arc<dyn Job>> {
        loop {
            let limit = match self.settings.keep_alive {
                Some(time) => Limit::from(time),
                None => Limit::none(),
            };
            match wait(&mut Idle::new(self), &limit, Location::caller()) {
                Ok(Next::Task(job)) => return Some(job),
                Ok(Next::Gone) => return None,
                // It has not been searching any more since it gave up.
                Err(_) if self.goes_if(|state| state.workers > self.settings.least) => return None,
                Err(_) => self.crew.begins_to_search(),
            }
        }
    }

    /// A task has been found by a worker that searched for it.
    pub(super) fn has_found(self: &Arc<Pool>) {
        let before = self.crew.ends_to_search();
        if before.searching() == 1 && (before.parked() > 0 || before.has_room()) {
            self.look_after_queue();
        }
    }

    /// Nobody may be searching any more: is there something to be searched for?
    pub(super) fn look_after_queue(self: &Arc<Pool>) {
        fence(Ordering::SeqCst);
        if !self.queue.is_empty()
            && let Err(why) = self.see_to_queue(self.crew.read())
        {
            self.tidy(&why);
        }
    }

    /// The worker goes if `it_may`. It does not search any more.
    pub(super) fn goes_if(self: &Arc<Pool>, it_may: impl FnOnce(&State) -> bool) -> bool {
        let mut state = self.state.lock();
        let goes = it_may(&state);
        if goes {
            state.workers -= 1;
            state.is_refused = false;
            self.set_room(&state);
            let end = self.end_of(&mut state);
            drop(state);
            self.tell(end);
            // Even if it is shut: something may have been pushed since this worker's last look, and whoever
            // takes it back has seen that there is a worker.
            self.look_after_queue();
        }
        goes
    }

    /// Is it (drained, ended)?
    fn end_of(&self, state: &mut State) -> (bool, bool) {
        let is_shut = self.crew.read().is_shut();
        // Whoever has read that it was not shut has pushed before this look.
        fence(Ordering::SeqCst);
        // What is pushed from now on is taken back: nobody starts a worker that might come first.
        state.is_over |= is_shut && state.workers == state.aside && self.queue.is_empty();
        (state.is_over, state.is_over && state.workers == 0)
    }

    fn tell(&self, (is_drained, has_ended): (bool, bool)) {
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
            SubmitRefusal::ShutDown => self.hire(),
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
        if let Err(SubmitRefusal::Broken(why)) = hired {
            for job in rest {
                contain(|| {
                    job.drop_with(TaskError::Broken(why.clone()));
                });
            }
        }
        self.tell(end);
    }

    /// Stops accepting tasks.
    pub(super) fn shut_down(&self, pending: Shutdown) {
        self.crew.shut();
        // Whoever reads that it is not shut has pushed before what follows looks into the queue.
        fence(Ordering::SeqCst);
        let mut cancelled = Vec::new();
        if pending == Shutdown::Immediate {
            while let Some(job) = self.queue.pop() {
                cancelled.push(job);
            }
        }
        self.call_all();
        let end = self.end_of(&mut self.state.lock());
        self.tell(end);
        // With nothing locked: callbacks run here.
        for job in cancelled {
            contain(|| {
                job.drop_with(TaskError::Cancelled);
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
                worker::run(job);
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
