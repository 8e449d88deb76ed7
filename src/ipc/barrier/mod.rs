//! `ipc::Barrier`: processes wait until all of them are there.
//!
//! Rounds, members and deaths are `shm::protocol::barrier`'s; this file gives them a face and runs the
//! action.

mod action;
mod error;

pub use action::{BarrierAction, NoAction};
pub use error::{BarrierError, BrokenBarrier};

use super::AccessError;
use crate::Limit;
use crate::shm::handle::Slices;
use crate::shm::object::{Object, Shared};
use crate::shm::protocol::barrier::{Arrival, Gate, Passage};
use crate::shm::refusal::Refusal;
use crate::shm::{Tree, tree};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};

// SAFETY: a gate is made of atomics. All zero it is for nobody, which every look finds corrupt.
unsafe impl Shared for Gate {}

/// A place where a number of threads, of any processes of a tree, wait until all of them are there.
///
/// It can be used again at once. A call waits for the round in which it arrived and for no other. What any
/// of them did before it arrived is visible to all after `wait`.
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
/// [`abort`](Barrier::abort), a limit of `wait_within_or_break`, a panic in the action, and the death of a
/// member break the barrier: everybody who waits and everybody who comes gets the reason, until
/// [`reset`](Barrier::reset). Who was let through before that keeps its `Ok`, however late it runs.
///
/// # When a process is killed
///
/// A process whose thread waits in a round, or has gone through an earlier one, is a *member*, until a
/// reset or until it [leaves](Barrier::leave). If a member dies, the barrier is broken with
/// [`PartyDied`](BrokenBarrier::PartyDied): nobody waits for the dead. Those who wait notice within 50 ms,
/// and no round is completed after a member's death. A process that *ends* is dead, too, whatever its
/// exit code: one that has gone through and is not needed any more has to leave. One that is killed before
/// it first arrived, or gave up before it ever got through, is no member, and nobody can know that it
/// would have come: use a limit where that matters.
///
/// A member that is stopped is waited for. One that is stopped in the dozen instructions of its arrival
/// keeps the others from theirs until it goes on, or their limits are reached; who has arrived by then
/// cannot leave before it goes on, whatever its limit says.
///
/// # The action
///
/// The type `A` says what is done [once a round](BarrierAction::run), in the thread that arrived last
/// and before anybody goes on. It may abort or reset its barrier, and its own round is broken then. If the
/// process that runs it dies, the barrier is broken. A child that is forked in the action does not run it: its
/// call is [`Unlisted`](BarrierError::Unlisted), and the parent's goes on.
///
/// # Limits
///
/// At most 4,096 parties. A call that has arrived and does not run while the barrier is reset eight times
/// is told of a reset, even if it was let through before the first of them.
///
/// # Cost
///
/// An arrival takes a lock for some dozen instructions. The last one asks the kernel about the process of
/// every other member, which takes about a microsecond each, and wakes everybody with one system call.
/// Size: 10 KiB of shared memory.
///
/// # Source
///
/// Python's `multiprocessing.Barrier`, which hangs if a participant is killed.
///
/// ```
/// use latchwork::ipc::{Barrier, BarrierAction};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static ROUNDS: AtomicU32 = AtomicU32::new(0);
/// struct Count;
/// impl BarrierAction for Count {
///     fn run() {
///         ROUNDS.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let barrier = Barrier::<Count>::with_action(3)?;
/// std::thread::scope(|s| {
///     for _ in 0..3 {
///         s.spawn(|| {
///             for _ in 0..10 {
///                 barrier.wait().unwrap();
///             }
///         });
///     }
/// });
/// assert_eq!(ROUNDS.load(Ordering::Relaxed), 10);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "multiprocessing.Barrier")]
pub struct Barrier<A = NoAction> {
    gate: Object<Gate>,
    _action: PhantomData<fn() -> A>,
}

impl Barrier {
    /// Makes a barrier for `parties` threads, in the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `parties` is 0 or more than 4,096, else as for [`Lock::new`](super::Lock::new).
    pub fn new(parties: usize) -> io::Result<Barrier> {
        Barrier::create(tree()?, parties)
    }
}

impl<A: BarrierAction> Barrier<A> {
    /// Makes a barrier whose last thread to arrive runs `A`, before anybody goes on.
    ///
    /// # Errors
    ///
    /// As for [`new`](Barrier::new).
    pub fn with_action(parties: usize) -> io::Result<Barrier<A>> {
        Barrier::create(tree()?, parties)
    }

    pub(crate) fn create(tree: &'static Tree, parties: usize) -> io::Result<Barrier<A>> {
        let Some(parties) = Gate::is_for(parties) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a barrier is for at least 1 and at most 4,096 parties",
            ));
        };
        Object::new(tree, |gate: &Gate| gate.begin(parties)).map(Barrier::of)
    }

    fn of(gate: Object<Gate>) -> Barrier<A> {
        Barrier {
            gate,
            _action: PhantomData,
        }
    }

    /// Arrives, and waits until everybody has.
    ///
    /// # Errors
    ///
    /// [`Broken`](BarrierError::Broken), or why the barrier is of no use any more; never
    /// [`GaveUp`](BarrierError::GaveUp).
    ///
    /// # Panics
    ///
    /// In the thread that runs the action, if the action panics.
    pub fn wait(&self) -> Result<BarrierWait, BarrierError> {
        self.wait_at(Limit::none(), false)
    }

    /// Arrives if everybody else is there already; never waits for them. `None`, and nothing has changed,
    /// if somebody is missing.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Barrier::wait).
    ///
    /// # Panics
    ///
    /// If the action, which runs in here, panics.
    pub fn try_wait(&self) -> Result<Option<BarrierWait>, BarrierError> {
        match self.arrival().try_wait()? {
            Some(passage) => self.conclude(passage).map(Some),
            None => Ok(None),
        }
    }

    /// Arrives, and waits at most as long as `limit` says until everybody has. Who gives up takes the
    /// arrival back; the barrier stays whole, and the others wait for somebody else. A cancellation is
    /// noticed within 50 ms.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](BarrierError::GaveUp), or as for [`wait`](Barrier::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Barrier::wait).
    ///
    /// ```
    /// use latchwork::ipc::Barrier;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let barrier = Barrier::new(2)?;
    /// let alone = barrier.wait_within(Duration::from_millis(1));
    /// assert!(alone.unwrap_err().is_timed_out());
    /// assert_eq!((barrier.waiting()?, barrier.is_broken()?), (0, false));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "wait_timeout")]
    pub fn wait_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<BarrierWait, BarrierError> {
        self.wait_at(limit.into(), false)
    }

    /// As [`wait_within`](Barrier::wait_within), but who gives up breaks the barrier: for those who can do
    /// nothing without each other. Who could not even arrive, because the action of the round before was still
    /// being run, breaks nothing.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](BarrierError::GaveUp), and the barrier is broken now for that reason, if this call had
    /// arrived; else as for [`wait`](Barrier::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Barrier::wait).
    pub fn wait_within_or_break<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<BarrierWait, BarrierError> {
        self.wait_at(limit.into(), true)
    }

    /// Arrives when it is first polled, and resolves when everybody has; for any runtime. Dropping the
    /// future takes the arrival back, unless the last one has come by then.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Barrier::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Barrier::wait), in whoever polls.
    pub async fn wait_async(&self) -> Result<BarrierWait, BarrierError> {
        let passage = self.gate.wait_async(self.arrival()).await?;
        self.conclude(passage)
    }

    fn wait_at(&self, limit: Limit<'_>, breaks: bool) -> Result<BarrierWait, BarrierError> {
        let for_ever = &mut Slices(Limit::none());
        let passage = self.arrival().wait(&mut Slices(limit), for_ever, breaks)?;
        self.conclude(passage)
    }

    fn arrival(&self) -> Arrival<'_, Object<Gate>> {
        Arrival::new(&self.gate, A::IS_SOME)
    }

    /// Runs the action if it is up to this call.
    fn conclude(&self, passage: Passage) -> Result<BarrierWait, BarrierError> {
        let arrived = match passage {
            Passage::Acts(arrived) => arrived,
            other => return passed(other),
        };
        match panic::catch_unwind(AssertUnwindSafe(A::run)) {
            Ok(()) => passed(arrived.conclude(&self.gate, false)?),
            Err(payload) => {
                // The panic goes on, whatever becomes of the barrier.
                let _ = arrived.conclude(&self.gate, true);
                panic::resume_unwind(payload);
            }
        }
    }

    /// Breaks the barrier until [`reset`](Barrier::reset): everybody who waits, and everybody who comes,
    /// gets [`BrokenBarrier::Aborted`]. A barrier that is broken already keeps its first reason.
    ///
    /// # Errors
    ///
    /// The [error](AccessError) says why the barrier is of no use any more; never
    /// [`GaveUp`](AccessError::GaveUp).
    pub fn abort(&self) -> Result<(), AccessError> {
        Ok(Gate::abort(&self.gate)?)
    }

    /// Makes the barrier empty and whole, and nobody a member. Those who wait get
    /// [`BrokenBarrier::Reset`], or the reason for which it was broken before; who comes from now on
    /// begins a new round.
    ///
    /// # Errors
    ///
    /// As for [`abort`](Barrier::abort).
    pub fn reset(&self) -> Result<(), AccessError> {
        Ok(Gate::reset(&self.gate)?)
    }

    /// This process will not come again, for the time being: it may end without breaking the barrier.
    /// Its next arrival makes it a member again. The barrier is for as many parties as before.
    ///
    /// Returns `false`, and changes nothing, while another thread of this process waits.
    ///
    /// # Errors
    ///
    /// As for [`abort`](Barrier::abort).
    pub fn leave(&self) -> Result<bool, AccessError> {
        Ok(Gate::resign(&self.gate)?)
    }

    /// Is it broken, so that nobody gets through until a reset? A death is in the answer once somebody
    /// who waits or comes has noticed it.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](AccessError::Corrupt) or [`Gone`](AccessError::Gone); so for the next two.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> Result<bool, AccessError> {
        Ok(self.look(Gate::why_broken)?.is_some())
    }

    /// For how many threads it is.
    pub fn parties(&self) -> Result<usize, AccessError> {
        Ok(self.look(Gate::parties)? as usize)
    }

    /// How many have arrived and wait for the others; 0 while the action runs and when it is broken. For
    /// reports: the answer may be old on arrival.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> Result<usize, AccessError> {
        Ok(self.look(Gate::waiting)? as usize)
    }

    fn look<T>(&self, look: impl FnOnce(&Gate) -> Option<T>) -> Result<T, Refusal> {
        self.gate.hint(look)?.ok_or(Refusal::Corrupt)
    }
}

fn passed(passage: Passage) -> Result<BarrierWait, BarrierError> {
    match passage {
        Passage::Through(index, is_leader) => Ok(BarrierWait {
            index: index as usize,
            is_leader,
        }),
        Passage::Broken(why) => Err(why.into()),
        Passage::Acts(_) => unreachable!("the action has been run"),
    }
}

/// Proof of having gone through an [`ipc::Barrier`](Barrier).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "BarrierWaitResult")]
pub struct BarrierWait {
    index: usize,
    is_leader: bool,
}

impl BarrierWait {
    /// A number below the barrier's parties that nobody else of the same round has: the lowest that was
    /// free on arrival.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Was this the last to arrive? Exactly one of each round was.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

impl<A> Clone for Barrier<A> {
    fn clone(&self) -> Self {
        Barrier {
            gate: self.gate.clone(),
            _action: PhantomData,
        }
    }
}

impl<A: BarrierAction> fmt::Debug for Barrier<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Ok(waiting), Ok(parties), Ok(why)) =
            (self.waiting(), self.parties(), self.look(Gate::why_broken))
        else {
            return f.write_str("Barrier(gone)");
        };
        let mut out = f.debug_struct("Barrier");
        out.field("waiting", &waiting).field("parties", &parties);
        match why {
            Some(why) => out.field("broken", &why),
            None => out.field("broken", &false),
        };
        out.finish()
    }
}

impl<A> Serialize for Barrier<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.gate.serialize(serializer)
    }
}

impl<'de, A: BarrierAction> Deserialize<'de> for Barrier<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(Barrier::of)
    }
}
