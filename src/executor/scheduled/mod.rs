//! [`ScheduledExecutor`]: a pool's tasks, at an instant or again and again.
//!
//! Two [`Scheduler`]s, one for what is called once and one for what repeats, hand each call to a pool as its time
//! comes. There is no mechanism of its own but the gate: who schedules holds it open while it looks whether that is
//! still allowed and sets the timer, and who shuts down closes it first. So what was accepted is known to the
//! scheduler when it is called off or waited for.

mod task;

pub use task::{NotYet, ScheduledTask};

use super::{Executor, SubmitError, SubmitRefusal, ThreadPoolExecutor};
use crate::platform::forked;
use crate::sync::{Event, RwLock};
use crate::time::{Misfire, Scheduler, Tick};
use crate::{GaveUp, Limit, Shutdown};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A pool that calls functions after a delay, at a fixed rate, or with a fixed delay in between.
///
/// Time is kept by the crate's [wheel](crate::time), and by the [`ManualClock`](crate::time::ManualClock) that the
/// calling thread is on; the functions are called by a pool: [its own](ScheduledExecutor::new), or
/// [one that others use too](ScheduledExecutor::on). A call that comes when all its threads are busy waits for one.
///
/// * **Never twice at a time**: the next call of one that repeats begins after the last one has ended, be it in
///   another thread. What becomes of calls at a fixed rate that this makes late, says the [`Misfire`] policy; they are
///   left out unless another one is asked for.
/// * **A panic** of a function is the error of its task. One that repeats ends with it; the executor goes on.
/// * **Cancelling** says whether that has prevented a call: [`ScheduledTask::cancel`].
///
/// # The end
///
/// * [`shutdown`](ScheduledExecutor::shutdown) ends what repeats, after the call that is running. What is to be called
///   once still is, when its time comes, with [`Shutdown::Drain`]; it is cancelled with [`Shutdown::Immediate`].
/// * **Dropping** the executor cancels all that has not begun. If the pool is its own, it waits for calls that are
///   running, unless one of them drops it.
/// * **The program's [end](crate::exit)**, if `main` has a guard, waits for calls that are running, and for no delay:
///   what has not begun is [`Lost`](super::TaskError::Lost).
/// * **A forked child** has none of it: what its parent has scheduled is [`Lost`](super::TaskError::Lost) there, and
///   the executor refuses tasks as [`Broken`](SubmitRefusal::Broken).
///
/// # Cost
///
/// A task is one allocation, and each of its calls another two and what a task of the pool costs. To schedule and to
/// cancel takes the same time however many there are.
///
/// # Source
///
/// Java's `ScheduledThreadPoolExecutor`, with its default policies at shutdown, but for calls that are late, which it
/// makes up for.
///
/// ```
/// use latchwork::executor::ScheduledExecutor;
/// use latchwork::time::Cancel;
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let scheduled = ScheduledExecutor::new(2);
/// let soon = scheduled.after(Duration::from_millis(1), || 6 * 7)?;
/// assert_eq!(soon.result()?, 42);
///
/// let (send, beats) = mpsc::channel();
/// let pulse = scheduled.at_fixed_rate(Duration::ZERO, Duration::from_millis(1), move |beat| {
///     let _ = send.send(beat.number());
/// })?;
/// assert_eq!(beats.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
/// pulse.cancel();
///
/// let late = scheduled.after(Duration::from_secs(3600), || ())?;
/// assert_eq!(late.cancel(), Cancel::Prevented);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "ScheduledThreadPoolExecutor")]
#[doc(alias = "ScheduledExecutorService")]
pub struct ScheduledExecutor {
    gate: Arc<Gate>,
    once: Scheduler,
    repeated: Scheduler,
    /// Set once it is shut.
    shut: Event,
    generation: u8,
    pool: Pool,
    has_own_pool: bool,
}

type Pool = Arc<dyn Deref<Target = ThreadPoolExecutor> + Send + Sync>;

/// What is looked at when something is scheduled, and when a call's time has come.
struct Gate {
    /// Read while something is scheduled, so that it is either refused or seen by who shuts down.
    is_open: RwLock<bool>,
    /// Read while a call is handed over. Gone with the executor: the last reference to a pool waits for its threads
    /// as it is dropped, and that must not be the thread that turns the wheel.
    pool: RwLock<Option<Pool>>,
}

impl ScheduledExecutor {
    /// One with a pool of its own, of at most `max_workers` threads.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0.
    pub fn new(max_workers: usize) -> ScheduledExecutor {
        ScheduledExecutor::from(ThreadPoolExecutor::new(max_workers))
    }

    /// One that has its functions called by a pool that others use too, and leaves it alone at its end: an
    /// `Arc<ThreadPoolExecutor>`, or [`global()`](super::global()).
    ///
    /// If that is shut down, what has not begun is [`Lost`](super::TaskError::Lost) when its time comes.
    ///
    /// ```
    /// use latchwork::executor::{self, ScheduledExecutor};
    /// use std::time::Duration;
    ///
    /// let scheduled = ScheduledExecutor::on(executor::global());
    /// assert_eq!(scheduled.after(Duration::from_millis(1), || 1)?.result()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on(
        pool: impl Deref<Target = ThreadPoolExecutor> + Send + Sync + 'static,
    ) -> ScheduledExecutor {
        ScheduledExecutor::with(Arc::new(pool), false)
    }

    fn with(pool: Pool, has_own_pool: bool) -> ScheduledExecutor {
        let gate = Arc::new(Gate {
            is_open: RwLock::new(true),
            pool: RwLock::new(Some(Arc::clone(&pool))),
        });
        let scheduler = || {
            let gate = Arc::clone(&gate);
            Scheduler::on(move |call| {
                let refused = match &*gate.pool.read() {
                    Some(pool) => pool.spawn(call).err().map(|refused| refused.value),
                    None => Some(call),
                };
                // With nothing locked: its timer is told that it is lost.
                drop(refused);
            })
        };
        ScheduledExecutor {
            once: scheduler(),
            repeated: scheduler(),
            gate,
            shut: Event::new(),
            generation: forked::generation(),
            pool,
            has_own_pool,
        }
    }

    /// The pool that calls the functions: for tasks without a delay.
    pub fn pool(&self) -> &ThreadPoolExecutor {
        &self.pool
    }

    /// Has `f` called once, `delay` from now; one that is too long for the clock means never.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with `f`, after shutdown, or in a forked child.
    ///
    /// # Panics
    ///
    /// As all that sets a [`Timer`](crate::time::Timer).
    #[doc(alias = "schedule")]
    pub fn after<F, R>(&self, delay: Duration, f: F) -> Result<ScheduledTask<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.accept(f, |f| ScheduledTask::new(self.once.after(delay, f)))
    }

    /// Has `f` called again and again: `initial` from now, and whole periods after that. Calls whose instant has
    /// passed before the last one had ended are left out, and [counted](Tick::missed).
    ///
    /// It goes on until it is cancelled, the executor is shut down, `f` says [`stop`](Tick::stop), or `f` panics.
    ///
    /// # Errors
    ///
    /// As for [`after`](ScheduledExecutor::after).
    ///
    /// # Panics
    ///
    /// If `period` is zero; and as `after`.
    #[doc(alias = "scheduleAtFixedRate")]
    pub fn at_fixed_rate<F>(
        &self,
        initial: Duration,
        period: Duration,
        f: F,
    ) -> Result<ScheduledTask, SubmitError<F>>
    where
        F: FnMut(&Tick) + Send + 'static,
    {
        self.at_fixed_rate_or(Misfire::Skip, initial, period, f)
    }

    /// As [`at_fixed_rate`](ScheduledExecutor::at_fixed_rate), with another policy for calls that are late.
    /// [`Misfire::CatchUp`] is Java's.
    ///
    /// # Errors
    ///
    /// As for [`after`](ScheduledExecutor::after).
    ///
    /// # Panics
    ///
    /// If `period` is zero; and as `after`.
    pub fn at_fixed_rate_or<F>(
        &self,
        misfire: Misfire,
        initial: Duration,
        period: Duration,
        f: F,
    ) -> Result<ScheduledTask, SubmitError<F>>
    where
        F: FnMut(&Tick) + Send + 'static,
    {
        let every = self.repeated.every(period).first_after(initial);
        self.accept(f, |f| ScheduledTask::new(every.misfire(misfire).run(f)))
    }

    /// Has `f` called again and again: `initial` from now, and each time `delay` after the last call has ended.
    /// Otherwise as [`at_fixed_rate`](ScheduledExecutor::at_fixed_rate).
    ///
    /// # Errors
    ///
    /// As for [`after`](ScheduledExecutor::after).
    ///
    /// # Panics
    ///
    /// If `delay` is zero; and as `after`.
    #[doc(alias = "scheduleWithFixedDelay")]
    pub fn with_fixed_delay<F>(
        &self,
        initial: Duration,
        delay: Duration,
        f: F,
    ) -> Result<ScheduledTask, SubmitError<F>>
    where
        F: FnMut(&Tick) + Send + 'static,
    {
        let every = self.repeated.every(delay).first_after(initial);
        self.accept(f, |f| ScheduledTask::new(every.fixed_delay().run(f)))
    }

    fn accept<F, T>(&self, f: F, schedule: impl FnOnce(F) -> T) -> Result<T, SubmitError<F>> {
        if self.is_left_behind() {
            let why = "its threads did not come along when the process was forked";
            return Err(SubmitError::new(f, SubmitRefusal::Broken(why.into())));
        }
        let is_open = self.gate.is_open.read();
        match *is_open {
            true => Ok(schedule(f)),
            false => Err(SubmitError::new(f, SubmitRefusal::ShutDown)),
        }
    }

    /// Has this process been forked from the one that made it?
    fn is_left_behind(&self) -> bool {
        self.generation != forked::generation()
    }

    /// How many tasks have not ended.
    ///
    /// Looks at each of them.
    pub fn pending(&self) -> usize {
        self.once.pending() + self.repeated.pending()
    }

    /// Accepts nothing any more, and waits for nothing. What repeats is cancelled. What is to be called once is so,
    /// too, with [`Shutdown::Immediate`]; with [`Shutdown::Drain`] it is called when its time comes. Idempotent;
    /// `Immediate` after `Drain` cancels the rest.
    pub fn shutdown(&self, pending: Shutdown) {
        if self.is_left_behind() {
            return;
        }
        *self.gate.is_open.write() = false;
        // With nothing locked: what the functions had captured is dropped here.
        self.repeated.cancel_all();
        if pending == Shutdown::Immediate {
            self.once.cancel_all();
        }
        self.shut.set();
    }

    /// Has it been shut down?
    pub fn is_shutdown(&self) -> bool {
        self.shut.is_set()
    }

    /// As [`join_within`](ScheduledExecutor::join_within), without a limit.
    #[doc(alias = "awaitTermination")]
    pub fn join(&self) {
        let _ = self.join_within(Limit::none());
    }

    /// Blocks, at most as long as `limit` says, until it has been shut down and its last call has ended; and the
    /// threads of the pool, if that is its own. Called by one of its tasks, it waits for itself.
    ///
    /// # Errors
    ///
    /// Why it gave up; the executor goes on ending.
    pub fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        if self.is_left_behind() {
            return Ok(());
        }
        let limit = limit.into();
        self.shut.wait_within(limit)?;
        self.repeated.join_within(limit)?;
        self.once.join_within(limit)?;
        if self.has_own_pool {
            self.pool.shutdown(Shutdown::Drain);
            self.pool.join_within(limit)?;
        }
        Ok(())
    }
}

/// Takes the pool over: it is the executor's own from now on.
impl From<ThreadPoolExecutor> for ScheduledExecutor {
    fn from(pool: ThreadPoolExecutor) -> ScheduledExecutor {
        ScheduledExecutor::with(Arc::new(Box::new(pool)), true)
    }
}

impl Drop for ScheduledExecutor {
    fn drop(&mut self) {
        if self.is_left_behind() {
            return;
        }
        self.shutdown(Shutdown::Immediate);
        // So the last reference to its own pool is the one that is dropped next, in this thread.
        let pool = self.gate.pool.write().take();
        drop(pool);
    }
}

impl fmt::Debug for ScheduledExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_left_behind() {
            return f.write_str("ScheduledExecutor(left behind by a fork)");
        }
        f.debug_struct("ScheduledExecutor")
            .field("pending", &self.pending())
            .field("is_shutdown", &self.is_shutdown())
            .field("pool", self.pool())
            .finish()
    }
}
