//! [`Scheduler`]: timers that belong together, called where one says.

use super::task::{Control, Course};
use super::timer::Single;
use super::{Every, Place, Timer, now};
use crate::panic::report;
use crate::platform::{Mutex, spawn_thread};
use crate::sync::{OwnedWaitToken, WaitGroup};
use crate::wait::time::{Alarm, Clock};
use crate::{GaveUp, Limit};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// What a timer's function is handed over as.
type Call = Box<dyn FnOnce() + Send>;
type Runner = Box<dyn Fn(Call) + Send + Sync>;

/// Timers that belong together: called where one says, and called off together.
///
/// Clones are the same scheduler. When the last of them is dropped its timers are cancelled; one whose function is
/// running goes on to its end.
///
/// # Source
///
/// Python's [`sched.scheduler`](https://docs.python.org/3/library/sched.html), without a thread that has to run
/// it.
///
/// ```
/// use latchwork::executor::ThreadPoolExecutor;
/// use latchwork::time::Scheduler;
/// use std::time::Duration;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let scheduler = Scheduler::on(move |call| drop(pool.spawn(call)));
/// let slow = scheduler.after(Duration::from_millis(1), || "in the pool's time");
/// let late = scheduler.after(Duration::from_secs(3600), || ());
/// assert_eq!(slow.join().unwrap(), "in the pool's time");
/// assert_eq!(scheduler.cancel_all(), 1);
/// assert!(late.join().is_err());
/// ```
#[doc(alias = "sched")]
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None`: in the thread that turns the wheel.
    runner: Option<Arc<Runner>>,
    group: Arc<Group>,
}

/// The timers that have not ended.
struct Group {
    timers: Mutex<Timers>,
    unfinished: Arc<WaitGroup>,
}

#[derive(Default)]
struct Timers {
    next: u64,
    set: BTreeMap<u64, Entry>,
}

struct Entry {
    /// Gone only with the timer's end.
    alarm: Weak<Alarm<dyn Control>>,
    clock: Clock,
    _unfinished: OwnedWaitToken,
}

impl Scheduler {
    /// Has functions called in the thread in which all timers ring: for what is done quickly.
    pub fn new() -> Scheduler {
        Scheduler::with(None)
    }

    /// Has functions called by `run`, which is given each as its time comes: it hands it to a pool, or starts a
    /// thread. It must be quick itself.
    ///
    /// A call that `run` drops, or that a pool drops which has been shut down, is [`Lost`](super::TimerError::Lost).
    pub fn on(run: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static) -> Scheduler {
        Scheduler::with(Some(Arc::new(Box::new(run))))
    }

    fn with(runner: Option<Arc<Runner>>) -> Scheduler {
        let group = Group {
            timers: Mutex::new(Timers::default()),
            unfinished: Arc::new(WaitGroup::new()),
        };
        Scheduler {
            shared: Arc::new(Shared {
                runner,
                group: Arc::new(group),
            }),
        }
    }

    /// As [`Timer::after`].
    pub fn after<R: Send + 'static>(
        &self,
        delay: Duration,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> Timer<R> {
        Scheduled::set(self, now().checked_add(delay), Single(f))
    }

    /// As [`Timer::at`].
    pub fn at<R: Send + 'static>(
        &self,
        at: Instant,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> Timer<R> {
        Scheduled::set(self, Some(at), Single(f))
    }

    /// As [`Timer::every`].
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    pub fn every(&self, period: Duration) -> Every {
        Every::new(period).on(self)
    }

    /// How many of its timers have not ended.
    ///
    /// Looks at each of them.
    pub fn pending(&self) -> usize {
        let has_not_ended =
            |(alarm, _): &&(Arc<Alarm<dyn Control>>, Clock)| !alarm.body.ended().is_done();
        self.shared
            .group
            .with_all(|all| all.iter().filter(has_not_ended).count())
    }

    /// Cancels all of its timers, and says how many calls that has prevented. More can be set afterwards.
    pub fn cancel_all(&self) -> usize {
        self.shared.group.cancel_all()
    }

    /// Blocks until all of its timers have ended. Not to be called by one of their functions, which would wait for
    /// itself, nor by any that is called in the thread that rings: that would hold up all timers. A child that was
    /// forked waits for those of its parent in vain.
    #[track_caller]
    pub fn join(&self) {
        self.shared.group.unfinished.wait();
    }

    /// Have all of its timers ended?
    pub fn try_join(&self) -> bool {
        // One that has ended may still be about to leave.
        self.shared.group.unfinished.try_wait() || self.pending() == 0
    }

    /// As [`join`](Scheduler::join), at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn join_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), GaveUp> {
        self.shared.group.unfinished.wait_within(limit)
    }

    /// As [`join`](Scheduler::join), without blocking a thread.
    #[track_caller]
    pub fn join_async(&self) -> impl Future<Output = ()> {
        self.shared.group.unfinished.wait_async()
    }
}

impl Default for Scheduler {
    fn default() -> Scheduler {
        Scheduler::new()
    }
}

impl Group {
    /// Looks at all that have not left, with nothing locked.
    fn with_all<T>(&self, look: impl FnOnce(&[(Arc<Alarm<dyn Control>>, Clock)]) -> T) -> T {
        let all: Vec<_> = {
            let timers = self.timers.lock();
            let entries = timers.set.values();
            entries
                .filter_map(|entry| Some((entry.alarm.upgrade()?, entry.clock.clone())))
                .collect()
        };
        let seen = look(&all);
        // They may have ended meanwhile, and this may be the last of them.
        report("what a timer has returned", || drop(all));
        seen
    }

    fn cancel_all(&self) -> usize {
        // With nothing locked: what the functions have captured is dropped here.
        let cancel = |(alarm, clock): &(Arc<Alarm<dyn Control>>, Clock)| {
            let prevents = alarm.body.cancel();
            clock.timeline().disarm(alarm);
            prevents
        };
        self.with_all(|all| all.iter().filter(|timer| cancel(timer)).count())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.group.cancel_all();
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

/// A timer's place in a scheduler.
pub(super) struct Scheduled {
    runner: Option<Arc<Runner>>,
    group: Arc<Group>,
    number: u64,
}

impl Scheduled {
    pub(super) fn set<C: Course>(
        scheduler: &Scheduler,
        at: Option<Instant>,
        course: C,
    ) -> Timer<C::Output> {
        let Shared { runner, group } = &*scheduler.shared;
        let number = {
            let mut timers = group.timers.lock();
            timers.next += 1;
            timers.next
        };
        let place = Scheduled {
            runner: runner.clone(),
            group: Arc::clone(group),
            number,
        };
        Timer::set_and(at, course, place, |alarm, clock| {
            let entry = Entry {
                alarm,
                clock: clock.clone(),
                _unfinished: group.unfinished.add_owned(),
            };
            group.timers.lock().set.insert(number, entry);
        })
    }
}

impl Place for Scheduled {
    type Elsewhere = Option<Arc<Runner>>;

    fn elsewhere(&self) -> Option<Arc<Runner>> {
        self.runner.clone()
    }

    fn run(place: Option<Arc<Runner>>, call: impl FnOnce() + Send + 'static) {
        match place {
            None => call(),
            Some(runner) => {
                let what = "what runs a scheduler's timers";
                report(what, || runner(Box::new(call)));
                // The scheduler and its timers may be gone by now. The drop of a pool waits for what it runs, which
                // may wait for a timer: not in this thread.
                if let Some(last) = Arc::into_inner(runner) {
                    report(what, || {
                        // Without a thread it is dropped here after all.
                        let _ = spawn_thread(String::new(), move || drop(last));
                    });
                }
            }
        }
    }

    fn ended(&self) {
        let entry = self.group.timers.lock().set.remove(&self.number);
        // Tells those who join, with nothing locked.
        drop(entry);
    }
}
