//! [`Timeline`]: a clock with the alarms that are set by it.
//!
//! Everything is under one short lock: the wheel, what the time is where nobody but a test says so, and who
//! sleeps until when. Whoever sets an alarm for earlier than that decides the sleep, under the lock, and wakes
//! the sleeper after it; who is about to sleep has registered its decision under the same lock that told it
//! until when. So an alarm is either seen before the sleep or ends it.
//!
//! Nothing rings with the lock held.

use super::alarm::{self, Alarm};
use super::armed::Armed;
use super::clock::leave_all;
use super::wheel::{Head, Poll, Wheel};
use crate::platform::{ShortLock, sleep_exactly, thread_id};
use crate::wait::decision::{Decision, GRANTED, why};
use crate::wait::waiter::Wake;
use crate::{GaveUp, Limit};
use smallvec::SmallVec;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How fine the machine's alarms are: 4,096 ns, a fraction of what a wake-up takes. Each rings with the
/// first tick that is not before its instant.
const MACHINE: u32 = 12;
/// A clock that a test drives is exact.
const DRIVEN: u32 = 0;

/// Whoever sleeps for less than this may do so a little longer. It wakes up thousands of times a second, and if it
/// took every single one it would be put behind others, for milliseconds, where they want the processor.
const SHORT_SLEEP: Duration = Duration::from_millis(1);

pub(crate) struct Timeline {
    /// Tick 0.
    base: Instant,
    /// A tick is so many nanoseconds, as a power of two.
    grain: u32,
    state: ShortLock<State>,
    /// How many are set, where a test wants to know.
    armed: Option<Armed>,
}

struct State {
    wheel: Wheel,
    /// The tick that was turned to last.
    now: u64,
    sleeper: Option<Sleeper>,
    /// Who turns the wheel wakes up at this tick at the latest, though what was set for it may have been taken out
    /// since: else whoever sets and takes out in turn would wake it each time.
    horizon: u64,
    /// Nobody turns the wheel any more, and nothing is set.
    is_stopped: bool,
    /// The thread that turns it.
    turner: Option<u32>,
    /// Who waits until it does not any more.
    stoppers: SmallVec<[Stopper; 1]>,
}

/// Who turns the wheel, asleep.
struct Sleeper {
    decision: *const Decision,
    /// An alarm before this tick is a reason to wake up.
    until: u64,
}

// SAFETY: the decision is followed only under the lock, and alive as long as it is there: `sleep` takes it out,
// under the same lock, before it goes away.
unsafe impl Send for Sleeper {}

/// Who waits until nothing rings any more.
struct Stopper(*const Decision);

// SAFETY: as of a sleeper: `stop_within` takes it out, under the lock, before it goes away.
unsafe impl Send for Stopper {}

/// What a turn has come to.
pub(super) enum Turn {
    /// Nothing is due before this instant.
    Until(Instant),
    Never,
    /// See [`Timeline::stop`].
    Stopped,
}

impl Timeline {
    fn new(grain: u32, armed: Option<Armed>) -> Timeline {
        Timeline {
            base: Instant::now(),
            grain,
            state: ShortLock::new(State {
                wheel: Wheel::new(),
                now: 0,
                sleeper: None,
                horizon: u64::MAX,
                is_stopped: false,
                turner: None,
                stoppers: SmallVec::new(),
            }),
            armed,
        }
    }

    /// The machine's clock, beginning now.
    pub(crate) fn of_the_machine() -> Timeline {
        Timeline::new(MACHINE, None)
    }

    /// A clock that stands still until somebody advances it, beginning now.
    pub(crate) fn driven() -> Timeline {
        Timeline::new(DRIVEN, Some(Armed::new()))
    }

    /// The first tick that is not before `at`.
    fn tick_from(&self, at: Instant) -> u64 {
        let nanos = self.nanos(at);
        (nanos >> self.grain) + u64::from(nanos & ((1 << self.grain) - 1) != 0)
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base);
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        // 584 years are for ever.
        seconds.saturating_add(u64::from(since.subsec_nanos()))
    }

    fn instant(&self, tick: u64) -> Option<Instant> {
        let nanos = Duration::from_nanos(tick.checked_mul(1 << self.grain)?);
        self.base.checked_add(nanos)
    }

    /// What time it is on a driven clock.
    pub(crate) fn driven_now(&self) -> Instant {
        let now = self.state.lock().now;
        self.instant(now).expect("the clock has been there")
    }

    /// Sets an alarm that is not set; if nobody turns the wheel any more, it is lost at once.
    ///
    /// Only one at a time arms an alarm, and as long as it is set it is on this timeline alone.
    pub(crate) fn arm<B: ?Sized>(&self, alarm: Arc<Alarm<B>>, at: Instant) {
        let tick = self.tick_from(at);
        let head = Alarm::into_wheel(alarm);
        let mut state = self.state.lock();
        if state.is_stopped {
            drop(state);
            // SAFETY: never in the wheel, whose reference is made above.
            return unsafe { alarm::lost(head) };
        }
        // SAFETY: not set, so in no wheel; alive by the reference that goes with it.
        unsafe { state.insert(head, tick) };
        let wake = state.rouse(tick);
        let count = self.armed.as_ref().and_then(Armed::add);
        drop(state);
        fire(wake);
        if let (Some(armed), Some(count)) = (&self.armed, count) {
            armed.tell(count);
        }
    }

    /// Sets an alarm for another instant, if it is set.
    pub(crate) fn move_to<B: ?Sized>(&self, alarm: &Arc<Alarm<B>>, at: Instant) -> bool {
        let tick = self.tick_from(at);
        let mut state = self.state.lock();
        // SAFETY: an alarm is only ever on one timeline while it is set. Out and in again, with the reference.
        unsafe {
            if !state.wheel.remove(alarm.head()) {
                return false;
            }
            state.insert(Arc::as_ptr(alarm).cast(), tick);
        }
        let wake = state.rouse(tick);
        drop(state);
        fire(wake);
        true
    }

    /// Takes an alarm out. True if it was set: it does not ring.
    pub(crate) fn disarm<B: ?Sized>(&self, alarm: &Arc<Alarm<B>>) -> bool {
        let mut state = self.state.lock();
        // SAFETY: an alarm is only ever on one timeline while it is set.
        let was_set = unsafe { state.wheel.remove(alarm.head()) };
        if was_set {
            self.count_out();
        }
        drop(state);
        if was_set {
            // SAFETY: just taken out.
            drop(unsafe { Alarm::out_of_wheel(alarm) });
        }
        was_set
    }

    /// When an alarm is to ring, if it is set: to the tick.
    pub(crate) fn set_for<B: ?Sized>(&self, alarm: &Alarm<B>) -> Option<Instant> {
        let state = self.state.lock();
        // SAFETY: an alarm is only ever on one timeline while it is set.
        let tick = unsafe { state.wheel.tick_of(alarm.head()) }?;
        drop(state);
        self.instant(tick)
    }

    /// The instant for which an alarm was set that rang for `tick`: `first`, unless it has been moved.
    pub(crate) fn rung_for(&self, tick: u64, first: Instant) -> Instant {
        if self.tick_from(first) == tick {
            return first;
        }
        self.instant(tick).unwrap_or(first)
    }

    /// How many alarms are set, where anybody wants to know.
    pub(crate) fn armed(&self) -> usize {
        self.armed.as_ref().map_or(0, Armed::count)
    }

    /// Blocks until so many are set.
    #[track_caller]
    pub(crate) fn wait_until_armed(&self, count: usize, limit: &Limit<'_>) -> Result<(), GaveUp> {
        let place = Location::caller();
        self.armed
            .as_ref()
            .map_or(Ok(()), |armed| armed.wait(count, limit, place))
    }

    /// Rings what is due, and tells until when there is nothing to do. `sleep`, if there is one, is decided when an
    /// earlier alarm is set: see [`Timeline::turn_and_sleep`].
    ///
    /// It asks for the time again and again, because what is called may set what is due at once, without an end.
    fn turn(&self, now: impl Fn() -> Instant, sleep: Option<&Decision>) -> Turn {
        loop {
            let now = self.nanos(now()) >> self.grain;
            let mut state = self.state.lock();
            if state.is_stopped {
                return Turn::Stopped;
            }
            state.now = state.now.max(now);
            let now = state.now;
            let until = match state.wheel.poll(now) {
                Poll::Due(head) => {
                    self.count_out();
                    drop(state);
                    // SAFETY: it has just come out of the wheel.
                    unsafe { alarm::ring(head) };
                    continue;
                }
                Poll::Busy => continue,
                Poll::Until(tick) => tick,
                Poll::Never => u64::MAX,
            };
            let until = match sleep {
                None => until,
                Some(decision) => {
                    let until = state.next_horizon(until);
                    state.sleeper = Some(Sleeper { decision, until });
                    until
                }
            };
            return self.instant(until).map_or(Turn::Never, Turn::Until);
        }
    }

    /// Rings what is due by the machine's clock, and sleeps until the next is or an earlier one is set. False if
    /// that is not to be done any more.
    pub(crate) fn turn_and_sleep(&self) -> bool {
        self.state.lock().turner = Some(thread_id());
        let decision = Decision::new();
        let limit = match self.turn(Instant::now, Some(&decision)) {
            Turn::Until(at) => Limit::from(at),
            Turn::Never => Limit::none(),
            Turn::Stopped => {
                self.leave();
                return false;
            }
        };
        let _registered = Registered(self);
        leave_all();
        let is_long = |at: Instant| at.saturating_duration_since(Instant::now()) >= SHORT_SLEEP;
        sleep_exactly(limit.deadline().is_none_or(is_long));
        decision.sleep(&limit);
        true
    }

    /// Lets time pass until `to`, ringing what is due on the way, each at its instant.
    pub(crate) fn advance(&self, to: Instant) {
        let mut now = self.driven_now();
        loop {
            match self.turn(|| now, None) {
                Turn::Until(next) if next <= to => now = next,
                // It may be somebody else who has gone on from here.
                _ if now >= to => return,
                _ => now = to,
            }
        }
    }

    /// Is it before the end of what ticks can count? Alarms from there on never ring.
    pub(crate) fn can_tell(&self, at: Instant) -> bool {
        self.nanos(at) < u64::MAX
    }

    /// The instant of the earliest alarm that is ever to ring.
    pub(crate) fn next(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        let now = state.now;
        let tick = state.wheel.earliest()?.max(now);
        drop(state);
        (tick < u64::MAX).then(|| self.instant(tick))?
    }

    /// Nothing rings any more, nor can be set: what is set is told that it is lost.
    pub(crate) fn stop(&self) {
        let wake = {
            let mut state = self.state.lock();
            state.is_stopped = true;
            state.rouse(0)
        };
        fire(wake);
        self.lose_all();
    }

    /// One is not set any more; with the lock held.
    fn count_out(&self) {
        if let Some(armed) = &self.armed {
            armed.remove();
        }
    }

    /// As `stop`, and waits until what is just ringing has rung, unless that is what calls this.
    pub(crate) fn stop_within(&self, limit: &Limit<'_>) -> Result<(), GaveUp> {
        self.stop();
        let decision = Decision::new();
        {
            let mut state = self.state.lock();
            if state.turner.is_none_or(|turner| turner == thread_id()) {
                return Ok(());
            }
            limit.check()?;
            state.stoppers.push(Stopper(&decision));
        }
        let _registered = RegisteredStopper(self, &decision);
        match decision.sleep(limit) {
            GRANTED => Ok(()),
            given_up => Err(why(given_up)),
        }
    }

    /// The thread that turned it does not any more.
    fn leave(&self) {
        let mut wakes = SmallVec::<[Wake; 1]>::new();
        let mut state = self.state.lock();
        state.turner = None;
        for stopper in &state.stoppers {
            // SAFETY: registered, so alive as long as we hold the lock.
            let wake = unsafe { &*stopper.0 }.settle(GRANTED);
            wakes.extend(wake.ok().flatten());
        }
        drop(state);
        wakes.into_iter().for_each(Wake::fire);
    }

    fn lose_all(&self) {
        loop {
            let head = {
                let mut state = self.state.lock();
                let Some(head) = state.wheel.pop_any() else {
                    return;
                };
                self.count_out();
                head
            };
            // SAFETY: it has just come out of the wheel.
            unsafe { alarm::lost(head) };
        }
    }
}

/// What a fork does to the machine's timeline: see [`machine`](super::machine).
#[cfg(all(unix, not(loom)))]
impl Timeline {
    pub(super) fn hold(&self) {
        self.state.hold();
    }

    pub(super) fn let_go(&self) {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { self.state.let_go() };
    }

    /// In the child, held, for the thread `this`. Is it this one that turns the wheel?
    pub(super) fn forget_others(&self, this: u32) -> bool {
        // SAFETY: held by this thread, by `hold`.
        let state = unsafe { &mut *self.state.get() };
        state.sleeper = None;
        state.stoppers.clear();
        // The parent's end is not this one's.
        state.is_stopped = false;
        // SAFETY: they are in the wheel.
        state
            .wheel
            .leave_behind(|head| unsafe { alarm::survives_fork(head) });
        state.turner = state.turner.filter(|&turner| turner == this);
        state.turner.is_some()
    }

    /// Is any alarm set?
    pub(super) fn is_set(&self) -> bool {
        self.state.lock().wheel.earliest().is_some()
    }

    /// In the child, with nothing held.
    pub(super) fn tell_left_behind(&self) {
        loop {
            let Some(head) = self.state.lock().wheel.pop_left_behind() else {
                return;
            };
            // SAFETY: it has just come out of the wheel.
            unsafe { alarm::left_behind(head) };
        }
    }
}

impl State {
    /// Until when to sleep if there is nothing to do before `next`.
    fn next_horizon(&mut self, next: u64) -> u64 {
        if self.horizon <= self.now {
            self.horizon = u64::MAX;
        }
        self.horizon = self.horizon.min(next);
        self.horizon
    }

    /// One that is late goes behind what is due by now, so that those that are set late for ever hold up nobody.
    ///
    /// # Safety
    ///
    /// As for [`Wheel::insert`].
    unsafe fn insert(&mut self, head: *const Head, tick: u64) {
        // SAFETY: by the caller's promise.
        unsafe { self.wheel.insert(head, tick, self.now) };
    }

    /// Wakes the sleeper if an alarm at `tick` is earlier than what it sleeps for. One who is woken asks again,
    /// so nobody else need wake it.
    fn rouse(&mut self, tick: u64) -> Option<Wake> {
        self.horizon = self.horizon.min(tick);
        let sleeper = self
            .sleeper
            .as_ref()
            .filter(|sleeper| tick < sleeper.until)?;
        // SAFETY: registered, so alive as long as we hold the lock.
        let wake = unsafe { &*sleeper.decision }.settle(GRANTED);
        self.sleeper = None;
        wake.ok().flatten()
    }
}

fn fire(wake: Option<Wake>) {
    if let Some(wake) = wake {
        wake.fire();
    }
}

/// A sleep's decision is within reach of who sets alarms, until this is dropped.
struct Registered<'t>(&'t Timeline);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.state.lock().sleeper = None;
    }
}

/// As [`Registered`], of one who waits for the end.
struct RegisteredStopper<'t>(&'t Timeline, *const Decision);

impl Drop for RegisteredStopper<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.stoppers.retain(|stopper| stopper.0 != self.1);
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.lose_all();
    }
}
