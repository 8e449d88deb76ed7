//! [`Pool`]: what a thread pool's owner and its workers share: the queue, who is there, and the end.
//!
//! Tasks go through a queue without a lock, if they need no order of their own. The head count is under a short lock, which is taken when a
//! worker comes, goes, or sleeps in the middle of a task; not for a task.

use super::bound::Bound;
use super::crew::{Crew, MOST_WORKERS, Reading};
use super::fork_join::{Forker, Forks};
use super::idle::{Found, Idle, Next};
use super::start::Start;
use super::stats::{Tallies, WorkersTally};
use super::tasks::Tasks;
use super::worker::{self, Sleep};
use crate::executor::task::Job;
use crate::executor::{SubmitRefusal, TaskError};
use crate::panic::contain;
use crate::platform::atomic::{Ordering, fence};
use crate::platform::{Mutex, forked, spawn_unchecked};
use crate::sync::Event;
use crate::wait::lot::{self, Line};
use crate::wait::wait;
use crate::{CancelToken, GaveUp, Limit, Shutdown, exit};
use crossbeam_utils::CachePadded;
use std::io::{self, Write};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What does not change.
pub(super) struct Settings {
    pub(super) prefix: Arc<str>,
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
    /// What each worker does first.
    pub(super) start: Arc<Start>,
    /// Do tasks say how long they have waited and run?
    pub(super) measures: bool,
    pub(super) by_priority: bool,
    /// So many work on the branches of one fork at a time.
    pub(super) most_forking: usize,
}

/// See the head of this file.
pub(super) struct Pool {
    pub(super) settings: Settings,
    /// The generation of the process that has its workers.
    generation: u8,
    pub(super) queue: CachePadded<Tasks>,
    pub(super) crew: CachePadded<Crew>,
    pub(super) state: Mutex<State>,
    /// How many tasks may wait, if there is a limit.
    pub(super) bound: Option<Bound>,
    /// Does no task need more than to be put into the queue?
    pub(super) is_plain: bool,
    /// Above the tokens of tasks that have one: cancelled when no task is to go on.
    pub(super) interrupt: CancelToken,
    pub(super) forks: Forks,
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
    /// Those of them that do what comes before the first task. They are not counted among those who search, so that
    /// nobody relies on them who could wake another.
    pub(super) starting: usize,
    /// Those that are not counted as workers any more, and are still to drop what they have kept.
    pub(super) leaving: usize,
    /// Those of them that sleep in the middle of a task, and are replaced.
    pub(super) away: usize,
    /// What those of them sleep on that wait without a limit for tasks of this pool, and for which: each until it wakes up.
    pub(super) expecting: Vec<(Sleep, Option<Arc<dyn Job>>)>,
    /// One of these tasks is just being given up.
    pub(super) gives_up: bool,
    /// Whoever does that is to see whether there is another one.
    pub(super) looks_again: bool,
    /// Those whose task waits for the program's end, which therefore does not wait for them.
    aside: usize,
    /// Workers started ever; the next one's number.
    started: usize,
    /// There will be no more workers: all that was accepted has been done, by those who are there at least.
    is_over: bool,
    /// The system had no thread for another worker, and no worker has gone or woken up since.
    pub(super) is_refused: bool,
    /// Why it can run nothing any more; it is shut then.
    broken: Option<Arc<str>>,
    pub(super) tallies: Tallies,
}

impl Pool {
    pub(super) fn new(settings: Settings, most: usize, bound: Option<Bound>) -> Pool {
        Pool {
            generation: forked::generation(),
            queue: CachePadded::new(Tasks::new(settings.by_priority)),
            is_plain: bound.is_none() && !settings.measures,
            bound,
            interrupt: CancelToken::new(),
            crew: CachePadded::new(Crew::new()),
            state: Mutex::new(State {
                most,
                workers: 0,
                starting: 0,
                leaving: 0,
                away: 0,
                expecting: Vec::new(),
                gives_up: false,
                looks_again: false,
                aside: 0,
                started: 0,
                is_over: false,
                is_refused: false,
                broken: None,
                tallies: Tallies::new(settings.measures),
            }),
            settings,
            forks: Forks::new(),
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
            true => Err(self.why_shut()),
            false => Ok(()),
        }
    }

    /// Called when it is shut.
    #[cold]
    pub(super) fn why_shut(&self) -> SubmitRefusal {
        match &self.state.lock().broken {
            Some(why) => SubmitRefusal::Broken(Arc::clone(why)),
            None => SubmitRefusal::ShutDown,
        }
    }

    /// Is the calling thread one of its workers?
    pub(super) fn is_mine(&self) -> bool {
        worker::is_of(self.address())
    }

    /// Enters a task. If it is refused, the caller takes it back, unless somebody has claimed it, and calls
    /// `tidy`.
    #[inline]
    pub(super) fn push(self: &Arc<Pool>, job: Arc<dyn Job>) -> Result<(), SubmitRefusal> {
        self.push_with_priority(0, job)
    }

    /// As `push`; the lowest number first, if the pool has an order by priority.
    #[inline]
    pub(super) fn push_with_priority(
        self: &Arc<Pool>,
        priority: i32,
        job: Arc<dyn Job>,
    ) -> Result<(), SubmitRefusal> {
        self.queue.push_with_priority(priority, job);
        // See the head of `crew.rs`.
        fence(Ordering::SeqCst);
        let crew = self.crew.read();
        if crew.is_shut() {
            return Err(self.why_shut());
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
            return self.hire_for_queue();
        }
        Ok(())
    }

    /// Wakes a parked worker, unless one searches.
    #[cold]
    pub(super) fn call_one(&self) {
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
    /// As `hire`.
    #[cold]
    fn hire_for_queue(self: &Arc<Pool>) -> Result<(), SubmitRefusal> {
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

    fn has_room(&self, state: &State) -> bool {
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

    /// Puts tasks into the queue again that were taken out of it and stay accepted. Workers may have found it empty
    /// meanwhile, and sleep or have gone.
    pub(super) fn put_back(self: &Arc<Pool>, jobs: Vec<Arc<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        for job in &jobs {
            self.queue.push(Arc::clone(job));
        }
        fence(Ordering::SeqCst);
        if !self.crew.read().is_shut() {
            return self.look_after_queue();
        }
        // As who is refused does: perhaps nobody else is there any more.
        for job in jobs {
            contain(|| {
                job.run();
            });
        }
        self.tidy(&self.why_shut());
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
    fn end_of(&self, state: &mut State) -> (bool, bool) {
        let is_shut = self.crew.read().is_shut();
        // Whoever has read that it was not shut has pushed before this look.
        fence(Ordering::SeqCst);
        // What is pushed from now on is taken back: nobody starts a worker that might come first.
        state.is_over |= is_shut && state.workers == state.aside && self.queue.is_empty();
        let is_over = state.is_over && state.leaving == 0;
        (is_over, is_over && state.workers == 0)
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
