//! What a model needs and a program does not: a deadline that another modelled thread lets pass,
//! and a task without an executor around it.

use crate::executor::{TaskFuture, TaskPromise, task_pair};
use crate::platform::short::ShortLock;
use crate::thread::record::Record;
use crate::thread::registry::Registry;
use crate::wait::Canceller;
use crate::wait::time::{Alarm, Ring, Timeline};
use crate::{GaveUp, Limit};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A deadline without a clock. Waits under it end as timed out when somebody calls `pass`.
#[derive(Clone, Debug)]
pub struct Deadline(Arc<Canceller>);

impl Deadline {
    /// A deadline in the future.
    #[expect(clippy::new_without_default, reason = "a model says what it makes")]
    pub fn new() -> Deadline {
        Deadline(Arc::new(Canceller::timer()))
    }

    /// Now it has passed.
    pub fn pass(&self) {
        self.0.fire();
    }
}

impl<'a> From<&'a Deadline> for Limit<'a> {
    fn from(deadline: &'a Deadline) -> Limit<'a> {
        Limit::from(&*deadline.0)
    }
}

/// The side of a task that runs it.
pub struct Promise<R>(TaskPromise<R>);

/// A task that nobody runs but the model.
pub fn task<R: Send + 'static>() -> (Promise<R>, TaskFuture<R>) {
    let (promise, future) = task_pair();
    (Promise(promise), future)
}

impl<R> Promise<R> {
    /// Runs `f` as the task, unless it has been cancelled. Returns whether it ran.
    pub fn run(self, f: impl FnOnce() -> R) -> bool {
        let started = self.0.begin();
        if started {
            self.0.end(Ok(f()));
        }
        started
    }
}

/// From now on, in this execution of a model, whoever waits has waited for so long that they must not be
/// overtaken any more.
pub fn let_time_pass() {
    crate::wait::lot::let_time_pass();
}

/// From now on, in this execution of a model, idle workers of pools with a keep-alive time have stayed for as long.
pub fn let_keep_alive_pass() {
    crate::executor::let_keep_alive_pass();
}

/// From now on, in this execution of a model, the system has no thread for another worker.
pub fn let_threads_run_out() {
    crate::platform::let_threads_run_out();
}

/// From now on, in this execution of a model, deadlocks are looked for: it takes many interleavings.
pub fn watch_deadlocks() {
    crate::wait::deadlock::watch();
}

/// From now on, in this execution of a model, whoever waits looks once more before it sleeps, as it would
/// in a spin: it takes many interleavings.
pub fn look_first() {
    crate::wait::spin::look_first();
}

/// The machine's wheel, but for its clock: what is set has come.
#[derive(Clone)]
pub struct Turned(Arc<Timeline>, Instant);

/// Counts how it ends.
struct Counted {
    rung: AtomicUsize,
    lost: AtomicUsize,
}

impl Ring for Counted {
    fn ring(this: Arc<Alarm<Counted>>) {
        this.body.rung.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(this: Arc<Alarm<Counted>>) {
        this.body.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// An alarm on it.
pub struct TurnedAlarm(Arc<Alarm<Counted>>);

impl Turned {
    /// Nobody turns it yet.
    #[expect(clippy::new_without_default, reason = "a model says what it makes")]
    pub fn new() -> Turned {
        let before = Instant::now();
        Turned(Arc::new(Timeline::of_the_machine()), before)
    }

    /// Does what the thread does that turns it, until it is stopped.
    pub fn turn(&self) {
        while self.0.turn_and_sleep() {}
    }

    /// Sets an alarm whose instant has come.
    pub fn set(&self) -> TurnedAlarm {
        let alarm = Arc::new(Alarm::new(Counted {
            rung: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        }));
        self.0.arm(Arc::clone(&alarm), self.1);
        TurnedAlarm(alarm)
    }

    /// Takes it out. True if it does not ring.
    pub fn take_out(&self, alarm: &TurnedAlarm) -> bool {
        self.0.disarm(&alarm.0)
    }

    /// Ends it, and waits until nothing rings any more.
    pub fn stop(&self) {
        self.0.stop_within(&Limit::none()).expect("without a limit");
    }
}

impl TurnedAlarm {
    /// How often it has rung, and been lost.
    pub fn ends(&self) -> (usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (of(&self.0.body.rung), of(&self.0.body.lost))
    }
}

/// The lock that the other models replace by a mutex, around a number.
pub struct ShortCounter(ShortLock<usize>);

impl ShortCounter {
    /// At zero.
    #[expect(clippy::new_without_default, reason = "a model says what it makes")]
    pub fn new() -> ShortCounter {
        ShortCounter(ShortLock::new(0))
    }

    /// Adds one, in two steps that nobody must come between. Returns what there was.
    pub fn increment(&self) -> usize {
        let mut count = self.0.lock();
        let before = *count;
        *count = before + 1;
        before
    }

    /// The sum.
    pub fn count(&self) -> usize {
        *self.0.lock()
    }
}

/// A registry of threads of its own, whose threads are whatever the model says.
#[derive(Clone)]
pub struct Threads(Arc<Registry>);

/// A thread in [`Threads`].
pub struct Started {
    registry: Arc<Registry>,
    record: Arc<Record>,
}

impl Threads {
    /// Without any.
    #[expect(clippy::new_without_default, reason = "a model says what it makes")]
    pub fn new() -> Threads {
        Threads(Arc::new(Registry::new()))
    }

    /// A thread is about to start; `None` if it is too late.
    pub fn start(&self, is_daemon: bool) -> Option<Started> {
        let record = self.0.enter(is_daemon, "modelled").ok()?;
        let registry = Arc::clone(&self.0);
        Some(Started { registry, record })
    }

    /// Waits for all that are no daemons, and lets nobody start afterwards.
    pub fn wait<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.0.wait_for_non_daemons(limit)
    }

    /// How many are alive.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

impl Started {
    /// It ends.
    pub fn end(self) {
        self.registry.leave(&self.record);
    }
}

/// The last act of every model: threads that it has started by [`thread`](crate::thread) or in a pool have ended.
pub fn join_threads() {
    crate::platform::join_spawned();
}
