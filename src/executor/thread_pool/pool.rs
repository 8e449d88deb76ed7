//! [`Pool`]: what a thread pool's owner and its workers share: the queue, and who is there.
//!
//! Tasks go through a queue without a lock, if they need no order of their own. The head count is under a short lock, which is taken when a
//! worker comes, goes, or sleeps in the middle of a task; not for a task.

use super::bound::Bound;
use super::crew::{Crew, Reading};
use super::fork_join::Forks;
use super::start::Start;
use super::stats::Tallies;
use super::tasks::Tasks;
use super::worker::{self, Sleep};
use crate::CancelToken;
use crate::executor::SubmitRefusal;
use crate::executor::task::Job;
use crate::panic::contain;
use crate::platform::atomic::{Ordering, fence};
use crate::platform::{Mutex, forked};
use crate::sync::Event;
use crate::wait::lot::{self, Line};
use crossbeam_utils::CachePadded;
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
    pub(super) generation: u8,
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
    pub(super) drained: Event,
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
    pub(super) aside: usize,
    /// Workers started ever; the next one's number.
    pub(super) started: usize,
    /// There will be no more workers: all that was accepted has been done, by those who are there at least.
    pub(super) is_over: bool,
    /// The system had no thread for another worker, and no worker has gone or woken up since.
    pub(super) is_refused: bool,
    /// Why it can run nothing any more; it is shut then.
    pub(super) broken: Option<Arc<str>>,
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
}
