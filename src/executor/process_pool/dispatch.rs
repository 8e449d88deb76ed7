//! Who gets what: the pool's decisions, without its processes.
//!
//! A plain state machine. The reactor tells it what happened and carries out the [`Action`]s that
//! [`Dispatch::step`] returns; it does no I/O and reads no clock, so every order of events can be
//! tested. Invariants: a task is in exactly one place (the queue, or one worker) until it is given
//! back to the caller, which completes it; a worker has at most one task, so what is queued can
//! still be cancelled; no more than `max_workers` processes exist, the dying included.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Shutdown;

/// Consecutive starts that must fail before the pool gives up.
const START_ATTEMPTS: u32 = 5;
/// The pause after the first failed start; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A worker that has not said it is ready by then never will.
const START_GRACE: Duration = Duration::from_secs(30);
/// What a worker gets to run its exit handlers once it was told to leave.
const LEAVE_GRACE: Duration = Duration::from_secs(5);
/// What a worker that closed its socket gets to show how it ended, before it is killed.
const DEATH_GRACE: Duration = Duration::from_millis(200);

/// Names a worker of one pool; never used twice.
pub(super) type WorkerId = u64;

/// What the machine needs to know of a task.
pub(super) trait Task {
    /// What is sent to the worker.
    type Message;
    /// Starts the task, after which it can no longer be cancelled; `None` if it already was.
    fn start(&mut self) -> Option<Self::Message>;
    /// The message was not read by anybody: whether the task may be started once more.
    fn take_back(&mut self, message: Self::Message) -> bool;
}

/// What the reactor has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action<M> {
    /// Start a process, and report `ready`, `lost` or `ended` of this id.
    Spawn(WorkerId),
    /// Send this to the worker.
    Send(WorkerId, M),
    /// Close the worker's socket, at which it leaves.
    Close(WorkerId),
    /// Kill the worker.
    Kill(WorkerId),
}

#[derive(Debug)]
enum Worker<T> {
    /// Not ready yet. `attempt` is the number of failures known when it was started.
    Starting {
        attempt: u32,
        kill_at: Instant,
    },
    Idle,
    Busy(T),
    /// On its way out: told to leave, or it closed its socket.
    Leaving {
        task: Option<T>,
        /// Set when it never got ready, although nobody told it to leave.
        failed_attempt: Option<u32>,
        /// `None` once it was killed.
        kill_at: Option<Instant>,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing new comes; what is queued is still served.
    Closing,
    /// Workers cannot be started.
    Broken,
}

/// The state of a pool.
#[derive(Debug)]
pub(super) struct Dispatch<T: Task> {
    max_workers: usize,
    phase: Phase,
    queue: VecDeque<T>,
    workers: BTreeMap<WorkerId, Worker<T>>,
    /// The idle ones, the most recently used last: its caches are warm.
    idle: Vec<WorkerId>,
    next_id: WorkerId,
    /// Failed starts since a worker last got ready.
    failures: u32,
    start_not_before: Option<Instant>,
}

/// What the end of a process leaves to be completed.
#[derive(Debug)]
pub(super) struct Ended<T> {
    /// The task that ended with it.
    pub(super) task: Option<T>,
    /// Set when this was the failed start too many.
    pub(super) broken: Option<Broken<T>>,
}

/// The end of a pool that cannot start workers.
#[derive(Debug)]
pub(super) struct Broken<T> {
    /// What the error of every pending and later task says.
    pub(super) reason: Arc<str>,
    /// The tasks that were waiting.
    pub(super) pending: Vec<T>,
}

/// How many tasks are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) queued: usize,
    pub(super) running: usize,
}

impl<T: Task> Dispatch<T> {
    pub(super) fn new(max_workers: usize) -> Dispatch<T> {
        Dispatch {
            max_workers,
            phase: Phase::Open,
            queue: VecDeque::new(),
            workers: BTreeMap::new(),
            idle: Vec::new(),
            next_id: 0,
            failures: 0,
            start_not_before: None,
        }
    }

    /// A task came in.
    pub(super) fn submit(&mut self, task: T) {
        self.queue.push_back(task);
    }

    /// A worker is ready for its first task.
    pub(super) fn ready(&mut self, id: WorkerId) {
        if let Some(worker @ Worker::Starting { .. }) = self.workers.get_mut(&id) {
            *worker = Worker::Idle;
            self.idle.push(id);
            self.failures = 0;
            self.start_not_before = None;
        }
    }

    /// The task that this worker is running.
    pub(super) fn running(&self, id: WorkerId) -> Option<&T> {
        match self.workers.get(&id)? {
            Worker::Busy(task) => Some(task),
            Worker::Leaving { task, .. } => task.as_ref(),
            _ => None,
        }
    }

    /// A worker answered. Gives back the task that it was running. One that is leaving may have had
    /// that much to say, and gets no other task.
    pub(super) fn answered(&mut self, id: WorkerId) -> Option<T> {
        let worker = self.workers.get_mut(&id)?;
        if let Worker::Leaving { task, .. } = worker {
            return task.take();
        }
        match std::mem::replace(worker, Worker::Idle) {
            Worker::Busy(task) => {
                self.idle.push(id);
                Some(task)
            }
            other => {
                *worker = other;
                None
            }
        }
    }

    /// The worker's socket is closed or of no more use; the process may still exist.
    pub(super) fn lost(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let (task, failed_attempt) = match std::mem::replace(worker, Worker::Idle) {
            leaving @ Worker::Leaving { .. } => {
                *worker = leaving;
                return;
            }
            Worker::Starting { attempt, .. } => (None, Some(attempt)),
            Worker::Idle => (None, None),
            Worker::Busy(task) => (Some(task), None),
        };
        *worker = Worker::Leaving {
            task,
            failed_attempt,
            kill_at: Some(now + DEATH_GRACE),
        };
        self.idle.retain(|idle| *idle != id);
    }

    /// The worker is gone, and has not read the task that it was sent: the task is the next one again.
    pub(super) fn unread(&mut self, id: WorkerId, message: T::Message, now: Instant) {
        self.lost(id, now);
        if let Some(Worker::Leaving { task, .. }) = self.workers.get_mut(&id)
            && task.as_mut().is_some_and(|task| task.take_back(message))
        {
            task.take()
                .into_iter()
                .for_each(|task| self.queue.push_front(task));
        }
    }

    /// The worker's process is gone, or never came to be. `why` is for the error of a broken pool.
    pub(super) fn ended(&mut self, id: WorkerId, why: &str, now: Instant) -> Ended<T> {
        self.idle.retain(|idle| *idle != id);
        let (task, failed_attempt) = match self.workers.remove(&id) {
            Some(Worker::Starting { attempt, .. }) => (None, Some(attempt)),
            Some(Worker::Busy(task)) => (Some(task), None),
            Some(Worker::Leaving {
                task,
                failed_attempt,
                ..
            }) => (task, failed_attempt),
            Some(Worker::Idle) | None => (None, None),
        };
        let broken = failed_attempt.and_then(|attempt| self.start_failed(attempt, why, now));
        Ended { task, broken }
    }

    /// Counts a failed start. Several that were under way together count once: one cause.
    fn start_failed(&mut self, attempt: u32, why: &str, now: Instant) -> Option<Broken<T>> {
        if attempt == self.failures {
            let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16));
            self.start_not_before = Some(now + pause.min(LONGEST_PAUSE));
            self.failures = self.failures.saturating_add(1);
        }
        // A worker that runs is better than none: as long as one does, tasks go on.
        let serves = |worker: &Worker<T>| matches!(worker, Worker::Idle | Worker::Busy(_));
        if self.failures < START_ATTEMPTS || self.workers.values().any(serves) {
            return None;
        }
        self.phase = Phase::Broken;
        Some(Broken {
            reason: format!("{START_ATTEMPTS} workers in a row failed to start: {why}").into(),
            pending: self.queue.drain(..).collect(),
        })
    }

    /// No task will come any more. Gives back those that are to be cancelled.
    pub(super) fn shutdown(&mut self, pending: Shutdown) -> Vec<T> {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
        match pending {
            Shutdown::Drain => Vec::new(),
            Shutdown::Immediate => self.queue.drain(..).collect(),
        }
    }

    /// Whether everything is over: nothing queued, nothing running, no process left.
    pub(super) fn is_finished(&self) -> bool {
        self.phase != Phase::Open && self.queue.is_empty() && self.workers.is_empty()
    }

    /// How many tasks are where.
    pub(super) fn census(&self) -> Census {
        let runs = |worker: &&Worker<T>| {
            matches!(
                worker,
                Worker::Busy(_) | Worker::Leaving { task: Some(_), .. }
            )
        };
        Census {
            queued: self.queue.len(),
            running: self.workers.values().filter(runs).count(),
        }
    }

    /// What is to be done now.
    pub(super) fn step(&mut self, now: Instant) -> Vec<Action<T::Message>> {
        let mut actions = Vec::new();
        self.assign(&mut actions);
        if self.phase != Phase::Open && self.queue.is_empty() {
            self.dismiss(now, &mut actions);
        } else {
            self.hire(now, &mut actions);
        }
        self.put_down(now, &mut actions);
        actions
    }

    fn assign(&mut self, actions: &mut Vec<Action<T::Message>>) {
        while let Some(&id) = self.idle.last() {
            let Some(mut task) = self.queue.pop_front() else {
                return;
            };
            if let Some(message) = task.start() {
                self.idle.pop();
                self.workers.insert(id, Worker::Busy(task));
                actions.push(Action::Send(id, message));
            }
        }
    }

    fn hire(&mut self, now: Instant, actions: &mut Vec<Action<T::Message>>) {
        if self.start_not_before.is_some_and(|earliest| now < earliest) {
            return;
        }
        // While starts fail, one at a time is enough to find out whether they still do.
        let most = if self.failures > 0 { 1 } else { usize::MAX };
        let wanted = self.queue.len().min(most);
        let starting = |worker: &&Worker<T>| matches!(worker, Worker::Starting { .. });
        let mut starting = self.workers.values().filter(starting).count();
        while starting < wanted && self.workers.len() < self.max_workers {
            let id = self.next_id;
            self.next_id += 1;
            starting += 1;
            let attempt = self.failures;
            let kill_at = now + START_GRACE;
            self.workers
                .insert(id, Worker::Starting { attempt, kill_at });
            actions.push(Action::Spawn(id));
        }
    }

    fn dismiss(&mut self, now: Instant, actions: &mut Vec<Action<T::Message>>) {
        for (id, worker) in &mut self.workers {
            if matches!(worker, Worker::Idle | Worker::Starting { .. }) {
                *worker = Worker::Leaving {
                    task: None,
                    failed_attempt: None,
                    kill_at: Some(now + LEAVE_GRACE),
                };
                actions.push(Action::Close(*id));
            }
        }
        self.idle.clear();
    }

    fn put_down(&mut self, now: Instant, actions: &mut Vec<Action<T::Message>>) {
        for (id, worker) in &mut self.workers {
            match worker {
                Worker::Leaving { kill_at, .. } if kill_at.is_some_and(|at| at <= now) => {
                    *kill_at = None;
                    actions.push(Action::Kill(*id));
                }
                Worker::Starting { attempt, kill_at } if *kill_at <= now => {
                    *worker = Worker::Leaving {
                        task: None,
                        failed_attempt: Some(*attempt),
                        kill_at: None,
                    };
                    actions.push(Action::Kill(*id));
                }
                _ => {}
            }
        }
    }

    /// When `step` must be called even if nothing happens.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let kills = self.workers.values().filter_map(|worker| match worker {
            Worker::Starting { kill_at, .. } => Some(*kill_at),
            Worker::Leaving { kill_at, .. } => *kill_at,
            Worker::Idle | Worker::Busy(_) => None,
        });
        // A pause that is over is no reason to wake up: what waits now waits for a worker.
        let pause =
            (self.start_not_before).filter(|earliest| !self.queue.is_empty() && *earliest > now);
        kills.chain(pause).min()
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
