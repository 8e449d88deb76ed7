//! A worker's life, and what it does when its task waits.
//!
//! A task that waits for another task of the same pool would, with all workers doing so, wait for ever. So:
//!
//! 1. If that other task has not started, the worker runs it there and then. Whoever waits for a task could not go on
//!    before that had ended, so nothing can go wrong by this that would have gone right without: a lock that the
//!    waiting one holds and the other one wants is a deadlock either way.
//! 2. If it runs already, if three quarters of the stack are in use, if the waiting task has the worker's state, or if the wait has a limit, which could not be kept, the
//!    worker sleeps, and is replaced: as long as it does, the pool may have one more.
//! 3. If there can be no more, and *all* workers wait without a limit for tasks of this pool, then one of these that has
//!    not started is given up: its future says so ([`TaskError::WouldDeadlock`]).

use super::fork_join::{self, Forker};
use super::idle::{Found, IDLE};
use super::pool::{Pool, State};
use super::scope;
use super::start::{self, Start};
use super::stats::{Tallies, WorkersTally};
use crate::executor::TaskError;
use crate::executor::task::{Job, is_awaited_by};
use crate::panic::{contain, report};
use crate::platform::{Moment, stack, thread_local};
use crate::wait::Kind;
use crate::wait::asleep::{self, Onlooker};
use crate::wait::decision::Decision;
use std::cell::{Cell, RefCell};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    /// This thread's, if it is a worker.
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// In a thread whose stack is not known, so many tasks run one inside the other.
const DEEPEST: usize = if cfg!(loom) { 2 } else { 16 };

/// A worker, as it sees itself.
pub(super) struct Worker {
    pub(super) pool: Arc<Pool>,
    pub(super) forker: Forker,
    /// Below this address there is a quarter of the stack left; 0 if that is not known.
    deep: usize,
    /// How many tasks it runs, one inside the other.
    pub(super) depth: Cell<usize>,
    /// The task of this pool that it waits for, without a limit.
    expects: RefCell<Option<Arc<dyn Job>>>,
    tally: WorkersTally,
    /// What it keeps for its tasks, while it is not lent to one.
    kept: Cell<Option<start::State>>,
    /// A task has it. While that waits it must not meet another that wants it, so none runs on top of it.
    is_lent: Cell<bool>,
    /// What it has left in the pool's state for as long as it sleeps.
    sleep: Cell<Option<Sleep>>,
    is_for_branch: Cell<bool>,
    /// It does not count as a worker any more: what it still does, as it drops what it had kept, nobody replaces.
    has_gone: Cell<bool>,
}

/// Is this a worker of the pool with that address?
pub(crate) fn is_of(pool: usize) -> bool {
    with(|worker| worker.pool.address() == pool) == Some(true)
}

/// The current thread's, which stands as long as the task that runs here.
#[inline]
pub(super) fn current() -> Option<NonNull<Worker>> {
    NonNull::new(WORKER.with(Cell::get).cast_mut())
}

#[inline]
pub(super) fn with<R>(f: impl FnOnce(&Worker) -> R) -> Option<R> {
    let worker = WORKER.with(Cell::get);
    // SAFETY: it lives in the frame of `work` beneath, which takes it out of here before it ends.
    unsafe { worker.as_ref() }.map(f)
}

/// What the calling worker's pool is called, if that is the pool with this address.
pub(crate) fn name_of(pool: usize) -> Option<Arc<str>> {
    with(|worker| {
        (worker.pool.address() == pool).then(|| Arc::clone(&worker.pool.settings.prefix))
    })?
}

/// A task of the pool with this address has run in this thread.
#[inline]
pub(crate) fn note_ran(pool: usize, has_succeeded: bool) {
    with(|worker| {
        if worker.pool.address() == pool {
            worker.tally.ran();
            if !has_succeeded {
                worker.tally.failed();
            }
        }
    });
}

/// The calling worker goes: what it has done is of the past.
pub(super) fn is_counted_out(tallies: &mut Tallies) {
    with(|worker| {
        worker.has_gone.set(true);
        tallies.leave(&worker.tally);
    });
}

/// Runs a task of the calling worker's pool in the middle of another one, unless somebody has claimed it, and lets go of
/// it. Nothing that it does unwinds.
pub(super) fn run_inside(job: Arc<dyn Job>) {
    with(|worker| {
        let depth = worker.depth.replace(worker.depth.get() + 1);
        worker.run(job);
        worker.depth.set(depth);
    });
}

/// How long a task takes; it is noted when this is dropped.
pub(super) struct Measured {
    waited: Duration,
    began: Moment,
}

impl Measured {
    /// A task that was accepted then begins.
    pub(super) fn begin(accepted: Moment) -> Measured {
        Measured {
            waited: accepted.elapsed(),
            began: Moment::now(),
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        with(|worker| {
            let is_inner = worker.depth.get() > 1;
            worker
                .tally
                .took(self.waited, self.began.elapsed(), is_inner);
        });
    }
}

/// Runs `f` with what the calling worker keeps. There is nothing if a task further down the stack has it, or one has
/// panicked with it, or this is no worker of that pool; then one is made for it.
pub(super) fn with_kept<R>(
    pool: usize,
    start: &Start,
    f: impl FnOnce(&mut start::State) -> R,
) -> Result<R, Arc<str>> {
    /// Lends it until this is dropped.
    struct Lent(Option<bool>);
    impl Drop for Lent {
        fn drop(&mut self) {
            if let Some(before) = self.0 {
                with(|worker| worker.is_lent.set(before));
            }
        }
    }
    let mine = |worker: &Worker| worker.pool.address() == pool;
    let kept = with(|worker| mine(worker).then(|| worker.kept.take()).flatten()).flatten();
    let mut kept = match kept {
        Some(kept) => kept,
        None => match start.state() {
            Ok(state) => state.expect("whoever asks for it has told how to make it"),
            Err(why) => {
                with(|worker| mine(worker).then(|| worker.pool.breaks(&why)));
                return Err(why);
            }
        },
    };
    let lent = Lent(with(|worker| mine(worker).then(|| worker.is_lent.replace(true))).flatten());
    let result = f(&mut kept);
    drop(lent);
    // Another one is dropped here: made for this task, or for one on top of it.
    drop(with(|worker| match mine(worker) {
        true => worker.kept.replace(Some(kept)),
        false => Some(kept),
    }));
    Ok(result)
}

/// A worker's life. It is counted among those who search, or those who start.
pub(super) fn work(pool: Arc<Pool>, tally: WorkersTally) {
    act(&pool, tally, |worker| {
        if worker.starts() {
            worker.work();
        }
        report("what a worker had kept", || drop(worker.kept.take()));
    });
    // A child of a fork goes without a word: nobody is there to hear it.
    if pool.settings.start.is_needed() && !pool.is_left_behind() {
        pool.has_left();
    }
}

/// This thread is a worker of the pool while `f` runs, which does not unwind.
pub(super) fn act<R>(pool: &Arc<Pool>, tally: WorkersTally, f: impl FnOnce(&Worker) -> R) -> R {
    let stack = stack();
    let worker = Worker {
        pool: Arc::clone(pool),
        forker: Forker::new(),
        deep: stack.start + stack.len() / 4,
        depth: Cell::new(0),
        expects: RefCell::new(None),
        tally,
        kept: Cell::new(None),
        is_lent: Cell::new(false),
        sleep: Cell::new(None),
        is_for_branch: Cell::new(false),
        has_gone: Cell::new(false),
    };
    WORKER.with(|place| place.set(&worker));
    // SAFETY: it is dropped at the end of this function, which does not unwind.
    let watched = unsafe { asleep::watch(&worker) };
    let result = f(&worker);
    worker.forker.leave(&worker.pool);
    drop(watched);
    WORKER.with(|place| place.set(ptr::null()));
    result
}

impl Worker {
    /// Does what comes before the first task. False if it goes because of that.
    fn starts(&self) -> bool {
        let (pool, start) = (&self.pool, &self.pool.settings.start);
        if !start.is_needed() {
            return true;
        }
        self.depth.set(1);
        let why = match start.run() {
            _ if pool.is_left_behind() => return false,
            Ok(kept) => {
                self.kept.set(kept);
                pool.has_started();
                return true;
            }
            Err(why) => why,
        };
        pool.breaks(&why);
        pool.goes_if(|state| {
            state.starting -= 1;
            true
        });
        false
    }

    fn work(&self) {
        let pool = &self.pool;
        while let Some(first) = pool.next(&self.forker) {
            let mut next = Some(first);
            while let Some(found) = next {
                self.depth.set(1);
                match found {
                    Found::Task(job) => self.run(job),
                    Found::Branch(branch) => self.forker.run_found(pool, branch),
                }
                if pool.is_left_behind() {
                    // The task has forked, and this is the child: what is pending is its parent's.
                    return;
                }
                if pool.crew.read().has_excess()
                    && pool.goes_if(|state| state.workers - state.away > state.most)
                {
                    return;
                }
                next = self.forker.find(pool);
            }
            pool.crew.begins_to_search();
        }
    }

    /// Runs the task, unless somebody has claimed it, and lets go of it. Nothing that it does unwinds.
    fn run(&self, job: Arc<dyn Job>) {
        contain(|| {
            if !job.run() && job.was_cancelled() {
                self.tally.cancelled();
            }
            drop(job);
        });
    }

    /// May another task run on top of the one that waits?
    fn may_help(&self) -> bool {
        self.has_stack() && !self.is_lent.get()
    }

    fn expect(&self, task: &Arc<dyn Job + '_>) -> Expecting {
        let task: Arc<dyn Job + '_> = Arc::clone(task);
        // SAFETY: only the lifetime changes. Whoever waits has the task for longer than it is in here, and
        // once it has ended there is nothing in it that it had borrowed.
        let task = unsafe { mem::transmute::<Arc<dyn Job + '_>, Arc<dyn Job + 'static>>(task) };
        Expecting(self.expects.replace(Some(task)))
    }

    /// Is there stack enough to run another task on top of this one?
    pub(super) fn has_stack(&self) -> bool {
        let here = 0_u8;
        match self.deep {
            0 => self.depth.get() < DEEPEST,
            deep => ptr::from_ref(&here).addr() > deep,
        }
    }
}

/// Before a wait without a limit for a task: runs it, if this is a worker of its pool and it has not started. Else the
/// wait is one for a task of this pool, until the result is dropped, if it is one.
pub(crate) fn help(task: &Arc<dyn Job + '_>) -> Option<Expecting> {
    with(|worker| {
        if task.home() != worker.pool.address() {
            return None;
        }
        if worker.may_help() {
            let depth = worker.depth.replace(worker.depth.get() + 1);
            task.run();
            worker.depth.set(depth);
        }
        Some(worker.expect(task))
    })?
}

/// As `help`, without running it.
pub(crate) fn expect(task: &Arc<dyn Job + '_>) -> Option<Expecting> {
    with(|worker| (task.home() == worker.pool.address()).then(|| worker.expect(task)))?
}

/// The worker waits for a task of its pool until this is dropped. What it waited for before, further down its stack.
pub(crate) struct Expecting(Option<Arc<dyn Job>>);

impl Drop for Expecting {
    fn drop(&mut self) {
        let before = self.0.take();
        drop(with(|worker| worker.expects.replace(before)));
    }
}

impl Onlooker for Worker {
    fn falls_asleep(&self, kind: &'static Kind, is_limited: bool, decision: &Decision) -> bool {
        let pool = &self.pool;
        let is_for_branch = fork_join::is_awaited_by(kind);
        let is_for_task = is_for_branch || is_awaited_by(kind) || scope::is_awaited_by(kind);
        self.forker.falls_asleep(pool);
        let is_replaced = is_for_task || pool.settings.replaces_all;
        if !is_replaced || ptr::eq(kind, &IDLE) || self.has_gone.get() || pool.is_left_behind() {
            return false;
        }
        let expected = self
            .expects
            .borrow()
            .clone()
            .filter(|_| is_for_task && !is_limited);
        // A branch that is waited for has begun, and has a worker.
        let is_expecting = expected.is_some() || is_for_branch;
        let sleep = Sleep(NonNull::from(decision));
        self.sleep.set(is_expecting.then_some(sleep));
        self.is_for_branch.set(is_for_branch);
        {
            let mut state = pool.state.lock();
            state.away += 1;
            state
                .expecting
                .extend(is_expecting.then_some((sleep, expected)));
            pool.set_room(&state);
        }
        pool.look_after_queue();
        if is_for_branch {
            pool.forks.rests();
            pool.invite_if(|| self.forker.sees_some(pool));
        }
        pool.give_one_up_if_stuck();
        true
    }

    fn wakes_up(&self) {
        let pool = &self.pool;
        if pool.is_left_behind() {
            return;
        }
        if self.is_for_branch.take() {
            pool.forks.goes_on();
        }
        let mut state = pool.state.lock();
        state.away -= 1;
        state.is_refused = false;
        // Its own alone: whoever waits has that task for longer, so nothing of the user's is dropped here, where a
        // panic would meet a node in a line, nor later than what it borrows.
        let own = self.sleep.take().and_then(|sleep| {
            let at = (state.expecting.iter()).position(|(other, _)| *other == sleep)?;
            Some(state.expecting.swap_remove(at))
        });
        pool.set_room(&state);
        drop(state);
        drop(own);
    }
}

/// What a worker sleeps on. In the pool's state, under whose lock it is looked at, from before the sleep until after it.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Sleep(NonNull<Decision>);

// SAFETY: a decision may be looked at by all threads.
unsafe impl Send for Sleep {}

impl Sleep {
    /// Will the worker go on, if it has not done so yet?
    fn is_over(self) -> bool {
        // SAFETY: whoever sleeps takes this out of the pool's state before the decision goes away.
        unsafe { self.0.as_ref() }.has_news()
    }
}

impl Pool {
    /// If all workers wait for tasks of this pool and there can be no more of them, ends a task that one of them waits for
    /// and that nobody could start any more.
    pub(super) fn give_one_up_if_stuck(&self) {
        let mut state = self.state.lock();
        state.looks_again = true;
        if state.gives_up {
            return;
        }
        // One at a time, so that no two are given up where one is enough: whoever does it looks again.
        state.gives_up = true;
        while mem::take(&mut state.looks_again) {
            if !self.is_stuck(&state) {
                continue;
            }
            let jobs: Vec<_> = (state.expecting.iter().rev())
                .filter_map(|(_, job)| job.clone())
                .collect();
            drop(state);
            // With nothing locked: a task that is made of others looks at them, and may be the last to let go of one.
            let mut stranded = None;
            contain(|| stranded = jobs.iter().find(|job| !job.is_claimed()));
            if let Some(job) = stranded {
                let is_stuck = {
                    let mut state = self.state.lock();
                    state.looks_again = true;
                    self.is_stuck(&state)
                };
                if is_stuck {
                    contain(|| {
                        job.drop_with(TaskError::WouldDeadlock);
                    });
                }
            }
            jobs.into_iter().for_each(|job| contain(|| drop(job)));
            state = self.state.lock();
        }
        state.gives_up = false;
    }

    /// Do all workers wait for tasks of this pool, without another one to come?
    fn is_stuck(&self, state: &State) -> bool {
        // One whose wait has ended, though it is not awake yet, will see to the others' tasks.
        state.expecting.len() == state.workers
            && !self.crew.read().has_room()
            && !state.expecting.iter().any(|(sleep, _)| sleep.is_over())
    }
}
