//! A place where a number of threads wait for each other: [`Barrier`].

mod arrival;
mod error;
mod raw;
mod word;

pub use error::{BarrierError, BrokenBarrier};

use crate::Limit;
use crate::platform::const_fn;
use crate::wait::WaitFuture;
use arrival::Arrival;
use raw::{RawBarrier, Turn};
use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe, Location};

/// A place where `parties` threads wait until all of them are there; then they go on together.
///
/// It can be used again at once, by the same or other threads. Rounds do not mix: a call waits for the
/// round in which it arrived and for no other, however quick the others are. What any of them did before
/// it arrived is visible to all after `wait`.
///
/// # Giving up
///
/// * [`wait_within`](Barrier::wait_within) takes its arrival back and leaves the barrier whole.
/// * [`wait_within_or_break`](Barrier::wait_within_or_break) breaks it for everybody, as Python does.
/// * A future of [`wait_async`](Barrier::wait_async) that is dropped takes its arrival back.
///
/// All of that until the last one has arrived. From then on, while the action runs, it is too late to
/// leave: such a call waits for the action's end and returns what came of it.
///
/// # Breaking
///
/// [`abort`](Barrier::abort), a panic in the action, and a limit of `wait_within_or_break` break the
/// barrier: everybody who waits and everybody who comes gets the reason, until
/// [`reset`](Barrier::reset). A reset of a barrier where some wait sends these away with
/// [`BrokenBarrier::Reset`]. An abort or reset that comes while the action runs breaks that round too; it
/// is told to those who wait at once, and to the thread in the action when that returns.
///
/// # Arriving between two rounds
///
/// The end of a round needs nobody's leaving, so the next one begins at once. There are three exceptions:
/// while the action runs; after a reset, until those sent away have noticed; and after a round in which
/// somebody left and which was filled again, until all of it have their new [number](BarrierWait::index).
/// Who comes then waits without having arrived, and a limit covers this time too. A call that gives
/// up in it was never there: it breaks nothing.
///
/// # The action
///
/// Given to [`with_action`](Barrier::with_action), it runs once a round, in the thread that arrived last,
/// before anybody goes on, with nothing of the barrier locked. It may abort or reset its barrier, and its
/// own round is broken then. If it waits for it, it waits for itself: with a limit that passes, and
/// without one for ever, which nothing reports.
///
/// # Cost
///
/// One read-modify-write for each arrival, the last one's included if nobody sleeps; no allocation. A
/// waiter looks at the word for about as long as a sleep would cost, then it sleeps. Size: two `usize`
/// and the action.
///
/// # Limits
///
/// With more threads than parties, one that has arrived and then does not run while the others go
/// through all rounds a word can tell apart takes the next for its own. Those are 2<sup>34</sup>; with 32
/// bits 2<sup>14</sup>.
///
/// # Source
///
/// Python's [`threading.Barrier`](https://docs.python.org/3/library/threading.html#barrier-objects); the
/// round in the word stands for the sense of a sense-reversing barrier (Hensgen, Finkel, Manber 1988).
///
/// ```
/// use latchwork::sync::Barrier;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let rounds = AtomicU32::new(0);
/// let barrier = Barrier::with_action(3, || {
///     rounds.fetch_add(1, Ordering::Relaxed);
/// });
/// std::thread::scope(|s| {
///     for _ in 0..3 {
///         s.spawn(|| {
///             for _ in 0..10 {
///                 barrier.wait().unwrap();
///             }
///         });
///     }
/// });
/// assert_eq!(rounds.load(Ordering::Relaxed), 10);
/// ```
pub struct Barrier<A = NoAction> {
    raw: RawBarrier,
    action: A,
}

impl Barrier {
    const_fn! {
        /// A barrier for `parties` threads.
        ///
        /// # Panics
        ///
        /// If `parties` is 0, or more than the word can count: 16,777,215 (with 32 bits, 4,095).
        pub fn new(parties: usize) -> Barrier {
            Barrier { raw: RawBarrier::new(parties), action: NoAction }
        }
    }
}

impl<A: BarrierAction> Barrier<A> {
    const_fn! {
        /// A barrier whose last thread to arrive runs `action`, before anybody goes on.
        ///
        /// # Panics
        ///
        /// As [`new`](Barrier::new).
        pub fn with_action(parties: usize, action: A) -> Barrier<A> {
            Barrier { raw: RawBarrier::new(parties), action }
        }
    }

    /// Arrives, and blocks until everybody has.
    ///
    /// # Errors
    ///
    /// Why the barrier is broken.
    ///
    /// # Panics
    ///
    /// In the thread that runs the action, if the action panics.
    #[inline]
    #[track_caller]
    pub fn wait(&self) -> Result<BarrierWait, BrokenBarrier> {
        let turn = self.arrival().wait(Location::caller());
        self.conclude(turn)
    }

    /// Arrives if everybody else is there already; never waits for them. `None`, and nothing has
    /// changed, if somebody is missing.
    ///
    /// # Errors
    ///
    /// Why the barrier is broken.
    ///
    /// # Panics
    ///
    /// If the action, which runs in here, panics.
    pub fn try_wait(&self) -> Result<Option<BarrierWait>, BrokenBarrier> {
        match self.arrival().try_wait() {
            Some(turn) => self.conclude(turn).map(Some),
            None => Ok(None),
        }
    }

    /// Arrives, and blocks at most as long as `limit` says until everybody has. Who gives up takes the
    /// arrival back; the barrier stays whole, and the others wait for somebody else.
    ///
    /// ```
    /// use latchwork::sync::Barrier;
    /// use std::time::Duration;
    ///
    /// let barrier = Barrier::new(2);
    /// let alone = barrier.wait_within(Duration::from_millis(1));
    /// assert!(alone.unwrap_err().is_timed_out());
    /// assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
    /// ```
    ///
    /// # Errors
    ///
    /// Why it gave up, or why the barrier is broken.
    ///
    /// # Panics
    ///
    /// As [`wait`](Barrier::wait).
    #[inline]
    #[track_caller]
    pub fn wait_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<BarrierWait, BarrierError> {
        let turn = self
            .arrival()
            .wait_within(&limit.into(), false, Location::caller())?;
        Ok(self.conclude(turn)?)
    }

    /// As [`wait_within`](Barrier::wait_within), but who gives up breaks the barrier: for threads that
    /// can do nothing without each other.
    ///
    /// # Errors
    ///
    /// `TimedOut` or `Cancelled`, and the barrier is broken now for that reason; `Broken`, if somebody
    /// else has broken it.
    ///
    /// # Panics
    ///
    /// As [`wait`](Barrier::wait).
    #[inline]
    #[track_caller]
    pub fn wait_within_or_break<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<BarrierWait, BarrierError> {
        let turn = self
            .arrival()
            .wait_within(&limit.into(), true, Location::caller())?;
        Ok(self.conclude(turn)?)
    }

    /// Arrives when it is first polled, and resolves when everybody has; for any runtime. Dropping the
    /// future takes the arrival back, unless the last one has come by then.
    ///
    /// # Panics
    ///
    /// As [`wait`](Barrier::wait).
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = Result<BarrierWait, BrokenBarrier>> {
        let waiting = WaitFuture::new(self.arrival());
        async move { self.conclude(waiting.await) }
    }

    /// Breaks the barrier until [`reset`](Barrier::reset): everybody who waits, and everybody who comes,
    /// gets [`BrokenBarrier::Aborted`]. Those whose last one has come before, and whose action is over,
    /// are through. A barrier that is broken already keeps its first reason.
    pub fn abort(&self) {
        self.raw.abort();
    }

    /// Makes the barrier empty and whole. Those who wait get [`BrokenBarrier::Reset`], or the reason for
    /// which it was broken before; who comes from now on begins a new round.
    pub fn reset(&self) {
        self.raw.reset();
    }

    /// Is it broken, so that nobody gets through until a reset?
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.raw.state().why_broken().is_some()
    }

    /// For how many threads it is.
    pub fn parties(&self) -> usize {
        self.raw.parties()
    }

    /// How many have arrived and wait for the others; 0 while the action runs and when it is broken. For
    /// reports: the answer may be old on arrival.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        let state = self.raw.state();
        match state.phase() {
            word::Phase::Filling => state.count(),
            _ => 0,
        }
    }

    fn arrival(&self) -> Arrival<'_> {
        Arrival::new(&self.raw, A::IS_SOME)
    }

    #[inline]
    fn conclude(&self, turn: Turn) -> Result<BarrierWait, BrokenBarrier> {
        let index = match turn {
            Turn::Through(index) => index,
            Turn::Last => {
                if A::IS_SOME {
                    self.act()?;
                }
                self.parties() - 1
            }
            Turn::Broken(why) => return Err(why),
        };
        Ok(BarrierWait {
            index,
            is_leader: index + 1 == self.parties(),
        })
    }

    /// Runs the action for everybody. They wait, and nobody can come in between: this thread is in
    /// their round too, and has not heard how it ends before it says so.
    fn act(&self) -> Result<(), BrokenBarrier> {
        match panic::catch_unwind(AssertUnwindSafe(|| self.action.run())) {
            Ok(()) => self.raw.finish(),
            Err(payload) => {
                self.raw.fail();
                panic::resume_unwind(payload);
            }
        }
    }
}

impl<A: BarrierAction> fmt::Debug for Barrier<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Barrier");
        out.field("waiting", &self.waiting())
            .field("parties", &self.parties());
        match self.raw.state().why_broken() {
            Some(why) => out.field("broken", &why),
            None => out.field("broken", &false),
        };
        out.finish()
    }
}

/// Proof of having gone through a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "BarrierWaitResult")]
pub struct BarrierWait {
    index: usize,
    is_leader: bool,
}

impl BarrierWait {
    /// A number below the barrier's parties that nobody else of the same round has: how many had
    /// arrived before. If somebody has left in the middle of the round, the numbers of the others but the
    /// last are given out anew when it is full.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Was this the last to arrive? Exactly one of each round was, and has the highest number.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

/// What a [`Barrier`] does when everybody is there: any `Fn()`, or nothing.
///
/// It is `Fn` because any of the threads may have to run it.
pub trait BarrierAction: sealed::Sealed {
    #[doc(hidden)]
    const IS_SOME: bool;

    #[doc(hidden)]
    fn run(&self);
}

/// The action of a [`Barrier`] that has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAction;

impl BarrierAction for NoAction {
    const IS_SOME: bool = false;

    fn run(&self) {}
}

impl<F: Fn()> BarrierAction for F {
    const IS_SOME: bool = true;

    fn run(&self) {
        self()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::NoAction {}
    impl<F: Fn()> Sealed for F {}
}
